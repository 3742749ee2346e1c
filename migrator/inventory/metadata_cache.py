"""A cache for metadata files, which planning reads twice: once to find the tables, once to plan each of them."""

from __future__ import annotations

import threading

from migrator.iceberg.metadata import is_metadata_file
from migrator.store import Store

MOST_BYTES = 16 << 20
"""Bytes of metadata files in memory. Files that were read first are kept."""


class MetadataCache:
    """Reads objects, and keeps the bytes of metadata files, up to ``MOST_BYTES``. Safe to share between threads.

    Metadata files never change. If one is removed during planning, rewriting reports it as missing.
    """

    def __init__(self, store: Store, most: int = MOST_BYTES) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._left = most
        self._files: dict[tuple[str, str], bytes] = {}

    def read(self, bucket: str, key: str) -> bytes:
        """The bytes of an object. Raises what :meth:`.Store.get` raises."""
        kept = self._files.get((bucket, key))
        if kept is not None:
            return kept
        data = self._store.get(bucket, key).data
        if is_metadata_file(key.rpartition("/")[2]):
            with self._lock:
                if len(data) <= self._left:
                    self._left -= len(data)
                    self._files[bucket, key] = data
        return data
