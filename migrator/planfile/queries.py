"""The SQL conditions and key ranges that several modules share."""

from __future__ import annotations

import sqlite3

from migrator.planfile.rows import (
    COPY,
    LOCAL,
    OVERWRITE,
    REWRITE,
    ROLE_CHECKSUM,
    ROLE_LOCAL,
    ROLE_VERSION_HINT,
    SAME,
    SKIP,
)


def place(table: str = "") -> str:
    """SQL: the source of an object, as a URI. ``table``: the name of the table with a dot, where that is needed."""
    return f"replace('s3://' || {table}bucket || '/' || {table}key, 's3://{LOCAL}/', 'file:///')"


PLACE = place()
MOVES = f"action <> '{SKIP}'"
"""Objects that are at the target after the migration."""
COPIED = f"action IN ('{COPY}', '{OVERWRITE}')"
"""Objects that are copied as they are, version hints among them."""
PLAIN_COPIES = f"{COPIED} AND role = ''"
"""Objects that are copied as they are and that no table reads as metadata."""
TO_WRITE = f"action IN ('{COPY}', '{OVERWRITE}', '{REWRITE}')"
"""Objects that the migration writes at the target."""
WRITTEN_OR_SAME = f"action IN ('{COPY}', '{OVERWRITE}', '{REWRITE}', '{SAME}')"
"""Objects that the migration writes at the target, or that the target has already."""
PENDING = "id NOT IN (SELECT object_id FROM done)"
"""Objects that are not at the target yet, as far as the journal knows."""
PENDING_COPIES = f"{COPIED} AND {PENDING}"
"""Objects that are still to be copied as they are."""
PENDING_PLAIN_COPIES = f"{PENDING_COPIES} AND role = ''"
"""Those of :data:`PENDING_COPIES` that no table reads as metadata."""
EARLY_COPIES = f"{PENDING_PLAIN_COPIES} AND id NOT IN (SELECT object_id FROM copied_last)"
"""Those of :data:`PENDING_PLAIN_COPIES` that are copied in any order, before what must be last."""

SAME_AS_SOURCE = f"action IN ('{COPY}', '{OVERWRITE}', '{SAME}') AND role = ''"
"""Objects of which the target has the same bytes after the migration, as far as no table reads them as metadata."""

VERSIONS_TO_COPY = f"action = '{COPY}' AND NOT marker"
"""Rows of ``versions``: older versions with content that are copied. Delete markers are left out."""
PENDING_VERSIONS = f"action = '{COPY}' AND id NOT IN (SELECT version_id FROM versions_done)"
"""Rows of ``versions``: older versions and delete markers that are still to be copied."""


def late_copies(rank: int) -> str:
    """SQL: those of :data:`PENDING_PLAIN_COPIES` that are copied after everything else, as part ``rank`` of it."""
    return f"{PENDING_PLAIN_COPIES} AND id IN (SELECT object_id FROM copied_last WHERE rank = {rank:d})"


def pending_uploads(rank: int | None) -> str:
    """SQL: local files that are still to be uploaded, those of ``rank`` among what is copied last; None: the others."""
    last = "SELECT object_id FROM copied_last"
    which = f"NOT IN ({last})" if rank is None else f"IN ({last} WHERE rank = {rank:d})"
    return f"{pending_rewrites(ROLE_LOCAL)} AND id {which}"


def pending_rewrites(role: str) -> str:
    """SQL: files with this role that are still to be rewritten."""
    return f"action = '{REWRITE}' AND role = '{role}' AND {PENDING}"


def hint_keys(db: sqlite3.Connection) -> dict[int, str]:
    """Table id → the key of the version hint at the target that the cutover writes for it. One query for all tables:
    there is no index for a single one."""
    query = f"SELECT table_id, target FROM objects WHERE role = '{ROLE_VERSION_HINT}' AND action = '{REWRITE}'"
    return dict(db.execute(query).fetchall())


