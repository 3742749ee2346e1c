"""The stage "copying": every older version and every plain object of a plan, journalled one by one."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

from migrator.carriers.checkpoints import COPIED_LAST
from migrator.copying.batches import Total, copy_in_batches
from migrator.copying.copy_objects import copy_objects
from migrator.copying.failed_list import failed_list, list_failures
from migrator.copying.free_keys import LEAST_GROUP
from migrator.copying.leftovers import drop_uploads
from migrator.copying.options import SMALL, Options
from migrator.copying.outcomes import AnswerLost, Item, NotCopied
from migrator.copying.setup import Setup
from migrator.copying.verify_modes import ALWAYS, MAX_FAILURES, NEVER
from migrator.copying.versions import VersionCopier
from migrator.inventory.versions import has_versions
from migrator.planfile.copied import Copied
from migrator.planfile.journal import COPIED, STARTED
from migrator.planfile.objects import objects_by_id
from migrator.planfile.queries import EARLY_COPIES, IS_FOLDER, count_objects, late_copies
from migrator.planfile.rows import PlannedObject
from migrator.progress import OBJECTS, Progress
from migrator.progress.counts import RETRIES
from migrator.results import Loss
from migrator.run import Run, need_new_plan, stage_failed
from migrator.store import Dropped, PartCopies, lists_in_order, probe_dropped, probe_part_copies
from migrator.target import holds_only_copies

LOST_ATTEMPTS = 5
"""How often an object whose answer was lost is checked at the target, and copied again if it is not there."""

# The current object replaces the newest of its older versions, which migrator has just written.
_ON_TOP = """
SELECT o.id, coalesce(d.etag, v.etag) FROM versions v JOIN objects o ON o.bucket = v.bucket AND o.key = v.key
LEFT JOIN versions_done d ON d.version_id = v.id
WHERE NOT v.marker AND o.id NOT IN (SELECT object_id FROM done)
  AND NOT EXISTS (SELECT 1 FROM versions x WHERE x.bucket = v.bucket AND x.key = v.key AND x.ordinal > v.ordinal)
