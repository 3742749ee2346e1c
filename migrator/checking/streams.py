"""Checkpoints of streams: which folders are one, and is each whole? Keys in, answers out. Pure: no I/O.

A checkpoint of Spark is a folder with the file ``metadata`` and the folders ``offsets/`` and ``commits/``, whose files
are named by the number of their batch. One of Flink is a folder ``chk-N`` with the file ``_metadata``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MOST_STREAMS = 20_000
"""How many checkpoints are looked at; further ones are only counted with the objects."""

_BATCH = re.compile(r"(?:(.*)/)?(offsets|commits)/(\d{1,18})")
_METADATA = re.compile(r"(?:(.*)/)?metadata")
_FLINK = re.compile(r"(?:(.*)/)?chk-\d+/_metadata")


@dataclass
class _Batches:
    """The numbers of the batches in one folder."""

    count: int = 0
    first: int = 0
    last: int = -1

    def add(self, number: int) -> None:
        self.first = min(self.first, number) if self.count else number
        self.last = max(self.last, number)
        self.count += 1

    @property
    def missing(self) -> int:
        return self.last - self.first + 1 - self.count if self.count else 0


@dataclass
class Stream:
    """One checkpoint. ``folder``: its key, without a slash at its end."""

    folder: str
    of_flink: bool = False
    has_metadata: bool = False
    offsets: _Batches = field(default_factory=_Batches)
    commits: _Batches = field(default_factory=_Batches)

    @property
    def trouble(self) -> str:
        """What it lacks, in words that follow its place; "" if it is whole. Offsets of one batch without its commit
        are whole: the query was in the middle of it."""
        offsets, commits = self.offsets, self.commits
        if self.of_flink:
            return ""
        if not self.has_metadata:
            return "lacks the file metadata, which says which query the checkpoint belongs to"
        if commits.last > offsets.last:
            return f"has the commit of batch {commits.last:,}, but not its offsets"
        if offsets.missing or commits.missing:
            name, batches = ("offsets", offsets) if offsets.missing else ("commits", commits)
            return f"lacks the {name} of {batches.missing:,} batches between {batches.first:,} and {batches.last:,}"
        if offsets.last - commits.last > 1 and (commits.count or offsets.count > 1):
            done = f"the last commit is that of batch {commits.last:,}" if commits.count else "no batch is committed"
            return f"has offsets up to batch {offsets.last:,}, but {done}"
        return ""

    @property
    def batches(self) -> int:
        """How many batches were committed and are still recorded."""
        return self.commits.count


class Streams:
    """Collects the checkpoints below one folder, in any order."""

    def __init__(self) -> None:
        self._found: dict[str, Stream] = {}

    def add(self, key: str) -> None:
        """Take in one key."""
        if (batch := _BATCH.fullmatch(key)) and (stream := self._stream(batch[1])):
            (stream.offsets if batch[2] == "offsets" else stream.commits).add(int(batch[3]))
        elif (metadata := _METADATA.fullmatch(key)) and not _inside_state(metadata[1]):
            if stream := self._stream(metadata[1]):
                stream.has_metadata = True
        elif (flink := _FLINK.fullmatch(key)) and (stream := self._stream(flink[1])):
            stream.of_flink = True

    def _stream(self, folder: str | None) -> Stream | None:
        folder = folder or ""
        if folder not in self._found and len(self._found) >= MOST_STREAMS:
            return None
        return self._found.setdefault(folder, Stream(folder))

    def all(self) -> list[Stream]:
        """The checkpoints in the order of their folders."""
        return [self._found[folder] for folder in sorted(self._found)]


def _inside_state(folder: str | None) -> bool:
    """True for a folder of the state of a query, which has a file of that name, too: ``state/0/_metadata/``."""
    return (folder or "").rpartition("/")[2] == "_metadata"