def written_hints(db: sqlite3.Connection) -> dict[int, str]:
    """Table id → ETag of the version hint that the cutover wrote."""
    query = f"""
    SELECT o.table_id, d.etag FROM objects o JOIN done d ON d.object_id = o.id
    WHERE o.role = '{ROLE_VERSION_HINT}' AND o.action = '{REWRITE}'
    """
    return dict(db.execute(query).fetchall())


def count_objects(db: sqlite3.Connection, where: str) -> tuple[int, int]:
    """How many objects an SQL condition (ours, never a user's) selects, and their size in bytes."""
    count, size = db.execute(f"SELECT count(*), total(size) FROM objects WHERE {where}").fetchone()
    return int(count), int(size)


def below(column: str, folder: str) -> str:
    """SQL: the key in ``column`` lies below the folder. ``folder``: SQL for a key without a slash at its end."""
    return f"{column} > {folder} || '/' AND {column} < {folder} || '0'"  # "0" follows "/"


IS_FOLDER = f"""EXISTS (SELECT 1 FROM objects AS inside
  WHERE {below("inside.target", "rtrim(objects.target, '/')")}
  AND inside.id <> objects.id)"""
"""Objects whose target key is the folder of another one's: ``a`` or ``a/`` beside ``a/b``."""


def keys_under(prefix: str) -> tuple[str, str]:
    """The range [low, high) of the keys below a prefix without a slash at its end; "" stands for all keys."""
    return (f"{prefix}/", f"{prefix}0") if prefix else ("", "\U0010ffff")  # "0" follows "/"


def same_etag(a: str, b: str, listed: str = "t") -> str:
    """SQL: two ETags are the same. ``listed``: a table with the columns key and size.

    MinIO with encryption gives an empty object whose key ends in a slash one ETag in a listing and another one in the
    answer to a HEAD. Such objects have no content that could differ, so they count as the same.
    """
    return f"({a} = {b} OR {listed}.size = 0 AND {listed}.key LIKE '%/')"


HADOOP_MARKER = "size = 0 AND substr(key, -9) = '_$folder$'"
"""Empty objects by which old Hadoop clients mark a folder; see :func:`is_hadoop_marker`. LIKE would ignore case."""


_CHUNKS = [1 << bits for bits in range(4, 21)]


def is_checksum(size: str, of: str) -> str:
    """SQL: a file with this size may be Hadoop's checksum file of one with the size ``of``, both in bytes.

    It has 8 bytes, and 4 for each chunk of the other file. Chunks have 512 bytes unless somebody set another number;
    here that may be any power of two from 16 bytes to 1 MiB.
    """
    return f"{size} IN ({', '.join(f'8 + ({of} + {chunk - 1}) / {chunk} * 4' for chunk in _CHUNKS)})"


def has_checksum_size(size: int, of: int) -> bool:
    """The same in Python; see :func:`is_checksum`."""
    return any(size == 8 + (of + chunk - 1) // chunk * 4 for chunk in _CHUNKS)


def checksum_key(key: str) -> str:
    """The key of Hadoop's checksum file of the object with this key."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}.{name}.crc"


DROP_CHECKSUM = f"""
UPDATE objects SET action = '{SKIP}', role = '{ROLE_CHECKSUM}' WHERE bucket = :bucket AND key = :checksum AND EXISTS (
  SELECT 1 FROM objects o WHERE o.bucket = :bucket AND o.key = :key AND {is_checksum("objects.size", "o.size")})
"""
"""Leaves out Hadoop's checksum file of an object that is rewritten: it would be wrong, and readers do without one.
``checksum``: its key. Another file of that name is somebody's data."""


def is_hadoop_marker(key: str, size: int) -> bool:
    """True for an empty object by which old Hadoop clients mark a folder; nothing reads it. One with bytes is data."""
    return not size and key.endswith("_$folder$")
