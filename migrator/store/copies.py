"""Copying an object within one server. :mod:`migrator.store.two_servers` copies from one server to another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import botocore.exceptions

from migrator.errors import NotFound, SourceChanged
from migrator.store import uploads
from migrator.store.attributes import given_anew, of_answer, without_checksum
from migrator.store.conditional import Expected
from migrator.store.connection import Connection
from migrator.store.etags import part_ranges
from migrator.store.listing import StoredObject
from migrator.store.objects import Content, attributes, get, version_parameter
from migrator.store.server_errors import error_code, is_missing, place_of
from migrator.store.uploads import refuses_checksum
from migrator.store.writing import put


def copy(
    connection: Connection,
    source_bucket: str,
    source: StoredObject,
    bucket: str,
    key: str,
    *,
    version_id: str | None = None,
    once: bool = False,
    expected: Expected | None = None,
) -> str:
    """Copy an object on the server, with metadata, content type and tags, and return the new ETag; see
    :meth:`migrator.store.Store.copy`."""
    place = place_of(source_bucket, source.key, version_id)
    once = once or version_id is not None
    with connection.errors(place):
        try:
            if source.size > connection.multipart_above:
                return _copy_parts(connection, source_bucket, source, bucket, key, version_id, expected, once=once)
            condition = expected.arguments if expected and connection.conditional.copy else {}
            request = _request(connection, source_bucket, source, version_id)
            client = connection.once_client if once else connection.client
            answer = client.copy_object(Bucket=bucket, Key=key, **request, **condition)
            return str(answer["CopyObjectResult"]["ETag"]).strip('"')
        except botocore.exceptions.ClientError as error:
            marker = _marker_to_write(connection, source_bucket, source, version_id, error_code(error))
            if marker is not None:
                return put(connection, bucket, key, marker, replace=expected is None or not expected.arguments)
            if error_code(error) not in ("NoSuchKey", "NoSuchVersion"):
                raise
            raise SourceChanged(f"{place} is gone since planning.") from error


def tagging_directive(connection: Connection) -> str:
    """CopyObject's parameter for tags: "COPY", or "REPLACE" if they are left out."""
    return "REPLACE" if "tags" in connection.left_out else "COPY"


def _request(connection: Connection, bucket: str, source: StoredObject, version_id: str | None) -> dict[str, Any]:
    """boto3's parameters of CopyObject that say what is copied."""
    return {
        "CopySource": {"Bucket": bucket, "Key": source.key, **version_parameter(version_id)},
        "CopySourceIfMatch": f'"{source.etag}"',
        **_metadata(connection, bucket, source, version_id),
        "TaggingDirective": tagging_directive(connection),
        # CopyObject does not keep the storage class by itself.
        **({} if source.storage_class == "STANDARD" else {"StorageClass": source.storage_class}),
    }


def _metadata(connection: Connection, bucket: str, source: StoredObject, version_id: str | None) -> dict[str, Any]:
    """boto3's parameters for the copy's metadata: the server copies it, or gets it anew if it would lose some of it."""
    if bucket in connection.asked:
        pinned = {"IfMatch": f'"{source.etag}"', **version_parameter(version_id)}
        try:
            answer = connection.client.head_object(Bucket=bucket, Key=source.key, **pinned)
        except botocore.exceptions.ClientError as error:
            if not is_missing(error):
                raise
            answer = {}  # the copy itself reports this
        given = of_answer(answer, locks=connection.locks)
        given.pop("StorageClass", None)
        if given_anew(given):
            return {**given, "MetadataDirective": "REPLACE"}
    return {"MetadataDirective": "COPY"}


def _marker_to_write(
    connection: Connection, bucket: str, source: StoredObject, version_id: str | None, code: str
) -> Content | None:
    """The empty directory marker to write where the server refused to copy one with this error code; None if the
    object is no such marker."""
    if code == "DirectoryObjectContainsData" and source.size == 0 and version_id is None:
        # versitygw accepts an empty directory marker, and refuses to copy one.
        return get(connection, bucket, source.key, etag=source.etag)
    if code in ("NoSuchKey", "NoSuchVersion") and source.size == 0 and source.key.endswith("/"):
        # Some servers (SeaweedFS) list an empty directory marker but do not copy it.
        return Content(b"", "") if version_id in (None, "null") else None
    return None


def _copy_parts(
    connection: Connection,
    source_bucket: str,
    source: StoredObject,
    bucket: str,
    key: str,
    version_id: str | None,
    expected: Expected | None,
    *,
    once: bool,
) -> str:
    """Copy in parts, one after another. boto3's own multipart copy loses tags and, by default, metadata
    (aws-cli#1145); this one keeps both."""
    given = attributes(connection, source_bucket, source.key, source.etag, version_id)
    while True:
        if not connection.part_copies.take_checksum:
            given = without_checksum(given)
        upload = uploads.begin(connection, bucket, key, given)
        try:
            parts = []
            for number, span in enumerate(part_ranges(source.size, connection.part_size), 1):
                connection.raise_if_given_up(source_bucket, source.key)
                parts.append(uploads.copy_part(connection, upload, number, source_bucket, source, span, version_id))
            condition = expected if connection.conditional.complete else None
            return uploads.finish(connection, upload, parts, once=once, expected=condition)
        except BaseException as error:
            uploads.abort(connection, upload)
            if isinstance(error, NotFound):
                place = place_of(source_bucket, source.key, version_id)
                raise SourceChanged(f"{place} is gone since planning.") from error
            if not refuses_checksum(error) or given == without_checksum(given):
                raise
            connection.part_copies = replace(connection.part_copies, take_checksum=False)
