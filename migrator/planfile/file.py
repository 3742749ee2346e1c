"""The plan file: one SQLite database that says what is there, what will be done, and what has been done.

SQLite because it is transactional, streams any number of rows in flat memory, answers questions in plain
SQL, and survives a kill at any instant. The plan's own tables are sealed with a digest when planning
ends and never change afterwards; the journal's tables only grow.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

from migrator._version import __version__
from migrator.errors import MigratorError, PlanBusy, PlanDamaged, PlanStale, PlanUnusable, redacted
from migrator.findings import BLOCK, Finding
from migrator.layout import Layout, Location
from migrator.planfile.connecting import connect, open_to_read
from migrator.planfile.place import create_private, plan_lock
from migrator.progress import Progress
from migrator.store import StoredObject

FORMAT = 6

COPY, OVERWRITE, SAME, REWRITE, CONFLICT, SKIP = "copy", "overwrite", "same", "rewrite", "conflict", "skip"
ACTIONS = (COPY, OVERWRITE, SAME, REWRITE, CONFLICT, SKIP)

TO_WRITE = "action IN ('copy', 'overwrite', 'rewrite')"
"""Selects the objects that the migration writes at the target."""
PENDING = "id NOT IN (SELECT object_id FROM done)"
"""Selects the objects that are not at the target yet, as far as the journal knows."""
PENDING_COPIES = f"action IN ('copy', 'overwrite') AND {PENDING}"

PAGE = 10_000
"""How many rows are read at once."""

HINT = "version-hint"
"""The role of a Hadoop table's pointer. It is copied at the cutover; the roles of the files that are rewritten
before it are those of :mod:`migrator.rewriting.rewriter`."""

CHECKSUM = "checksum"
"""The role of Hadoop's checksum file of something that is rewritten. It is not copied: it would be wrong."""

TO_REWRITE, REWRITTEN, MIGRATED, LEFT = "rewrite", "rewritten", "migrated", "left"
"""States of a table: to be rewritten; rewritten at the target, not cut over; living at the target; left where it is
because the user said so. ``LEFT`` is also the role of that table's files, which are not copied."""

_SCHEMA = """
CREATE TABLE header (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
  id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
  modified INTEGER NOT NULL, storage_class TEXT NOT NULL, target TEXT, action TEXT NOT NULL,
  role TEXT NOT NULL DEFAULT '', table_id INTEGER, target_etag TEXT);
CREATE TABLE versions (
  id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, version_id TEXT NOT NULL,
  ordinal INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL,
  storage_class TEXT NOT NULL, marker INTEGER NOT NULL, target TEXT NOT NULL, action TEXT NOT NULL);
CREATE TABLE tables (
  id INTEGER PRIMARY KEY, catalog TEXT, catalog_kind TEXT, namespace TEXT NOT NULL, name TEXT NOT NULL,
  uuid TEXT, format_version INTEGER, old_location TEXT, new_location TEXT, old_metadata TEXT NOT NULL,
  new_metadata TEXT, state TEXT NOT NULL, snapshots INTEGER, manifests INTEGER, data_files INTEGER,
  delete_files INTEGER, facts TEXT NOT NULL DEFAULT '{}', problems TEXT NOT NULL DEFAULT '[]',
  kind TEXT NOT NULL DEFAULT 'table');
CREATE TABLE namespaces (
  catalog TEXT NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL);
-- for each table that moves, where its metadata goes, and the metadata files that were there while planning
CREATE TABLE target_folders (table_id INTEGER NOT NULL, folder TEXT NOT NULL);
CREATE TABLE target_metadata (key TEXT PRIMARY KEY, etag TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE findings (
  severity TEXT NOT NULL, code TEXT NOT NULL, place TEXT NOT NULL, message TEXT NOT NULL,
  next_move TEXT NOT NULL, count INTEGER NOT NULL);
-- the journal
CREATE TABLE done (
  object_id INTEGER PRIMARY KEY, size INTEGER NOT NULL, etag TEXT NOT NULL, proof TEXT NOT NULL DEFAULT '');
CREATE TABLE replaceable (object_id INTEGER PRIMARY KEY, etag TEXT NOT NULL);
CREATE TABLE versions_done (version_id INTEGER PRIMARY KEY, etag TEXT NOT NULL);
CREATE TABLE delete_files (
  object_id INTEGER PRIMARY KEY, size INTEGER NOT NULL, lower TEXT, upper TEXT);
CREATE TABLE events (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  event TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '');
CREATE TABLE baselines (
  table_id INTEGER NOT NULL, snapshot_id INTEGER NOT NULL, rows INTEGER, digest TEXT, trouble TEXT,
  PRIMARY KEY (table_id, snapshot_id)) WITHOUT ROWID;
"""
_SEALED = ("objects", "versions", "tables", "namespaces", "target_folders", "target_metadata", "findings")


