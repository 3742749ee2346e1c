"""Reading an Amazon S3 Inventory report through the store: the manifest and its checksum, then file by file.

Each file goes into a temporary file, and is used only if its size and MD5 are those in the manifest.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from migrator.errors import ConfigError, NotFound, Unreadable
from migrator.inventory.local_files import digest
from migrator.inventory.s3_report.manifest import LAST_MS, Manifest, ReportFile, parse_manifest
from migrator.inventory.s3_report.rows import Row, read_rows
from migrator.layout import Location
from migrator.store import Store, StoredObject
from migrator.store.answers import Absurd, checked_etag, checked_name, checked_size, checked_time

MOST_MANIFEST = 64 << 20
"""Bytes in a manifest: some 200 for each file, each of which has up to millions of rows."""
_LEAVE = "Use another report of the bucket, or leave --inventory out."


def open_report(store: Store, uri: str) -> Manifest:
    """The manifest at ``uri``. ``store``: that of the old buckets.

    Raises ConfigError if ``uri`` names no object, if the report lacks a field, or is not in the bucket that it names;
    Unreadable if the manifest is damaged; NotFound or another StoreError if it cannot be read.
    """
    at = Location.parse(uri)
    if at is None or not at.key:
        raise ConfigError(
            f"{uri!r} is no manifest of an S3 Inventory report.", next_move="Write it as s3://bucket/key."
        )
    place = f"s3://{at.bucket}/{at.key}"
    if store.size(at.bucket, at.key) > MOST_MANIFEST:
        raise Unreadable(place, "it is too large for a manifest of an S3 Inventory report", next_move=_LEAVE)
    data = store.get(at.bucket, at.key).data
    _check_sum(store, at, data, place)
    try:
        manifest = parse_manifest(data, place)
    except Unreadable as error:
        error.next_move = error.next_move or _LEAVE
        raise
    if manifest.bucket != at.bucket:
        raise ConfigError(
            f"{place} says that its report is in the bucket {manifest.bucket!r}, and lies in another one.",
            next_move="Give the manifest at the place where S3 wrote it.",
        )
    return manifest


def _check_sum(store: Store, at: Location, data: bytes, place: str) -> None:
    """Compare the manifest with the MD5 in the object manifest.checksum, if it exists. Raises Unreadable."""
    name = f"{at.key.removesuffix('.json')}.checksum"
    try:
        if store.size(at.bucket, name) > MOST_MANIFEST:
            raise Unreadable(f"s3://{at.bucket}/{name}", "it is no checksum", next_move=_LEAVE)
        beside = store.get(at.bucket, name).data
    except NotFound:
        return
    if beside.decode("ascii", "replace").strip().lower() != digest(BytesIO(data), "md5"):
        reason = f"its MD5 is not the one in s3://{at.bucket}/{name}"
        raise Unreadable(place, reason, next_move=f"It may be half written: wait, and plan again. {_LEAVE}")


def read_report(store: Store, manifest: Manifest) -> Iterator[list[StoredObject]]:
    """Yield the current objects of the report, page by page, in no order, in flat memory.

    Raises Unreadable, which names the file, for a file that is damaged, missing, or about another bucket.
    """
    for file in manifest.files:
        place = f"s3://{manifest.bucket}/{file.key}"
        try:
            first = 1
            with _downloaded(store, manifest, file, place) as content:
                for page in read_rows(content, manifest, place):
                    yield _objects(page, manifest, first, place)
                    first += len(page)
        except Unreadable as error:
            error.next_move = error.next_move or _LEAVE
            raise


def _downloaded(store: Store, manifest: Manifest, file: ReportFile, place: str) -> BinaryIO:
    """The file, proven by its size and MD5, at its beginning. The caller closes it."""
    try:
        size = store.size(manifest.bucket, file.key)
        if size != file.size:
            raise Unreadable(place, f"it has {size:,} bytes, and {manifest.place} says {file.size:,}")
        content = store.download(manifest.bucket, file.key).file
    except NotFound as error:
        raise Unreadable(place, f"it does not exist, and {manifest.place} names it") from error
    try:
        md5 = digest(content, "md5")
        if md5 != file.md5:
            raise Unreadable(place, f"its MD5 is {md5}, and {manifest.place} says {file.md5}")
        content.seek(0)
    except BaseException:
        content.close()
        raise
    return content


def _objects(page: list[Row], manifest: Manifest, first: int, place: str) -> list[StoredObject]:
    """The current objects of a page. ``first``: the number of its first row."""
    versions, objects = manifest.all_versions, []
    for number, row in enumerate(page, first):
        try:
            if _is_current(row, manifest.source, versions=versions):
                objects.append(_object(row))
        except Absurd as reason:
            raise Unreadable(place, f"row {number:,}: {reason}") from reason
    return objects


def _is_current(row: Row, bucket: str, *, versions: bool) -> bool:
    """True for the current version of an object. Raises Absurd for a row about another bucket."""
    if row.bucket != bucket:
        raise Absurd(f"it is about the bucket {row.bucket!r}, and the report about {bucket!r}")
    if not row.key:
        raise Absurd("it has no key")
    if not versions:
        return True
    if row.is_latest is None or (row.is_latest and row.is_marker is None):
        raise Absurd(f"{row.key!r}: IsLatest or IsDeleteMarker is neither true nor false")
    return row.is_latest and not row.is_marker


def _object(row: Row) -> StoredObject:
    """The object of a row. Raises Absurd for a missing or invalid value."""
    key = str(row.key)
    for name, value in (("Size", row.size), ("LastModifiedDate", row.modified), ("ETag", row.etag)):
        if value is None or value == "":
            raise Absurd(f"{key!r} has no {name}")
    modified = row.modified if isinstance(row.modified, int) else checked_time(str(row.modified), key)
    if not 0 <= modified <= LAST_MS:
        raise Absurd(f"{key!r} has the time {modified}")
    etag = checked_etag(str(row.etag), key)
    if not etag:
        raise Absurd(f"{key!r} has no ETag")
    return StoredObject(
        key, checked_size(str(row.size), key), etag, modified, checked_name(row.storage_class or "STANDARD", key)
    )
