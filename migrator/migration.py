"""The order of a migration. Read :func:`carry_out` first: each line is a step, in the folder that its name says.

Every step is journalled in the plan file and may be repeated: after a kill the same call continues where it stopped.
The old buckets are only read. No table changes before the cutover. The cutover comes last, and only if every step
before it succeeded and the tables at the target have the same rows as the old ones.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from migrator.copying.failed_list import check_listed
from migrator.copying.options import Options
from migrator.copying.stage import begin, copy_checkpoints_last, copy_current_objects, copy_versions, note_copied
from migrator.cutover.checks import (
    check_after_cutover,
    check_not_blocked,
    check_nothing_to_do,
    check_sources,
    check_target,
    is_empty,
)
from migrator.cutover.incomplete import with_cutover_state
from migrator.cutover.pointers import check_unmoved_since_planning
from migrator.cutover.swap import swap_pointers
from migrator.errors import MigrationFailed, MigratorError, PlanStale, first_lines
from migrator.planfile.journal import COMPARED, CUTOVER_DONE, FINISHED, NOT_PREPARED, REWRITTEN, STARTED, VERIFIED
from migrator.results import RunResult
from migrator.rewriting.stage import (
    rewrite_logs,
    rewrite_scripts,
    rewrite_tables,
    upload_checkpoints_last,
    upload_local_files,
)
from migrator.run import Run
from migrator.target.lease import Lease, drop_dead, lease
from migrator.verifying.checks import Check, Verification
from migrator.verifying.verifier import Verifier


@dataclass
class Migration:
    """What a migration did. ``verification`` is None if there was no cutover, or nothing to do."""

    outcome: RunResult
    compared: list[Check]
    verification: Verification | None
    nothing_to_do: bool = False
    not_prepared: str = ""
    """Why a pass that only copies could not rewrite and compare everything already; the cutover does that."""

    @property
    def ok(self) -> bool:
        """False if the last verification found a difference or could not read something."""
        return self.verification is None or self.verification.ok


@dataclass(frozen=True)
class Choices:
    """What the user decides about a migration in addition to the plan: see :func:`migrator.api.migrate_lake`."""

    cutover: bool = True
    accept_late: bool = False
    accept: Collection[str] = ()
    copy_only: bool = False
    """Copy, and prepare what can be: rewrite, count and compare the tables as they are now. Later runs do the rest."""


def carry_out(run: Run, options: Options, choices: Choices) -> Migration:
    """Carry out a plan: copy, rewrite, compare, cut over, verify. Safe to call again after any interruption.

    Raises PlanBlocked, PlanStale or MigrationFailed if no pointer has been changed, CutoverIncomplete if some have. A
    verification that fails after the cutover is returned, not raised.
    """
    check_not_blocked(run)
    verifier = Verifier(run.plan, run.store, run.catalogs, run.progress)
    if run.journal.has(CUTOVER_DONE):
        return _after_cutover(run, verifier)
    if run.only is not None:
        check_listed(run.plan, run.only)
    begun = choices.cutover and run.journal.first(STARTED) is not None
    if is_empty(run.plan) and not begun:  # earlier passes may have copied a lake without tables: it is not cut over yet
        return _without_anything_to_do(run)
    with ExitStack() as stack:
        stack.enter_context(_errors_with_cutover_state(run))
        if choices.cutover:  # without a cutover they may change: the lake is in use, and a later plan follows
            check_unmoved_since_planning(run)
        held = stack.enter_context(_target_held(run))
        begin(run, options)
        stack.enter_context(_written_noted(run))
        copy_versions(run)
        copy_current_objects(run, options)
        if run.only is None:
            upload_local_files(run)
            rewrite_logs(run)  # logs of streams: they contain the paths of the copies, and when these were made
            rewrite_scripts(run)
            upload_checkpoints_last(run)
        copy_checkpoints_last(run, options)
        note_copied(run)
        run.guard.note_written()  # a kill must not leave copies that a later plan does not recognize as migrator's
        if run.only is not None:
            return Migration(run.result, [], None)
        if choices.copy_only:
            return _prepared(run, verifier, choices)
        compared = _rewrite_and_compare(run, verifier, choices)
        if not choices.cutover:
            return Migration(run.result, compared, None)
        check_sources(run, accept_late=choices.accept_late)
        held.check()
        swap_pointers(run)
        # Where there was no pointer to swap, the target is still what check_target listed.
        return Migration(run.result, compared, _verified(run, verifier, listed=run.result.pointers == 0))


def _rewrite_and_compare(run: Run, verifier: Verifier, choices: Choices) -> list[Check]:
    """Rewrite the tables, and compare them with the old ones. Raises MigrationFailed if one of them differs."""
    rewrite_tables(run)
    run.journal.event(REWRITTEN, files=run.result.rewritten)
    verifier.count_old_rows(run.journal, choices.accept)
    check_target(run)
    compared = verifier.compare_tables()
    run.journal.event(COMPARED, checks=[check.summary() for check in compared])
    _refuse_differences(compared)
    verifier.note_compared(run.journal)
    return compared


def _prepared(run: Run, verifier: Verifier, choices: Choices) -> Migration:
    """Rewrite and compare what is possible while the lake is in use, so that the cutover has less to do. A file that a
    writer removes meanwhile is no error here: the next pass, or the cutover, has a new plan."""
    try:
        return Migration(run.result, _rewrite_and_compare(run, verifier, choices), None)
    except (PlanStale, MigrationFailed) as error:
        run.journal.event(NOT_PREPARED, reason=error.message)
        return Migration(run.result, [], None, not_prepared=error.message)


def _without_anything_to_do(run: Run) -> Migration:
    check_nothing_to_do(run)
    drop_dead(run.store, run.layout.target_bucket)
    return Migration(RunResult(), [], None, nothing_to_do=True)


def _after_cutover(run: Run, verifier: Verifier) -> Migration:
    """For a plan that was cut over already: check the pointers before reporting that there is nothing to do."""
    drop_dead(run.store, run.layout.target_bucket)
    check_after_cutover(run)
    if run.journal.has(FINISHED):
        return Migration(RunResult(), [], None, nothing_to_do=True)
    return Migration(RunResult(), [], _verified(run, verifier))  # interrupted after the cutover


@contextmanager
def _errors_with_cutover_state(run: Run) -> Iterator[None]:
    """An error says that nothing was cut over, or which tables are at the target already."""
    try:
        yield
    except MigratorError as error:
        told = with_cutover_state(run, error)
        if told is error:
            raise
        raise told from error


@contextmanager
def _target_held(run: Run) -> Iterator[Lease]:
    """Create the target bucket if it does not exist, and hold its lease, which stops other migrations."""
    bucket = run.layout.target_bucket
    if not run.store.bucket_exists(bucket):
        run.store.create_bucket(bucket)
    with lease(run.store, bucket, run.plan.path) as held:
        yield held


@contextmanager
def _written_noted(run: Run) -> Iterator[None]:
    """At the end of a run, whatever ended it, store at the target what was written. If that fails, it must not hide why
    the run failed; the next run stores it."""
    try:
        yield
    finally:
        with suppress(MigratorError, sqlite3.Error, OSError):
            run.guard.note_written()


def _verified(run: Run, verifier: Verifier, *, listed: bool = False) -> Verification:
    began = time.monotonic()
    verification = verifier.verify(listed=listed)
    seconds = round(time.monotonic() - began, 2)
    run.journal.event(VERIFIED, **verification.summary(), seconds=seconds)
    if verification.ok:
        run.journal.event(FINISHED)
    with suppress(MigratorError):  # the record at the target is not needed to continue
        run.guard.note_log()
    return verification


def _refuse_differences(checks: list[Check]) -> None:
    problems = [problem for check in checks for problem in check.problems]
    if not problems:
        return
    shown = first_lines(problems[:10])
    if all(check.failed == check.errors for check in checks):
        raise MigrationFailed(
            f"The target cannot be read completely now:\n{shown}\n",
            next_move="Run the same command again once the server answers: it goes on from here.",
        )
    raise MigrationFailed(
        f"The target is not as expected:\n{shown}\n",
        next_move="Please report this with the lines above.",
    )
