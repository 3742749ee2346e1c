"""The rows of one file of an Amazon S3 Inventory report: an open file in, pages of rows out, in flat memory. Pure.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html. CSV files are packed with gzip,
have no header, and their keys are URL-encoded, with ``+`` for a space. Keys in ORC and Parquet are not encoded.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import BinaryIO
from urllib.parse import unquote_plus

from migrator.errors import Unreadable
from migrator.inventory.s3_report.manifest import (
    BUCKET,
    CSV,
    ETAG,
    IS_LATEST,
    IS_MARKER,
    KEY,
    MODIFIED,
    SIZE,
    STORAGE_CLASS,
    Manifest,
)

PAGE = 5_000
"""Rows in a page."""
MOST_LINE = 1 << 16
"""Bytes in a line of a CSV file. A key has up to 1,024 bytes, each three characters when it is encoded."""
WANTED = (BUCKET, KEY, IS_LATEST, IS_MARKER, SIZE, MODIFIED, ETAG, STORAGE_CLASS)
"""The columns that are read, in the order of :class:`Row`."""
_FLAGS = {"true": True, "false": False}
_TROUBLE = (OSError, EOFError, ValueError, csv.Error, zlib.error)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is in the file. Empty values are None; ``size`` and ``modified`` (milliseconds since the epoch) are
    texts in CSV. The flags are None in a report of current objects only."""

    bucket: str | None
    key: str | None
    is_latest: bool | None
    is_marker: bool | None
    size: int | str | None
    modified: int | str | None
    etag: str | None
    storage_class: str | None


def read_rows(file: BinaryIO, manifest: Manifest, place: str) -> Iterator[list[Row]]:
    """Yield the rows of a file of the report, page by page. ``place``: its URI. Raises Unreadable."""
    if manifest.format != CSV:
        # Imported here, because importing pyarrow takes long, and few plans use a report.
        from migrator.inventory.s3_report.arrow_rows import read_arrow

        yield from read_arrow(file, manifest, place)
        return
    try:
        yield from _csv(file, manifest.columns, place)
    except _TROUBLE as error:
        raise incomplete(manifest, place, error) from error


def incomplete(manifest: Manifest, place: str, error: Exception) -> Unreadable:
    """The error for a file that cannot be read to its end."""
    return Unreadable(place, f"it is no complete {manifest.format} file: {str(error)[:200].rstrip('.')}")


# -- CSV -------------------------------------------------------------------------------------------------


def _csv(file: BinaryIO, columns: Sequence[str], place: str) -> Iterator[list[Row]]:
    at = [columns.index(name) if name in columns else None for name in WANTED]
    with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
        lines = csv.reader(_lines(unpacked, place), strict=True)
        first = 1
        while page := list(islice(lines, PAGE)):
            yield [_csv_row(line, at, len(columns), f"row {first + n:,}", place) for n, line in enumerate(page)]
            first += len(page)


def _lines(unpacked: gzip.GzipFile, place: str) -> Iterator[str]:
    while line := unpacked.readline(MOST_LINE):
        if len(line) == MOST_LINE:
            raise Unreadable(place, "it has a line that is too long for an S3 Inventory report")
        yield line.decode()


def _csv_row(line: list[str], at: Sequence[int | None], columns: int, row: str, place: str) -> Row:
    if len(line) != columns:
        raise Unreadable(place, f"{row} has {len(line)} columns, and the manifest names {columns}")
    bucket, key, latest, marker, size, modified, etag, kind = (None if n is None else line[n] or None for n in at)
    flags = [text if text is None else _FLAGS.get(text.lower()) for text in (latest, marker)]
    return Row(bucket, key and _unquoted(key), flags[0], flags[1], size, modified, etag, kind)


def _unquoted(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return f"{_decoded(folder)}{slash}{unquote_plus(name, errors='strict') if '%' in name or '+' in name else name}"


@lru_cache(maxsize=256)  # a page has many keys and few folders
def _decoded(folder: str) -> str:
    return unquote_plus(folder, errors="strict")
