"""How long a plan took to carry out, from the events in its log. Pure.

A stage lasts from the event before it to its own. A run begins with ``started``; the work of an interrupted run after
its last event, and the time until the next run, are not counted. If a plan was made anew, only the last generation
counts, because the estimates are for that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from migrator.planfile.journal import (
    COMPARED,
    COPIED,
    CUTOVER_BEGUN,
    CUTOVER_DONE,
    FINISHED,
    NOT_PREPARED,
    REWRITTEN,
    ROLLED_BACK,
    STARTED,
    VERIFIED,
)
from migrator.planfile.log import RENEWED, time_of
from migrator.reporting.description import ActualDescription, SecondsEstimate

ENDS = {
    COPIED: "copying",
    REWRITTEN: "rewriting",
    COMPARED: "comparing",
    NOT_PREPARED: "comparing",
    CUTOVER_BEGUN: "cutover",
    CUTOVER_DONE: "cutover",
    VERIFIED: "verifying",
}
"""The event that ends a stage, or a part of it."""
LAST = (COMPARED, NOT_PREPARED)
"""The last event of a run that ended as it should, before the cutover."""
IDLE_SECONDS = 5.0
"""If this much more time has passed than the duration in an event, a run was interrupted in between."""


def actual(events: Iterable[Mapping[str, Any]], estimated: SecondsEstimate | None) -> ActualDescription | None:
    """How long the runs since the last rollback took; None if the plan is not finished. ``events``: with ``event``,
    ``at`` and the keys of their details."""
    seconds: dict[str, float] = {}
    runs, before, finished, complete, last = 0, None, False, True, ""
    for event in events:
        name, at = event["event"], time_of(event["at"])
        if name in (ROLLED_BACK, RENEWED):
            seconds, runs, before, finished, complete = {}, 0, None, False, True
        elif name == STARTED:
            complete = complete and (before is None or last in LAST)
            runs, before, last = runs + 1, at, name
        elif name == FINISHED:
            finished, before = True, None
        elif name in ENDS and before is not None:
            # A run that only verifies has no beginning in the log, so its event says how long it took.
            passed = (at - before).total_seconds()
            worked = event.get("seconds", passed)
            complete = complete and passed - worked < IDLE_SECONDS
            seconds[ENDS[name]] = seconds.get(ENDS[name], 0.0) + worked
            before, last = at, name
    if not finished:
        return None
    total = sum(seconds.values())
    within = None if estimated is None else estimated["low"] <= total <= estimated["high"]
    return {
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()} | {"total": round(total, 2)},
        "runs": runs,
        "complete": complete,
        "as_estimated": within,
    }
