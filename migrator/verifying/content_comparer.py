"""The job of a worker that compares the bytes of copies with those of their sources. It only reads, so that it does no
harm if an engine repeats it.

Executors of Spark import this module from the file of ``migrator pack``, so it imports no compiled package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migrator.store import Store, connect
from migrator.verifying.old_buckets import OldBuckets


@dataclass(frozen=True, slots=True)
class Comparison:
    """A copy, by its key in the target bucket, and its source. ``etag``: the ETag that the source must have; None for
    any."""

    target: str
    bucket: str
    key: str
    etag: str | None


class ContentComparer:
    """Compares, with a store that reaches both sides. Safe to call from several threads. ``target_bucket``: the bucket
    of the copies."""

    def __init__(self, store: Store, target_bucket: str, old: OldBuckets) -> None:
        self._store, self._target_bucket, self._old = store, target_bucket, old

    def __call__(self, one: Comparison) -> bool | str:
        """True if both have the same bytes; a text says why they could not be compared. Raises StoreError if the copy
        cannot be read."""
        digest = self._store.sha256(self._target_bucket, one.target)
        return self._old.has_digest(digest, one.bucket, one.key, None, one.etag)


def comparer_of(connection: dict[str, Any], target_bucket: str) -> ContentComparer:
    """The comparer of a worker. ``connection``: the arguments of :func:`migrator.store.connect`."""
    store = connect(**connection)
    store.wait_from_first_request()  # the process that hands out the work has talked to both servers
    return ContentComparer(store, target_bucket, OldBuckets(store))
