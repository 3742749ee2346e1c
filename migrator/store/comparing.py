"""Comparing objects by their bytes, which are streamed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from migrator.errors import SourceChanged
from migrator.store import objects
from migrator.store.connection import Connection
from migrator.store.etags import RunningETag, is_md5, same_by_etag
from migrator.store.listing import StoredObject
from migrator.store.server_errors import place_of

if TYPE_CHECKING:
    from migrator.store.store import Store


def same_as_source(store: Store, source: tuple[str, StoredObject], other: tuple[str, str]) -> bool:
    """True if another object (bucket, key) has the bytes of ``source`` (bucket, object). Reads no more than needed:
    nothing if the sizes or ETags decide, else the other object, else both."""
    bucket, stored = source
    present = store.head(*other)
    if present.size != stored.size or same_by_etag(present.etag, stored.etag):
        return present.size == stored.size
    with suppress(SourceChanged):  # or the server compares the condition with the ETag of the part
        part_size = store.part_size(bucket, stored)
        comparable = is_md5(stored.etag) and (part_size is not None or "-" not in stored.etag)
        if comparable and store.etag_in_parts(*other, part_size) == stored.etag:
            return True
    return store.same_content((bucket, stored.key), other)


def sha256(
    connection: Connection, bucket: str, key: str, version_id: str | None = None, *, etag: str | None = None
) -> str:
    """The SHA-256 of an object's bytes. Raises SourceChanged if the object's ETag is not ``etag``."""

    def digest() -> str:
        running = hashlib.sha256()
        for chunk in _chunks(connection, bucket, key, version_id, etag):
            running.update(chunk)
        return running.hexdigest()

    with connection.errors(place_of(bucket, key, version_id)):
        return objects.read_whole(digest)


def etag_in_parts(connection: Connection, bucket: str, key: str, part_size: int | None) -> str:
    """The ETag that an object's bytes would have if they were uploaded in parts of ``part_size`` bytes; None stands
    for one request."""

    def digest() -> str:
        running = RunningETag(part_size)
        for chunk in _chunks(connection, bucket, key):
            running.update(chunk)
        return running.etag()

    with connection.errors(f"s3://{bucket}/{key}"):
        return objects.read_whole(digest)


def _chunks(
    connection: Connection, bucket: str, key: str, version_id: str | None = None, etag: str | None = None
) -> Iterator[bytes]:
    answer = objects.get_object(connection, bucket, key, etag, **objects.version_parameter(version_id))
    for chunk in answer["Body"].iter_chunks(objects.CHUNK):
        connection.raise_if_given_up(bucket, key)
        yield chunk
