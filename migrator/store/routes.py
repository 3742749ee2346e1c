"""A lake whose target is on another server, or under another account: one store of two.

The name of a bucket says which of them is meant, because the target bucket is never a source. So whoever is handed a
:class:`Routes` need not know that it is two. Only copying differs: no server can copy from another one, so the bytes
go through here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from migrator.errors import MigratorError, SourceChanged, StoreError
from migrator.store.client import Content, Store, Upload, without_checksum
from migrator.store.conditional import Expected
from migrator.store.etags import part_ranges, parts_to_make
from migrator.store.listing import StoredObject
from migrator.store.wire import Endpoint

MIB = 1 << 20
THROUGH_PART_SIZE = 16 * MIB
"""Of what goes through our memory, from one server to another. What is not larger goes in one request."""
LEAST_PART_SIZE, MOST_PART_SIZE = 5 * MIB, 64 * MIB
"""S3 takes no smaller parts; larger ones would take too much memory."""


def connect(*, target_bucket: str = "", target: Mapping[str, Any] | None = None, **source: Any) -> Store:
    """The store of a lake. ``source`` and ``target`` are what a :class:`Store` is made with, for the old buckets and
    for the target; ``target`` None stands for the same. Raises ConfigError.

    A :attr:`Store.connection` gives an equal store.
    """
    old = Store(**source)
    if target is None or target == source:
        return old
    new = Store(**target)
    return old if _place(old) == _place(new) else Routes(old, new, target_bucket)


def _place(store: Store) -> tuple[str, str, str | None]:
    """Who reaches what: equal for two stores only if one server sees both of their buckets with one account."""
    return store.endpoint_url.rstrip("/"), store.region, store.connection["profile"]


class Routes(Store):
    """Two stores that look like one. Every method that takes a bucket or an upload goes to the store that has it."""

    def __init__(self, source: Store, target: Store, target_bucket: str) -> None:
        # Not super().__init__: this store has no connection of its own.
        self._source, self._target, self._target_bucket = source, target, target_bucket
        self.concurrency = source.concurrency
        self.connection = {**source.connection, "target": target.connection, "target_bucket": target_bucket}

    def store_of(self, bucket: str) -> Store:
        """The one of the two stores that has this bucket."""
        return self._target if bucket == self._target_bucket else self._source

    @property
    def ends(self) -> tuple[Store, Store]:
        return self._source, self._target

    @property
    def endpoint_url(self) -> str:
        """That of the old buckets."""
        return self._source.endpoint_url

    @property
    def region(self) -> str:
        """That of the old buckets."""
        return self._source.region

    @property
    def tagging_directive(self) -> str:
        """That of the old buckets."""
        return self._source.tagging_directive

    def endpoint(self) -> Endpoint | None:
        """None: each of the two has its own."""
        return None

    def give_up(self) -> None:
        for store in self.ends:
            store.give_up()

    def bucket_names(self) -> Sequence[str]:
        """Those of the old buckets' server."""
        return self._source.bucket_names()

    def list_all(self, places: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Sequence[StoredObject]]]:
        for store in self.ends:
            here = [(bucket, prefix) for bucket, prefix in places if self.store_of(bucket) is store]
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
        """Copy as :meth:`Store.copy` does; between the two through our memory, and current versions only."""
        if version_id is not None:
            raise StoreError(f"s3://{source_bucket}/{source.key}: older versions cannot go from server to server.")
        there = self.store_of(bucket)
        return copy_between(self.store_of(source_bucket), source_bucket, source, there, bucket, key, expected)


def _routed(name: str, *, by_upload: bool) -> Callable[..., Any]:
    def call(self: Routes, first: Any, *arguments: Any, **named: Any) -> Any:
        bucket = first.bucket if by_upload else first
        return getattr(self.store_of(bucket), name)(first, *arguments, **named)

    call.__name__ = name
    return call


def _route_all() -> None:
    """A method that Store gets later is routed as well, without a word here."""
    for name, method in vars(Store).items():
        if inspect.isfunction(method) and not name.startswith("_") and name not in vars(Routes):
            _, first, *_ = (*inspect.signature(method).parameters, "")
            if first in ("bucket", "upload"):
                setattr(Routes, name, _routed(name, by_upload=first == "upload"))


_route_all()


def copy_between(
    source: Store,
    source_bucket: str,
    stored: StoredObject,
    target: Store,
    bucket: str,
    key: str,
    expected: Expected | None = None,
) -> str:
    """Copy an object from one store to another, with metadata, content type, storage class and tags, and return the
    new ETag. No more than one part of it is in memory.

    Pinned to ``stored.etag``: raises SourceChanged if the object is another one by now, or gone. ``expected``: see
    :meth:`Store.copy`.
    """
    if source is target:
        return source.copy(source_bucket, stored, bucket, key, expected=expected)
    known = source.part_size(source_bucket, stored)
    size, like_source = parts_to_make(stored.etag, known, THROUGH_PART_SIZE, MOST_PART_SIZE, LEAST_PART_SIZE)
    if stored.size <= THROUGH_PART_SIZE and not (like_source and stored.size):
        return _copy_whole(source, source_bucket, stored, target, bucket, key, expected)
    attributes = without_checksum(attributes_for(source, source_bucket, stored))
    upload = target.begin_upload(bucket, key, attributes)
    try:
        parts = []
        for number, span in enumerate(part_ranges(stored.size, size), 1):
            source.go_on(source_bucket, stored.key)
            data = source.read_part(source_bucket, stored.key, stored.etag, span)
            parts.append(target.put_part(upload, number, data))
        return target.finish_upload(upload, parts, expected=expected if target.conditional.complete else None)
    except BaseException:
        _abort(target, upload)
        raise


def attributes_for(source: Store, bucket: str, stored: StoredObject) -> dict[str, Any]:
    """What to begin an upload at another server with. With ``ChecksumAlgorithm`` among it, the server wants a
    checksum with every part."""
    return {**source.attributes(bucket, stored.key, stored.etag), **_storage_class(stored)}


def _storage_class(stored: StoredObject) -> dict[str, str]:
    """Not every server names it anywhere but in a listing."""
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
        content = Content(b"", "")  # some servers (SeaweedFS) list an empty directory marker but do not give it
    attributes = {**content.attributes, **_storage_class(stored)}
    again = Content(content.data, content.etag, attributes)
    if expected is None or not expected.arguments or not target.conditional.put:
        return target.put(bucket, key, again)
    return target.put(bucket, key, again, replace=False, replaces=expected.etag)


def _abort(target: Store, upload: Upload) -> None:
    with suppress(MigratorError):  # why the copy failed matters more
        target.abort_upload(upload)
