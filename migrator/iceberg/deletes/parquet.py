"""Position deletes in Parquet: map the paths in the rows, and encode the rows again.

Replacing bytes is not enough: the paths are also in dictionaries and in page and footer statistics, which readers use
to skip row groups. So the file is decoded and written again, with the same columns, annotations, field ids, key-value
metadata, codec and row groups.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from migrator.errors import Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.deletes import child_reader
from migrator.iceberg.deletes.parquet_footer import MAGIC, Footer
from migrator.iceberg.deletes.rows import RewrittenDeletes, column_index, reading, rows
from migrator.iceberg.field_ids import FILE_PATH_ID, POS_ID

__all__ = ["MAGIC", "paths", "rewrite"]

_FIELD_ID = b"PARQUET:field_id"


def rewrite(data: bytes, mapping: Mapping, place: str) -> RewrittenDeletes:
    """See :func:`migrator.iceberg.deletes.rewrite_deletes`."""
    with reading(place):
        source = _Source(data, place)
        found = rows(source.read(None), _FIELD_ID, place)
    paths = found.moves(mapping)
    return paths.rewritten(source.write(found.moved(paths)) if paths.changed else data)


def paths(data: bytes, place: str) -> set[str]:
    """See :func:`migrator.iceberg.deletes.delete_paths`."""
    found: set[str] = child_reader.call(__name__, "paths_here", data, place)
    return found


def paths_here(data: bytes, place: str) -> set[str]:
    """The distinct paths, read some rows at a time in this process."""
    with reading(place):
        source = _Source(data, place)
        found: set[str] = set()
        for table in source.some_rows([source.path_name, source.pos_name]):
            found |= rows(table, _FIELD_ID, place).distinct()
        return found


class _Source:
    """A position delete file that was read. Use it within :func:`reading`, except for :meth:`write`."""

    def __init__(self, data: bytes, place: str) -> None:
        self._place = place
        self._footer = Footer(data, place)
        self._data = self._footer.without_annotations(data)
        self._file = self._open([])
        self._schema: pa.Schema = self._file.schema_arrow
        self.path_index = column_index(self._schema, _FIELD_ID, FILE_PATH_ID, "file_path", place)
        self.pos_index = column_index(self._schema, _FIELD_ID, POS_ID, "pos", place)
        self.path_name: str = self._schema.field(self.path_index).name
        self.pos_name: str = self._schema.field(self.pos_index).name
        self._leaf = self._path_leaf()

    def _path_leaf(self) -> int:
        """The index of the column of paths among the columns of the Parquet schema."""
        leaves = self._file.schema
        for index in range(len(leaves)):
            if leaves.column(index).path == self.path_name and leaves.column(index).physical_type == "BYTE_ARRAY":
                return index
        raise Unreadable(self._place, f"its column {self.path_name} is no string")

    def _dictionaries(self) -> list[str]:
        """The columns to read as dictionaries. Arrow cannot do that with delta encodings, which DuckDB writes."""
        found = self._file.metadata
        chunks = (found.row_group(i).column(self._leaf) for i in range(found.num_row_groups))
        return [] if any("DELTA" in name for chunk in chunks for name in chunk.encodings) else [self.path_name]

    def _open(self, dictionaries: list[str]) -> pq.ParquetFile:
        return pq.ParquetFile(
            pa.BufferReader(self._data), read_dictionary=dictionaries, page_checksum_verification=True
        )

    def read(self, columns: list[str] | None) -> pa.Table:
        """The rows, with the paths as a dictionary if possible: there are few distinct paths for many rows."""
        return self._open(self._dictionaries()).read(columns)

    def some_rows(self, columns: list[str]) -> Iterator[pa.Table]:
        """The rows as :meth:`read` gives them, a million at a time; at least one table, maybe without rows."""
        file = self._open(self._dictionaries())
        schema = file.schema_arrow
        yield pa.schema([schema.field(name) for name in columns]).empty_table()
        for batch in file.iter_batches(1 << 20, columns=columns):
            yield pa.Table.from_batches([batch])

    def write(self, table: pa.Table) -> bytes:
        """``table`` as a Parquet file with the properties of the file that was read, which has rows. Its paths are a
        dictionary."""
        found = self._file.metadata
        first = found.row_group(0).column(self._leaf)
        codec = first.compression.lower()
        sink = pa.BufferOutputStream()
        try:
            with pq.ParquetWriter(
                sink,
                self._schema,
                compression="none" if codec == "uncompressed" else codec,
                store_schema=False,
                # Arrow computes minimum and maximum of the physical values, whose order may differ.
                write_statistics=self._footer.in_plain_order or [self.path_name, self.pos_name],
                write_page_index=first.has_column_index,
            ) as writer:
                start = 0
                for size in (found.row_group(i).num_rows for i in range(found.num_row_groups)):
                    part = table.slice(start, size).cast(self._schema)
                    writer.write_table(part, row_group_size=max(size, 1))
                    start += size
        except (pa.ArrowException, OSError, ValueError) as fault:
            raise Unreadable(self._place, f"it cannot be written again: {fault}") from fault
        return self._footer.put_on(sink.getvalue().to_pybytes())
