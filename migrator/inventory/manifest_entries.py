"""Decodes the entries of manifests on several cores.

A manifest is split between its Avro blocks into parts, each of which is a small manifest, and child processes decode
the parts. Children get bytes and return entries: they have no store and no credentials. Only a few parts are in memory
at a time, so a manifest of a million entries takes no more memory than one of ten thousand.

If a child fails, because it died or because the part is damaged, this process decodes the part again, so that entries,
errors and their order are those of :func:`migrator.iceberg.manifests.read_manifest`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO

from migrator.concurrency.processes import Workers, cores
from migrator.errors import MigratorError, Unreadable
from migrator.iceberg.avro import Part
from migrator.iceberg.manifests import Entry, read_manifest, split_manifest

PARALLEL_ABOVE = 8 << 20
"""Bytes of manifests that are decoded in this process before children are started, which takes about as long as
decoding these bytes."""
LARGE = 64 << 10
"""Manifests of fewer bytes are always decoded in this process: they have some hundred entries."""
PART_BYTES = 256 << 10
PART_ENTRIES = 2_000
"""Entries in a part. A part with ten times as many entries in one block is decoded in this process, with one entry in
memory at a time."""

MOST_PROCESSES = 3
"""Children on a machine with many cores. More would be idle: this process needs nearly as long to handle an entry as a
child needs to decode it."""

_Row = tuple[Any, ...]
"""An :class:`.Entry` as a plain tuple, which is pickled faster."""
_Workers = Workers["Manifest", list[_Row]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The bytes of a manifest, or of a part of one. ``place`` is where it is, for messages."""

    place: str
    data: bytes


class EntryReader:
    """Decodes manifests, and starts child processes when many bytes are to be decoded. Use it as a context manager.

    :meth:`begin` may be called from several threads. ``processes``: how many child processes; by default one for each
    core, at most ``MOST_PROCESSES``, and none on one core.
    """

    def __init__(self, processes: int | None = None) -> None:
        if processes is None:
            processes = min(cores(), MOST_PROCESSES) if cores() > 1 else 0
        self._processes = processes
        self._lock = Lock()
        self._begun = 0
        """Bytes of the manifests so far."""
        self._workers: _Workers | None = None

    def __enter__(self) -> EntryReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._workers is not None:
            self._workers.__exit__(kind, error, trace)

    def begin(self, source: BinaryIO, size: int, place: str) -> Iterator[Entry]:
        """The entries of a manifest of ``size`` bytes, in order; the iterator raises Unreadable. ``source`` must stay
        open until then. If there are child processes, one begins to decode the first part at once."""
        workers = self._workers_for(size)
        if workers is None:
            return read_manifest(source, place)
        ahead = _PartsAhead(source, place, workers)
        ahead.fill(1)
        return self._entries(ahead, place)

    def _workers_for(self, size: int) -> _Workers | None:
        """The child processes; None if a manifest of this size is decoded here."""
        with self._lock:
            self._begun += size
            if self._workers is None and self._processes and self._begun >= PARALLEL_ABOVE:
                self._start()
            return self._workers if size >= LARGE else None

    def _start(self) -> None:
        try:
            self._workers = Workers(decoder, processes=self._processes).__enter__()
        except OSError:  # this machine allows no more processes, or has no memory for them
            self._processes = 0

    def _entries(self, ahead: _PartsAhead, place: str) -> Iterator[Entry]:
        while True:
            ahead.fill(2 * self._processes)
            if not ahead.parts:
                break
            part, decoded = ahead.parts.popleft()
            yield from _rows(decoded) or read_manifest(part.data, place)
        if ahead.damage is not None:
            raise ahead.damage


class _PartsAhead:
    """The next parts of one manifest, which are being decoded."""

    def __init__(self, source: BinaryIO, place: str, workers: _Workers) -> None:
        self._rest = _split(source, place)
        self._place = place
        self._workers = workers
        self.parts: deque[tuple[Part, Future[list[_Row]] | None]] = deque()
        """Parts, and the result that a child will return for each; None for a part with very many entries."""
        self.damage: Unreadable | None = None
        """Why there are no more parts, if the manifest is damaged."""

    def fill(self, count: int) -> None:
        """Have up to ``count`` parts decoded."""
        try:
            while len(self.parts) < count and (part := next(self._rest, None)) is not None:
                large = part.records > 10 * PART_ENTRIES
                decoded = None if large else self._workers.submit(Manifest(self._place, part.data))
                self.parts.append((part, decoded))
        except Unreadable as error:
            self.damage = error


def _rows(decoded: Future[list[_Row]] | None) -> Iterable[Entry] | None:
    """The entries of a part as a child has decoded them; None if it could not."""
    try:
        return None if decoded is None else map(Entry._make, decoded.result())
    except MigratorError:
        return None


def _split(source: BinaryIO, place: str) -> Iterator[Part]:
    """As :func:`split_manifest`, but a damaged header raises Unreadable only at the first part."""
    yield from split_manifest(source, place, size=PART_BYTES, entries=PART_ENTRIES)


def decoder() -> Callable[[Manifest], list[_Row]]:
    """The work of a child process: decode a manifest. Raises Unreadable."""
    return lambda manifest: [tuple(entry) for entry in read_manifest(manifest.data, manifest.place)]
