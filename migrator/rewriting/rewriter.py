"""Rewriting one file of a table: read it at its old place, map its paths, write it at its new place.

``migrator.iceberg`` decides which bytes change. This module reads and writes the files, and gives each file the sizes
and bounds of the files that it names. So files must be rewritten in the order of ``REWRITTEN_ROLES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Protocol

from migrator.concurrency.processes import Workers, default_processes
from migrator.iceberg import Mapping
from migrator.iceberg.deletes import rewrite_deletes
from migrator.iceberg.manifests import DeleteFile, rewrite_manifest, rewrite_manifest_list
from migrator.iceberg.metadata import rewrite_metadata
from migrator.iceberg.views import rewrite_view
from migrator.planfile.rows import (
    ROLE_CURRENT,
    ROLE_DELETES,
    ROLE_MANIFEST,
    ROLE_MANIFEST_LIST,
    ROLE_METADATA,
    ROLE_VIEW,
)
from migrator.results import Written
from migrator.rewriting.manifests import ManifestRewriter
from migrator.store import Conditional, Content, Store, connect, spool

PARALLEL_ABOVE = 8 << 20
"""From this many bytes in all, starting a process for each core saves time."""

THREADS = 8
"""How many files are rewritten at a time without worker processes. The processor is the limit, and each file takes
memory, so more threads would not help."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file to rewrite. ``source`` and ``target`` are (bucket, key).

    If ``etag`` is given, the source must have it. At the target only an object with the ETag ``replaces`` is
    overwritten.
    """

    role: str
    source: tuple[str, str]
    target: tuple[str, str]
    etag: str | None = None
    replaces: str | None = None

    @property
    def place(self) -> str:
        """The URI of the source, for messages."""
        return "s3://{}/{}".format(*self.source)


class MeasuredFiles(Protocol):
    """Sizes and bounds of the files that are already rewritten. Paths are old ones, as the tables spell them."""

    def delete_file(self, path: str) -> DeleteFile | None:
        """The size and bounds of a rewritten file of position deletes or deletion vectors; None if it was not
        rewritten."""

    def length_of(self, place: str, path: str) -> int | None:
        """The new length of a manifest that the list ``place`` names; None to keep the recorded length."""


class Rewriter:
    """Rewrites files between two places of one store. Safe to share between threads."""

    def __init__(
        self, store: Store, mapping: Mapping, measured: MeasuredFiles, manifests: ManifestRewriter | None = None
    ) -> None:
        """``manifests`` rewrites manifests, in child processes; without it this process does so."""
        self._store = store
        self._mapping = mapping
        self._measured = measured
        self._manifests = manifests

    @contextmanager
    def manifests_in_children(self, mapping: Mapping, size: int) -> Iterator[Rewriter]:
        """A rewriter like this one, for manifests of ``size`` bytes in all: from ``PARALLEL_ABOVE`` on, child processes
        rewrite them. ``mapping``: maps paths like this rewriter, and can be pickled."""
        if size < PARALLEL_ABOVE:
            yield self
            return
        with ManifestRewriter(mapping, self._measured.delete_file) as manifests:
            yield Rewriter(self._store, self._mapping, self._measured, manifests)

    def __call__(self, job: Job) -> Written:
        """Rewrite one file.

        Raises StoreError, Unreadable or UnmappedPath, and Occupied if the target has an object with other bytes.
        After an error nothing was written.
        """
        do: dict[str, Callable[[Job], Written]] = {
            ROLE_DELETES: self._deletes,
            ROLE_MANIFEST: self._manifest,
            ROLE_MANIFEST_LIST: self._list,
            ROLE_METADATA: partial(self._json, rewrite_metadata),
            ROLE_CURRENT: partial(self._json, rewrite_metadata),
            ROLE_VIEW: partial(self._json, rewrite_view),
        }
        return do[job.role](job)

    def _deletes(self, job: Job) -> Written:
        content = self._store.get(*job.source, etag=job.etag)
        rewritten = rewrite_deletes(content.data, self._mapping, job.place)
        return self._put(job, content, rewritten.data, rewritten.file)

    def _json(self, rewrite: Callable[[bytes, Mapping, str], bytes], job: Job) -> Written:
        content = self._store.get(*job.source, etag=job.etag)
        return self._put(job, content, rewrite(content.data, self._mapping, job.place))

    def _manifest(self, job: Job) -> Written:
        def rewrite(source: BinaryIO, sink: BinaryIO) -> None:
            if self._manifests is not None:
                self._manifests(source, sink, job.place)
            else:
                rewrite_manifest(source, sink, self._mapping, self._measured.delete_file, job.place)

        return self._stream(job, rewrite)

    def _list(self, job: Job) -> Written:
        length_of = partial(self._measured.length_of, job.place)
        return self._stream(
            job, lambda source, sink: rewrite_manifest_list(source, sink, self._mapping, length_of, job.place)
        )

    def _stream(self, job: Job, rewrite: Callable[[BinaryIO, BinaryIO], None]) -> Written:
        with self._store.download(*job.source, etag=job.etag) as source, spool() as sink:
            rewrite(source.file, sink)
            attributes = source.attributes
            size, etag = self._store.upload(*job.target, sink, attributes, replace=False, replaces=job.replaces)
        return Written(size, etag)

    def _put(self, job: Job, content: Content, data: bytes, delete_file: DeleteFile | None = None) -> Written:
        new = Content(data, "", content.attributes)
        etag = self._store.put(*job.target, new, replace=False, replaces=job.replaces)
        return Written(len(data), etag, delete_file)


def worker_store(connection: dict[str, Any], conditional: Conditional) -> Store:
    """The store of a worker. ``connection``: the arguments of :func:`migrator.store.connect`; ``conditional``: as the
    process that hands out the work has tested them."""
    store = connect(**connection)
    store.ends[1].conditional = conditional
    store.wait_from_first_request()
    return store


@contextmanager
def rewriting(
    rewriter: Rewriter, size: int, make: Callable[..., Rewriter], *arguments: Any
) -> Iterator[tuple[Callable[[Job], Written], int]]:
    """The function to call for each job, and the number of threads to call it from.

    If the files have ``PARALLEL_ABOVE`` bytes in all (``size``), the function uses worker processes, and each of them
    calls ``make(*arguments)`` once to make its rewriter. Otherwise the function is ``rewriter``.
    """
    if size < PARALLEL_ABOVE:
        yield rewriter, THREADS
        return
    processes = default_processes()
    with Workers(make, *arguments, processes=processes) as workers:
        yield workers, processes
