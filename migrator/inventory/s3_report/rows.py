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

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet

from migrator.errors import Unreadable
from migrator.inventory.s3_report.manifest import (
    BUCKET,
    CSV,
    ETAG,
    IS_LATEST,
    IS_MARKER,
    KEY,
    MODIFIED,
    ORC,
    SIZE,
    STORAGE_CLASS,
    Manifest,
)

PAGE = 5_000
"""Rows in a page."""
MOST_LINE = 1 << 16
"""Bytes in a line of a CSV file. A key has up to 1,024 bytes, each three characters when it is encoded."""
_WANTED = (BUCKET, KEY, IS_LATEST, IS_MARKER, SIZE, MODIFIED, ETAG, STORAGE_CLASS)
_TYPES = {SIZE: pa.int64(), IS_LATEST: pa.bool_(), IS_MARKER: pa.bool_()}
_FLAGS = {"true": True, "false": False}
_TROUBLE = (pa.ArrowException, OSError, EOFError, ValueError, csv.Error, zlib.error)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it stands there. What is empty is None; ``size`` and ``modified`` (milliseconds since the epoch) are
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
    read = {CSV: _csv, ORC: _orc}.get(manifest.format, _parquet)
    try:
        yield from read(file, manifest.columns, place)
    except _TROUBLE as error:
        raise Unreadable(place, f"it is no complete {manifest.format} file: {str(error)[:200].rstrip('.')}") from error


# -- CSV -------------------------------------------------------------------------------------------------


def _csv(file: BinaryIO, columns: Sequence[str], place: str) -> Iterator[list[Row]]:
    at = [columns.index(name) if name in columns else None for name in _WANTED]
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


# -- ORC and Parquet: Arrow's readers take what they need, a stripe or some pages at a time ----------------


def _orc(file: BinaryIO, columns: Sequence[str], place: str) -> Iterator[list[Row]]:
    file.seek(-4, 2)
    if file.read(3) != b"ORC":  # Arrow would take any byte at the end for the size of the postscript
        raise Unreadable(place, "it is no complete ORC file")
    file.seek(0)
    orc = pa.orc.ORCFile(pa.PythonFile(file, mode="r"))
    wanted = _wanted(orc.schema.names, columns, place)
    for number in range(orc.nstripes):
        stripe = orc.read_stripe(number, columns=wanted)
        for start in range(0, stripe.num_rows, PAGE):
            yield _rows(stripe.slice(start, PAGE))


def _parquet(file: BinaryIO, columns: Sequence[str], place: str) -> Iterator[list[Row]]:
    parquet = pa.parquet.ParquetFile(pa.PythonFile(file, mode="r"))
    wanted = _wanted(parquet.schema_arrow.names, columns, place)
    for batch in parquet.iter_batches(PAGE, columns=wanted, use_threads=False):
        yield _rows(batch)


def _wanted(there: Sequence[str], columns: Sequence[str], place: str) -> list[str]:
    wanted = [name for name in _WANTED if name in columns]
    lacking = [name for name in wanted if name not in there]
    if lacking:
        raise Unreadable(place, f"it lacks the column {lacking[0]!r}, which the manifest names")
    return wanted


def _rows(batch: pa.RecordBatch) -> list[Row]:
    names = batch.schema.names
    values = [
        _values(batch.column(names.index(name)), name) if name in names else [None] * batch.num_rows for name in _WANTED
    ]
    return [Row(*row) for row in zip(*values, strict=True)]


def _values(column: pa.Array, name: str) -> list[int | str | bool | None]:
    """The values of a column, with the type that :class:`Row` promises. Raises what Arrow raises for another type."""
    if name == MODIFIED:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
        column = column.cast(pa.int64())
    else:
        column = column.cast(_TYPES.get(name, pa.string()))
    values: list[int | str | bool | None] = column.to_pylist()
    return values
