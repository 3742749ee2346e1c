"""The plan file: one SQLite database with the plan of a migration and the journal of what has been done.

SQLite because it is transactional, reads any number of rows in flat memory, can be queried with plain SQL, and survives
a kill at any time. Planning ends with a digest over all planned rows, which never change afterwards. The tables of the
journal only grow.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

from migrator._version import __version__
from migrator.errors import PlanBusy, PlanStale, PlanUnusable, redacted
from migrator.findings import BLOCK, Finding
from migrator.layout import Layout
from migrator.layout.choice import choose
from migrator.planfile.checks import (
    check_is_file,
    check_one_name,
    check_plan,
    check_same_file,
    damaged,
    digest_of,
    plan_trouble,
)
from migrator.planfile.connecting import (
    Readers,
    begin_writing,
    closing_on_error,
    connect,
    open_to_read,
    shadow,
    state_of,
)
from migrator.planfile.place import create_private, plan_lock
from migrator.planfile.rows import (
    OBJECT_COLUMNS,
    TABLE_COLUMNS,
    VERSION_COLUMNS,
    NamespaceChange,
    PlannedObject,
    PlannedTable,
    PlannedVersion,
)
from migrator.planfile.schema import FORMAT, SCHEMA
from migrator.progress import Progress

PAGE = 10_000
"""How many rows are read at once."""


def layout_of(header: Mapping[str, str]) -> Layout:
    """The layout of the plan with this header."""
    bucket, rules = header["target_bucket"], json.loads(header.get("rules", "[]"))
    if rules:
        return choose(Layout.from_mapping(bucket, json.loads(header["whole_layout"])), rules)
    return Layout.from_mapping(bucket, json.loads(header["layout"]))


@contextmanager
def _trouble_named(path: Path, what: str) -> Iterator[None]:
    """Turn an error of SQLite into one that names the plan. ``what``: what is done to the plan: "read" or "written"."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise plan_trouble(path, error, what) from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, error) from error


