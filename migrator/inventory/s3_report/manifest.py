"""The manifest of an Amazon S3 Inventory report: JSON in, a checked :class:`Manifest` out. Pure.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
Anybody may have written the file, so everything in it is checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migrator.errors import ConfigError, Unreadable

VERSION = "2016-11-30"
"""The only known version of manifests."""
CSV, ORC, PARQUET = "CSV", "ORC", "Parquet"
MOST_SIZE = 1 << 53
"""Bytes. No object is larger; S3 writes files of 2 GB at most."""
LAST_MS = 253_402_300_799_000
"""The end of the year 9999, in milliseconds since the epoch."""

BUCKET, KEY = "bucket", "key"
IS_LATEST, IS_MARKER, VERSION_ID = "is_latest", "is_delete_marker", "version_id"
SIZE, MODIFIED, ETAG, STORAGE_CLASS = "size", "last_modified_date", "e_tag", "storage_class"
FIELDS = {
    "Bucket": BUCKET,
    "Key": KEY,
    "VersionId": VERSION_ID,
    "IsLatest": IS_LATEST,
    "IsDeleteMarker": IS_MARKER,
    "Size": SIZE,
    "LastModifiedDate": MODIFIED,
    "ETag": ETAG,
    "StorageClass": STORAGE_CLASS,
}
"""Names of fields, as the settings of a report and CSV files have them → the names of columns in ORC and Parquet."""
_ALWAYS = (BUCKET, KEY)
_NEEDED = (SIZE, MODIFIED, ETAG, STORAGE_CLASS)
_OF_VERSIONS = (IS_LATEST, IS_MARKER)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_ARN = re.compile(r"arn:aws[a-z-]*:s3:::([A-Za-z0-9][A-Za-z0-9._-]{1,254})")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_COLUMNS = {
    ORC: re.compile(r"[<,]\s*(\w+)\s*:"),
    PARQUET: re.compile(r"\b(?:required|optional)\s+\w+\s+(\w+)"),
}


@dataclass(frozen=True, slots=True)
class ReportFile:
    """One file with rows, in the bucket of the report. ``size`` is in bytes, ``md5`` in lower-case hex."""

    key: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest. ``place``: its URI; ``source``: the bucket that the report is about; ``bucket``: the
    bucket with the files; ``created``: when S3 began the report, in milliseconds since the epoch."""

    place: str
    source: str
    bucket: str
    created: int
    format: str
    """CSV, ORC or PARQUET."""
    columns: tuple[str, ...]
    """The columns of the files, in order, by their names in ORC and Parquet."""
    files: tuple[ReportFile, ...]

    @property
    def all_versions(self) -> bool:
        """True if the report has a row for each version of an object, and for each delete marker."""
        return IS_LATEST in self.columns


def parse_manifest(data: bytes, place: str) -> Manifest:
    """The manifest at ``place`` (its URI). Raises Unreadable if it is not a manifest, and ConfigError if the report
    lacks a field that planning needs."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(place, "it is no JSON document") from error
    if not isinstance(found, dict):
        raise Unreadable(place, "it is no manifest of an S3 Inventory report")
    version = _text(found, "version", place)
    if version != VERSION:
        raise Unreadable(place, f"its version is {version[:40]!r}, and only {VERSION!r} is known")
    kind = _format(found, place)
    arn = _ARN.fullmatch(_text(found, "destinationBucket", place))
    source = _text(found, "sourceBucket", place)
    if arn is None or not _NAME.fullmatch(source):
        name = "destinationBucket" if arn is None else "sourceBucket"
        raise Unreadable(place, f"its {name} is {str(found[name])[:80]!r}, which names no bucket")
    columns = _columns(_text(found, "fileSchema", place), kind, place)
    return Manifest(place, source, arn[1], _created(found, place), kind, columns, _files(found, place))


def _text(found: Mapping[str, Any], name: str, place: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(place, f"it has no {name}: it is no manifest of an S3 Inventory report")
    return value


def _format(found: Mapping[str, Any], place: str) -> str:
    given = _text(found, "fileFormat", place)
    for kind in (CSV, ORC, PARQUET):
        if given.lower() == kind.lower():
            return kind
    raise Unreadable(place, f"its fileFormat is {given[:40]!r}, and known are CSV, ORC and Parquet")


def _created(found: Mapping[str, Any], place: str) -> int:
    """The time of the report. S3 writes the number as a string."""
    given = found.get("creationTimestamp")
    text = str(given) if isinstance(given, int) and not isinstance(given, bool) and abs(given) <= LAST_MS else given
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,15}", text) or not 0 < int(text) <= LAST_MS:
        raise Unreadable(place, f"its creationTimestamp is {str(given)[:40]!r}, which is no time in milliseconds")
    return int(text)


def _columns(schema: str, kind: str, place: str) -> tuple[str, ...]:
    if kind == CSV:
        fields = [field.strip() for field in schema.split(",")]
        if not all(field.isidentifier() for field in fields):
            raise Unreadable(place, f"its fileSchema is no list of fields: {schema[:80]!r}")
        names = [FIELDS.get(field, field) for field in fields]
    else:
        names = _COLUMNS[kind].findall(schema)
    if len(set(names)) != len(names):
        raise Unreadable(place, f"its fileSchema names a field twice: {schema[:80]!r}")
    if any(name not in names for name in _ALWAYS):
        raise Unreadable(place, f"its fileSchema names no Bucket or no Key: {schema[:80]!r}")
    needed = (*_NEEDED, *(_OF_VERSIONS if {*_OF_VERSIONS, VERSION_ID} & set(names) else ()))
    lacking = [field for field, name in FIELDS.items() if name in needed and name not in names]
    if lacking:
        raise ConfigError(
            f"The S3 Inventory report {place} lacks {' and '.join(lacking)}, which a plan needs.",
            next_move=f"Add {' and '.join(lacking)} to the optional fields of the inventory configuration and use "
            "its next report, or leave --inventory out.",
        )
    return tuple(names)


def _files(found: Mapping[str, Any], place: str) -> tuple[ReportFile, ...]:
    given = found.get("files")
    if not isinstance(given, list):
        raise Unreadable(place, "it has no list of files")
    files = tuple(_file(one, number, place) for number, one in enumerate(given, 1))
    if len({file.key for file in files}) != len(files):
        raise Unreadable(place, "it names a file twice")
    return files


def _file(given: object, number: int, place: str) -> ReportFile:
    if isinstance(given, dict):
        key, size, md5 = (given.get(name) for name in ("key", "size", "MD5checksum"))
        is_size = isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= MOST_SIZE
        if isinstance(key, str) and _is_key(key) and is_size and isinstance(md5, str) and _MD5.fullmatch(md5):
            return ReportFile(key, int(str(size)), md5.lower())
    raise Unreadable(place, f"file {number:,} of it has no proper key, size or MD5checksum")


def _is_key(key: str) -> bool:
    """True if the text can be a key: JSON allows lone surrogates, keys do not."""
    try:
        return 0 < len(key.encode()) <= 1024
    except UnicodeEncodeError:
        return False
