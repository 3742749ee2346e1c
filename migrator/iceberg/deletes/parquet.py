"""Position deletes in Parquet: map the paths in the rows, and encode the rows again.

Patching bytes is not enough: the paths also stand in dictionaries, page and footer statistics, and readers
skip row groups by those. So the file is decoded and written anew, with the same columns, field ids, key-value
metadata, codec and row groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from migrator.errors import Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.deletes import apart
from migrator.iceberg.deletes.rows import POS_ID, RewrittenDeletes, column_index, reading, rows
from migrator.iceberg.manifests import FILE_PATH_ID

MAGIC = b"PAR1"
_FIELD_ID = b"PARQUET:field_id"
_ARROW_SCHEMA = b"ARROW:schema"


def rewrite(data: bytes, mapping: Mapping, place: str) -> RewrittenDeletes:
    """See :func:`migrator.iceberg.deletes.rewrite_deletes`."""
    with reading(place):
        source = _Source(data, place)
        found = rows(source.read(None), _FIELD_ID, place)
    paths = found.moves(mapping)
    return paths.rewritten(source.write(found.moved(paths)) if paths.changed else data)


def paths(data: bytes, place: str) -> set[str]:
    """See :func:`migrator.iceberg.deletes.delete_paths`."""
    found: set[str] = apart.call(__name__, "paths_here", data, place)
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
    """A position delete file as it was found. Use it within :func:`reading`, except for :meth:`write`."""

    def __init__(self, data: bytes, place: str) -> None:
        self._data = data
        self._place = place
        if len(data) < 12 or not data.endswith(MAGIC):
            raise Unreadable(place, "it is no complete Parquet file")
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

    def _open(self, dictionaries: list[str]) -> pq.ParquetFile:
        return pq.ParquetFile(
            pa.BufferReader(self._data), read_dictionary=dictionaries, page_checksum_verification=True
        )

    def read(self, columns: list[str] | None) -> pa.Table:
        """The rows, the paths as a dictionary: there are few distinct ones, whatever the number of rows."""
        return self._open([self.path_name]).read(columns)

    def some_rows(self, columns: list[str]) -> Iterator[pa.Table]:
        """The rows as :meth:`read` gives them, a million at a time; at least one table, maybe without rows."""
        file = self._open([self.path_name])
        schema = file.schema_arrow
        yield pa.schema([schema.field(name) for name in columns]).empty_table()
        for batch in file.iter_batches(1 << 20, columns=columns):
            yield pa.Table.from_batches([batch])

    def write(self, table: pa.Table) -> bytes:
        """``table`` in the shape of the file that was read, which has rows. Its paths are a dictionary."""
        found = self._file.metadata
        stored = found.metadata or {}
        schema = self._plain_schema()
        if _ARROW_SCHEMA not in stored:
            schema = schema.remove_metadata()
        first = found.row_group(0).column(self._leaf)
        codec = first.compression.lower()
        sink = pa.BufferOutputStream()
        try:
            writer = pq.ParquetWriter(
                sink,
                schema,
                compression="none" if codec == "uncompressed" else codec,
                store_schema=_ARROW_SCHEMA in stored,  # made for this schema; the old one would be stale
                write_page_index=first.has_column_index,
            )
            with writer:
                # Arrow writes a schema's metadata only together with its own schema; the rest goes here.
                written = {_ARROW_SCHEMA, *(schema.metadata or {})}
                writer.add_key_value_metadata({k: v for k, v in stored.items() if k not in written})
                start = 0
                for size in (found.row_group(i).num_rows for i in range(found.num_row_groups)):
                    part = table.slice(start, size).cast(schema)
                    writer.write_table(part, row_group_size=max(size, 1))
                    start += size
        except (pa.ArrowException, OSError, ValueError) as fault:
            raise Unreadable(self._place, f"it cannot be written again: {fault}") from fault
        out: bytes = sink.getvalue().to_pybytes()
        self._compare(out)
        return out

    def _plain_schema(self) -> pa.Schema:
        """The file's schema, the paths as strings even if Arrow had stored a dictionary."""
        field = self._schema.field(self.path_index)
        if pa.types.is_dictionary(field.type):
            field = field.with_type(field.type.value_type)
        return self._schema.set(self.path_index, field)

    def _compare(self, written: bytes) -> None:
        """Arrow cannot express every Parquet type: refuse a file whose columns would come back as others."""
        before, after = (_leaves(f.schema) for f in (self._file, pq.ParquetFile(pa.BufferReader(written))))
        if before != after:
            changed = sorted({leaf[0] for leaf in set(before) ^ set(after)})
            raise Unreadable(self._place, f"columns cannot be written back as they are: {', '.join(changed)}")


def _leaves(schema: Any) -> list[tuple[str, str, str, int, int]]:
    columns: Iterable[Any] = (schema.column(i) for i in range(len(schema)))
    return [
        (c.path, c.physical_type, str(c.logical_type), c.max_definition_level, c.max_repetition_level) for c in columns
    ]
