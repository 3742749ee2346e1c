"""Counts the rows of snapshots in threads, some tables ahead of the one that is compared.

For each snapshot pyiceberg sends requests one after another: for the manifest list, the manifests and the delete files.
If the server is far away, nearly all of the time is spent waiting for its answers.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from migrator.planfile.rows import PlannedTable
from migrator.verifying.pyiceberg_reader import count_rows
from migrator.verifying.unreadable import Read, Reader

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

THREADS = 8
OPEN = 8
"""How many tables are open at once. pyiceberg keeps up to 64 MiB of each table's metadata files in memory."""
MOST_FILES = 2_000
"""A snapshot with more files is not counted ahead: pyiceberg holds all its entries in memory, and spends most of the
time computing."""


@dataclass(frozen=True)
class Job:
    """A table to count. ``open`` runs in any thread. The rows of the snapshots ``known`` are not needed."""

    table: PlannedTable
    open: Callable[[], Read[Table]]
    known: Collection[int] = ()


@dataclass(frozen=True)
class CountedTable:
    """A table that was opened, or why that is not possible, and the rows of its snapshots. ``known``: see
    :class:`Job`."""

    table: PlannedTable
    opened: Read[Table]
    known: Collection[int]
    _reader: Reader
    _counts: Mapping[int, Future[Read[int]]]

    def rows(self, snapshot: int) -> Read[int]:
        """The number of rows of a snapshot, or why they cannot be counted. Waits for it. The table must be open."""
        assert self.opened.result is not None
        ahead = self._counts.get(snapshot)
        return ahead.result() if ahead else self._reader.read(partial(count_rows, self.opened.result, snapshot))


def count_ahead(jobs: Iterable[Job], reader: Reader) -> Generator[CountedTable, None, None]:
    """Yield the table of each job, in order, while the next ones are counted.

    Closing the iterator ends the work: counts that have begun are not repeated any more.
    """
    waiting = iter(jobs)
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="migrator-rows")
    stopped, done = threading.Event(), False
    begin = partial(_begin, pool, reader, stopped)
    ahead: deque[Future[CountedTable]] = deque()
    try:
        for first in islice(waiting, 1):
            table = begin(first)  # in this thread, because it imports modules, which several threads must not
            while True:
                ahead.extend(pool.submit(begin, job) for job in islice(waiting, OPEN - 1 - len(ahead)))
                yield table
                if not ahead:
                    break
                table = ahead.popleft().result()
        done = True
    finally:
        if not done:
            stopped.set()
        pool.shutdown(wait=True, cancel_futures=not done)


def _begin(pool: ThreadPoolExecutor, reader: Reader, stopped: threading.Event, job: Job) -> CountedTable:
    """Open the table, and begin to count its snapshots."""
    table, counts = job.open(), {}
    if table.result is not None:
        for snapshot in table.result.metadata.snapshots:
            number = snapshot.snapshot_id
            if number not in job.known and _is_small(snapshot):
                counts[number] = pool.submit(reader.read, partial(count_rows, table.result, number), stopped)
    return CountedTable(job.table, table, job.known, reader, counts)


def _is_small(snapshot: Snapshot) -> bool:
    """True if the snapshot's summary says that it has few files."""
    summary = snapshot.summary
    if summary is None:
        return False
    data, deletes = summary["total-data-files"] or "", summary["total-delete-files"] or "0"
    return data.isdecimal() and deletes.isdecimal() and int(data) + int(deletes) <= MOST_FILES
