"""Amazon S3 Inventory reports, as S3 writes them (storage-inventory-location.html). No server in these tests writes
them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet

Row = dict[str, Any]
"""Name of a field → value, as :data:`TYPES` has them."""

TYPES = {
    "Bucket": pa.string(),
    "Key": pa.string(),
    "VersionId": pa.string(),
    "IsLatest": pa.bool_(),
    "IsDeleteMarker": pa.bool_(),
    "Size": pa.int64(),
    "LastModifiedDate": pa.timestamp("ms", "UTC"),
    "ETag": pa.string(),
    "StorageClass": pa.string(),
    "IsMultipartUploaded": pa.bool_(),
    "EncryptionStatus": pa.string(),
}
COLUMNS = {
    "Bucket": "bucket",
    "Key": "key",
    "VersionId": "version_id",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
    "StorageClass": "storage_class",
    "IsMultipartUploaded": "is_multipart_uploaded",
    "EncryptionStatus": "encryption_status",
}
CURRENT = tuple(name for name in TYPES if name not in ("VersionId", "IsLatest", "IsDeleteMarker"))
"""The fields of a report of current objects; all of TYPES: those of a report of all versions."""
_ORC = {pa.string(): "string", pa.bool_(): "boolean", pa.int64(): "bigint"}
_PARQUET = {pa.string(): "binary {} (UTF8)", pa.bool_(): "boolean {}", pa.int64(): "int64 {}"}
ENDINGS = {"CSV": "csv.gz", "ORC": "orc", "Parquet": "parquet"}
DAY = "2026-11-25T01-00Z"


def rows_of(client: Any, bucket: str, prefix: str = "") -> list[Row]:
    """The rows of a bucket as it is now, from a real listing."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [
        {
            "Bucket": bucket,
            "Key": found["Key"],
            "VersionId": "v1",
            "IsLatest": True,
            "IsDeleteMarker": False,
            "Size": found["Size"],
            "LastModifiedDate": found["LastModified"].astimezone(timezone.utc),
            "ETag": found["ETag"].strip('"'),
            "StorageClass": found.get("StorageClass", "STANDARD"),
            "IsMultipartUploaded": "-" in found["ETag"],
            "EncryptionStatus": "SSE-S3",
        }
        for page in pages
        for found in page.get("Contents", [])
    ]


def schema_of(kind: str, fields: Iterable[str]) -> str:
    """``fileSchema``, as S3 writes it for this format."""
    if kind == "CSV":
        return ", ".join(fields)
    if kind == "ORC":
        columns = ",".join(f"{COLUMNS[name]}:{_ORC.get(TYPES[name], 'timestamp')}" for name in fields)
        return f"struct<{columns}>"
    parts = [
        f"{'required' if name in ('Bucket', 'Key') else 'optional'} "
        + _PARQUET.get(TYPES[name], "int64 {} (TIMESTAMP_MILLIS)").format(COLUMNS[name])
        for name in fields
    ]
    return f"message s3.inventory {{ {' '.join(f'{part};' for part in parts)}}}"


def file_of(kind: str, rows: Iterable[Row], fields: Iterable[str] = CURRENT) -> bytes:
    """One file of a report."""
    rows, fields = list(rows), list(fields)
    if kind == "CSV":
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([_csv(name, row[name]) for name in fields] for row in rows)
        return gzip.compress(text.getvalue().encode())
    types = dict(TYPES)
    if kind == "ORC":
        types["LastModifiedDate"] = pa.timestamp("ns")
        rows = [{**row, "LastModifiedDate": _naive(row["LastModifiedDate"])} for row in rows]
    columns = {COLUMNS[name]: pa.array([row[name] for row in rows], types[name]) for name in fields}
    sink = pa.BufferOutputStream()
    write = pa.orc.write_table if kind == "ORC" else pa.parquet.write_table
    write(pa.table(columns), sink)
    return bytes(sink.getvalue().to_pybytes())


def _naive(time: Any) -> Any:
    return time.replace(tzinfo=None) if isinstance(time, datetime) else time


def _csv(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "Key":
        return quote_plus(str(value), safe="/")
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}Z"
    return str(value).lower() if isinstance(value, bool) else str(value)


def manifest_of(kind: str, source: str, bucket: str, files: Mapping[str, bytes], /, **changes: Any) -> dict[str, Any]:
    """A manifest. ``changes``: keys that get another value."""
    fields = changes.pop("fields", CURRENT)
    created = changes.pop("created", datetime.now(timezone.utc))
    return {
        "sourceBucket": source,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "version": "2016-11-30",
        "creationTimestamp": str(int(created.timestamp() * 1000)),
        "fileFormat": kind,
        "fileSchema": schema_of(kind, fields),
        "files": [
            {"key": key, "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()} for key, data in files.items()
        ],
        **changes,
    }


def write_report(
    client: Any, kind: str, source: str, bucket: str, pages: Iterable[Iterable[Row]], **changes: Any
) -> str:
    """Write a report with a file for each page of rows into ``bucket``. Returns the URI of its manifest."""
    fields = changes.get("fields", CURRENT)
    folder = f"inv/{source}/daily-{kind.lower()}"
    files = {f"{folder}/data/{n}.{ENDINGS[kind]}": file_of(kind, page, fields) for n, page in enumerate(pages)}
    for key, data in files.items():
        client.put_object(Bucket=bucket, Key=key, Body=data)
    manifest = json.dumps(manifest_of(kind, source, bucket, files, **changes), indent=2).encode()
    client.put_object(Bucket=bucket, Key=f"{folder}/{DAY}/manifest.json", Body=manifest)
    digest = hashlib.md5(manifest).hexdigest().encode()
    client.put_object(Bucket=bucket, Key=f"{folder}/{DAY}/manifest.checksum", Body=digest)
    return f"s3://{bucket}/{folder}/{DAY}/manifest.json"
