"""The passes over a lake that is in use, and how long its writers had to wait for a cutover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from time import monotonic

from migrator.cutover.fence import Lifted
from migrator.errors import CutoverIncomplete, PlanStale
from migrator.live.quiet import Stillness, wait_until_quiet
from migrator.migration import Migration
from migrator.planfile.journal import CATALOG_SWAPPED, TABLE_SWAPPED
from migrator.planfile.log import Entry, time_of

PASSES = 5
"""How often a pass is repeated because the lake changed meanwhile; then that is an error."""


@dataclass(frozen=True)
class LiveCutover:
    """A cutover of a lake that was in use. ``quiet_since``: when its writers had stopped; None if this only finished a
    cutover that had begun before. ``held_up``: table → for how many seconds its writers had to wait. ``fence``: what
    became of the fence, if there was one."""

    migration: Migration
    quiet_since: datetime | None
    held_up: Mapping[str, float] = field(default_factory=dict)
    fence: Lifted = field(default_factory=Lifted)


def repeated(renew: Callable[[], None], carry_out: Callable[[], Migration]) -> Migration:
    """Make a plan anew and carry it out, and repeat both if the lake changed meanwhile, as a lake in use does.

    Raises what ``renew`` raises, and PlanStale if the lake changed during each of several passes.
    """
    for _ in range(PASSES - 1):
        renew()
        try:
            return carry_out()
        except CutoverIncomplete:
            raise
        except PlanStale:
            continue
    renew()
    return carry_out()


def quiet_since(look_again: Callable[[], Stillness], quiet_for: float, wait: float) -> datetime:
    """Wait until the lake is still; see :func:`migrator.live.quiet.wait_until_quiet`. Returns since when it is."""
    since = wait_until_quiet(look_again, quiet_for, wait)
    return datetime.now(timezone.utc) - timedelta(seconds=monotonic() - since)


def held_up(entries: Iterable[Entry], since: datetime | None) -> dict[str, float]:
    """Table → seconds from ``since`` until its pointer changed, as the log says; empty if ``since`` is None."""
    waited: dict[str, float] = {}
    if since is None:
        return waited
    for entry in entries:
        at = time_of(entry.at)
        if at < since:
            continue
        if entry.event == CATALOG_SWAPPED:
            names = [str(name) for name in entry.detail["tables"]]
        elif entry.event == TABLE_SWAPPED:
            names = [".".join(str(entry.detail[part]) for part in ("catalog", "namespace", "table"))]
        else:
            continue
        for name in names:
            waited.setdefault(name, (at - since).total_seconds())
    return waited