def same_etag(a: str, b: str, listed: str = "t") -> str:
    """SQL: two ETags are the same. Of an empty object whose key ends in a slash, MinIO with encryption says one in a
    listing and another one to a HEAD; there is nothing in it that could differ. ``listed``: has key and size."""
    return f"({a} = {b} OR {listed}.size = 0 AND {listed}.key LIKE '%/')"


def keys_under(prefix: str) -> tuple[str, str]:
    """The range [low, high) of the keys below a prefix that has no slash at its end; "" stands for all keys."""
    return (f"{prefix}/", f"{prefix}0") if prefix else ("", "\U0010ffff")  # "0" follows "/"


def is_hadoop_marker(key: str, size: int) -> bool:
    """True for an empty object by which old Hadoop clients mark a folder; nothing reads it. One with bytes is data."""
    return not size and key.endswith("_$folder$")


def folders_of(metadata: str, location: str | None) -> list[tuple[str, str]]:
    """(bucket, prefix) of the folders that belong to the table with this metadata file and location, and to no other
    table: where its metadata lies, and ``data/`` and ``metadata/`` below its location; if that is not known, it is
    where ``metadata/`` lies. Prefixes end with a slash."""
    at = Location.parse(metadata)
    folder = at.key.rpartition("/")[0] if at is not None else ""
    if at is not None and location is None and folder.endswith("/metadata"):
        location = Location(at.scheme, at.bucket, folder.removesuffix("/metadata")).uri
    base = Location.parse(location or "")
    found = [] if at is None else [(at.bucket, f"{folder}/")]
    if base is not None:
        root = f"{base.key.rstrip('/')}/".lstrip("/")
        found += [(base.bucket, f"{root}{name}/") for name in ("data", "metadata")]
    return [(bucket, prefix) for bucket, prefix in dict.fromkeys(found) if prefix != "/"]


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object of the lake and what happens to it. ``target`` is a key in the target bucket; ``target_etag`` is the
    ETag of what was there while planning, None for nothing."""

    id: int
    bucket: str
    key: str
    size: int
    etag: str
    modified: int
    storage_class: str
    target: str | None
    action: str
    role: str
    table_id: int | None
    target_etag: str | None = None

    @property
    def place(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def stored(self) -> StoredObject:
        return StoredObject(self.key, self.size, self.etag, self.modified, self.storage_class)


@dataclass(frozen=True, slots=True)
class PlannedVersion:
    """An older version of an object, or a delete marker, and what happens to it: ``copy``, or ``same`` if the
    target has it. ``ordinal`` counts from 1, the oldest, for each key; ``target`` is a key in the target bucket."""

    id: int
    bucket: str
    key: str
    version_id: str
    ordinal: int
    size: int
    etag: str
    modified: int
    storage_class: str
    marker: int
    target: str
    action: str

    @property
    def place(self) -> str:
        return f"s3://{self.bucket}/{self.key} (version {self.version_id})"

    @property
    def stored(self) -> StoredObject:
        return StoredObject(self.key, self.size, self.etag, self.modified, self.storage_class)


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """One Iceberg table and where its metadata goes. ``catalog`` None: no catalog names it."""

    id: int
    catalog: str | None
    catalog_kind: str | None
    namespace: str
    name: str
    uuid: str | None
    format_version: int | None
    old_location: str | None
    new_location: str | None
    old_metadata: str
    new_metadata: str | None
    state: str
    snapshots: int | None
    manifests: int | None
    data_files: int | None
    delete_files: int | None
    facts: str
    """JSON of :class:`migrator.inventory.features.TableFeatures`; ``{}`` where the table could not be read."""
    problems: str
    """JSON: the codes of the findings about this table."""
    kind: str
    """"table" or "view"."""

    @property
    def identifier(self) -> str:
        """``catalog.namespace.table``, or the location for a table that no catalog names."""
        if self.catalog is None:
            return self.old_location or self.old_metadata
        return ".".join(part for part in (self.catalog, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class NamespaceChange:
    """A namespace property that holds an old path."""

    catalog: str
    namespace: str
    key: str
    old: str
    new: str


def needs_cutover(table: PlannedTable) -> bool:
    """True if the plan changes this table's pointer in its catalog."""
    return table.catalog is not None and table.state != MIGRATED and table.new_metadata is not None


