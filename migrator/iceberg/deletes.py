"""Position delete files (Parquet): map the paths in their rows, and encode the rows again.

Patching bytes is not enough: the paths also stand in dictionaries, page and footer statistics, and readers
skip row groups by those (Iceberg table spec, "Position Delete Files"). So the file is decoded and written
anew, with the same columns, field ids, key-value metadata, codec and row groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrator.errors import Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.manifests import FILE_PATH_ID, DeleteFile

POS_ID = 2147483545
"""Reserved field id of the column ``pos``."""

_MAGIC = b"PAR1"
_FIELD_ID = b"PARQUET:field_id"
_ARROW_SCHEMA = b"ARROW:schema"


@dataclass(frozen=True)
class RewrittenDeletes:
    """A position delete file with mapped paths."""

    data: bytes
    file: DeleteFile
    """What its manifest entry must say; lower and upper are "" if the file has no rows."""
    unmapped: int
    """Rows whose path no rule covers, kept as they are: they delete from files that do not move."""


def rewrite_deletes(data: bytes, mapping: Mapping, place: str) -> RewrittenDeletes:
    """The file with every ``file_path`` mapped; the same bytes if none changes.

    The rows are sorted by (file_path, pos) again if the mapping changed the order of the paths in the file,
    and otherwise stay in the order that they have. Raises Unreadable for anything but a sound Parquet file
    with the two columns, without nulls in them, that can be written back with the same column types.
    """
    source = _Source(data, place)
    table = source.read(None)
    paths = source.paths(table)
    old = paths.dictionary.to_pylist()
    moved = [mapping(path) for path in old]
    new = [path if target is None else target for path, target in zip(old, moved, strict=True)]
    used = pc.value_counts(paths.indices).to_pylist()
    unmapped = sum(u["counts"] for u in used if moved[u["values"]] is None)
    names = [new[u["values"]] for u in used] or [""]
    if new != old:
        table = _with_paths(table, source, paths.indices, new)
        if _order(new) != _order(old):
            table = _sorted(table, source, paths.indices, new)
        data = source.write(table)
    return RewrittenDeletes(data, DeleteFile(len(data), min(names), max(names)), unmapped)


def delete_paths(data: bytes, place: str) -> set[str]:
    """The distinct paths in a position delete file. Raises Unreadable like the rewrite."""
    source = _Source(data, place)
    paths = source.paths(source.read([source.path_name]))
    values = paths.dictionary.to_pylist()
    return {values[index] for index in pc.unique(paths.indices).to_pylist()}


def _order(paths: list[str]) -> list[int]:
    """For each path its rank; equal paths have equal ranks."""
    ranks = {path: rank for rank, path in enumerate(sorted(set(paths)))}
    return [ranks[path] for path in paths]


def _with_paths(table: pa.Table, source: _Source, indices: pa.Array, new: list[str]) -> pa.Table:
    column = pa.DictionaryArray.from_arrays(indices, pa.array(new, pa.large_string()))
    return table.set_column(source.path_index, source.path_name, column)


def _sorted(table: pa.Table, source: _Source, indices: pa.Array, new: list[str]) -> pa.Table:
    ranks = pa.array(_order(new), pa.int32()).take(indices)  # numbers sort faster than paths
    keys = pa.table({"path": ranks, "pos": table.column(source.pos_index)})
    return table.take(pc.sort_indices(keys, sort_keys=[("path", "ascending"), ("pos", "ascending")]))


class _Source:
    """A position delete file as it was found."""

    def __init__(self, data: bytes, place: str) -> None:
        self._data = data
        self._place = place
        if len(data) < 12 or not (data.startswith(_MAGIC) and data.endswith(_MAGIC)):
            raise Unreadable(place, "it is no complete Parquet file; other position deletes are not supported")
        self._file = self._open([])
        self._schema: pa.Schema = self._file.schema_arrow
        self.path_index = self._column(FILE_PATH_ID, "file_path")
        self.pos_index = self._column(POS_ID, "pos")
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
        try:
            return pq.ParquetFile(
                pa.BufferReader(self._data), read_dictionary=dictionaries, page_checksum_verification=True
            )
        except (pa.ArrowException, OSError) as fault:
            raise self._unreadable(fault) from fault

    def _unreadable(self, fault: Exception) -> Unreadable:
        return Unreadable(self._place, " ".join(str(fault).split()).rstrip("."))

    def _column(self, field_id: int, name: str) -> int:
        ids = [(f.metadata or {}).get(_FIELD_ID) for f in self._schema]
        if b"%d" % field_id in ids:
            return ids.index(b"%d" % field_id)
        index: int = self._schema.get_field_index(name)
        if index < 0:
            raise Unreadable(self._place, f"it has no column {name} (field id {field_id})")
        return index

    def read(self, columns: list[str] | None) -> pa.Table:
        """The rows, the paths as a dictionary: there are few distinct ones, whatever the number of rows."""
        try:
            return self._open([self.path_name]).read(columns)
        except (pa.ArrowException, OSError) as fault:
            raise self._unreadable(fault) from fault

    def paths(self, table: pa.Table) -> pa.DictionaryArray:
        """The column of paths, one dictionary of strings for all row groups. Checks that no key is null."""
        column = table.column(self.path_name)
        try:
            if not pa.types.is_dictionary(column.type):
                column = column.dictionary_encode()
            paths = column.unify_dictionaries().combine_chunks()
            if isinstance(paths, pa.ChunkedArray):  # no rows, no chunks
                paths = pa.array([], column.type)
            values = paths.dictionary.cast(pa.large_string())
            values.validate(full=True)  # UTF-8
        except (pa.ArrowException, OSError) as fault:
            raise self._unreadable(fault) from fault
        positions = table.column(self.pos_name).null_count if self.pos_name in table.column_names else 0
        if paths.null_count or values.null_count or positions:
            raise Unreadable(self._place, "a row has no file_path or no pos")
        return pa.DictionaryArray.from_arrays(paths.indices, values)

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
