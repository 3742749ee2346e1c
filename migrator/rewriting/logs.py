"""Rewriting the logs of Spark's streams, and the manifests that list files for other engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

from migrator.carriers.logs import Modified, log_time, paths_of_log, rewrite_log, rewrite_manifest_of_links
from migrator.errors import UnmappedPath
from migrator.inventory.modified import ModifiedTimes
from migrator.layout import Layout, Location
from migrator.planfile.rows import ROLE_SYMLINK, TIMED_ROLES, PlannedObject
from migrator.results import Written
from migrator.rewriting.local_files import opened
from migrator.store import Store, spool


class LogRewriter:
    """Rewrites logs from the old buckets to the target. The files that they name must be copied before, since the
    logs record when their files were written. Safe to share between threads."""

    def __init__(self, store: Store, layout: Layout, times: ModifiedTimes) -> None:
        """``times``: of the copies in the target bucket."""
        self._store, self._layout, self._times = store, layout, times

    def __call__(self, planned: PlannedObject, replaces: str | None) -> Written:
        """Rewrite one log. At the target only an object with the ETag ``replaces`` is overwritten.

        Raises StoreError, Unreadable or UnmappedPath, and Occupied if the target has an object with other bytes.
        After an error nothing was written.
        """
        target = (self._layout.target_bucket, planned.target or "")
        with opened(self._store, planned) as source, spool() as sink:
            self._rewrite(planned, source.file, sink)
            size, etag = self._store.upload(*target, sink, source.attributes, replace=False, replaces=replaces)
        return Written(size, etag)

    def _rewrite(self, planned: PlannedObject, source: BinaryIO, sink: BinaryIO) -> None:
        mapping = self._mapping(planned.place)
        if planned.role == ROLE_SYMLINK:
            rewrite_manifest_of_links(source, sink, mapping, planned.place)
            return
        modified = self._modified(planned, [mapping(path) for path in paths_of_log(source, planned.place)])
        source.seek(0)
        rewrite_log(source, sink, mapping, planned.place, TIMED_ROLES[planned.role], modified)

    def _modified(self, planned: PlannedObject, uris: Iterable[str | None]) -> Modified:
        """The times of the copies with these URIs."""
        keys = {key for uri in uris if (key := self._key_of(uri)) is not None}
        times = {key: log_time(modified) for key, modified in self._times.of(planned.target or "", keys).items()}
        return lambda uri: times.get(self._key_of(uri) or "")

    def _mapping(self, place: str) -> Callable[[str], str | None]:
        """Old path → new path; None for a path that is not in the lake."""
        layout = self._layout

        def new_path(path: str) -> str | None:
            new = layout.new_path(path)
            scheme, separator, rest = path.partition("://")
            spelled = f"{scheme.lower()}{separator}{rest}"
            if (new is None and layout.is_source(spelled)) or layout.later_rule(spelled) is not None:
                raise UnmappedPath(place, path)
            return new

        return new_path

    def _key_of(self, uri: str | None) -> str | None:
        """The key of a URI in the target bucket; None for any other one."""
        at = Location.parse(uri or "")
        return at.key if at is not None and at.bucket == self._layout.target_bucket else None
