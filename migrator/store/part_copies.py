"""How a server copies objects that were uploaded in parts. Servers differ, so :func:`probe_part_copies` tries it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.errors import StoreError, Unreachable
from migrator.store.listing import StoredObject
from migrator.store.trials import trial_keys

if TYPE_CHECKING:
    from migrator.store.store import Store


@dataclass(frozen=True, slots=True)
class PartCopies:
    """What is true of the copies that a server makes. The defaults are assumed before it was tried.

    ``whole_keeps_etag``: CopyObject keeps the ETag of an object that was uploaded in parts (SeaweedFS; on AWS and
    MinIO the copy has the MD5 of its bytes). ``parts_keep_etag``: UploadPartCopy in the same parts gives the same
    ETag (AWS, MinIO). ``take_checksum``: UploadPartCopy into an upload that keeps a checksum works (AWS; MinIO
    refuses it)."""

    whole_keeps_etag: bool = True
    parts_keep_etag: bool = True
    take_checksum: bool = True


def probe_part_copies(store: Store, bucket: str) -> PartCopies:
    """Try it in ``bucket`` with a small object of our own, uploaded in one part. Deletes what it wrote.

    If the server refuses a step, only copies in one request are used.
    """
    try:
        with trial_keys(store, bucket, "-parts", "-whole", "-copy", "-checksum") as (parts, whole, copy, checksum):
            upload = store.uploads.begin(bucket, parts, {})
            store.uploads.finish(upload, [store.uploads.put_part(upload, 1, parts.encode())])
            source = store.head(bucket, parts)
            return PartCopies(
                store.copy(bucket, source, bucket, whole) == source.etag,
                _copied_in_parts(store, bucket, source, copy, {}) == source.etag,
                _copied_in_parts(store, bucket, source, checksum, {"ChecksumAlgorithm": "CRC32"}) is not None,
            )
    except Unreachable:
        raise
    except StoreError:
        return PartCopies(whole_keeps_etag=False, parts_keep_etag=False, take_checksum=False)


def _copied_in_parts(
    store: Store, bucket: str, source: StoredObject, key: str, attributes: dict[str, str]
) -> str | None:
    """The ETag of a copy by UploadPartCopy; None if the server refuses it."""
    from migrator.store.uploads import copy_part

    upload = None
    try:
        upload = store.uploads.begin(bucket, key, attributes)
        part = copy_part(store.at(bucket), upload, 1, bucket, source, (0, source.size - 1))
        return store.uploads.finish(upload, [part])
    except StoreError:
        if upload is not None:
            store.uploads.abort(upload)
        return None
