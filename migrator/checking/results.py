"""The result of ``check``."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrator.checking.structure import Folder, Part
from migrator.findings import BLOCK, WARN, Finding

EXISTS, EMPTY, GONE, UNKNOWN = "has objects", "empty", "gone", "unknown"
"""The states of an old bucket."""


@dataclass
class LakeCheck:
    """The structure of a lake, and what still names an old bucket. ``ok``: nothing is left to do."""

    target: str
    target_exists: bool
    folders: list[Folder]
    others: list[Part]
    """Folders at the root of the target that are no part of the structure."""
    old_buckets: dict[str, str]
    """Old bucket → :data:`EXISTS`, :data:`EMPTY`, :data:`GONE` or :data:`UNKNOWN`."""
    catalogs: list[str]
    """The catalogs that were read."""
    tables_read: int = 0
    scripts_read: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def failed(self) -> list[Finding]:
        """The findings because of which the check fails."""
        return [finding for finding in self.findings if finding.severity in (BLOCK, WARN)]

    @property
    def ok(self) -> bool:
        """True if the structure is as expected and nothing names an old bucket."""
        return not self.failed

    @property
    def result(self) -> str:
        """One sentence."""
        if self.ok:
            return "The structure is as expected, and nothing names an old bucket."
        count = sum(finding.count for finding in self.failed)
        return f"{count:,} {'place is' if count == 1 else 'places are'} not as expected."
