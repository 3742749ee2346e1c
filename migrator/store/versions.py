"""Object versions and delete markers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from migrator.store.connection import Connection
from migrator.store.pages import milliseconds_of, pages
from migrator.store.strict import ENTRIES


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of an object, or a delete marker, as a listing shows it. A marker has neither size nor ETag.
    ``modified`` is in milliseconds since the epoch."""

    key: str
    version_id: str
    """"null" for what was written while the bucket kept no versions."""
    size: int
    etag: str
    modified: int
    storage_class: str
    marker: bool
    latest: bool


def list_versions(connection: Connection, bucket: str, prefix: str = "") -> Iterator[StoredVersion]:
    """Yield every version and delete marker under ``prefix``, those of one key together, the newest first.

    Times in listings are whole seconds. Within one second, the order is the server's own.
    """
    for _, versions in groupby(_in_pages(connection, bucket, prefix), key=lambda version: version.key):
        # Some servers list the version "null" last, and delete markers after all versions of a page.
        yield from sorted(versions, key=lambda version: (not version.latest, -version.modified))


def versions_of(connection: Connection, bucket: str, key: str) -> Sequence[StoredVersion]:
    """The versions and delete markers of one key, the oldest first."""
    return [version for version in list_versions(connection, bucket, key) if version.key == key][::-1]


def add_delete_marker(connection: Connection, bucket: str, key: str) -> None:
    """Make a delete marker the latest version of the key. The bucket must keep versions. Sends the request once."""
    with connection.errors(f"s3://{bucket}/{key}"):
        connection.once_client.delete_object(Bucket=bucket, Key=key)


def _in_pages(connection: Connection, bucket: str, prefix: str) -> Iterator[StoredVersion]:
    """The versions in the server's order, except that those of one key in one page come together."""
    for page in pages(connection, "list_object_versions", ("KeyMarker", "VersionIdMarker"), bucket, prefix):
        by_key: dict[str, list[StoredVersion]] = {}
        with connection.errors(f"s3://{bucket}/{prefix}"):
            for entry in page[ENTRIES]:
                version = _stored_version(entry)
                by_key.setdefault(version.key, []).append(version)
        for versions in by_key.values():
            yield from versions


def _stored_version(entry: Mapping[str, Any]) -> StoredVersion:
    return StoredVersion(
        entry["Key"],
        entry["VersionId"],
        entry.get("Size", 0),
        entry.get("ETag", "").strip('"'),
        milliseconds_of(entry["LastModified"]),
        entry.get("StorageClass") or "STANDARD",
        "ETag" not in entry,
        entry["IsLatest"],
    )
