"""Writing and deleting single objects."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from functools import partial
from typing import Any, BinaryIO

import botocore.exceptions

from migrator.errors import Occupied
from migrator.store.comparing import sha256
from migrator.store.conditional import Expected
from migrator.store.connection import Connection
from migrator.store.listing import StoredObject
from migrator.store.objects import CHUNK, Content, find, get, version_parameter
from migrator.store.server_errors import CHANGED, MISSING, error_code, place_of
from migrator.store.versions import versions_of

_NO_CONDITIONS = frozenset({"NotImplemented", "501", "InvalidArgument", "InvalidRequest"})
"""Error codes of a server that does not know conditional writes."""
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})
"""Error codes: another conditional write of the key is in progress."""


def put(
    connection: Connection,
    bucket: str,
    key: str,
    content: Content,
    *,
    replace: bool = True,
    replaces: str | None = None,
) -> str:
    """Write a whole object and return its ETag; see :func:`upload`."""
    file = io.BytesIO(content.data)
    return upload(connection, bucket, key, file, content.attributes, replace=replace, replaces=replaces)[1]


def upload(
    connection: Connection,
    bucket: str,
    key: str,
    file: BinaryIO,
    attributes: Mapping[str, Any],
    *,
    replace: bool = True,
    replaces: str | None = None,
) -> tuple[int, str]:
    """Write all of ``file`` as one object and return (size in bytes, ETag). The server compares it with its MD5.

    ``replace`` False leaves an object that exists already, unless its ETag is ``replaces``: raises Occupied if its
    bytes are not those of ``file``.
    """
    size, md5 = _measure(file)
    written = {**attributes, "ContentMD5": base64.b64encode(md5).decode()}
    if not replace and connection.conditional.put:
        written |= Expected(replaces).arguments
    elif not replace:
        stored = find(connection, bucket, key)
        if stored is not None and stored.etag != replaces:
            return size, _etag_if_equal(connection, bucket, stored, file, size, md5.hex())
    with connection.errors(f"s3://{bucket}/{key}"):
        try:
            answer = connection.client.put_object(Bucket=bucket, Key=key, Body=file, **written)
            return size, str(answer["ETag"]).strip('"')
        except botocore.exceptions.ClientError as error:
            if replace or error_code(error) not in CHANGED | MISSING:
                raise
    stored = find(connection, bucket, key)
    if stored is None:  # the object to replace no longer exists, or see migrator.store.conditional.ANYTHING
        return upload(connection, bucket, key, file, attributes)
    return size, _etag_if_equal(connection, bucket, stored, file, size, md5.hex())


def put_if(connection: Connection, bucket: str, key: str, data: bytes, *, etag: str | None) -> str | None:
    """Write an object if the present one has this ETag (None: if there is none). Return the new ETag, or None if
    another writer was faster. On a server without conditional writes, the last writer wins."""
    client, place = connection.client, {"Bucket": bucket, "Key": key}
    with connection.errors(f"s3://{bucket}/{key}"):
        try:
            client.put_object(**place, Body=data, **Expected(etag).arguments)
        except botocore.exceptions.ClientError as error:
            if error_code(error) in _NO_CONDITIONS:
                client.put_object(**place, Body=data)
            elif error_code(error) not in CHANGED | MISSING | _CONFLICT:
                raise
    # A refusal does not mean that another writer was faster: boto3 may have repeated our own write after its answer
    # was lost. So the bytes decide.
    present = get(connection, bucket, key) if find(connection, bucket, key) else None
    return present.etag if present and present.data == data else None


def erase(connection: Connection, bucket: str, key: str) -> None:
    """Delete an object of migrator's own with all its versions. Never call it for an object of the lake."""
    with connection.errors(f"s3://{bucket}/{key}"):
        answer = connection.client.delete_object(Bucket=bucket, Key=key)
        if answer.get("VersionId") or answer.get("DeleteMarker"):
            for version in versions_of(connection, bucket, key):
                delete(connection, bucket, key, version_id=version.version_id)


def delete(connection: Connection, bucket: str, key: str, *, version_id: str | None = None) -> None:
    """Delete one object of migrator's own, or one version of it for good. Never call it for an old bucket."""
    with connection.errors(place_of(bucket, key, version_id)):
        connection.client.delete_object(Bucket=bucket, Key=key, **version_parameter(version_id))


def _measure(file: BinaryIO) -> tuple[int, bytes]:
    """The size in bytes and the MD5 of a file, which is then at its beginning."""
    digest = hashlib.md5(usedforsecurity=False)
    file.seek(0)
    for chunk in iter(partial(file.read, CHUNK), b""):
        digest.update(chunk)
    size = file.tell()
    file.seek(0)
    return size, digest.digest()


def _etag_if_equal(
    connection: Connection, bucket: str, stored: StoredObject, file: BinaryIO, size: int, md5: str
) -> str:
    """The ETag of an object that must have the bytes of ``file``. Raises Occupied if it has other bytes."""
    equal = stored.size == size and (stored.etag == md5 or _has_bytes_of(file, connection, bucket, stored.key))
    if not equal:
        raise Occupied(
            f"s3://{bucket}/{stored.key} exists already, with other content.", next_move="Choose an empty place."
        )
    return stored.etag


def _has_bytes_of(file: BinaryIO, connection: Connection, bucket: str, key: str) -> bool:
    """Compares an object with a file by SHA-256: the ETag of an encrypting server is not an MD5."""
    file.seek(0)
    digest = hashlib.sha256()
    for chunk in iter(partial(file.read, CHUNK), b""):
        digest.update(chunk)
    return digest.hexdigest() == sha256(connection, bucket, key)
