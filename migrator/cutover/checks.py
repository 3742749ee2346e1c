"""What must still be true of the lake before and after the cutover. Every check raises if it is not."""

from __future__ import annotations

from contextlib import suppress

from migrator.cutover.places import check_hints
from migrator.cutover.pointers import (
    check_not_set_back,
    check_problems_still_hold,
    check_unmoved_since_planning,
    count_pointers,
)
from migrator.cutover.source_changes import find_source_changes
from migrator.errors import PlanBlocked, PlanStale, Unreachable, one_line
from migrator.layout import source_places
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import LATE, RETIRED
from migrator.planfile.queries import TO_WRITE
from migrator.planfile.rows import COPY, ROLE_VERSION_HINT
from migrator.run import Run


def is_empty(plan: PlanFile) -> bool:
    """True if the plan has nothing to copy, to rewrite or to re-point."""
    objects = f"SELECT 1 FROM objects WHERE {TO_WRITE} AND role <> '{ROLE_VERSION_HINT}' LIMIT 1"
    versions = f"SELECT 1 FROM versions WHERE action = '{COPY}' LIMIT 1"
    return plan.lookup(objects) is None and plan.lookup(versions) is None and count_pointers(plan).total == 0


def check_not_blocked(run: Run) -> None:
    """Raises PlanBlocked if the plan has findings that block, or PlanStale if they are about tables that changed since
    planning."""
    plan = run.plan
    if plan.blocked:
        check_problems_still_hold(run)
        blocks = [f for f in plan.findings() if f.severity == "block"]
        first = blocks[0]
        raise PlanBlocked(
            one_line(f"{plan.path} has {len(blocks)} blocking finding(s); the first: {first.place} {first.message}."),
            next_move=f'{one_line(first.next_move)} "migrator show {plan.path}" lists all; then plan again.'.lstrip(),
        )


def check_sources(run: Run, *, accept_late: bool) -> None:
    """Nothing was added to the old buckets, changed or removed there since planning. Raises PlanStale, unless
    ``accept_late``: then it is only recorded."""
    changes = find_source_changes(run.plan, run.store, run.progress)
    if not changes:
        return
    run.journal.event(
        LATE, added=changes.added, changed=changes.changed, removed=changes.removed, examples=changes.examples
    )
    run.result.late = changes
    if not accept_late:
        raise PlanStale(
            f"The old buckets changed since planning: {changes}.",
            next_move="Stop the writers and plan again: it copies only what is new. "
            "Or add --accept-late, to leave these changes behind.",
        )


def check_target(run: Run) -> None:
    """The target has what this plan wrote, and nobody else has written there. Raises PlanStale or MigrationFailed."""
    run.guard.check_before_cutover(run.journal, live=run.live_tables())


def check_nothing_to_do(run: Run) -> None:
    """A plan with nothing to do still has nothing to do. Raises PlanStale."""
    run.guard.check_not_superseded()
    check_unmoved_since_planning(run, may_be_gone=False)
    run.guard.compare(run.journal)
    _check_sources_at_the_end(run)


def check_after_cutover(run: Run) -> None:
    """No newer plan was carried out, every pointer is at the target, and the old buckets have nothing new.

    Raises PlanStale, or MigrationFailed for a table that somebody has set back, to its old place or to an older state,
    or that is gone from its catalog.
    """
    run.guard.check_not_superseded()
    check_not_set_back(run, run.plan.tables(), may_be_gone=False)
    check_hints(run)
    _check_sources_at_the_end(run)


def _check_sources_at_the_end(run: Run) -> None:
    """Nothing was added to the old buckets or changed there since planning, except for what was accepted. Deleted
    buckets are left out, and all of them if their server does not exist any more."""
    places = []
    for bucket, prefix in source_places(run.layout):
        with suppress(Unreachable):
            if run.store.bucket_exists(bucket):
                places.append((bucket, prefix))
    changes = find_source_changes(run.plan, run.store, run.progress, places)
    accepted, stays = run.journal.last(LATE), run.journal.last(RETIRED)
    if stays and changes.added <= stays["added"] and changes.changed <= stays["changed"]:
        return  # retire has reported them
    if (changes.added, changes.changed) not in ((0, 0), (accepted.get("added"), accepted.get("changed"))):
        examples = one_line(", ".join(changes.examples))
        raise PlanStale(
            f"This plan is done, but in the old buckets {changes.added:,} objects were added and "
            f"{changes.changed:,} changed since planning ({examples}). They are not at the target.",
            next_move='Stop the writers and run "migrator plan" again: it copies only what is new.',
        )
