"""The results of a verification, check by check. Pure.

The result for each object, file or snapshot is *same*, *different*, or *not compared* with a reason. A check
that compared nothing proves nothing, and is never shown as passed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from migrator.concurrency.threads import Done, Failed
from migrator.cutover.unregistered import Unregistered
from migrator.errors import MigratorError, redacted
from migrator.results import SourceChanges
from migrator.verifying.unreadable import is_transient

EXAMPLES = 20
LOGGED = 5
"""How many problems of a check the log of the plan keeps."""

SAME, DIFFERENT, NOT_COMPARED, ERROR = "same", "different", "not compared", "error"
"""The results of a check. ``error``: something could not be read now, so that nothing is known; try again."""


@dataclass
class Check:
    """One kind of check: how much was compared, how much of it differs, and how much could not be compared.

    ``failed`` counts differences and errors; ``errors`` says how many of them are errors: the server refused or did
    not answer, which says nothing about the object. ``problems`` has the first of both. ``reasons`` has the reasons why
    something was not compared: reason → count.
    """

    name: str
    unit: str
    checked: int = 0
    failed: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def fail(self, problem: str) -> None:
        """Note a difference: the target is not as expected."""
        self.failed += 1
        if len(self.problems) < EXAMPLES:
            self.problems.append(problem)

    def error(self, problem: str) -> None:
        """Note that something could not be read now. It may still be correct."""
        self.errors += 1
        self.fail(problem)

    def skip(self, reason: str, count: int = 1) -> None:
        """Note how many were not compared, and why. Reasons must not contain file names, because equal reasons are
        counted."""
        if count:
            self.reasons[reason] += count

    @property
    def not_compared(self) -> int:
        """How many were not compared, for any reason."""
        return sum(self.reasons.values())

    @property
    def result(self) -> str:
        """One of SAME, DIFFERENT, ERROR, NOT_COMPARED; NOT_COMPARED also if there was nothing to compare."""
        if self.failed:
            return DIFFERENT if self.failed > self.errors else ERROR
        return SAME if self.checked else NOT_COMPARED

    def summary(self) -> dict[str, Any]:
        """The check for the log: its numbers, why something was not compared, and the first problems."""
        return {
            "name": self.name,
            "unit": self.unit,
            "result": self.result,
            "checked": self.checked,
            "failed": self.failed,
            "errors": self.errors,
            "not_compared": self.not_compared,
            "reasons": dict(self.reasons.most_common()),
            "problems": [redacted(problem) for problem in self.problems[:LOGGED]],
        }

    def to_json(self) -> dict[str, Any]:
        """The check as in the JSON of a verification."""
        return {
            **self.summary(),
            "problems": self.problems,
            "notes": self.notes,
        }


def note_unreadable(check: Check, message: str, error: MigratorError) -> None:
    """Note that something at the target cannot be read: as a difference, or as an error if the server may return it
    later."""
    report = check.error if is_transient(error) else check.fail
    report(f"! {message}")


def note_comparison(check: Check, outcome: Done[Any, bool | str] | Failed[Any], difference: str) -> None:
    """Count one comparison of bytes. Its result is True for equal bytes, False for ``difference``, or a text that says
    why they could not be compared."""
    if isinstance(outcome, Failed):
        note_unreadable(check, str(outcome.error), outcome.error)
    elif isinstance(outcome.result, str):
        check.skip(outcome.result)
    else:
        check.checked += 1
        if not outcome.result:
            check.fail(f"* {difference}")


@dataclass(frozen=True, slots=True)
class PrefixTotal:
    """The objects that one target prefix should have by this plan, and those that it has. Sizes are in bytes."""

    prefix: str
    planned_objects: int
    planned_bytes: int
    present_objects: int
    present_bytes: int


@dataclass
class Verification:
    """The outcome of verifying a plan."""

    prefixes: list[PrefixTotal] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    cut_over: bool = False
    superseded_by: str | None = None
    """The newer plan that was carried out at the target, if there is one."""
    unregistered: list[Unregistered] = field(default_factory=list)
    """Tables that were moved, and that no given catalog names at the target."""
    late: SourceChanges | None = None
    """What a cutover with --accept-late left behind in the old buckets."""
    deep: bool = False
    """True if rows and bytes were compared, too: ``verify --deep``."""
    not_recorded: str | None = None
    """Why the log of the plan has no entry for this verification; None if it has one."""
    log_entries: int = 0
    """How many entries the log had when this began: work of others that was logged later may not be included."""

    @property
    def ok(self) -> bool:
        """True if no difference was found and everything could be read. See ``result``, too: what was not compared is
        not proven."""
        return not any(check.failed for check in self.checks)

    @property
    def result(self) -> str:
        """The result of all checks together: SAME only if everything was compared."""
        results = {check.result for check in self.checks if check.failed or check.checked or check.reasons}
        for worst in (DIFFERENT, ERROR):
            if worst in results:
                return worst
        skipped = any(check.reasons for check in self.checks)
        return NOT_COMPARED if skipped or not results else SAME

    def summary(self) -> dict[str, Any]:
        """The verification for the log of the plan."""
        return {
            "ok": self.ok,
            "result": self.result,
            "cut_over": self.cut_over,
            "deep": self.deep,
            "log_entries": self.log_entries,
            "superseded": self.superseded_by is not None,
            "left_behind": str(self.late) if self.late else "",
            "unregistered": len(self.unregistered),
            "checks": [check.summary() for check in self.checks],
        }
