"""Carrying out a plan: copy, rewrite leaf first, compare, cut over. It decides nothing of its own.

Every step is journalled and may be repeated: after a kill the same call goes on where it was. The old
buckets are only ever read. Until the cutover nobody's tables change; it comes last, and only if
everything before it succeeded and the tables at the target read as the old ones do.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from migrator.catalogs import Catalog, NamespaceRepoint, Repoint
from migrator.errors import MigrationFailed, MigratorError, PlanBlocked, PlanStale, SourceChanged
from migrator.iceberg.deletes import rewrite_position_deletes
from migrator.iceberg.manifests import DeleteFile, rewrite_manifest, rewrite_manifest_list
from migrator.iceberg.metadata import rewrite_metadata
from migrator.journal import CUTOVER_BEGUN, CUTOVER_DONE, Journal
from migrator.layout import Location
from migrator.parallel import Failed, each
from migrator.plan.file import (
    CURRENT,
    DELETES,
    HINT,
    MANIFEST,
    MANIFEST_LIST,
    METADATA,
    MIGRATED,
    PlanFile,
    PlannedObject,
    PlannedTable,
)
from migrator.progress import Progress
from migrator.store import Content, Store

MAX_FAILURES = 100
"""A run that fails this often is stopped: a missing permission would fail for every object."""

REWRITERS = 8
"""Rewriting is bound by the processor; few threads keep the files in memory few, too."""

AGAIN = 'Run "migrator plan" again.'
PENDING = "id NOT IN (SELECT object_id FROM done)"
COPIES = f"action IN ('copy', 'overwrite') AND {PENDING}"


@dataclass
class Outcome:
    """What one run did. ``cut_over`` lists the tables whose pointers were changed, in this run or before."""

    copied: int = 0
    copied_bytes: int = 0
    rewritten: int = 0
    cut_over: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Written:
    size: int
    etag: str
    delete_file: DeleteFile | None = None


class Executor:
    """Carries out one plan on one store."""

    def __init__(self, plan: PlanFile, store: Store, catalogs: Mapping[str, Catalog], progress: Progress) -> None:
        self._plan = plan
        self._store = store
        self._catalogs = catalogs
        self._progress = progress
        self._layout = plan.layout
        self.outcome = Outcome()

    def check_blocks(self) -> None:
        """Raises PlanBlocked if the plan has findings that block."""
        if self._plan.blocked:
            blocks = [f for f in self._plan.findings() if f.severity == "block"]
            first = blocks[0]
            raise PlanBlocked(
                f"{self._plan.path} has {len(blocks)} blocking finding(s); the first: {first.place} {first.message}.",
                next_move=f'{first.next_move} "migrator show {self._plan.path}" lists all; then plan again.'.lstrip(),
            )

    def check_pointers(self) -> None:
        """Every table is where it was when the plan was made, or where this plan has put it. Raises PlanStale."""
        for table in self._movable_tables():
            if table.catalog is None:
                continue
            now = self._catalogs[table.catalog].current(table.namespace, table.name)
            if now not in (table.old_metadata, table.new_metadata):
                found = f"is at {now}" if now else "is gone"
                raise PlanStale(
                    f"{table.identifier} moved on since planning: expected {table.old_metadata}, it {found}.",
                    next_move=AGAIN,
                )

    def copy(self, journal: Journal) -> None:
        """Copy every plain object, on the server."""
        if not self._store.bucket_exists(self._layout.target_bucket):
            self._store.create_bucket(self._layout.target_bucket)
        self._run("copying", f"{COPIES} AND role = ''", self._copy_one, journal, workers=self._store.concurrency)

    def rewrite(self, journal: Journal) -> None:
        """Rewrite every file that carries paths, leaf first, so that each parent learns its children's
        true sizes; a table's current metadata comes last, so that where it is, all of it is."""
        jobs: dict[str, Callable[[PlannedObject], _Written]] = {
            DELETES: self._rewrite_deletes,
            MANIFEST: self._rewrite_manifest,
            MANIFEST_LIST: self._rewrite_list,
            METADATA: self._rewrite_metadata,
            CURRENT: self._rewrite_metadata,
        }
        for role, job in jobs.items():
            where = f"action = 'rewrite' AND role = '{role}' AND {PENDING}"
            self._run(f"rewriting {role}", where, job, journal, workers=REWRITERS)

    def cut_over(self, journal: Journal) -> None:
        """Swap every pointer: SQL catalogs in one transaction each, version hints after them."""
        tables = self._movable_tables()
        self.check_pointers()
        pointers = {t.identifier: {"old": t.old_metadata, "new": t.new_metadata} for t in tables}
        journal.event(CUTOVER_BEGUN, pointers=pointers)
        for name, catalog in self._catalogs.items():
            if catalog.kind == "sql":
                self._repoint(name, catalog, [t for t in tables if t.catalog == name])
        where = f"action = 'rewrite' AND role = '{HINT}' AND {PENDING}"
        self._run("writing version hints", where, self._copy_one, journal, workers=1)
        journal.event(CUTOVER_DONE, tables=len(tables))
        self.outcome.cut_over = [t.identifier for t in tables if t.catalog is not None]

    # -- one object ----------------------------------------------------------------------------------

    def _copy_one(self, planned: PlannedObject) -> _Written:
        etag = self._store.copy(planned.bucket, planned.stored, self._layout.target_bucket, planned.target or "")
        return _Written(planned.size, etag)

    def _rewrite_deletes(self, planned: PlannedObject) -> _Written:
        content = self._source(planned)
        rewritten = rewrite_position_deletes(content.data, self._layout.map_uri, planned.place)
        return self._put(planned, content, rewritten.data, rewritten.file)

    def _rewrite_manifest(self, planned: PlannedObject) -> _Written:
        content, sink = self._source(planned), io.BytesIO()
        rewrite_manifest(content.data, sink, self._layout.map_uri, self._delete_file, planned.place)
        return self._put(planned, content, sink.getvalue())

    def _rewrite_list(self, planned: PlannedObject) -> _Written:
        content, sink = self._source(planned), io.BytesIO()
        length_of = partial(self._length_of, planned.place)
        rewrite_manifest_list(content.data, sink, self._layout.map_uri, length_of, planned.place)
        return self._put(planned, content, sink.getvalue())

    def _rewrite_metadata(self, planned: PlannedObject) -> _Written:
        content = self._source(planned)
        return self._put(planned, content, rewrite_metadata(content.data, self._layout.map_uri, planned.place))

    def _source(self, planned: PlannedObject) -> Content:
        return self._store.get(planned.bucket, planned.key, etag=planned.etag)

    def _put(
        self, planned: PlannedObject, content: Content, data: bytes, delete_file: DeleteFile | None = None
    ) -> _Written:
        new = Content(data, "", content.attributes)
        etag = self._store.put(self._layout.target_bucket, planned.target or "", new)
        return _Written(len(data), etag, delete_file)

    def _delete_file(self, path: str) -> DeleteFile | None:
        """The measured facts of a rewritten position-delete file, by its old path."""
        at = Location.parse(path)
        row = at and self._plan.lookup(
            "SELECT d.size, d.lower, d.upper FROM objects o JOIN delete_files d ON d.object_id = o.id"
            " WHERE o.bucket = ? AND o.key = ?",
            (at.bucket, at.key),
        )
        return DeleteFile(*row) if row else None

    def _length_of(self, place: str, path: str) -> int | None:
        """The new length of a manifest, by its old path; None where only its old length is known."""
        at = Location.parse(path)
        planned = self._plan.object_at(at.bucket, at.key) if at else None
        if planned is None:
            return None  # expired: only old metadata still names it
        row = self._plan.lookup("SELECT size FROM done WHERE object_id = ?", (planned.id,))
        if row is not None:
            return int(row[0])
        if planned.role == MANIFEST and planned.action == "rewrite":
            raise MigrationFailed(f"{place}: its manifest {path} was not rewritten.", next_move="Run migrate again.")
        return self._store.size(self._layout.target_bucket, planned.target or "")

    # -- many ----------------------------------------------------------------------------------------

    def _run(
        self, name: str, where: str, job: Callable[[PlannedObject], _Written], journal: Journal, *, workers: int
    ) -> None:
        """Do ``job`` on every object that the condition selects; go on past a failure, then raise."""
        count, size = self._plan.db.execute(f"SELECT count(*), total(size) FROM objects WHERE {where}").fetchone()
        if not count:
            return
        failures: list[MigratorError] = []
        with self._progress.stage(name, objects=count, size=int(size)) as stage:
            for outcome in each(job, self._plan.objects(where), workers=workers):
                if isinstance(outcome, Failed):
                    failures.append(outcome.error)
                    if len(failures) >= MAX_FAILURES:
                        break
                    continue
                written = outcome.result
                journal.done(outcome.item.id, written.size, written.etag, written.delete_file)
                self._count(outcome.item)
                stage.advance(1, outcome.item.size)
        journal.commit()
        if failures:
            raise _failed(name, failures)

    def _count(self, planned: PlannedObject) -> None:
        if planned.role in ("", HINT):
            self.outcome.copied += 1
            self.outcome.copied_bytes += planned.size
        else:
            self.outcome.rewritten += 1

    def _movable_tables(self) -> list[PlannedTable]:
        return [t for t in self._plan.tables() if t.state != MIGRATED and t.new_metadata is not None]

    def _repoint(self, name: str, catalog: Catalog, tables: list[PlannedTable]) -> None:
        catalog.repoint(
            [Repoint(t.namespace, t.name, t.old_metadata, t.new_metadata) for t in tables if t.new_metadata],
            [NamespaceRepoint(n.namespace, n.key, n.old, n.new) for n in self._plan.namespaces() if n.catalog == name],
        )


def _failed(name: str, failures: list[MigratorError]) -> MigratorError:
    shown = "\n".join(f"  {error}" for error in failures[:10])
    more = f"\n  … and {len(failures) - 10} more" if len(failures) > 10 else ""
    message = f"{len(failures)} object(s) failed while {name}; nothing was cut over:\n{shown}{more}\n"
    if all(isinstance(error, SourceChanged) for error in failures):
        return PlanStale(message, next_move=f"The lake moved on since planning. {AGAIN}")
    return MigrationFailed(message, next_move="Mend the cause and run the same command again: it does what is left.")
