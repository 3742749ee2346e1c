"""Reading objects: their bytes, and what a HEAD request returns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlencode

import botocore.exceptions

from migrator.errors import AccessDenied, NotFound, SourceChanged, StoreError, Unreachable
from migrator.store.answers import checked_etag, checked_size
from migrator.store.attributes import STORAGE_CLASS, boto3_answer, of_answer
from migrator.store.checksums import Checksum, kept_checksum
from migrator.store.connection import Connection
from migrator.store.etags import part_count
from migrator.store.listing import StoredObject
from migrator.store.pages import milliseconds_of
from migrator.store.retries import backoff, retry
from migrator.store.server_errors import is_missing, place_of

Result = TypeVar("Result")

CHUNK = 1 << 20
"""Bytes that are read at a time."""
READS = 6
"""How often a body is read from its beginning if the connection breaks."""
SPOOL = 16 << 20
"""Bytes of a temporary file that are kept in memory; larger files go to the disk."""


@dataclass(frozen=True)
class Content:
    """An object's bytes, and the parameters of PutObject that make an equal object."""

    data: bytes
    etag: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Download:
    """An object in a temporary file, which this context manager closes. ``file`` is at its beginning."""

    file: BinaryIO
    attributes: Mapping[str, Any]

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *details: object) -> None:
        self.file.close()


def spool() -> BinaryIO:
    """A temporary file that stays in memory while it is small."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(SPOOL))


def head(connection: Connection, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
    """One object, as a listing would show it. Raises NotFound."""
    with connection.errors(place_of(bucket, key, version_id)):
        headers = head_headers(connection, bucket, key, version_id)
        size, etag = checked_size(headers["content-length"], key), checked_etag(headers["etag"], key)
        modified = milliseconds_of(parsedate_to_datetime(headers["last-modified"]))
        return StoredObject(key, size, etag, modified, headers.get(STORAGE_CLASS) or "STANDARD")


def head_headers(connection: Connection, bucket: str, key: str, version_id: str | None = None) -> Mapping[str, str]:
    """The headers of the answer to HeadObject, with lower-case names. Raises botocore's errors: call it within
    :meth:`Connection.errors`."""
    quick = connection.quick_reads.head(bucket, key, version_id)
    if quick is not None:
        return quick.headers
    answer = connection.client.head_object(Bucket=bucket, Key=key, **version_parameter(version_id))
    headers: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return headers


def find(connection: Connection, bucket: str, key: str) -> StoredObject | None:
    """One object, as a listing would show it; None if it does not exist."""
    try:
        return head(connection, bucket, key)
    except NotFound:
        return None


def age(connection: Connection, bucket: str, key: str) -> float:
    """How many seconds ago the object was written, by the server's own clock. Raises NotFound."""
    with connection.errors(f"s3://{bucket}/{key}"):
        headers = head_headers(connection, bucket, key)
        now, modified = (parsedate_to_datetime(headers[name]) for name in ("date", "last-modified"))
        return (now - modified).total_seconds()


def get(connection: Connection, bucket: str, key: str, *, etag: str | None = None) -> Content:
    """Read a whole object. Raises SourceChanged if its ETag is not ``etag``."""
    if quick := _get_quickly(connection, bucket, key, etag):
        return quick
    with connection.errors(f"s3://{bucket}/{key}"):
        answer, data = read_whole(lambda: _read(get_object(connection, bucket, key, etag)))
        return Content(data, answer["ETag"].strip('"'), _attributes(connection, bucket, key, answer))


def download(connection: Connection, bucket: str, key: str, *, etag: str | None = None) -> Download:
    """Like :func:`get`, for an object that may be too large for memory."""
    if quick := _get_quickly(connection, bucket, key, etag):
        return Download(BytesIO(quick.data), quick.attributes)
    file = spool()
    try:
        with connection.errors(f"s3://{bucket}/{key}"):
            answer = read_whole(lambda: _save(get_object(connection, bucket, key, etag), file))
            return Download(file, _attributes(connection, bucket, key, answer))
    except BaseException:
        file.close()
        raise


def _get_quickly(connection: Connection, bucket: str, key: str, etag: str | None) -> Content | None:
    """The object; None if boto3 should read it. Locks are read by boto3 only."""
    answer = None if connection.locks else connection.quick_reads.get(bucket, key, etag)
    if answer is None:
        return None
    with connection.errors(f"s3://{bucket}/{key}"):
        now = checked_etag(answer.headers["etag"], key)
        return Content(answer.body, now, _attributes(connection, bucket, key, boto3_answer(answer.headers)))


def read_part(connection: Connection, bucket: str, key: str, etag: str, span: tuple[int, int]) -> bytes:
    """The bytes from the first to the last of ``span``. Raises SourceChanged if the object's ETag is not ``etag``."""
    only = {"Range": f"bytes={span[0]}-{span[1]}"}
    with connection.errors(f"s3://{bucket}/{key}"):
        _, data = read_whole(lambda: _read(get_object(connection, bucket, key, etag, **only)))
    expected = span[1] - span[0] + 1
    if len(data) != expected:  # the server does not support ranges
        raise StoreError(f"s3://{bucket}/{key}: {len(data)} bytes came instead of {expected}.")
    return data


