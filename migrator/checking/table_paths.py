"""Reads every path in the metadata, manifest lists, manifests and position deletes of a table or view."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from migrator.checking.watch import TableWatch
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import NotFound
from migrator.iceberg.deletes import delete_paths
from migrator.iceberg.manifests import DELETED, POSITION_DELETES
from migrator.iceberg.metadata import paths_in, read_metadata
from migrator.iceberg.views import is_view_metadata, read_view
from migrator.inventory.table_files import READERS, BrokenFile, SourceFile, open_at, read_lists, read_manifests
from migrator.layout import Location
from migrator.store import Store

_SUMMARY = re.compile(r"snapshots\[\d+\]\.summary\.")

Named = tuple[str, str]
"""(a path, the file that names it)"""


class TablePaths:
    """Reads the files of one table. A file that does not exist any more has no paths."""

    def __init__(self, store: Store, *, summaries: bool = True) -> None:
        """``summaries``: also yield values in snapshot summaries that look like paths."""
        self._store, self._summaries = store, summaries

    def of(self, metadata_location: str, watch: TableWatch | None = None) -> Iterator[Named]:
        """Yield every path. ``watch`` gets everything that is read. Raises MigratorError for a file that cannot be
        read."""
        watch = watch or TableWatch()
        try:
            data = self.read(metadata_location)
        except NotFound:
            return
        if is_view_metadata(data, metadata_location):
            watch.view()
            yield read_view(data, metadata_location).location, metadata_location
            return
        for label, value in paths_in(data, metadata_location):
            if self._summaries or not _SUMMARY.match(label):
                yield value, metadata_location
        metadata = read_metadata(data, metadata_location)
        watch.metadata(metadata, metadata_location)
        manifests = dict.fromkeys(chain.from_iterable(s.manifests for s in metadata.snapshots))
        for read in read_lists([s.manifest_list for s in metadata.snapshots if s.manifest_list], self._open):
            if not isinstance(read, BrokenFile):
                watch.manifest_list(read.path, read.manifests)
                manifests |= dict.fromkeys(manifest.path for manifest in read.manifests)
                yield from ((manifest.path, read.path) for manifest in read.manifests)
            elif not isinstance(read.error, NotFound):
                raise read.error
            else:
                watch.missing(read.path, read.error)
        yield from self._of_manifests(manifests, watch)

    def _of_manifests(self, manifests: dict[str, None], watch: TableWatch) -> Iterator[Named]:
        deletes: dict[str, None] = {}
        for read in read_manifests(manifests, self._open):
            if isinstance(read, BrokenFile):
                if not isinstance(read.error, NotFound):
                    raise read.error
                watch.missing(read.path, read.error)
                continue
            for entry in read.entries:
                watch.entry(read.path, entry)
                yield entry.path, read.path
                if entry.referenced_data_file is not None:
                    yield entry.referenced_data_file, read.path
                if entry.status != DELETED and entry.content == POSITION_DELETES:
                    deletes[entry.path] = None
        for outcome in run_in_threads(self.read, deletes, workers=READERS):
            if not isinstance(outcome, Failed):
                yield from ((path, outcome.item) for path in delete_paths(outcome.result, outcome.item))
            elif not isinstance(outcome.error, NotFound):
                raise outcome.error

    def read(self, uri: str) -> bytes:
        """The bytes of a file. Raises NotFound for a path that is not in S3, too."""
        with self._open(uri).file as file:
            return file.read()

    def _open(self, uri: str) -> SourceFile:
        return open_at(self._store, uri, Location.parse(uri))