def left_folders(plan: PlanFile) -> list[tuple[str, str]]:
    """(bucket, prefix) of the folders of the tables that the plan leaves where they are on purpose."""
    rows = plan.db.execute("SELECT old_metadata, old_location FROM tables WHERE state = ?", (LEFT,)).fetchall()

    def place(path: str | None) -> str | None:
        at = plan.layout.place_of(path or "")
        return at.uri if at is not None else path

    return [f for metadata, location in rows for f in folders_of(place(metadata) or "", place(location))]


_OBJECT = ", ".join(f.name for f in fields(PlannedObject))
_VERSION = ", ".join(f.name for f in fields(PlannedVersion))
_TABLE = ", ".join(f.name for f in fields(PlannedTable))


_KEEP = (
    'Restore it from a copy if you have one. Otherwise run "migrator plan" again under another name: what is at the '
    "target already is recognized. Keep this file: its journal may hold the old catalog pointers."
)


def _must_be_a_file(path: Path) -> None:
    try:
        found = path.is_file()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PlanUnusable(f"{path} cannot be read: {reason}.", next_move="Check the path.") from error
    if not found:
        raise PlanDamaged(f"{path}: there is no such plan.", next_move="Check the path.")


def plan_trouble(path: Path, error: sqlite3.Error, what: str) -> MigratorError:
    """What SQLite says, as an error that names the plan. ``what`` could not be done to it: "read", "written"."""
    said = str(error)
    if "locked" in said:
        return PlanBusy(f"{path} is in use by another process ({said}).", next_move="Wait for it, then run this again.")
    if "malformed" in said or "not a database" in said:
        return PlanDamaged(f"{path} is damaged ({said}).", next_move=_KEEP)
    move = "Check its permissions and those of its folder, and the free space there and in the folder for temporary "
    move += "files. Then run the same command again: nothing in it is lost, and it does what is left."
    return PlanUnusable(f"{path} cannot be {what}: {said}.", next_move=move)