def get_object(connection: Connection, bucket: str, key: str, etag: str | None, **options: str) -> dict[str, Any]:
    """boto3's answer to GetObject. Raises SourceChanged if the object is not there although its ETag is known, and
    botocore's errors: call it within :meth:`Connection.errors`."""
    if etag:
        options["IfMatch"] = f'"{etag}"'
    try:
        answer: dict[str, Any] = connection.client.get_object(Bucket=bucket, Key=key, **options)
        return answer
    except botocore.exceptions.ClientError as error:
        if etag and is_missing(error):
            raise SourceChanged(f"s3://{bucket}/{key} is gone since planning.") from error
        raise


def read_whole(read: Callable[[], Result]) -> Result:
    """The result of ``read``, which is repeated with backoff if a body breaks off: boto3 itself retries a request only
    until the answer begins."""
    return retry(read, backoff(READS), _is_broken_off)


def _is_broken_off(error: Exception) -> bool:
    broken = (
        botocore.exceptions.ResponseStreamingError,
        botocore.exceptions.ReadTimeoutError,
        botocore.exceptions.IncompleteReadError,
    )
    return isinstance(error, broken)


def attributes(
    connection: Connection, bucket: str, key: str, etag: str, version_id: str | None = None
) -> dict[str, Any]:
    """The parameters of :func:`migrator.store.uploads.begin` that make an equal object: headers, user metadata,
    storage class, tags, and the kind of checksum. Raises SourceChanged if the object's ETag is not ``etag``."""
    place = place_of(bucket, key, version_id)
    pinned = {"IfMatch": f'"{etag}"', "ChecksumMode": "ENABLED", **version_parameter(version_id)}
    with connection.errors(place):
        try:
            answer = connection.client.head_object(Bucket=bucket, Key=key, **pinned)
        except botocore.exceptions.ClientError as error:
            if not is_missing(error):
                raise
            raise SourceChanged(f"{place} is gone since planning.") from error
        given = of_answer(answer, connection.left_out, locks=connection.locks)
        if tags := tagging(connection, bucket, key, version_id):
            given["Tagging"] = tags
    if (kept := kept_checksum(answer)) is not None:
        given["ChecksumAlgorithm"] = kept.algorithm
        given["ChecksumType"] = kept.kind
    return given


def tagging(connection: Connection, bucket: str, key: str, version_id: str | None = None) -> str:
    """The object's tags as a query string, as PutObject takes them; "" if tags are not copied."""
    if "tags" in connection.left_out:
        return ""
    named = version_parameter(version_id)
    with connection.errors(place_of(bucket, key, version_id)):
        tags = connection.client.get_object_tagging(Bucket=bucket, Key=key, **named).get("TagSet", [])
    return urlencode({tag["Key"]: tag["Value"] for tag in tags})


def checksum(connection: Connection, bucket: str, key: str) -> Checksum | None:
    """The checksum that the server keeps with the object, if any."""
    with connection.errors(f"s3://{bucket}/{key}"):
        return kept_checksum(connection.client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"))


def part_checksum(connection: Connection, bucket: str, key: str, number: int) -> tuple[int, Checksum | None]:
    """The size in bytes of a part of an object that was uploaded in parts, and the checksum kept with that part."""
    with connection.errors(f"s3://{bucket}/{key}"):
        answer = connection.client.head_object(Bucket=bucket, Key=key, PartNumber=number, ChecksumMode="ENABLED")
        return checked_size(str(answer["ContentLength"]), key), kept_checksum(answer)


def part_size(connection: Connection, bucket: str, stored: StoredObject) -> int | None:
    """The size in bytes of the parts in which an object was uploaded; None if it was uploaded in one request, or if the
    server does not report it. Raises SourceChanged if the object's ETag is not that of ``stored``."""
    count = part_count(stored.etag)
    if not count:
        return None
    pinned = {"IfMatch": f'"{stored.etag}"', "PartNumber": 1}
    try:
        with connection.errors(f"s3://{bucket}/{stored.key}"):
            answer = connection.client.head_object(Bucket=bucket, Key=stored.key, **pinned)
    except SourceChanged:
        found = find(connection, bucket, stored.key)
        if found is None or found.etag != stored.etag:
            raise
        return None  # the server compares the condition with the ETag of the part
    except NotFound as error:
        raise SourceChanged(f"s3://{bucket}/{stored.key} is gone since planning.") from error
    except (AccessDenied, Unreachable):
        raise
    except StoreError:  # a server that does not know PartNumber
        return None
    first = int(answer["ContentLength"])
    # The last part may have any size, and a server may answer with the whole object.
    return first if first > 0 and -(-stored.size // first) == count else None


def version_parameter(version_id: str | None) -> dict[str, str]:
    """boto3's parameter for one version of an object; none for the current version."""
    return {} if version_id is None else {"VersionId": version_id}


def _attributes(connection: Connection, bucket: str, key: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    given = of_answer(answer, connection.left_out, locks=connection.locks)
    if answer.get("TagCount") and (tags := tagging(connection, bucket, key)):
        given["Tagging"] = tags
    return given


def _read(answer: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    return answer, answer["Body"].read()


def _save(answer: dict[str, Any], file: BinaryIO) -> dict[str, Any]:
    file.seek(0)
    file.truncate()
    for chunk in answer["Body"].iter_chunks(CHUNK):
        file.write(chunk)
    file.seek(0)
    return answer
