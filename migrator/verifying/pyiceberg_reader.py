"""Reading tables through pyiceberg and s3fs: the independent reader that checks our own work.

It shares no code with the rewriters. s3fs is used rather than pyarrow's file system because it uses keys unchanged,
while pyarrow's cuts them at ``?`` and ``#``. Importing pyiceberg takes half a second, so it is imported only when a
table is read.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata


def _nowhere(path: str) -> str | None:
    return None


def open_table(
    metadata_uri: str,
    properties: Mapping[str, str],
    where: Callable[[str], str | None] = _nowhere,
    data: bytes | None = None,
) -> Table:
    """The table that a metadata file describes, without a catalog. ``where`` returns the S3 URI of the object for a
    path outside of S3. ``data``: the bytes of a metadata file that is not written yet. Raises whatever pyiceberg
    raises."""
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.serializers import FromInputFile
    from pyiceberg.table import StaticTable

    from migrator.verifying.pyiceberg_io import S3FileIO

    files = S3FileIO(properties, where)
    if data is None:
        metadata = FromInputFile.table_metadata(files.new_input(metadata_uri))
    else:
        metadata = _parsed(metadata_uri, data)
    return StaticTable(
        identifier=("static", metadata_uri),
        metadata_location=metadata_uri,
        metadata=metadata,
        io=files,
        catalog=NoopCatalog("static"),
    )


def check_understood(place: str, data: bytes) -> None:
    """Parse these bytes as the metadata file at ``place``. Raises whatever pyiceberg raises if it cannot."""
    _parsed(place, data)


def _parsed(place: str, data: bytes) -> TableMetadata:
    from pyiceberg.serializers import Compressor, FromByteStream

    return FromByteStream.table_metadata(io.BytesIO(data), compression=Compressor.get_compressor(place))


def count_rows(table: Table, snapshot_id: int) -> int:
    """The number of rows in a snapshot: the recorded counts minus the deleted rows; delete files are read and
    applied."""
    return table.scan(snapshot_id=snapshot_id).count()


def digest_rows(table: Table, snapshot_id: int) -> tuple[int, str]:
    """(rows, digest) of a snapshot, every row read. The digest does not depend on the rows' order.

    Each row's text is hashed to 128 bits and the hashes are added up, so equal multisets of rows have equal digests, in
    whatever files the rows are.
    """
    total, rows = 0, 0
    reader = table.scan(snapshot_id=snapshot_id).to_arrow_batch_reader()
    names = ",".join(reader.schema.names).encode()
    for batch in reader:
        columns = [column.to_pylist() for column in batch.columns]
        for row in zip(*columns, strict=True):
            total += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest(), "big")
        rows += batch.num_rows
    whole = hashlib.blake2b(names + (total % (1 << 128)).to_bytes(16, "big"), digest_size=16)
    return rows, whole.hexdigest()