class PlanFile:
    """An open plan. ``db`` belongs to the thread that opened it; :meth:`lookup` serves all threads."""

    def __init__(self, path: Path, db: sqlite3.Connection, *, read_from: Path | None = None, how: str = "ro") -> None:
        """``read_from`` and ``how``: path and mode of further connections for reading (:func:`connect`)."""
        self.path = path
        self.db = db
        self._readers = Readers(read_from or path, how)
        self._held = ExitStack()
        self._held.callback(self._close)
        self._sealed = self._writable = False
        self._as_checked: tuple[int, ...] | None = None  # the file's state_of before it was checked, if known
        self._digest = ""
        self._layout: Layout | None = None
        self._file = path.stat()

    # -- life ----------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path) -> PlanFile:
        """A new, unsealed plan at ``path``, which must not exist. Call :meth:`seal` when it is complete."""
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(create_private(path))
        db = connect(path, "rw")
        # An incomplete plan is deleted, so building needs no rollback journal.
        db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;")
        db.executescript(SCHEMA)
        return cls(path, db)

    @classmethod
    def open(cls, path: Path, progress: Progress | None = None, *, read_only: bool | None = False) -> PlanFile:
        """Open a sealed plan. ``read_only``: True needs only the right to read it, and writes nothing. False opens it
        for writing. None opens it for writing if that is allowed, else for reading.

        Raises PlanDamaged if it is no plan, is incomplete or was edited; PlanStale if it has another format;
        PlanUnusable if it cannot be read, or cannot be written although that is required. Reads all of it: about a
        second per million objects.
        """
        check_is_file(path)
        with ExitStack() as stack:
            with _trouble_named(path, "read"):
                db, read_from, how = stack.enter_context(open_to_read(path))
                plan = cls(path, db, read_from=read_from, how=how)
                stack.callback(plan._close)
                as_it_was = state_of(path, db) if (read_from, how) == (path, "ro") else None
                plan._digest = check_plan(path, db, progress or Progress())
                plan._as_checked, plan._sealed = as_it_was, True
            if not read_only:
                try:
                    plan.allow_writing(progress)
                except (PlanUnusable, PlanBusy):
                    if read_only is False:
                        raise
                    read_only = True
            if read_only:
                with _trouble_named(path, "read"):
                    shadow(plan.db, "baselines")  # results of a verification are kept in temporary tables until it ends
            plan._held = stack.pop_all()
        return plan

    def allow_writing(self, progress: Progress | None = None) -> None:
        """Make a plan that was opened read-only writable. It is read again only if somebody wrote to it since; not at
        all if it is writable already.

        Raises PlanUnusable or PlanBusy if it cannot be written, PlanDamaged or PlanStale as :meth:`open`; PlanStale
        also if the file is another plan now.
        """
        if self._writable:
            return
        self.check_there()
        with _trouble_named(self.path, "written"), closing_on_error(connect(self.path, "rw")) as db:
            if self._as_checked is None or state_of(self.path, self.db) != self._as_checked:
                digest = check_plan(self.path, db, progress or Progress())
                if digest != self._digest:
                    raise PlanStale(
                        f"{self.path} is another plan than the one that was opened.",
                        next_move="Run the same command again: it shows the plan as it is now.",
                    )
            begin_writing(db)
        self.db.close()
        self.db, self._as_checked, self._writable = db, None, True
        self._readers.change_to(self.path, "ro")

    @classmethod
    def open_unchecked(cls, path: Path) -> PlanFile:
        """Open a plan for reading that :meth:`open` has checked already, in this process or its parent."""
        return cls(path, connect(path, "ro", check_same_thread=False))

    def seal(self, header: dict[str, str]) -> None:
        """Write the header and the digest over everything planned."""
        rows = {**header, "format": str(FORMAT), "tool_version": __version__}
        self.db.executemany("INSERT INTO header VALUES (?, ?)", rows.items())
        self.db.execute("INSERT INTO header VALUES ('digest', ?)", (digest_of(self.db, Progress()),))

    def close(self) -> None:
        """Close all connections, and merge SQLite's log into the file."""
        self._held.close()

    def _close(self) -> None:
        with suppress(sqlite3.Error):
            self._readers.close()
        with suppress(sqlite3.Error):
            # So that a closed plan is one file, which can be read in a read-only folder.
            self.db.execute("PRAGMA busy_timeout=0")
            self.db.execute("PRAGMA journal_mode=DELETE")
        with suppress(sqlite3.Error):
            self.db.close()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the plan for one writer. Raises PlanBusy if another process has it. A kill releases it."""
        check_one_name(self.path, self._file)
        move = f'Wait for it: "migrator status {self.path}" shows how far it is.'
        with plan_lock(self.path, "is being carried out by another process.", next_move=move):
            yield

    # -- trouble -------------------------------------------------------------------------------------

    def check_there(self) -> None:
        """Raises PlanUnusable if the file that is open no longer has its name: anything written would be lost."""
        check_same_file(self.path, self._file)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Use it around writes to the journal. Raises PlanUnusable if the plan cannot be written, or was deleted."""
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

    def lookup(self, query: str, parameters: Iterable[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, from any thread."""
        return self._readers.first_row(query, tuple(parameters))

    def rows(self, query: str, parameters: Iterable[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, in flat memory, on a separate connection."""
        with closing(self._reader()) as db:
            yield from db.execute(query, tuple(parameters))

    def _reader(self) -> sqlite3.Connection:
        """A separate connection for reading. It does not create the file if somebody has deleted it."""
        try:
            return self._readers.connect()
        except sqlite3.Error as error:
            self.check_there()
            raise plan_trouble(self.path, error, "read") from error

    # -- reading -------------------------------------------------------------------------------------

    def header(self) -> dict[str, str]:
        """The header of the plan: its layout, servers, catalogs, and how it was made."""
        return dict(self.db.execute("SELECT key, value FROM header"))

    @property
    def layout(self) -> Layout:
        """The layout by which the plan was made. Only once it is sealed."""
        if self._layout is None:
            header = self.header()
            self._layout = layout_of(header)
        return self._layout

    def objects(self, where: str = "1", parameters: Iterable[Any] = ()) -> Iterator[PlannedObject]:
        """Yield the objects that an SQL condition (ours, never a user's) selects, in flat memory, by id."""
        # A separate connection, so that the caller may write to the journal meanwhile; and page by page, because a long
        # read prevents SQLite from merging its log.
        query = f"SELECT {OBJECT_COLUMNS} FROM objects WHERE id > ? AND ({where}) ORDER BY id LIMIT {PAGE}"
        last, values = -1, tuple(parameters)
        with closing(self._reader()) as db:
            while rows := db.execute(query, (last, *values)).fetchall():
                yield from (PlannedObject(*row) for row in rows)
                last = rows[-1][0]

    def histories(
        self, where: str = "1", parameters: Iterable[Any] = (), *, sealed: bool = True
    ) -> Iterator[list[PlannedVersion]]:
        """Yield key by key the older versions that an SQL condition (ours) selects, the oldest first."""
        query = f"SELECT {VERSION_COLUMNS} FROM versions WHERE {where} ORDER BY bucket, key, ordinal"
        # Only the connection that builds a plan can read it before it is sealed.
        with closing(self._reader()) if sealed else nullcontext(self.db) as db:
            rows = (PlannedVersion(*row) for row in db.execute(query, tuple(parameters)))
            for _, history in groupby(rows, key=lambda version: (version.bucket, version.key)):
                yield list(history)

    def replaceable(self, object_id: int) -> str | None:
        """The ETag of the target's object that this one may replace; None if there is none. From any thread."""
        row = self.lookup("SELECT etag FROM replaceable WHERE object_id = ?", (object_id,))
        return str(row[0]) if row else None

    def tables(self) -> list[PlannedTable]:
        """All tables of the plan, by id."""
        return [PlannedTable(*row) for row in self.db.execute(f"SELECT {TABLE_COLUMNS} FROM tables ORDER BY id")]

    def namespaces(self) -> list[NamespaceChange]:
        """The namespace properties that change at the cutover."""
        rows = self.db.execute("SELECT catalog, namespace, key, old, new FROM namespaces")
        return [NamespaceChange(*row) for row in rows]

    def findings(self) -> list[Finding]:
        """All findings, those that block first."""
        rows = self.db.execute("SELECT severity, code, place, message, next_move, count FROM findings ORDER BY rowid")
        order = {"block": 0, "warn": 1, "info": 2}
        return sorted((Finding(*row) for row in rows), key=lambda f: order[f.severity])

    @property
    def blocked(self) -> bool:
        """True if a finding blocks the plan."""
        return self.db.execute("SELECT 1 FROM findings WHERE severity = ? LIMIT 1", (BLOCK,)).fetchone() is not None

    def size(self) -> int:
        """The size of the file in bytes, including data that is not on disk yet."""
        pages, page = (self.db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * page)

    # -- building ------------------------------------------------------------------------------------

    def add_finding(self, finding: Finding) -> None:
        """Add a finding, and remove passwords from its texts."""
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
        """Change columns of a table. The names are those of :class:`PlannedTable`."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self.db.execute(f"UPDATE tables SET {names} WHERE id = ?", (*columns.values(), table_id))
