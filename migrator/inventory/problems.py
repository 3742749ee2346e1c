"""Adds findings about problems of one table to a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from migrator.errors import Unreadable
from migrator.findings import WARN, Finding, counted
from migrator.inventory import advice
from migrator.inventory.located import locate, ways
from migrator.inventory.tables import FoundTable
from migrator.layout import Layout
from migrator.layout.choice import together
from migrator.layout.recorded import is_s3
from migrator.planfile.file import PlanFile

EXAMPLES = 5
"""How many places of one kind are named per table; the rest are counted."""

_STILL_MOVED = ("missing-object", "mixed-schemes", "size-differs")
"""Problems in spite of which a table that no catalog names is moved."""
_COPIED = ("encrypted-table", "half-moved", "unmapped-path", "unreadable")
"""Problems because of which a table cannot be rewritten."""
_LEAVABLE = (*_STILL_MOVED, *_COPIED, "location-too-long")
"""Problems that are solved by leaving the table out."""


def add_rules(sources: Iterable[str]) -> str:
    """The next move for a table that needs these rules in the same plan."""
    return f"Plan these rules together: add {together(sources)} to this plan, and make no other plan of them."


class Problems:
    """Turns problems of one table into findings, the first few of each kind one by one."""

    def __init__(self, plan: PlanFile, layout: Layout, found: FoundTable) -> None:
        self._plan = plan
        self._leave = advice.leave(found, layout)
        self._counts: dict[str, int] = {}
        self.named = found.catalog is not None
        self.copied_as_is = False
        """True if the table is in no catalog and has a problem, so that it cannot be rewritten."""
        self.silent = False
        """True to add no findings, because the table is not part of this wave."""
        self.label = found.label
        self.metadata = found.metadata
        at = locate(plan, layout, found.metadata)
        self._file = at.uri if at is not None else found.metadata
        self.location = ""
        """The table's own location, as it records it, once it is known."""
        self._layout = layout

    def __contains__(self, code: str) -> bool:
        return code in self._counts

    @property
    def codes(self) -> list[str]:
        """The codes of all findings about the table, sorted."""
        return sorted(self._counts)

    def unreadable(self, error: Unreadable) -> None:
        """Report a file that cannot be read."""
        move = error.next_move or "Restore it."
        self.add("unreadable", error.place, f"of {self.label} cannot be read: {error.reason}", move)

    def unmapped(self, place: str, path: str, message: str) -> None:
        """Report a path of the table that no rule covers, or only one that another plan carries out."""
        if (rule := self._layout.later_rule(path)) is not None:
            self.add("unmapped-path", place, f"{message}, which another plan moves", add_rules([rule.source]))
            return
        message += ", under no rule"
        if not is_s3(path):
            message += f"; the table's metadata file is {self._file}, and the location that it records {self.location}"
        move = ways(self._plan, self._layout, path, self._file, self.location)
        self.add("unmapped-path", place, message, move)

    def add(self, code: str, place: str, message: str, move: str) -> None:
        """Add a blocking finding. But a table that no catalog names never blocks the plan: it is moved if possible, and
        copied without changes if it cannot be rewritten."""
        if self.named or code not in (*_STILL_MOVED, *_COPIED):
            self.note(code, place, message, f"{move} {self._leave}".lstrip() if code in _LEAVABLE else move)
            return
        if code in _COPIED:
            self.copied_as_is = True
            message += "; the table is copied as it is, with its old paths"
        self.note("uncatalogued-broken", place, f"{message} [{code}]", move if code == "unmapped-path" else "")

    def spans(self, moving: Mapping[str, int], staying: Mapping[str, int], places: Iterable[str]) -> None:
        """Report a table if some of its data files move and others stay. ``moving``, ``staying``: bucket → number of
        files; ``places``: the URIs of those that stay."""

        def listed(counts: Mapping[str, int]) -> str:
            return ", ".join(f"{counted(count, 'file')} in s3://{bucket}/" for bucket, count in counts.items())

        rules = (rule for place in places if (rule := self._layout.later_rule(place)) is not None)
        others = dict.fromkeys(rule.source for rule in rules)
        who = "other plans move" if others else "a rule leaves"
        message = f"spans what moves ({listed(moving) or 'no file'}) and what {who} ({listed(staying)}): "
        message += "it still reads the latter where they are, so these must be kept"
        move = 'Accept it: [plan] accept = ["spanning-table"]. Or move these files, too, with a rule in [layout].'
        move = add_rules(others) if others else move
        self.note("spanning-table", self.label, message, move, severity="" if self.named else WARN)

    def note(self, code: str, place: str, message: str, move: str = "", *, severity: str = "") -> None:
        """Add a finding. The first few of each code are named one by one, the others are counted in one more
        finding."""
        if self.silent:
            return
        self._counts[code] = self._counts.get(code, 0) + 1
        if self._counts[code] <= EXAMPLES:
            self._plan.add_finding(Finding.of(code, place, message, move, severity=severity))
        elif self._counts[code] == EXAMPLES + 1:
            message = f"{self.label} has more of these than are listed"
            self._plan.add_finding(Finding.of(code, self.metadata, message, move))
