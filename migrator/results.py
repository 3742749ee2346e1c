"""What a run of a migration did, as plain values. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from migrator.errors import one_line
from migrator.iceberg.manifests import DeleteFile

EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written to the target. Size in bytes. ``delete_file`` is for the manifests that name it."""

    size: int
    etag: str
    delete_file: DeleteFile | None = None


@dataclass
class Usage:
    """What copying has used so far, all stages together: requests sent, CPU seconds of all processes, and the highest
    number of processes."""

    requests: int = 0
    cpu_seconds: float = 0.0
    processes: int = 1
    level: int = 0
    """Concurrent requests, as tuned by the last report."""


@dataclass
class SourceChanges:
    """What was added to the old buckets, changed or removed there since planning: counts, and the first places."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    examples: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        counts = f"{self.added:,} added, {self.changed:,} changed, {self.removed:,} removed"
        return f"{counts} ({one_line(', '.join(self.examples))})" if self.examples else counts

    def example(self, what: str, place: str) -> None:
        """Keep ``place`` if it is among the first; ``what`` is ``+``, ``*`` or ``-``."""
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{what} {place}")


@dataclass
class Loss:
    """How many copies lack an attribute of their source, and the first of these sources."""

    objects: int
    example: str


@dataclass
class RunResult:
    """What one run did. ``cut_over`` lists the tables whose pointers were changed, in this run or before, and
    ``pointers`` counts all that the cutover changed: tables, namespace properties, and version hints of tables that
    no catalog names. ``proofs`` counts the copies by their proof, ``checksums`` those whose checksum changed, by
    how it changed (see :mod:`migrator.planfile.copied`). ``dropped``: what the target's server did not keep, by the
    kind of attribute (see :mod:`migrator.store.kept`)."""

    copied: int = 0
    copied_bytes: int = 0
    copy_seconds: float = 0.0
    proofs: Counter[str] = field(default_factory=Counter)
    checksums: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Loss] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    rewritten: int = 0
    copied_versions: int = 0
    copied_version_bytes: int = 0
    late: SourceChanges | None = None
    cut_over: list[str] = field(default_factory=list)
    pointers: int = 0
    pointers_now: int = 0
    """How many of :attr:`pointers` this run changed: earlier runs of an interrupted cutover changed the others."""
    notes: list[str] = field(default_factory=list)
    """What a user should know about where the work was done: sentences."""

    def note(self, sentence: str) -> None:
        """Keep a sentence for the report, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
