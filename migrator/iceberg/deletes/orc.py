"""Position deletes in ORC: map the paths in the rows, and encode the rows again.

The paths are also in dictionaries and in the statistics of stripes and file, which readers use to skip rows. So the
file is decoded and written again, with the same columns, compression and user metadata. Iceberg finds the columns by
the type attribute ``iceberg.id`` (Iceberg table spec, "Appendix A", ORC).
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.orc

from migrator.errors import Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.deletes import child_reader
from migrator.iceberg.deletes.orc_tail import Tail
from migrator.iceberg.deletes.rows import RewrittenDeletes, reading, rows

MAGIC = b"ORC"
_ID = b"iceberg.id"
_MEMORY_BLOCK = 64 << 10
_STRIDE = 10_000


def rewrite(data: bytes, mapping: Mapping, place: str) -> RewrittenDeletes:
    """See :func:`migrator.iceberg.deletes.rewrite_deletes`."""
    moved = {path: mapping(path) for path in paths(data, place)}
    result: RewrittenDeletes = child_reader.call(__name__, "rewrite_here", data, place, moved)
    return replace(result, data=data) if result.data == data else result


def paths(data: bytes, place: str) -> set[str]:
    """See :func:`migrator.iceberg.deletes.delete_paths`."""
    found: set[str] = child_reader.call(__name__, "paths_here", data, place)
    return found


# -- in the child, because Arrow's reader may crash ----------------------------------------------------------


def rewrite_here(data: bytes, moved: dict[str, str | None], place: str) -> RewrittenDeletes:
    """The rewrite, in this process. ``moved``: old path → new path, or None."""
    with reading(place):
        file = _open(data, place)
        found = rows(file.read(), _ID, place)
    paths = found.moves(moved.get)
    return paths.rewritten(_write(found.moved(paths), file, Tail(data, place), place) if paths.changed else data)


def paths_here(data: bytes, place: str) -> set[str]:
    """The distinct paths, read stripe by stripe in this process."""
    with reading(place):
        file = _open(data, place)
        found = rows(file.schema.empty_table(), _ID, place).distinct()
        for number in range(file.nstripes):
            found |= rows(pa.Table.from_batches([file.read_stripe(number)]), _ID, place).distinct()
        return found


def _open(data: bytes, place: str) -> pa.orc.ORCFile:
    if data[-4:-1] != MAGIC:  # Arrow would read any last byte as the size of the postscript
        raise Unreadable(place, "it is no complete ORC file")
    return pa.orc.ORCFile(pa.BufferReader(data))


def _write(table: pa.Table, file: pa.orc.ORCFile, tail: Tail, place: str) -> bytes:
    """``table`` as an ORC file with the properties of the file that was read. Its paths are a dictionary, which ORC
    makes itself."""
    if not tail.timestamps_fit:
        # Arrow counts nanoseconds in 64 bits: dates after 2262 overflow without an error.
        message = "it has timestamps, which cannot be written back safely: its statistics do not show that all of them "
        raise Unreadable(place, message + "lie between the years 1678 and 2262")
    sink = pa.BufferOutputStream()
    try:
        with pa.orc.ORCWriter(
            sink,
            file_version=file.file_version,
            compression=file.compression.lower(),
            # Arrow takes multiples of 64 KiB, and always writes an index.
            compression_block_size=-(-file.compression_size // _MEMORY_BLOCK) * _MEMORY_BLOCK or _MEMORY_BLOCK,
            row_index_stride=file.row_index_stride or _STRIDE,
            dictionary_key_size_threshold=0.8,  # as in Java; Arrow writes dictionaries only with this option
        ) as writer:
            writer.write(table.cast(file.schema))
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise Unreadable(place, f"it cannot be written again: {fault}") from fault
    written = Tail(sink.getvalue().to_pybytes(), place)
    if written.types != tail.types:
        raise Unreadable(place, "columns cannot be written back as they are")
    return written.with_metadata(tail.metadata)
