"""Reading the old buckets, as far as they still exist, to compare their objects with the copies at the target."""

from __future__ import annotations

from functools import partial

from migrator.errors import StoreError, Unreachable
from migrator.store import Store
from migrator.verifying.unreadable import Reader, refusal

OLD_GONE = "the old bucket is gone"


class OldBuckets:
    """The old buckets. Remembers which of them do not exist any more."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._gone: dict[str, str] = {}
        self._silent_hosts: set[str] = set()
        self.reader = Reader()
        """Retries reads from the old place."""

    def gone(self, bucket: str) -> str:
        """Why nothing in this bucket can be compared; empty if it exists. Only the error "no such bucket" means that it
        is gone."""
        if bucket not in self._gone:
            self._gone[bucket] = self._why_gone(bucket)
        return self._gone[bucket]

    def _why_gone(self, bucket: str) -> str:
        silent = f"the old server {self._store.endpoint_url} did not answer"
        host = self._store.host(bucket)
        if host in self._silent_hosts:
            return silent
        try:
            return "" if self._store.bucket_exists(bucket) else OLD_GONE
        except Unreachable:
            if host is not None:
                self._silent_hosts.add(host)
            return silent
        except StoreError:
            return ""  # the server answers; errors are reported for each object

    def has_digest(self, digest: str, bucket: str, key: str, version_id: str | None, etag: str | None) -> bool | str:
        """True if the bytes of this object or version have the SHA-256 ``digest``; a text says why they could not be
        compared. ``etag``: the object must have this ETag; None for any."""
        if gone := self.gone(bucket):
            return gone
        read = self.reader.read(partial(self._store.sha256, bucket, key, version_id, etag=etag))
        return read.result == digest if read.error is None else refusal(read.error)
