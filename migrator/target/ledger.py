"""Which objects at the target migrator wrote: fingerprints of 8 bytes each, in objects below ``.migrator/written/``.

A later plan, on any machine, reads them to know which objects it may replace and which it need not read again. They
hold no names. If a fingerprint is missing, it is unknown who wrote the object; it need not be somebody else.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from itertools import islice

from migrator.errors import NotFound
from migrator.store import OWN_PREFIX, Store, spool

WRITTEN = f"{OWN_PREFIX}written/"
MAGIC = b"MIGRWR01"
CHUNK = 1 << 20


def own(key: str, etag: str) -> int:
    """The fingerprint of the statement "migrator wrote the object with this ETag to this key of the target"."""
    return _fingerprint("own", key, etag)


def same(key: str, etag: str, source: str, source_etag: str) -> int:
    """The fingerprint of the statement "this object of the target was proven equal to that source object".

    ``source`` is ``bucket/key``.
    """
    return _fingerprint("same", key, etag, source, source_etag)


def _fingerprint(*parts: str) -> int:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


class Ledger:
    """The fingerprints at one target bucket."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._store, self._bucket = store, bucket

    def write(self, name: str, fingerprints: Iterable[int]) -> None:
        """Store fingerprints under a name; they replace those stored under it before. Memory use is constant."""
        many = iter(fingerprints)
        with spool() as file:
            file.write(MAGIC)
            while page := array("q", islice(many, CHUNK // 8)):
                file.write(page.tobytes())
            self._store.upload(self._bucket, f"{WRITTEN}{name}", file, {})

    def known(self, wanted: set[int]) -> set[int]:
        """The members of ``wanted`` that any plan has stored. Reads all stored fingerprints; memory use is constant."""
        if not wanted:
            return set()
        found: set[int] = set()
        try:
            for stored in list(self._store.list(self._bucket, WRITTEN)):
                found |= self._among(stored.key, wanted)
        except NotFound:  # the bucket does not exist, or an object was removed since the listing
            pass
        return found

    def _among(self, key: str, wanted: set[int]) -> set[int]:
        found: set[int] = set()
        with self._store.download(self._bucket, key) as stored:
            if stored.file.read(len(MAGIC)) != MAGIC:
                return found
            while chunk := stored.file.read(CHUNK):
                page = array("q")
                page.frombytes(chunk[: len(chunk) // 8 * 8])
                found |= wanted.intersection(page)
        return found
