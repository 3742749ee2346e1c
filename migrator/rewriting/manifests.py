"""Large manifests, rewritten by child processes.

As in :mod:`migrator.inventory.manifest_entries`, a manifest is split between its Avro blocks into parts. Children get
the bytes of a part and return the new ones. They have no store, no credentials and no plan, so they start in a tenth of
a second; this process reads and writes the files.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO

from migrator.concurrency.processes import Workers, cores
from migrator.errors import MigratorError
from migrator.iceberg import Mapping
from migrator.iceberg.avro import Container, Part
from migrator.iceberg.manifests import POSITION_DELETES, DeleteFile, read_manifest, rewrite_manifest

MOST_PROCESSES = 16
"""Children on a machine with many cores: more than this process can feed."""
PART_BYTES = 256 << 10
PART_ENTRIES = 2_000
"""Entries in a part."""


@dataclass(frozen=True, slots=True)
class ManifestPart:
    """A part of a manifest to rewrite. ``place`` is where the manifest is, for messages."""

    place: str
    header: int
    """The size in bytes of the header of ``data``, which is not in the answer."""
    data: bytes
    deletes: dict[str, DeleteFile | None]
    """Every position delete file that the part names → its measured size and bounds, if it was rewritten."""


class ManifestRewriter:
    """Rewrites manifests in child processes, one for each core. Use it as a context manager, and call it from several
    threads.

    ``mapping`` must be picklable. ``delete_file`` is called in this process; see :func:`rewrite_manifest`.
    """

    def __init__(self, mapping: Mapping, delete_file: Callable[[str], DeleteFile | None]) -> None:
        self._mapping = mapping
        self._delete_file = delete_file
        self._processes = min(cores(), MOST_PROCESSES)
        self._workers: Workers[ManifestPart, bytes] = Workers(part_rewriter, mapping, processes=self._processes)

    def __enter__(self) -> ManifestRewriter:
        self._workers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.__exit__(kind, error, trace)

    def __call__(self, source: BinaryIO, sink: BinaryIO, place: str) -> None:
        """As :func:`rewrite_manifest`, with the same bytes and the same errors. ``source`` and ``sink`` are temporary
        files, ``sink`` an empty one."""
        try:
            self._rewrite(source, sink, place)
        except MigratorError:
            # A child died, or the manifest has an error: then this raises it.
            source.seek(0)
            sink.seek(0)
            sink.truncate()
            rewrite_manifest(source, sink, self._mapping, self._delete_file, place)

    def _rewrite(self, source: BinaryIO, sink: BinaryIO, place: str) -> None:
        manifest = Container(source, place)
        of_deletes = manifest.metadata.get("content") == b"deletes"
        ahead: deque[Future[bytes]] = deque()
        first = True
        for part in manifest.parts(PART_BYTES, PART_ENTRIES):
            if first:
                sink.write(part.data[: part.header])
                first = False
            measured = self._measured(part, place) if of_deletes else {}
            todo = ManifestPart(place, part.header, part.data, measured)
            ahead.append(self._workers.submit(todo))
            if len(ahead) > 2 * self._processes:
                sink.write(ahead.popleft().result())
        for future in ahead:
            sink.write(future.result())

    def _measured(self, part: Part, place: str) -> dict[str, DeleteFile | None]:
        """The measured sizes and bounds of the position delete files that the part names."""
        named = {one.path for one in read_manifest(part.data, place) if one.content == POSITION_DELETES}
        return {path: self._delete_file(path) for path in named}


def part_rewriter(mapping: Mapping) -> Callable[[ManifestPart], bytes]:
    """The work of a child process: rewrite a part of a manifest, and return its blocks. Raises what
    :func:`rewrite_manifest` raises, and KeyError for a file of position deletes that the part does not know."""

    def rewrite(part: ManifestPart) -> bytes:
        sink = io.BytesIO()
        rewrite_manifest(part.data, sink, mapping, part.deletes.__getitem__, part.place)
        return sink.getvalue()[part.header :]

    return rewrite
