"""The rows of a report in ORC or Parquet, by Arrow's readers. Pure; see :mod:`migrator.inventory.s3_report.rows`.

The readers read a stripe or some pages at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet

from migrator.errors import Unreadable
from migrator.inventory.s3_report.manifest import IS_LATEST, IS_MARKER, MODIFIED, ORC, SIZE, Manifest
from migrator.inventory.s3_report.rows import PAGE, WANTED, Row, incomplete

_TYPES = {SIZE: pa.int64(), IS_LATEST: pa.bool_(), IS_MARKER: pa.bool_()}
_TROUBLE = (pa.ArrowException, OSError, EOFError, ValueError)


def read_arrow(file: BinaryIO, manifest: Manifest, place: str) -> Iterator[list[Row]]:
    """See :func:`migrator.inventory.s3_report.rows.read_rows`."""
    read = _orc if manifest.format == ORC else _parquet
    try:
        yield from read(file, manifest.columns, place)
    except _TROUBLE as error:
        raise incomplete(manifest, place, error) from error


def _orc(file: BinaryIO, columns: Sequence[str], place: str) -> Iterator[list[Row]]:
    file.seek(-4, 2)
    if file.read(3) != b"ORC":  # Arrow would read any last byte as the size of the postscript
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
    wanted = [name for name in WANTED if name in columns]
    lacking = [name for name in wanted if name not in there]
    if lacking:
        raise Unreadable(place, f"it lacks the column {lacking[0]!r}, which the manifest names")
    return wanted


def _rows(batch: pa.RecordBatch) -> list[Row]:
    names = batch.schema.names
    values = [
        _values(batch.column(names.index(name)), name) if name in names else [None] * batch.num_rows for name in WANTED
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
