"""Finds the checkpoints of streams in a sequence of keys, and whether each is complete. Pure: no I/O.

:mod:`migrator.carriers.checkpoints` describes the files of a Spark checkpoint. A Flink checkpoint is a folder ``chk-N``
with the file ``_metadata``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from migrator.carriers.checkpoints import Checkpoint, part_of

MOST_STREAMS = 20_000
"""The most checkpoints that are checked; further ones are only counted as objects."""

_FLINK = re.compile(r"(?:(.*)/)?chk-\d+/_metadata")
_STATE = "_metadata"
"""The folder in the state of a query, which has a file ``metadata``, too."""


@dataclass
class Stream:
    """One checkpoint. ``folder``: its key, without a slash at its end; ``trouble``: what it lacks, in words that follow
    its place, or "" if it is complete; ``batches``: how many were committed and are still recorded."""

    folder: str
    of_flink: bool = False
    trouble: str = ""
    batches: int = 0


class Streams:
    """Collects the checkpoints below one folder. Keys must come in order, so that the numbers of batches are in memory
    for one checkpoint at a time."""

    def __init__(self) -> None:
        self._found: dict[str, Stream] = {}
        self._coming: dict[str, Checkpoint] = {}

    def add(self, key: str) -> None:
        """Add one key."""
        for root in [root for root in self._coming if root and not key.startswith(f"{root}/")]:
            self._finish(root)
        if flink := _FLINK.fullmatch(key):
            if len(self._found) < MOST_STREAMS:
                self._found[flink[1] or ""] = Stream(flink[1] or "", of_flink=True)
            return
        part = part_of(key)
        if part is None or part.root.rpartition("/")[2] == _STATE:
            return
        if part.root in self._coming or len(self._found) + len(self._coming) < MOST_STREAMS:
            self._coming.setdefault(part.root, Checkpoint.empty()).add(part)

    def _finish(self, root: str) -> None:
        checkpoint = self._coming.pop(root)
        self._found[root] = Stream(root, trouble=checkpoint.trouble(), batches=len(checkpoint.commits))

    def finish(self) -> list[Stream]:
        """Call it after the last key. Returns the checkpoints in the order of their folders."""
        for root in list(self._coming):
            self._finish(root)
        return [self._found[folder] for folder in sorted(self._found)]
