"""Multipart uploads."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from migrator.errors import NotFound, StoreError
from migrator.store.conditional import Expected
from migrator.store.connection import Connection
from migrator.store.listing import StoredObject
from migrator.store.objects import find, version_parameter
from migrator.store.pages import milliseconds_of, pages
from migrator.store.server_errors import error_code, place_of

REFUSES_CHECKSUM = frozenset({"InvalidArgument", "InvalidRequest", "BadRequest", "NotImplemented"})
"""Error codes of a server that cannot copy a part into an upload that keeps a checksum."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An open multipart upload."""

    bucket: str
    key: str
    upload_id: str

    @property
    def names(self) -> dict[str, str]:
        """boto3's parameters that name the upload."""
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": self.upload_id}


class WrongChecksums(StoreError):
    """The server returned checksums of the parts that cannot be right."""


def begin(connection: Connection, bucket: str, key: str, attributes: Mapping[str, Any]) -> Upload:
    """Open a multipart upload. The caller must finish or abort it."""
    with connection.errors(f"s3://{bucket}/{key}"):
        answer = connection.client.create_multipart_upload(Bucket=bucket, Key=key, **attributes)
        upload = Upload(bucket, key, answer["UploadId"])
        if answer["ResponseMetadata"].get("RetryAttempts"):
            _abort_repeated(connection, upload)
        return upload


def _abort_repeated(connection: Connection, upload: Upload) -> None:
    """boto3 repeated the request that opened this upload. If only an answer was lost, the first request has opened
    another upload, which has no parts: abort it."""
    client = connection.client
    answer = client.list_multipart_uploads(Bucket=upload.bucket, Prefix=upload.key)
    for entry in answer.get("Uploads", []):
        other = Upload(upload.bucket, entry["Key"], entry["UploadId"])
        if other.key == upload.key and other != upload and not client.list_parts(**other.names).get("Parts"):
            abort(connection, other)


def put_part(connection: Connection, upload: Upload, number: int, data: bytes) -> dict[str, Any]:
    """Upload one part, which the server compares with its MD5. Returns the part as :func:`finish` takes it."""
    md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    with connection.errors(f"s3://{upload.bucket}/{upload.key}"):
        answer = connection.client.upload_part(**upload.names, PartNumber=number, Body=data, ContentMD5=md5)
        return {"PartNumber": number, **_part(answer)}


def copy_part(
    connection: Connection,
    upload: Upload,
    number: int,
    bucket: str,
    source: StoredObject,
    span: tuple[int, int],
    version_id: str | None = None,
) -> dict[str, Any]:
    """Copy the bytes of ``source`` from the first to the last of ``span`` as one part. Returns the part as
    :func:`finish` takes it. Raises SourceChanged if the object's ETag is not that of ``source``."""
    with connection.errors(place_of(bucket, source.key, version_id)):
        answer = connection.client.upload_part_copy(
            **upload.names,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": source.key, **version_parameter(version_id)},
            CopySourceIfMatch=f'"{source.etag}"',
            CopySourceRange=f"bytes={span[0]}-{span[1]}",
        )
        return {"PartNumber": number, **_part(answer["CopyPartResult"])}


def finish(
    connection: Connection,
    upload: Upload,
    parts: Sequence[Mapping[str, Any]],
    *,
    once: bool = False,
    expected: Expected | None = None,
) -> str:
    """Make an object of the parts (in order) and return its ETag. ``once``: the request is not repeated if its answer
    is lost. ``expected``: what may be at the key, on a server that honours such conditions; raises SourceChanged for
    anything else. Raises WrongChecksums if the parts cannot have the checksums that the server returned."""
    place = f"s3://{upload.bucket}/{upload.key}"
    client = connection.once_client if once else connection.client
    condition = expected.arguments if expected else {}
    if _wrong_checksums(parts):
        raise WrongChecksums(f"{place}: the server took wrong checksums of its parts.")
    with connection.errors(place):
        try:
            answer = client.complete_multipart_upload(
                **upload.names, MultipartUpload={"Parts": list(parts)}, **condition
            )
        except client.exceptions.NoSuchUpload:
            # It is finished already if an answer was lost and boto3 repeated the request.
            stored = find(connection, upload.bucket, upload.key)
            if stored is None or not stored.etag.endswith(f"-{len(parts)}"):
                raise
            return stored.etag
        if "ETag" not in answer:
            raise StoreError(f"{place}: the end of an upload was answered without an ETag.")
        return str(answer["ETag"]).strip('"')


