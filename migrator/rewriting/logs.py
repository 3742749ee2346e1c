"""Rewriting the logs of Spark's streams, and the manifests that list files for other engines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import BinaryIO

from migrator.carriers.logs import Modified, paths_of_log, rewrite_log, rewrite_manifest_of_links, timestamp_of
from migrator.errors import UnmappedPath
from migrator.inventory.modified import modified_times
from migrator.layout import Layout, Location
from migrator.planfile.objects import lies_in
from migrator.planfile.rows import ROLE_SOURCE_LOG, ROLE_SYMLINK, PlannedObject
from migrator.results import Written
from migrator.store import Store, spool


class LogRewriter:
    """Rewrites logs from the old buckets to the target. The files that they name must be copied before, since the log
    of a file source records when its files were written. Safe to share between threads."""

    def __init__(self, store: Store, layout: Layout, sinks: Collection[str]) -> None:
        """``sinks``: the folders at the target that Spark reads through the log of a file sink."""
        self._store, self._layout, self._sinks = store, layout, sinks

    def __call__(self, planned: PlannedObject, replaces: str | None) -> Written:
        """Rewrite one log. At the target only an object with the ETag ``replaces`` is overwritten.

        Raises StoreError, Unreadable or UnmappedPath, and Occupied if the target has an object with other bytes.
        After an error nothing was written.
        """
        target = (self._layout.target_bucket, planned.target or "")
        with self._store.download(planned.bucket, planned.key, etag=planned.etag) as source, spool() as sink:
            self._rewrite(planned, source.file, sink)
            size, etag = self._store.upload(*target, sink, source.attributes, replace=False, replaces=replaces)
        return Written(size, etag)

    def _rewrite(self, planned: PlannedObject, source: BinaryIO, sink: BinaryIO) -> None:
        mapping = self._mapping(planned.place)
        if planned.role == ROLE_SYMLINK:
            rewrite_manifest_of_links(source, sink, mapping, planned.place)
            return
        modified: Modified | None = None
        if planned.role == ROLE_SOURCE_LOG:
            modified = self._modified([mapping(path) for path in paths_of_log(source, planned.place)])
            source.seek(0)
        rewrite_log(source, sink, mapping, planned.place, modified)

    def _modified(self, uris: Iterable[str | None]) -> Modified:
        """The timestamps of the copies with these URIs."""
        keys = {key for uri in uris if (key := self._key_of(uri)) is not None}
        listed = modified_times(self._store, self._layout.target_bucket, keys)
        times = {key: timestamp_of(modified) for key, modified in listed.items()}
        return lambda uri: times.get(self._key_of(uri) or "")

    def _mapping(self, place: str) -> Callable[[str], str | None]:
        """Old path → new path; None for a path that is not in the lake."""
        layout = self._layout

        def new_path(path: str) -> str | None:
            new = layout.new_path(path)
            if new is None and layout.is_source(path):
                raise UnmappedPath(place, path)
            return new

        return new_path

    def _key_of(self, uri: str | None) -> str | None:
        """The key of the copy whose LastModified the log must have; None if this is not in the target bucket, or if
        Spark takes its time from the log of the sink that wrote it."""
        at = Location.parse(uri or "")
        if at is None or at.bucket != self._layout.target_bucket or lies_in(at.key, self._sinks):
            return None
        return at.key
