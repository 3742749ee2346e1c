"""Carrying out a plan: copy, rewrite leaf first, compare, cut over. It decides nothing of its own.

Every step is journalled and may be repeated: after a kill the same call goes on where it was. The old
buckets are only ever read. Until the cutover nobody's tables change; it comes last, and only if
everything before it succeeded and the tables at the target read as the old ones do.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from migrator.catalogs import Catalog, NamespaceRepoint, Repoint
from migrator.concurrency.threads import Failed
from migrator.concurrency.threads import run_in_threads as each
from migrator.copying.copy_objects import Usage, copy_objects
from migrator.copying.failed_list import failed_list, list_failures
from migrator.copying.free_keys import LEAST_GROUP
from migrator.copying.leftovers import drop_uploads
from migrator.copying.options import ALWAYS, NEVER, SMALL, Options
from migrator.copying.outcomes import AnswerLost, Item, NotCopied
from migrator.copying.setup import Setup
from migrator.copying.versions import VersionCopier
from migrator.cutover.source_changes import Late, find_late
from migrator.errors import (
    CutoverIncomplete,
    MigrationFailed,
    MigratorError,
    Occupied,
    PlanBlocked,
    PlanStale,
    SourceChanged,
    Unreachable,
    first_lines,
)
from migrator.iceberg.manifests import DeleteFile
from migrator.inventory.versions import has_versions
from migrator.layout import Location, source_places
from migrator.planfile.copied import Copied
from migrator.planfile.file import (
    HINT,
    MIGRATED,
    PENDING,
    PENDING_COPIES,
    PlanFile,
    PlannedObject,
    PlannedTable,
)
from migrator.planfile.journal import CATALOG_SWAPPED, CUTOVER_BEGUN, CUTOVER_DONE, LATE, STARTED, Journal
from migrator.progress import Progress
from migrator.reporting.describe import count_pointers
from migrator.rewriting.rewriter import MANIFEST, ROLES, Job, Rewriter, Written, rewriting
from migrator.store import Conditional, PartCopies, Store, connect, lists_in_order, probe_part_copies
from migrator.target import TargetGuard, holds_only_copies, superseded_error

MAX_FAILURES = 100
"""A run that fails this often is stopped: a missing permission would fail for every object."""

LOST_ATTEMPTS = 5
"""How often what an answer was lost for is looked for, and copied if it is not there."""

AGAIN = 'Run "migrator plan" again.'
IS_FOLDER = """EXISTS (SELECT 1 FROM objects AS inside
  WHERE inside.target > rtrim(objects.target, '/') || '/' AND inside.target < rtrim(objects.target, '/') || '0'
  AND inside.id <> objects.id)"""
"""The object's key is the folder of another one's: ``a`` or ``a/`` beside ``a/b``."""


# What is current goes on top of the newest of its older versions, which migrator has just put there.
_ON_TOP = """
SELECT o.id, coalesce(d.etag, v.etag) FROM versions v JOIN objects o ON o.bucket = v.bucket AND o.key = v.key
LEFT JOIN versions_done d ON d.version_id = v.id
WHERE NOT v.marker AND o.id NOT IN (SELECT object_id FROM done)
  AND NOT EXISTS (SELECT 1 FROM versions x WHERE x.bucket = v.bucket AND x.key = v.key AND x.ordinal > v.ordinal)