class PlanFile:
    """An open plan. ``db`` belongs to the thread that opened it; :meth:`lookup` serves all threads."""

    def __init__(self, path: Path, db: sqlite3.Connection, *, read_from: Path | None = None, how: str = "ro") -> None:
        """``read_from`` and ``how``: where and in which mode further connections read (:func:`connect`)."""
        self.path = path
        self.db = db
        self._read_from, self._how = read_from or path, how
        self._held = ExitStack()
        self._sealed = False
        self._lookups: sqlite3.Connection | None = None
        self._lookup_lock = threading.Lock()
        self._layout: Layout | None = None
        self._file = path.stat()

    # -- life ----------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path) -> PlanFile:
        """A new, unsealed plan at ``path``, which must not exist. Call :meth:`seal` when it is complete."""
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(create_private(path))
        db = connect(path, "rw")
        # A half-written plan is thrown away, so building needs no rollback journal of its own.
        db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;")
        db.executescript(_SCHEMA)
        return cls(path, db)

    @classmethod
    def open(cls, path: Path, progress: Progress | None = None, *, read_only: bool | None = False) -> PlanFile:
        """Open a sealed plan; ``read_only`` needs nothing but the right to read it, and leaves no trace. None: so that
        it can be written to if that is allowed.

        Raises PlanDamaged if it is none, is incomplete or was edited; PlanStale if it has another format;
        PlanUnusable if it cannot be read, or is to be written to and cannot be. Reads all of it: about a second
        per million objects.
        """
        if read_only is None:
            try:
                return cls.open(path, progress)
            except (PlanUnusable, PlanBusy):
                read_only = True
        _must_be_a_file(path)
        with ExitStack() as stack:
            try:
                db, read_from, how = stack.enter_context(open_to_read(path))
                plan = cls(path, db, read_from=read_from, how=how)
                plan._check(progress or Progress())
                if read_only:
                    plan._shadow("baselines")  # what a verification measures is known until it ends
                else:
                    db.close()
                    plan.db, plan._read_from, plan._how = connect(path, "rw"), path, "ro"
                    plan._begin_writing()
            except sqlite3.OperationalError as error:
                raise plan_trouble(path, error, "read" if read_only else "written") from error
            except sqlite3.DatabaseError as error:
                raise PlanDamaged(f"{path} is damaged or not a migrator plan ({error}).", next_move=_KEEP) from error
            plan._held, plan._sealed = stack.pop_all(), True
        return plan

    def _check(self, progress: Progress) -> None:
        header = self.header() if self._has_header() else {}
        if "format" not in header:
            raise PlanDamaged(f"{self.path} is not a migrator plan.", next_move="Check the path.")
        if header["format"] != str(FORMAT):
            raise PlanStale(
                f"{self.path} was written by migrator {header.get('tool_version')} in plan format {header['format']}; "
                f"this is migrator {__version__}, which reads format {FORMAT}.",
                next_move='Use that version, or run "migrator plan" again under another name.',
            )
        if "digest" not in header or header["digest"] != self._digest(progress):
            raise PlanDamaged(f"{self.path} is incomplete or was edited after planning.", next_move=_KEEP)

    def _shadow(self, table: str) -> None:
        """Let a table that must not be written to be writable for as long as the plan is open."""
        (schema,) = self.db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        self.db.execute(schema.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        self.db.execute(f"INSERT INTO temp.{table} SELECT * FROM main.{table}")

    def _has_header(self) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'header'"
        return self.db.execute(query).fetchone() is not None

    def _begin_writing(self) -> None:
        (mode,) = self.db.execute("PRAGMA journal_mode=WAL").fetchone()
        self.db.execute("PRAGMA synchronous=FULL")
        if mode != "wal":
            raise sqlite3.OperationalError("attempt to write a readonly database")
        # SQLite looks at the permissions of a file only when it writes to it.
        self.db.executescript("BEGIN IMMEDIATE; UPDATE header SET value = value WHERE key = 'format'; ROLLBACK;")

    @classmethod
    def open_unchecked(cls, path: Path) -> PlanFile:
        """Open a plan to read it that :meth:`open` has checked already, in this process or its parent."""
        return cls(path, connect(path, "ro", check_same_thread=False))

    def seal(self, header: dict[str, str]) -> None:
        """Write the header and the digest over everything planned."""
        rows = {**header, "format": str(FORMAT), "tool_version": __version__}
        self.db.executemany("INSERT INTO header VALUES (?, ?)", rows.items())
        self.db.execute("INSERT INTO header VALUES ('digest', ?)", (self._digest(Progress()),))

    def close(self) -> None:
        if self._lookups is not None:
            with suppress(sqlite3.Error):
                self._lookups.close()
        with suppress(sqlite3.Error):
            # So that a plan at rest is one file, which can be read where nothing can be written.
            self.db.execute("PRAGMA busy_timeout=0")
            self.db.execute("PRAGMA journal_mode=DELETE")
        with suppress(sqlite3.Error):
            self.db.close()
        self._held.close()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the plan for one writer. Raises PlanBusy if another process has it. A kill releases it."""
        if self._file.st_nlink > 1:
            raise PlanUnusable(
                f"{self.path} has {self._file.st_nlink} names (hard links); each would get a journal of its own.",
                next_move="Remove the other names, or make a copy and use that.",
            )
        move = f'Wait for it: "migrator status {self.path}" shows how far it is.'
        with plan_lock(self.path, "is being carried out by another process.", next_move=move):
            yield

    # -- trouble -------------------------------------------------------------------------------------

    def check_there(self) -> None:
        """Raises PlanUnusable if the file that is open no longer has its name: what is written would be lost."""
        try:
            there = os.path.samestat(self.path.stat(), self._file)
        except OSError:
            there = False
        if not there:
            raise PlanUnusable(
                f"{self.path} was deleted, moved or replaced while it was being carried out, and its journal with it: "
                "stopped.",
                next_move='Put it back, if you can, and run the same command again. If it is lost, run "migrator plan" '
                "again: what is at the target already is recognized.",
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around every write to the journal. Raises PlanUnusable where it cannot be written, or was deleted."""
        try:
            yield
        except sqlite3.Error as error:
            self.check_there()
            raise plan_trouble(self.path, error, "written") from error

    def __enter__(self) -> PlanFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._sealed and isinstance(error, sqlite3.Error):
            raise plan_trouble(self.path, error, "used") from error

    def _digest(self, progress: Progress) -> str:
        digest = hashlib.sha256()
        (objects,) = self.db.execute("SELECT max(id) FROM objects").fetchone()
        ordered = {"header": "key <> 'digest' ORDER BY key", "target_metadata": "1 ORDER BY key"}
        selections = {"header": "", **dict.fromkeys(_SEALED, "1 ORDER BY rowid"), **ordered}
        with progress.stage("checking the plan", objects=objects) as stage:
            for table, selection in selections.items():
                columns = ", ".join(row[1] for row in self.db.execute(f"PRAGMA table_info({table})"))
                # SQLite writes a row as JSON three times as fast as Python reads its columns.
                rows = self.db.execute(f"SELECT json_array({columns}) FROM {table} WHERE {selection}")
                while page := rows.fetchmany(1000):
                    digest.update("".join(row for (row,) in page).encode())
                    if table == "objects":
                        stage.advance(len(page))
        return digest.hexdigest()

    def lookup(self, query: str, parameters: Iterable[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, from any thread."""
        with self._lookup_lock:
            if self._lookups is None:
                self._lookups = connect(self._read_from, self._how, check_same_thread=False)
            row: tuple[Any, ...] | None = self._lookups.execute(query, tuple(parameters)).fetchone()
            return row

    def rows(self, query: str, parameters: Iterable[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, in flat memory, on a connection of their own."""
        with closing(self._reader()) as db:
            yield from db.execute(query, tuple(parameters))

    def _reader(self) -> sqlite3.Connection:
        """A connection of its own. Never one that would create the file, if somebody has deleted it."""
        try:
            return connect(self._read_from, self._how)
        except sqlite3.Error as error:
            self.check_there()
            raise plan_trouble(self.path, error, "read") from error

    # -- reading -------------------------------------------------------------------------------------

    def header(self) -> dict[str, str]:
        return dict(self.db.execute("SELECT key, value FROM header"))

    @property
    def layout(self) -> Layout:
        if self._layout is None:
            header = self.header()
            self._layout = Layout.from_mapping(header["target_bucket"], json.loads(header["layout"]))
        return self._layout

    def objects(self, where: str = "1", parameters: Iterable[Any] = ()) -> Iterator[PlannedObject]:
        """Yield the objects that an SQL condition (ours, never a user's) selects, in flat memory, by id."""
        # A connection of its own, so that whoever iterates may write to the journal meanwhile; and page by page,
        # since a reader that stays keeps the journal's log from being folded in.
        query = f"SELECT {_OBJECT} FROM objects WHERE id > ? AND ({where}) ORDER BY id LIMIT {PAGE}"
        last, values = -1, tuple(parameters)
        with closing(self._reader()) as db:
            while rows := db.execute(query, (last, *values)).fetchall():
                yield from (PlannedObject(*row) for row in rows)
                last = rows[-1][0]

    def objects_by_id(self, ids: Iterable[int]) -> Iterator[PlannedObject]:
        """Yield these objects, in the order of their ids."""
        for number in sorted(ids):
            yield from self.objects("id = ?", (number,))

    def histories(
        self, where: str = "1", parameters: Iterable[Any] = (), *, sealed: bool = True
    ) -> Iterator[list[PlannedVersion]]:
        """Yield key by key the older versions that an SQL condition (ours) selects, the oldest first."""
        query = f"SELECT {_VERSION} FROM versions WHERE {where} ORDER BY bucket, key, ordinal"
        # What is not sealed yet, only the connection that builds it can see.
        with closing(self._reader()) if sealed else nullcontext(self.db) as db:
            rows = (PlannedVersion(*row) for row in db.execute(query, tuple(parameters)))
            for _, history in groupby(rows, key=lambda version: (version.bucket, version.key)):
                yield list(history)

    def replaceable(self, object_id: int) -> str | None:
        """The ETag of what may be replaced at the target by this object; None if nothing may. From any thread."""
        row = self.lookup("SELECT etag FROM replaceable WHERE object_id = ?", (object_id,))
        return str(row[0]) if row else None

    def object_at(self, bucket: str, key: str) -> PlannedObject | None:
        """The object with this source key, from any thread."""
        row = self.lookup(f"SELECT {_OBJECT} FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
        return PlannedObject(*row) if row else None

    def object_named(self, path: str) -> PlannedObject | None:
        """The object that a path of a table leads to, at its literal key or else at the one that Hadoop's S3A
        makes of it (``Location.collapsed``); for a path outside of S3, the one that the layout says it stands for.
        None if it is not part of the plan. From any thread."""
        literal = Location.parse(path)
        if literal is None:
            new = Location.parse(self.layout.map_uri(path) or "")
            row = new and self.lookup(f"SELECT {_OBJECT} FROM objects WHERE target = ? LIMIT 1", (new.key,))
            return PlannedObject(*row) if row else None
        places = dict.fromkeys((literal, literal.collapsed))
        return next((found for at in places if (found := self.object_at(at.bucket, at.key))), None)

    def tables(self) -> list[PlannedTable]:
        return [PlannedTable(*row) for row in self.db.execute(f"SELECT {_TABLE} FROM tables ORDER BY id")]

    def namespaces(self) -> list[NamespaceChange]:
        rows = self.db.execute("SELECT catalog, namespace, key, old, new FROM namespaces")
        return [NamespaceChange(*row) for row in rows]

    def findings(self) -> list[Finding]:
        rows = self.db.execute("SELECT severity, code, place, message, next_move, count FROM findings ORDER BY rowid")
        order = {"block": 0, "warn": 1, "info": 2}
        return sorted((Finding(*row) for row in rows), key=lambda f: order[f.severity])

    @property
    def blocked(self) -> bool:
        return self.db.execute("SELECT 1 FROM findings WHERE severity = ? LIMIT 1", (BLOCK,)).fetchone() is not None

    # -- building ------------------------------------------------------------------------------------

    def at_target(self, key: str) -> bool:
        """True if the target held an object with this key when it was listed. Only while planning."""
        return self.db.execute("SELECT 1 FROM present WHERE key = ?", (key,)).fetchone() is not None

    def add_finding(self, finding: Finding) -> None:
        self.db.execute(
            "INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?)",
            (
                finding.severity,
                finding.code,
                redacted(finding.place),
                redacted(finding.message),
                redacted(finding.next_move),
                finding.count,
            ),
        )

    def add_table(self, **columns: Any) -> int:
        """Add a table and return its id. The names are those of :class:`PlannedTable`."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        query = f"INSERT INTO tables ({names}) VALUES ({marks})"
        return int(self.db.execute(query, tuple(columns.values())).lastrowid or 0)

    def update_table(self, table_id: int, **columns: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self.db.execute(f"UPDATE tables SET {names} WHERE id = ?", (*columns.values(), table_id))
