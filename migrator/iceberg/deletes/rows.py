"""Position deletes of every format: the distinct paths in the rows of a file, and the rows as an Arrow table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from migrator.errors import Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.field_ids import FILE_PATH_ID, POS_ID
from migrator.iceberg.manifests import DeleteFile

NO_KEY = "a row has no file_path or no pos"


@dataclass(frozen=True)
class RewrittenDeletes:
    """A file of position deletes or deletion vectors with mapped paths."""

    data: bytes
    file: DeleteFile
    """The values for its manifest entries."""
    unmapped: int
    """Rows or vectors whose path no rule covers, kept as they are: they delete from files that do not move."""


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn the errors that Arrow raises for damaged files into Unreadable."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise Unreadable(place, " ".join(str(fault).split()).rstrip(".")) from fault


class Paths:
    """The distinct paths in the rows of a file, and their new paths."""

    def __init__(self, rows: dict[str, int], mapping: Mapping) -> None:
        """``rows`` is the number of rows of each path."""
        moved = {path: mapping(path) for path in rows}
        self.new = {path: path if new is None else new for path, new in moved.items()}
        """Old path → new path; unmapped ones stay."""
        self.unmapped = sum(rows[path] for path, new in moved.items() if new is None)

    @property
    def changed(self) -> bool:
        """True if the mapping changes at least one path."""
        return any(old != new for old, new in self.new.items())

    @property
    def reordered(self) -> bool:
        """True if rows that were sorted by path no longer are."""
        return ranks(list(self.new)) != ranks(list(self.new.values()))

    def rewritten(self, data: bytes) -> RewrittenDeletes:
        """The result, measured on the new file; the bounds are "" if it has no rows."""
        names = self.new.values()
        return RewrittenDeletes(
            data, DeleteFile(len(data), min(names, default=""), max(names, default="")), self.unmapped
        )


def ranks(paths: list[str]) -> list[int]:
    """For each path its position in the sorted order; equal paths have equal ranks."""
    places = {path: place for place, path in enumerate(sorted(set(paths)))}
    return [places[path] for path in paths]


@dataclass(frozen=True)
class Rows:
    """The rows of a file as an Arrow table, with the columns of paths and positions at these indexes."""

    table: pa.Table
    path: int
    pos: int
    keys: pa.DictionaryArray
    """The column of paths: one dictionary of strings, without nulls."""

    def moves(self, mapping: Mapping) -> Paths:
        """The distinct paths with their new paths."""
        values = self.keys.dictionary.to_pylist()
        return Paths(
            {values[c["values"]]: c["counts"] for c in pc.value_counts(self.keys.indices).to_pylist()}, mapping
        )

    def moved(self, paths: Paths) -> pa.Table:
        """The table with the new paths as a dictionary, sorted by (path, pos) again if their order has changed."""
        new = [paths.new.get(path, path) for path in self.keys.dictionary.to_pylist()]
        column = pa.DictionaryArray.from_arrays(self.keys.indices, pa.array(new, pa.large_string()))
        table = self.table.set_column(self.path, self.table.field(self.path).name, column)
        if not paths.reordered:
            return table
        order = pa.array(ranks(new), pa.int32()).take(self.keys.indices)  # numbers sort faster than paths
        keys = pa.table({"path": order, "pos": table.column(self.pos)})
        return table.take(pc.sort_indices(keys, sort_keys=[("path", "ascending"), ("pos", "ascending")]))

    def distinct(self) -> set[str]:
        """The distinct paths."""
        values = self.keys.dictionary.to_pylist()
        return {values[index] for index in pc.unique(self.keys.indices).to_pylist()}


def column_index(schema: pa.Schema, id_key: bytes, field_id: int, name: str, place: str) -> int:
    """The column with this field id in its Arrow metadata under ``id_key``, else with this name.

    Raises Unreadable if there is none.
    """
    ids = [(field.metadata or {}).get(id_key) for field in schema]
    if b"%d" % field_id in ids:
        return ids.index(b"%d" % field_id)
    index: int = schema.get_field_index(name)
    if index < 0:
        raise Unreadable(place, f"it has no column {name} (field id {field_id})")
    return index


def rows(table: pa.Table, id_key: bytes, place: str) -> Rows:
    """``table`` with its key columns found. Raises Unreadable if one is missing, null or of a wrong type.

    Raises what :func:`reading` turns into Unreadable.
    """
    path = column_index(table.schema, id_key, FILE_PATH_ID, "file_path", place)
    pos = column_index(table.schema, id_key, POS_ID, "pos", place)
    if not pa.types.is_integer(table.field(pos).type):
        raise Unreadable(place, f"its column {table.field(pos).name} is no integer")
    if not _is_text(table.field(path).type):
        raise Unreadable(place, f"its column {table.field(path).name} is no string")
    keys = _dictionary(table.column(path))
    if keys.null_count or keys.dictionary.null_count or table.column(pos).null_count:
        raise Unreadable(place, NO_KEY)
    return Rows(table, path, pos, keys)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _dictionary(column: pa.ChunkedArray) -> pa.DictionaryArray:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    paths = column.unify_dictionaries().combine_chunks()
    if isinstance(paths, pa.ChunkedArray):  # no rows, no chunks
        paths = pa.array([], column.type)
    values = paths.dictionary.cast(pa.large_string())
    values.validate(full=True)  # UTF-8
    return pa.DictionaryArray.from_arrays(paths.indices, values)
