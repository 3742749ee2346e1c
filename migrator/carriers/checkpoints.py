"""The checkpoint of a Spark stream, recognized only by the keys of its files.

A checkpoint is a folder with ``metadata``, which holds the id of the stream, ``offsets/N`` for each batch that was
begun, and ``commits/N`` for each one that was completed. Spark removes the oldest batches of both, so the remaining
numbers are consecutive. Without ``metadata``, Spark treats the stream as a new one, and its sink cannot recognize the
batches that it has already written.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

OFFSETS, COMMITS, METADATA, SOURCES = "offsets", "commits", "metadata", "sources"
COPIED_LAST = (OFFSETS, COMMITS, METADATA)
"""The parts of a checkpoint in the order in which they are copied, after everything else."""

_BATCH = re.compile(r"(?:(.*)/)?(offsets|commits)/([0-9]{1,18})")
_ID = re.compile(r"(?:(.*)/)?metadata")
_SOURCE = re.compile(r"(?:(.*)/)?sources/[0-9]+/[0-9]+(?:\.compact)?")
_OF_SOURCE = re.compile(r"(?:.*/)?sources/[0-9]+")
"""The folder in which an Iceberg source stores its own ``offsets/0``."""

NARROW = (
    "key GLOB '*offsets/[0-9]*' OR key GLOB '*commits/[0-9]*' OR key GLOB '*sources/[0-9]*/[0-9]*'"
    " OR key = 'metadata' OR key GLOB '*/metadata'"
)
"""SQL: selects all keys that :func:`part_of` may recognize, and others."""

MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a checkpoint. ``root``: the checkpoint's folder, "" for the bucket itself; ``kind``: OFFSETS, COMMITS
    METADATA or SOURCES; ``number``: that of the batch, for OFFSETS and COMMITS."""

    root: str
    kind: str
    number: int = 0


def part_of(key: str) -> Part | None:
    """Which part of a checkpoint the object may be, by its key; None if it cannot be one."""
    if found := _BATCH.fullmatch(key):
        root = found[1] or ""
        return None if _OF_SOURCE.fullmatch(root) else Part(root, found[2], int(found[3]))
    if found := _ID.fullmatch(key):
        return Part(found[1] or "", METADATA)
    if found := _SOURCE.fullmatch(key):
        return Part(found[1] or "", SOURCES)
    return None


@dataclass
class Checkpoint:
    """The existing parts of one checkpoint."""

    offsets: set[int]
    commits: set[int]
    has_metadata: bool = False
    has_sources: bool = False

    @classmethod
    def empty(cls) -> Checkpoint:
        """A checkpoint without any part."""
        return cls(set(), set())

    def add(self, part: Part) -> None:
        """Add a part."""
        self.has_metadata |= part.kind == METADATA
        self.has_sources |= part.kind == SOURCES
        if part.kind in (OFFSETS, COMMITS):
            (self.offsets if part.kind == OFFSETS else self.commits).add(part.number)

    @property
    def is_one(self) -> bool:
        """True if there are two kinds of parts: a folder ``offsets/`` alone proves nothing."""
        return bool(self.offsets) + bool(self.commits) + self.has_metadata + self.has_sources > 1

    @property
    def newest(self) -> int:
        """The number of the newest batch; -1 if there is none."""
        return max((*self.offsets, *self.commits), default=-1)

    def trouble(self) -> str:
        """Why a stream could not continue correctly from this checkpoint, as the end of a sentence; "" if it can.

        The newest batch may have no commit: it was begun, and Spark repeats it. Before the first batch there is only
        ``metadata``."""
        if not self.has_metadata:
            return "has no file metadata, so its stream would start again and could write its last batch twice"
        for name, numbers in ((OFFSETS, self.offsets), (COMMITS, self.commits)):
            if gaps := missing_between(numbers):
                return f"lacks {', '.join(f'{name}/{number}' for number in gaps)}"
        last, done = max(self.offsets, default=-1), max(self.commits, default=-1)
        if done > last:
            return f"has {COMMITS}/{done}, but no {OFFSETS}/{done}"
        if last > done + 1:
            return f"has {OFFSETS}/{last}, but no {COMMITS}/{last - 1}"
        return ""


def missing_between(numbers: Collection[int]) -> list[int]:
    """The first numbers that are missing between the smallest and the largest one; at most three."""
    ordered = sorted(numbers)
    missing: list[int] = []
    for before, after in pairwise(ordered):
        missing += range(before + 1, min(after, before + 1 + MOST_SHOWN))
        if len(missing) >= MOST_SHOWN:
            break
    return missing[:MOST_SHOWN]
