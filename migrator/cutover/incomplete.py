"""Adds the state of the cutover to an error of a migration: that nothing was cut over, or which tables are at the
target."""

from __future__ import annotations

from migrator.errors import (
    CatalogError,
    CutoverIncomplete,
    MigrationFailed,
    MigratorError,
    PlanStale,
    StoreError,
    first_names,
    then_again,
)
from migrator.planfile.journal import CUTOVER_DONE
from migrator.run import Run

SHOWN = 10
"""How many tables a message names."""


def with_cutover_state(run: Run, error: MigratorError) -> MigratorError:
    """The error that ends a run, with the state of the cutover as the journal has it."""
    if error.says_where:
        return error
    if run.journal.has(CUTOVER_DONE):
        if isinstance(error, StoreError | CatalogError):
            error.message += " All tables of this plan are cut over, and live at the target."
            error.next_move = then_again(error, "it verifies them")
        return error
    if run.live_tables() or run.journal.swapped():
        return incomplete(run, error)
    if isinstance(error, PlanStale | MigrationFailed):
        error.message += f"{'' if error.message.endswith(chr(10)) else ' '}Nothing was cut over."
    return error


def incomplete(run: Run, error: MigratorError) -> MigratorError:
    """The error for a cutover that failed when some tables were at the target already; ``error`` itself if none was."""
    swapped = run.live_tables()
    pointed = [table for table in run.tables_to_move() if table.catalog is not None]
    moved = [table.identifier for table in pointed if table.id in swapped]
    if not moved:
        return error
    left = [table.identifier for table in pointed if table.id not in swapped]
    stale = isinstance(error, PlanStale)
    are, live = ("is", "lives") if len(left) == 1 else ("are", "live")
    where = "" if stale else f", and {live} in the old place"  # else somebody else may have moved them meanwhile
    told = CutoverIncomplete(
        f"The cutover is incomplete: {len(moved)} of {len(pointed)} tables are cut over and live at the target "
        f"({first_names(moved, SHOWN)}); {len(left)} {are} not{where} "
        f"({first_names(left, SHOWN)}). {error.message}",
        next_move=error.next_move if stale else then_again(error, "it finishes the cutover"),
    )
    told.says_where = True
    if stale:  # the exit code must show that a new plan is needed
        told.exit_code = error.exit_code
    return told