"""


@dataclass(frozen=True)
class CopySettings:
    """How to copy. ``only``: nothing but these source objects (bucket, key)."""

    options: Options = field(default_factory=Options)
    max_failures: int = MAX_FAILURES
    only: frozenset[tuple[str, str]] | None = None


@dataclass
class Outcome:
    """What one run did. ``cut_over`` lists the tables whose pointers were changed, in this run or before, and
    ``pointers`` counts all that the cutover changed: tables, namespace properties, and version hints of tables that
    no catalog names. ``proofs`` counts the copies by what proves them, ``checksums`` those whose checksum did not
    arrive as it was by what became of it (see :mod:`migrator.copying.copier`)."""

    copied: int = 0
    copied_bytes: int = 0
    copy_seconds: float = 0.0
    proofs: Counter[str] = field(default_factory=Counter)
    checksums: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    rewritten: int = 0
    copied_versions: int = 0
    copied_version_bytes: int = 0
    late: Late | None = None
    cut_over: list[str] = field(default_factory=list)
    pointers: int = 0


class PlanFacts:
    """What the journal of a plan has measured, for :class:`.Rewriter`. Safe between threads."""

    def __init__(self, plan: PlanFile, store: Store, target_bucket: str) -> None:
        self._plan = plan
        self._store = store
        self._target_bucket = target_bucket

    def delete_file(self, path: str) -> DeleteFile | None:
        planned = self._plan.object_named(path)
        row = planned and self._plan.lookup(
            "SELECT size, lower, upper FROM delete_files WHERE object_id = ?", (planned.id,)
        )
        return DeleteFile(*row) if row else None

    def length_of(self, place: str, path: str) -> int | None:
        planned = self._plan.object_named(path)
        if planned is None:
            return None  # expired: only old metadata still names it
        row = self._plan.lookup("SELECT size FROM done WHERE object_id = ?", (planned.id,))
        if row is not None:
            return int(row[0])
        if planned.role == MANIFEST and planned.action == "rewrite":
            raise MigrationFailed(f"{place}: its manifest {path} was not rewritten.", next_move="Run migrate again.")
        return self._store.size(self._target_bucket, planned.target or "")


def plan_rewriter(path: Path, connection: dict[str, Any], conditional: Conditional) -> Rewriter:
    """The rewriter of a plan, in a worker process."""
    plan, store = PlanFile.open_unchecked(path), connect(**connection)
    store.ends[1].conditional = conditional
    store.met()
    return Rewriter(store, plan.layout.map_uri, PlanFacts(plan, store, plan.layout.target_bucket))


class Executor:
    """Carries out one plan on one store."""

    def __init__(
        self,
        plan: PlanFile,
        store: Store,
        catalogs: Mapping[str, Catalog],
        progress: Progress,
        copying: CopySettings | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._copying = copying or CopySettings()
        self._catalogs = catalogs
        self._progress = progress
        self._layout = plan.layout
        self._facts = PlanFacts(plan, store, plan.layout.target_bucket)
        self._conditional = Conditional()
        self._replacing = False
        self.guard = TargetGuard(plan, store, progress)
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

    def check_pointers(self, journal: Journal) -> None:
        """Every table is where it was when the plan was made, or where this plan has put it. Raises PlanStale, or
        MigrationFailed for a table that lived at the target and was set back to its old place.

        Tables that live at the target, also those of catalogs that an interrupted cutover has swapped, are in use
        there, and may have moved on.
        """
        swapped = journal.swapped()
        self._check_set_back(t for t in self._plan.tables() if t.state == MIGRATED or t.catalog in swapped)
        for table in self._movable_tables():
            if table.catalog is None or table.catalog in swapped:
                continue
            now = self._catalogs[table.catalog].current(table.namespace, table.name)
            if now not in (table.old_metadata, table.new_metadata):
                found = f"is at {now}" if now else "is gone"
                raise PlanStale(
                    f"{table.identifier} moved on since planning: expected {table.old_metadata}, it {found}.",
                    next_move=AGAIN,
                )

    def copy_versions(self, journal: Journal, *, hints: bool = False) -> None:
        """Copy older versions and delete markers, which must be there before what is current: those of
        version hints before these, at the cutover, all others before anything else."""
        copier = self._version_copier()
        failures = copier.copy(journal, hints=hints)
        self.outcome.copied_versions += copier.copied
        self.outcome.copied_version_bytes += copier.copied_bytes
        journal.may_replace(self._plan.db.execute(_ON_TOP).fetchall())
        journal.commit()
        if failures:
            raise _failed("copying older versions", failures)

    def _version_copier(self) -> VersionCopier:
        return VersionCopier(
            self._plan,
            self._store,
            self._progress,
            max_failures=self._copying.max_failures,
            only=self._copying.only,
        )

    def check_sources(self, journal: Journal, *, accept_late: bool) -> None:
        """Nothing was added to the old buckets, changed or removed there since planning. Raises PlanStale, unless
        ``accept_late``: then it is only recorded."""
        late = find_late(self._plan, self._store, self._progress)
        if not late:
            return
        journal.event(LATE, added=late.added, changed=late.changed, removed=late.removed, examples=late.examples)
        self.outcome.late = late
        if not accept_late:
            raise PlanStale(
                f"The old buckets changed since planning: {late}. Nothing was cut over.",
                next_move="Stop the writers and plan again: it copies only what is new. "
                "Or add --accept-late, to leave these changes behind.",
            )

    def make_target(self) -> None:
        """Make the target bucket if there is none."""
        if not self._store.bucket_exists(self._layout.target_bucket):
            self._store.create_bucket(self._layout.target_bucket)

    def begin(self, journal: Journal) -> None:
        """Compare the target with the plan, record the start of a run, and drop the parts of uploads that a killed run
        has left at the target. Raises PlanStale if the target is not as planned."""
        recognize = self._copying.options.verify != ALWAYS
        self._conditional = self.guard.begin(journal, recognize=recognize, live=self._live(journal))
        begun = journal.first(STARTED)
        if begun is not None:
            drop_uploads(self._plan, self._store, self._copying.options, begun)
        journal.event(STARTED)

    def copy(self, journal: Journal) -> None:
        """Copy every plain object, on the server. Goes on past those that fail; raises MigrationFailed or PlanStale
        at the end, with a list of them in a file beside the plan.

        Keys that are folders of others come when these are there: a server that keeps keys in directories
        (SeaweedFS 4.48) answers 200 to both ``a`` and ``a/b`` at once, and loses one of them.
        """
        failed = failed_list(self._plan.path)
        if self._copying.only is None:
            failed.unlink(missing_ok=True)
        where = f"{PENDING_COPIES} AND role = ''"
        count, size = self._plan.db.execute(f"SELECT count(*), total(size) FROM objects WHERE {where}").fetchone()
        if not count:
            return
        began = time.monotonic()
        old, new = self._store.ends
        there = None if new is old else new.connection
        honoured = self._conditional
        look_first = not (honoured.copy if there is None else honoured.put)
        once = has_versions(self._plan)
        options = replace(
            self._copying.options,
            conditional=honoured,
            look_first=look_first,
            look_in_groups=look_first and there is None and count >= LEAST_GROUP and self._may_look_in_groups(),
            once=once,
            part_copies=PartCopies() if there else self._part_copies(where),
        )
        setup = Setup(old.connection, there, self._layout.target_bucket, options)
        failures: list[NotCopied] = []
        only = self._copying.only
        count = count if only is None else len(only)
        with (
            self._progress.stage("copying", objects=count, size=int(size) if only is None else None) as stage,
            closing(self._copies(setup, where)) as batches,
        ):
            for batch in batches:
                failures += self._take(batch, journal, stage)
                if len(failures) >= self._copying.max_failures:
                    break
            journal.commit()
            failures = self._ask_again(setup, failures, journal, stage)
        journal.commit()
        self.outcome.copy_seconds = time.monotonic() - began
        if failures:
            ids = [failure.id for failure in failures]
            listed = list_failures(failed, (planned.place for planned in self._plan.objects_by_id(ids)))
            raise _failed("copying", [failure.error for failure in failures], listed)

    def _may_look_in_groups(self) -> bool:
        """True if a listing of the target shows whatever is there; see :mod:`migrator.copying.free_keys`."""
        return holds_only_copies(self._plan) and lists_in_order(self._store, self._layout.target_bucket)

    def _part_copies(self, where: str) -> PartCopies:
        """How the server copies what was uploaded in parts, if anything of that kind waits."""
        options = self._copying.options
        large = f"(size > {SMALL} AND etag LIKE '%-%') OR size > {options.whole_limit}"
        if options.verify == NEVER or self._plan.lookup(f"SELECT 1 FROM objects WHERE {where} AND ({large})") is None:
            return PartCopies()
        return probe_part_copies(self._store, self._layout.target_bucket)

    def _ask_again(self, setup: Setup, failures: list[NotCopied], journal: Journal, stage: Progress) -> list[NotCopied]:
        """Copy what an answer was lost for, unless the target has it: nothing must be there twice."""
        for _ in range(LOST_ATTEMPTS):
            lost = [failure.id for failure in failures if isinstance(failure.error, AnswerLost)]
            if not lost:
                break
            failures = [failure for failure in failures if failure.id not in lost]
            planned = {one.id: one for one in self._plan.objects_by_id(lost)}
            there = self._version_copier().look_again(journal, planned.values())
            self._count_copies(there, stage)
            for copy in there:
                del planned[copy.id]
            items = [self._item(one) for one in planned.values()]
            for batch in copy_objects(setup, items, self.outcome.usage):
                failures += self._take(batch, journal, stage)
            journal.commit()
        return failures

    def _take(self, batch: list[Copied | NotCopied], journal: Journal, stage: Progress) -> list[NotCopied]:
        """Journal and count the copies of a batch; return what could not be copied."""
        copies = [outcome for outcome in batch if isinstance(outcome, Copied)]
        journal.copied(copies)
        self._count_copies(copies, stage)
        return [outcome for outcome in batch if isinstance(outcome, NotCopied)]

    def _copies(self, setup: Setup, where: str) -> Generator[list[Copied | NotCopied], None, None]:
        for which in (f"NOT {IS_FOLDER}", IS_FOLDER):
            yield from copy_objects(setup, self._items(f"{where} AND {which}"), self.outcome.usage)

    def _items(self, where: str) -> Iterator[Item]:
        only = self._copying.only
        self._replacing = self._plan.lookup("SELECT 1 FROM replaceable LIMIT 1") is not None
        for planned in self._plan.objects(where):
            if only is None or (planned.bucket, planned.key) in only:
                yield self._item(planned)

    def _item(self, planned: PlannedObject) -> Item:
        replaces = self._plan.replaceable(planned.id) if self._replacing else None
        return Item(planned.id, planned.bucket, planned.stored, planned.target or "", replaces)

    def _count_copies(self, copies: list[Copied], stage: Progress) -> None:
        size = sum(copy.size for copy in copies)
        stage.advance(len(copies), size)
        self.outcome.copied += len(copies)
        self.outcome.copied_bytes += size
        self.outcome.proofs.update(copy.proof for copy in copies)
        self.outcome.checksums.update(copy.checksum for copy in copies if copy.checksum)

    def rewrite(self, journal: Journal) -> None:
        """Rewrite every file that carries paths, leaf first, so that each parent learns its children's
        true sizes; a table's current metadata comes last, so that where it is, all of it is."""
        rewriter = Rewriter(self._store, self._layout.map_uri, self._facts)
        for role in ROLES:
            where = f"action = 'rewrite' AND role = '{role}' AND {PENDING}"
            (size,) = self._plan.db.execute(f"SELECT total(size) FROM objects WHERE {where}").fetchone()
            setup = (plan_rewriter, self._plan.path, self._store.connection, self._conditional)
            with rewriting(rewriter, size, *setup) as (rewrite, workers):
                self._run(f"rewriting {role}", where, self._job(rewrite), journal, workers=workers)

    def cut_over(self, journal: Journal) -> None:
        """Swap every pointer: SQL catalogs in one transaction each, version hints after them.

        Raises CutoverIncomplete if some catalogs were swapped and another one could not be.
        """
        tables = self._movable_tables()
        self.check_pointers(journal)
        pointers = {t.identifier: {"old": t.old_metadata, "new": t.new_metadata} for t in tables}
        journal.event(CUTOVER_BEGUN, pointers=pointers)
        try:
            self._swap_catalogs(journal, tables)
        except MigratorError as error:
            live = self._live(journal)
            self.guard.note_cutover([t for t in tables if t.id in live], complete=False)
            raise _incomplete(tables, live, error) from error
        journal.event(CUTOVER_DONE, tables=len(tables))
        self.outcome.cut_over = [t.identifier for t in tables if t.catalog is not None]
        self.outcome.pointers = count_pointers(self._plan).total
        self.guard.note_cutover([t for t in tables if t.catalog is not None], complete=True)

    def _swap_catalogs(self, journal: Journal, tables: list[PlannedTable]) -> None:
        swapped = journal.swapped()
        for name, catalog in self._catalogs.items():
            moved = [t for t in tables if t.catalog == name]
            if catalog.kind == "sql" and name not in swapped:
                self._repoint(name, catalog, moved)
                journal.event(CATALOG_SWAPPED, catalog=name, tables=[t.identifier for t in moved])
        self.copy_versions(journal, hints=True)
        where = f"action = 'rewrite' AND role = '{HINT}' AND {PENDING}"
        self._run("writing version hints", where, self._copy_hint, journal, workers=1)
        for name, catalog in self._catalogs.items():
            if catalog.kind != "sql" and name not in swapped:
                moved = [t for t in tables if t.catalog == name]
                journal.event(CATALOG_SWAPPED, catalog=name, tables=[t.identifier for t in moved])

    def _live(self, journal: Journal) -> frozenset[int]:
        """The ids of the tables that an interrupted cutover has swapped: they are in use at the target."""
        hints = "SELECT table_id FROM objects JOIN done ON object_id = id WHERE role = ?"
        written = {table for (table,) in self._plan.db.execute(hints, (HINT,))}
        swapped = journal.swapped()
        return frozenset(t.id for t in self._movable_tables() if t.catalog in swapped or t.id in written)

    def check_after_cutover(self, journal: Journal) -> None:
        """No newer plan was carried out, every pointer leads to the target, and the old buckets have nothing new.

        Raises PlanStale, or MigrationFailed for a table that somebody has set back to its old place.
        """
        self._check_superseded()
        self._check_set_back(self._plan.tables())
        self._check_late_at_the_end(journal)

    def check_nothing_to_do(self, journal: Journal) -> None:
        """A plan without anything to do: that is still so. Raises PlanStale."""
        self._check_superseded()
        self.check_pointers(journal)
        self.guard.compare(journal)
        self._check_late_at_the_end(journal)

    def _check_set_back(self, tables: Iterable[PlannedTable]) -> None:
        """These tables, which live at the target, still do. Raises MigrationFailed."""
        for table in tables:
            if table.catalog is None or table.new_metadata is None or self._catalogs[table.catalog].kind != "sql":
                continue
            now = self._catalogs[table.catalog].current(table.namespace, table.name)
            at = Location.parse(now or "")
            if now is not None and (at is None or at.bucket != self._layout.target_bucket):
                known = "lived there while planning" if table.state == MIGRATED else "was cut over by this plan"
                raise MigrationFailed(
                    f"{table.identifier} is at {table.new_metadata} and {known}, but its catalog points to "
                    f"{now} now: somebody has set it back.",
                    next_move=f"To migrate it from there: {AGAIN}",
                )

    def _check_superseded(self) -> None:
        newer = self.guard.superseded()
        if newer is not None:
            raise superseded_error(self._plan, newer)

    def _check_late_at_the_end(self, journal: Journal) -> None:
        """Nothing was added to the old buckets or changed there since planning, but for what was accepted. Buckets that
        are gone, or whose server is, have nothing to say."""
        places = []
        for bucket, prefix in source_places(self._layout):
            with suppress(Unreachable):
                if self._store.bucket_exists(bucket):
                    places.append((bucket, prefix))
        late = find_late(self._plan, self._store, self._progress, places)
        accepted = journal.last(LATE)
        if (late.added, late.changed) not in ((0, 0), (accepted.get("added"), accepted.get("changed"))):
            raise PlanStale(
                f"Nothing is left of this plan, but in the old buckets {late.added:,} objects were added and "
                f"{late.changed:,} changed since planning ({', '.join(late.examples)}). They are not at the target.",
                next_move='Stop the writers and run "migrator plan" again: it copies only what is new.',
            )

    def check_target(self, journal: Journal) -> None:
        """Just before the cutover: the target holds what was written, and nobody else has written there."""
        self.guard.check_before_cutover(journal, live=self._live(journal))

    # -- one object ----------------------------------------------------------------------------------

    def _copy_hint(self, planned: PlannedObject) -> Written:
        """Write a table's version hint at the target, unless there is one that is not ours."""
        bucket, key = self._layout.target_bucket, planned.target or ""
        content = self._store.get(planned.bucket, planned.key, etag=planned.etag)
        etag = self._store.put(bucket, key, content, replace=False, replaces=self._plan.replaceable(planned.id))
        return Written(planned.size, etag)

    def _job(self, rewrite: Callable[[Job], Written]) -> Callable[[PlannedObject], Written]:
        target = self._layout.target_bucket

        def job(planned: PlannedObject) -> Written:
            source = (planned.bucket, planned.key)
            replaces = self._plan.replaceable(planned.id)
            try:
                return rewrite(Job(planned.role, source, (target, planned.target or ""), planned.etag, replaces))
            except Occupied as error:
                if planned.target_etag is None:
                    raise
                raise MigrationFailed(  # another plan would be no better
                    f"s3://{target}/{planned.target} was there while planning already, and is not what migrator "
                    f"writes there for {planned.place}. It is not overwritten.",
                    next_move="Move it away.",
                ) from error

        return job

    # -- many ----------------------------------------------------------------------------------------

    def _run(
        self, name: str, where: str, job: Callable[[PlannedObject], Written], journal: Journal, *, workers: int
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
                    if len(failures) >= self._copying.max_failures:
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
        if planned.role != HINT:  # a hint is a pointer: see Outcome.pointers
            self.outcome.rewritten += 1

    def _movable_tables(self) -> list[PlannedTable]:
        return [t for t in self._plan.tables() if t.state != MIGRATED and t.new_metadata is not None]

    def _repoint(self, name: str, catalog: Catalog, tables: list[PlannedTable]) -> None:
        catalog.repoint(
            [Repoint(t.namespace, t.name, t.old_metadata, t.new_metadata, t.kind) for t in tables if t.new_metadata],
            [NamespaceRepoint(n.namespace, n.key, n.old, n.new) for n in self._plan.namespaces() if n.catalog == name],
        )


def _failed(name: str, failures: list[MigratorError], listed: str = "") -> MigratorError:
    shown = first_lines(failures)
    message = f"{len(failures)} object(s) failed while {name}; nothing was cut over:\n{shown}\n{listed}"
    if all(isinstance(error, SourceChanged | Occupied) for error in failures):
        return PlanStale(message, next_move=f"The lake moved on since planning. {AGAIN}")
    return MigrationFailed(message, next_move="Mend the cause and run the same command again: it does what is left.")


def _incomplete(tables: list[PlannedTable], live: frozenset[int], error: MigratorError) -> MigratorError:
    """What a failed cutover has left: some tables at the target, others in the old place."""
    pointed = [t for t in tables if t.catalog is not None]
    moved = [t.identifier for t in pointed if t.id in live]
    if not moved:
        return error
    left = [t.identifier for t in pointed if t.id not in live]
    return CutoverIncomplete(
        f"The cutover is incomplete: {len(moved)} of {len(pointed)} tables are cut over and live at the target "
        f"({_some(moved)}); {len(left)} are not, and live in the old place ({_some(left)}). {error.message}",
        next_move=f"{error.next_move} Then run the same command again: it finishes the cutover.".lstrip(),
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
