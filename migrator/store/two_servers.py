"""A lake whose target is on another server, or belongs to another account.

The name of a bucket says which server has it: the target bucket is never one of the old buckets. No S3 server copies
from another one, so :func:`copy_between` reads the bytes here and writes them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from migrator.errors import MigratorError, SourceChanged, StoreError
from migrator.store.attributes import without_checksum
from migrator.store.conditional import Expected
from migrator.store.connection import Connection
from migrator.store.etags import part_ranges, parts_to_make
from migrator.store.listing import StoredObject
from migrator.store.objects import Content
from migrator.store.store import Store
from migrator.store.uploads import Upload
from migrator.store.wire import Endpoint

MIB = 1 << 20
THROUGH_PART_SIZE = 16 * MIB
"""Bytes in each part that goes through our memory. An object that is not larger goes in one request."""
LEAST_PART_SIZE, MOST_PART_SIZE = 5 * MIB, 64 * MIB
"""S3 accepts no smaller parts; larger ones would need too much memory."""


def connect(*, target_bucket: str = "", target: Mapping[str, Any] | None = None, **source: Any) -> Store:
    """The store of a lake. ``source`` and ``target`` are the arguments of a :class:`Connection`, for the server of the
    old buckets and for that of the target; ``target`` None stands for the same server. Raises ConfigError.

    With a :attr:`Store.connection` as arguments it makes an equal store.
    """
    old = Store(**source)
    if target is None or target == source:
        return old
    new = Store(**target)
    # One server with one account sees the buckets of both.
    return old if old.at("").account == new.at("").account else TwoServers(old, new, target_bucket)


class TwoServers(Store):
    """A store whose target bucket is on another server than the old buckets. Requests without a bucket, such as the one
    for the names of all buckets, go to the server of the old buckets."""

    def __init__(self, source: Store, target: Store, target_bucket: str) -> None:
        super().__init__(source.at(""))
        self._source, self._target, self._target_bucket = source, target, target_bucket
        self.connection = {**source.connection, "target": target.connection, "target_bucket": target_bucket}

    def at(self, bucket: str) -> Connection:
        """The connection to the server that has this bucket."""
        return self._store_of(bucket).at(bucket)

    def _store_of(self, bucket: str) -> Store:
        return self._target if bucket == self._target_bucket else self._source

    @property
    def ends(self) -> tuple[Store, Store]:
        """The store of the old buckets and the store of the target."""
        return self._source, self._target

    def endpoint(self) -> Endpoint | None:
        """None: each server has its own; see :attr:`ends`."""
        return None

    def wait_from_first_request(self) -> None:
        """As :meth:`Store.wait_from_first_request`, for both servers."""
        for store in self.ends:
            store.wait_from_first_request()

    def give_up(self) -> None:
        """As :meth:`Store.give_up`, for both servers."""
        for store in self.ends:
            store.give_up()

    def list_all(self, places: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Sequence[StoredObject]]]:
        """As :meth:`Store.list_all`: the old buckets first, then the target."""
        for store in self.ends:
            here = [(bucket, prefix) for bucket, prefix in places if self._store_of(bucket) is store]
            if here:
                yield from store.list_all(here)

    def copy(
        self,
        source_bucket: str,
        source: StoredObject,
        bucket: str,
        key: str,
        *,
        version_id: str | None = None,
        once: bool = False,
        expected: Expected | None = None,
    ) -> str:
        """As :meth:`Store.copy`, current versions only. From one server to the other, ``once`` has no effect: a PUT of
        the same bytes may be repeated."""
        if version_id is not None:
            raise StoreError(f"s3://{source_bucket}/{source.key}: older versions cannot go from server to server.")
        old, new = self._store_of(source_bucket), self._store_of(bucket)
        if old is new:
            return old.copy(source_bucket, source, bucket, key, once=once, expected=expected)
        return copy_between(old, source_bucket, source, new, bucket, key, expected)


def copy_between(
    source: Store,
    source_bucket: str,
    stored: StoredObject,
    target: Store,
    bucket: str,
    key: str,
    expected: Expected | None = None,
) -> str:
    """Copy an object from one server to another, with metadata, content type, storage class and tags, and return the
    new ETag. At most one part of it is in memory.

    Raises SourceChanged if the ETag is no longer that of ``stored``, or if the object is gone. ``expected``: see
    :meth:`Store.copy`.
    """
    if source is target:
        return source.copy(source_bucket, stored, bucket, key, expected=expected)
    known = source.part_size(source_bucket, stored)
    size, like_source = parts_to_make(stored.etag, known, THROUGH_PART_SIZE, MOST_PART_SIZE, LEAST_PART_SIZE)
    if stored.size <= THROUGH_PART_SIZE and not (like_source and stored.size):
        return _copy_whole(source, source_bucket, stored, target, bucket, key, expected)
    attributes = without_checksum(attributes_for(source, source_bucket, stored))
    upload = target.uploads.begin(bucket, key, attributes)
    try:
        parts = []
        for number, span in enumerate(part_ranges(stored.size, size), 1):
            source.at(source_bucket).raise_if_given_up(source_bucket, stored.key)
            data = source.read_part(source_bucket, stored.key, stored.etag, span)
            parts.append(target.uploads.put_part(upload, number, data))
        return target.uploads.finish(upload, parts, expected=expected if target.conditional.complete else None)
    except BaseException:
        _abort(target, upload)
        raise


def attributes_for(source: Store, bucket: str, stored: StoredObject) -> dict[str, Any]:
    """The parameters of an upload at another server that make an equal object. If ``ChecksumAlgorithm`` is one of
    them, the server requires a checksum with every part."""
    return {**source.attributes(bucket, stored.key, stored.etag), **_storage_class(stored)}


def _storage_class(stored: StoredObject) -> dict[str, str]:
    """The storage class of the listing: not every server returns it with the object."""
    return {} if stored.storage_class == "STANDARD" else {"StorageClass": stored.storage_class}


def _copy_whole(
    source: Store,
    source_bucket: str,
    stored: StoredObject,
    target: Store,
    bucket: str,
    key: str,
    expected: Expected | None,
) -> str:
    try:
        content = source.get(source_bucket, stored.key, etag=stored.etag)
    except SourceChanged:
        if stored.size or not stored.key.endswith("/") or source.find(source_bucket, stored.key) is not None:
            raise
        content = Content(b"", "")  # some servers (SeaweedFS) list an empty directory marker but do not return it
    written = replace(content, attributes={**content.attributes, **_storage_class(stored)})
    if expected is None or not expected.arguments or not target.conditional.put:
        return target.put(bucket, key, written)
    return target.put(bucket, key, written, replace=False, replaces=expected.etag)


def _abort(target: Store, upload: Upload) -> None:
    with suppress(MigratorError):  # the reason why the copy failed is more important
        target.uploads.abort(upload)
