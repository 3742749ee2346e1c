"""Checks of several plans before the first of them is carried out: if one cannot be, nothing is written.

The plans are carried out one after the other, in any order. Each checks the lake again when its turn comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from migrator.cutover.checks import check_not_blocked
from migrator.cutover.pointers import check_not_set_back, check_unmoved_since_planning
from migrator.errors import ConfigError, MigrationFailed, MigratorError, PlanBlocked, PlanStale
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_DONE
from migrator.run import Run
from migrator.target.record import both_move

_SERVERS = {"target_bucket": "target", "target_endpoint_url": "server of the target", "endpoint_url": "server"}
"""What must be the same in all plans: key of the header → what it is."""
REFUSED = (PlanBlocked, PlanStale, MigrationFailed)
"""The errors that are about one plan, so that the other plans are checked, too."""


def check_fit(plans: Sequence[PlanFile]) -> None:
    """The plans are different, have the same servers and target, and no two of them move the same place. Sends no
    request. Raises ConfigError."""
    for one, other in combinations(plans, 2):
        mine, theirs = one.header(), other.header()
        if mine["plan_id"] == theirs["plan_id"]:
            raise ConfigError(f"{one.path} and {other.path} are the same plan.", next_move="Leave one of them out.")
        for key, what in _SERVERS.items():
            if mine[key] != theirs[key]:
                raise ConfigError(
                    f"{one.path} and {other.path} differ in the {what}: {mine[key]} and {theirs[key]}.",
                    next_move="Carry them out with one command each.",
                )
        if place := both_move(one, other):
            raise ConfigError(
                f"{one.path} and {other.path} both move {place}.",
                next_move="Leave one of them out, or make new plans: each rule belongs to one plan.",
            )


def check_ready(run: Run, *, cutover: bool) -> None:
    """This plan is not blocked, no newer plan was carried out in its place, and its tables are where they should be.
    Reads only. Raises PlanBlocked, PlanStale, MigrationFailed, or the errors of a server that does not answer."""
    check_not_blocked(run)
    run.guard.check_not_superseded()
    if run.journal.has(CUTOVER_DONE):
        check_not_set_back(run, run.plan.tables(), may_be_gone=False)
    elif cutover:
        check_unmoved_since_planning(run)


def refuse(troubles: Iterable[tuple[PlanFile, MigratorError]], count: int) -> None:
    """Raise one error that names every plan that cannot be carried out, with the exit code of the first. ``count``: the
    number of all plans."""
    found = list(troubles)
    if not found:
        return
    lines = "\n".join(f"  {plan.path}: {str(error).strip()}" for plan, error in found)
    error = found[0][1]
    error.message = f"Nothing was started: {len(found)} of {count} plans cannot be carried out.\n{lines}\n"
    error.next_move = "Solve this, or leave these plans out."
    raise error
