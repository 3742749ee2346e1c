"""Reads from a plan's log when each step began, and how long it took. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from migrator.planfile.journal import (
    COMPARED,
    COPIED,
    CUTOVER_BEGUN,
    CUTOVER_DONE,
    FENCE_LIFTED,
    FENCE_SET,
    RETIRE_BEGUN,
    RETIRED,
    REWRITTEN,
    ROLLBACK_BEGUN,
    ROLLED_BACK,
    STARTED,
    VERIFIED,
)
from migrator.planfile.log import Entry, time_of

_STEPS = {
    COPIED: ("copying", (STARTED,)),
    REWRITTEN: ("rewriting tables", (COPIED,)),
    COMPARED: ("counting and comparing", (REWRITTEN,)),
    CUTOVER_DONE: ("cutover", (CUTOVER_BEGUN,)),
    VERIFIED: ("verifying", (CUTOVER_DONE,)),
    ROLLED_BACK: ("rollback", (ROLLBACK_BEGUN,)),
    RETIRED: ("deleting the old objects", (RETIRE_BEGUN,)),
    FENCE_LIFTED: ("fence: the old buckets refused writes", (FENCE_SET,)),
}
"""Event at the end of a step → its name, and the event at its beginning."""


@dataclass(frozen=True)
class Step:
    """One step of one run, both times in UTC."""

    name: str
    begin: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, (self.end - self.begin).total_seconds())


def steps_of(entries: Sequence[Entry]) -> list[Step]:
    """The steps that were finished, in the order of their ends. An interrupted step has no end, so it is left out; the
    run that finished it is included."""
    begun: dict[str, datetime] = {}
    steps = []
    for entry in entries:
        at = time_of(entry.at)
        if entry.event == STARTED:
            begun = {name: when for name, when in begun.items() if name == FENCE_SET}
        if entry.event in _STEPS:
            name, before = _STEPS[entry.event]
            steps += [Step(name, begun.pop(event), at) for event in before if event in begun]
        if entry.event != FENCE_SET or FENCE_SET not in begun:  # there is one for each bucket: use the first
            begun[entry.event] = at
    return steps


def last_cutover(steps: Sequence[Step]) -> list[Step]:
    """The steps of the run that made the last cutover, from its copying to its verification; empty if there is none."""
    ends = [number for number, step in enumerate(steps) if step.name == "cutover"]
    if not ends:
        return []
    first = max((n for n in range(ends[-1]) if steps[n].name == "copying"), default=ends[-1])
    begin, cutover = steps[first].begin, steps[ends[-1]]
    after = [s for s in steps[ends[-1] + 1 :] if s.name == "verifying" and s.begin == cutover.end]
    fences = [s for s in steps if s.name.startswith("fence") and s.end >= begin and s.begin <= cutover.end]
    during = [step for step in steps[first : ends[-1] + 1] if not step.name.startswith("fence")]
    return sorted({*during, *after, *fences}, key=lambda step: step.begin)