"""


@dataclass(frozen=True)
class CopySettings:
    """How to copy. ``only``: copy only these source objects (bucket, key)."""

    options: Options = field(default_factory=Options)
    max_failures: int = MAX_FAILURES
    only: frozenset[tuple[str, str]] | None = None
    engine: str | None = None
    """Where the work is done: one of :data:`migrator.workers.settings.KINDS`; None: as lake.toml says."""


def begin(run: Run, options: Options) -> None:
    """Compare the target with the plan, record the start of the run, and abort the multipart uploads that a killed run
    has left at the target. Raises PlanStale if the target is not as planned."""
    run.conditional = run.guard.begin(run.journal, recognize=options.verify != ALWAYS, live=run.live_tables())
    begun = run.journal.first(STARTED)
    if begun is not None:
        drop_uploads(run.plan, run.store, options, begun)
    run.journal.event(STARTED)


def note_copied(run: Run) -> None:
    """Record in the log what this run copied, and the proofs of the copies."""
    result = run.result
    run.journal.event(
        COPIED,
        objects=result.copied,
        bytes=result.copied_bytes,
        versions=result.copied_versions,
        proofs=dict(result.proofs),
        dropped={kind: loss.objects for kind, loss in sorted(result.dropped.items())},
    )


def copy_versions(run: Run, *, hints: bool = False) -> None:
    """Copy older versions and delete markers. They must be at the target before the current objects: those of version
    hints (``hints``) right before the hints, at the cutover, all others before anything else."""
    copier = _version_copier(run)
    failures = copier.copy(run.journal, hints=hints)
    run.result.copied_versions += copier.copied
    run.result.copied_version_bytes += copier.copied_bytes
    run.journal.may_replace(run.plan.db.execute(_ON_TOP).fetchall())
    run.journal.commit()
    if failures:
        raise stage_failed("copying older versions", failures)


def copy_current_objects(run: Run, options: Options) -> None:
    """Copy every plain object of the plan except those of :func:`copy_checkpoints_last`. Continues after a failure;
    raises MigrationFailed or PlanStale at the end, with a list of the failed objects in a file next to the plan.

    Keys that are folders of others are copied last: a server that keeps keys in directories (SeaweedFS 4.48) answers
    200 to both ``a`` and ``a/b`` at once, and loses one of them.
    """
    if run.only is None:
        failed_list(run.plan.path).unlink(missing_ok=True)
    _copy(run, options, EARLY_COPIES)


def copy_checkpoints_last(run: Run, options: Options) -> None:
    """Copy the offsets of streaming checkpoints, then their commits, then the files with the streams' ids: a checkpoint
    that is only half copied must not look like a complete one. Raises as :func:`copy_current_objects`."""
    for rank in range(len(COPIED_LAST)):
        _copy(run, options, late_copies(rank), "copying checkpoints")


def _copy(run: Run, options: Options, where: str, name: str = "copying") -> None:
    """Copy what the SQL condition selects, in a stage of this name."""
    count, size = count_objects(run.plan.db, where)
    if not count:
        return
    copies = _CurrentCopies(run, _setup(run, options, where, count))
    if run.engine.takes_batches and not copies.once:
        run.engine.parallel()  # starts the engine: that is no failed copy if it fails, and no copying time
    began = time.monotonic()
    whole = run.only is None
    numbers = {"objects": count, "size": size} if whole else {"objects": len(run.only or ())}
    with run.progress.stage(name, **numbers, unit=OBJECTS) as stage:
        failures = copies.copy(where, stage)
    run.journal.commit()
    run.result.copy_seconds += time.monotonic() - began
    if failures:
        ids = [failure.id for failure in failures]
        errors = [failure.error for failure in failures]
        places = (planned.place for planned in objects_by_id(run.plan, ids))
        listed = list_failures(failed_list(run.plan.path), places, again=not need_new_plan(errors))
        raise stage_failed("copying", errors, listed)


def _setup(run: Run, options: Options, where: str, count: int) -> Setup:
    """How the objects are copied, with what was found about the servers."""
    old, new = run.store.ends
    across = None if new is old else new.connection
    bucket = run.layout.target_bucket
    look_first = not (run.conditional.copy if across is None else run.conditional.put)
    # A listing of the target must show every object; see migrator.copying.free_keys.
    in_groups = look_first and across is None and count >= LEAST_GROUP
    in_groups = in_groups and holds_only_copies(run.plan) and lists_in_order(run.store, bucket)
    options = replace(
        options,
        conditional=run.conditional,
        look_first=look_first,
        look_in_groups=in_groups,
        once=has_versions(run.plan),
        part_copies=PartCopies() if across else _part_copies(run, options, where),
        dropped=_dropped(run) if across else Dropped(),
    )
    return Setup(old.connection, across, bucket, options)


def _dropped(run: Run) -> Dropped:
    """What the server of the target does not keep. It is tried once in a run."""
    if run.dropped is None:
        run.dropped = probe_dropped(run.store, run.layout.target_bucket)
    return run.dropped


def _part_copies(run: Run, options: Options, where: str) -> PartCopies:
    """How the server copies objects that were uploaded in parts, if any of them is to be copied."""
    large = f"(size > {SMALL} AND etag LIKE '%-%') OR size > {options.whole_limit}"
    if options.verify == NEVER or run.plan.lookup(f"SELECT 1 FROM objects WHERE {where} AND ({large})") is None:
        return PartCopies()
    return probe_part_copies(run.store, run.layout.target_bucket)


def _version_copier(run: Run) -> VersionCopier:
    return VersionCopier(run.plan, run.store, run.progress, max_failures=run.max_failures, only=run.only)


class _CurrentCopies:
    """Copies the current objects of a plan, and journals and counts each copy."""

    def __init__(self, run: Run, setup: Setup) -> None:
        self._run, self._setup = run, setup
        self.once = setup.options.once
        """See :class:`~migrator.copying.options.Options`."""
        self._replacing = run.plan.lookup("SELECT 1 FROM replaceable LIMIT 1") is not None

    def copy(self, where: str, stage: Progress) -> list[NotCopied]:
        """Copy what the SQL condition selects; return what could not be copied."""
        failures: list[NotCopied] = []
        with closing(self._batches(where)) as batches:
            for batch in batches:
                failures += self._take(batch, stage)
                if len(failures) >= self._run.max_failures:
                    break
            self._run.journal.commit()
            return self._copy_lost_again(failures, stage)

    def _batches(self, where: str) -> Generator[list[Copied | NotCopied], None, None]:
        run = self._run
        for which in (f"NOT {IS_FOLDER}", IS_FOLDER):
            condition = f"{where} AND {which}"
            items, usage = self._items(condition), run.result.usage
            # An object that must be copied only once must not be given to an engine that may repeat it.
            if self.once and run.engine.takes_batches:
                run.result.note("Objects were copied by the driver: the target keeps each copy as a version.")
            if self.once or not run.engine.takes_batches:
                yield from copy_objects(self._setup, items, usage)
                continue
            total, setup = Total(*count_objects(run.plan.db, condition)), self._setup
            if run.engine.remote:
                setup = setup.elsewhere(run.store.ends)
            yield from copy_in_batches(run.engine, setup, items, usage, total=total, most_failures=run.max_failures)

    def _items(self, where: str) -> Iterator[Item]:
        only = self._run.only
        for planned in self._run.plan.objects(where):
            if only is None or (planned.bucket, planned.key) in only:
                yield self._item(planned)

    def _item(self, planned: PlannedObject) -> Item:
        replaces = self._run.plan.replaceable(planned.id) if self._replacing else None
        return Item(planned.id, planned.bucket, planned.stored, planned.target or "", replaces)

    def _copy_lost_again(self, failures: list[NotCopied], stage: Progress) -> list[NotCopied]:
        """Copy the objects whose answer was lost, unless the target has them: no version may be written twice."""
        run = self._run
        for _ in range(LOST_ATTEMPTS):
            lost = [failure.id for failure in failures if isinstance(failure.error, AnswerLost)]
            if not lost:
                break
            failures = [failure for failure in failures if failure.id not in lost]
            planned = {one.id: one for one in objects_by_id(run.plan, lost)}
            arrived = _version_copier(run).look_again(run.journal, planned.values())
            self._count(arrived, stage)
            for copy in arrived:
                del planned[copy.id]
            RETRIES.add(len(planned))
            items = [self._item(one) for one in planned.values()]
            for batch in copy_objects(self._setup, items, run.result.usage):
                failures += self._take(batch, stage)
            run.journal.commit()
        if never_found := sum(isinstance(failure.error, AnswerLost) for failure in failures):
            stage.failed(never_found)
        return failures

    def _take(self, batch: list[Copied | NotCopied], stage: Progress) -> list[NotCopied]:
        """Journal and count the copies of a batch; return what could not be copied."""
        copies = [outcome for outcome in batch if isinstance(outcome, Copied)]
        self._run.journal.copied(copies)
        self._count(copies, stage)
        failures = [outcome for outcome in batch if isinstance(outcome, NotCopied)]
        # An object whose answer was lost may have been copied: it is counted when that is known.
        if failed := sum(not isinstance(failure.error, AnswerLost) for failure in failures):
            stage.failed(failed)
        return failures

    def _count(self, copies: list[Copied], stage: Progress) -> None:
        size = sum(copy.size for copy in copies)
        stage.advance(len(copies), size)
        result = self._run.result
        result.copied += len(copies)
        result.copied_bytes += size
        result.proofs.update(copy.proof for copy in copies)
        result.checksums.update(copy.checksum for copy in copies if copy.checksum)
        for copy in copies:
            if new := [kind for kind in copy.dropped if kind not in result.dropped]:
                (planned,) = objects_by_id(self._run.plan, [copy.id])
                result.dropped.update({kind: Loss(0, planned.place) for kind in new})
            for kind in copy.dropped:
                result.dropped[kind].objects += 1