def abort(connection: Connection, upload: Upload) -> None:
    """Delete the parts of an upload. One that does not exist any more is aborted already."""
    try:
        with connection.errors(f"s3://{upload.bucket}/{upload.key}"):
            connection.client.abort_multipart_upload(**upload.names)
    except NotFound:
        pass


def list_uploads(connection: Connection, bucket: str, prefix: str = "") -> Iterator[tuple[Upload, int]]:
    """Yield every open multipart upload of the bucket, and when it was opened, in milliseconds since the epoch."""
    for page in pages(connection, "list_multipart_uploads", ("KeyMarker", "UploadIdMarker"), bucket, prefix):
        with connection.errors(f"s3://{bucket}/{prefix}"):
            uploads = [
                (Upload(bucket, entry["Key"], entry["UploadId"]), milliseconds_of(entry.get("Initiated")))
                for entry in page.get("Uploads", [])
            ]
        yield from uploads


def uploads_of(connection: Connection, bucket: str, key: str) -> Sequence[tuple[Upload, int]]:
    """The open uploads of one key. MinIO lists them only if the prefix is the whole key."""
    return [entry for entry in list_uploads(connection, bucket, key) if entry[0].key == key]


def count_open(connection: Connection, bucket: str) -> int:
    """How many multipart uploads are open in the bucket; at most 1,000 are counted."""
    with connection.errors(f"s3://{bucket}"):
        return len(connection.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []))


def refuses_checksum(error: BaseException) -> bool:
    """True if an error of this store means that the server cannot copy parts into an upload that keeps a checksum."""
    cause = error.__cause__
    refused = isinstance(cause, botocore.exceptions.ClientError) and error_code(cause) in REFUSES_CHECKSUM
    return refused or isinstance(error, WrongChecksums)


def _wrong_checksums(parts: Sequence[Mapping[str, Any]]) -> bool:
    """True if the parts have the checksum of a whole object. versitygw returns, for the copy of each part, the checksum
    of the whole source, and would keep a wrong one with the object that it makes of the parts."""
    checksums = [str(value) for part in parts for name, value in part.items() if name.startswith("Checksum")]
    fewer = 0 < len(set(checksums)) < len({part["ETag"] for part in parts})
    return fewer or any("-" in checksum for checksum in checksums)


def _part(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The ETag of a part, and the checksums that the server computed of it."""
    return {name: value for name, value in answer.items() if name == "ETag" or name.startswith("Checksum")}


class Uploads:
    """The multipart uploads of a store. Each method calls the function above that sends the requests."""

    def __init__(self, at: Callable[[str], Connection]) -> None:
        """``at`` returns the connection to the server that has a bucket."""
        self._at = at

    def begin(self, bucket: str, key: str, attributes: Mapping[str, Any]) -> Upload:
        """Open a multipart upload. The caller must finish or abort it."""
        return begin(self._at(bucket), bucket, key, attributes)

    def put_part(self, upload: Upload, number: int, data: bytes) -> dict[str, Any]:
        """Upload one part. Returns the part as :meth:`finish` takes it."""
        return put_part(self._at(upload.bucket), upload, number, data)

    def finish(
        self,
        upload: Upload,
        parts: Sequence[Mapping[str, Any]],
        *,
        once: bool = False,
        expected: Expected | None = None,
    ) -> str:
        """Make an object of the parts (in order) and return its ETag. Raises SourceChanged and WrongChecksums."""
        return finish(self._at(upload.bucket), upload, parts, once=once, expected=expected)

    def abort(self, upload: Upload) -> None:
        """Delete the parts of an upload, if it still exists."""
        abort(self._at(upload.bucket), upload)

    def list(self, bucket: str, prefix: str = "") -> Iterator[tuple[Upload, int]]:
        """Yield every open multipart upload, and when it was opened, in milliseconds since the epoch."""
        return list_uploads(self._at(bucket), bucket, prefix)

    def of_key(self, bucket: str, key: str) -> Sequence[tuple[Upload, int]]:
        """The open uploads of one key, and when they were opened."""
        return uploads_of(self._at(bucket), bucket, key)

    def count_open(self, bucket: str) -> int:
        """How many multipart uploads are open in the bucket; at most 1,000 are counted."""
        return count_open(self._at(bucket), bucket)
