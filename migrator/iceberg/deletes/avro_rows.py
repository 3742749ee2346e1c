"""Position deletes in Avro: replace the paths in the records, and leave every other byte of them alone."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

from migrator.errors import Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.avro import MAGIC, Container, Record, Target
from migrator.iceberg.deletes.rows import NO_KEY, Paths, RewrittenDeletes
from migrator.iceberg.field_ids import FILE_PATH_ID, POS_ID

__all__ = ["MAGIC", "paths", "rewrite"]

_PATH = Target(FILE_PATH_ID, "file_path", "string", required=True)
_POS = Target(POS_ID, "pos", "long", required=True)
_KEY = (_PATH, _POS)


def rewrite(data: bytes, mapping: Mapping, place: str) -> RewrittenDeletes:
    """See :func:`migrator.iceberg.deletes.rewrite_deletes`."""
    found = Paths(Counter(_rows(data, place)), mapping)
    if not found.changed:
        return found.rewritten(data)

    def edit(record: Record) -> None:
        record.put(_PATH, found.new[record.get(_PATH)])

    def key(record: Record) -> tuple[str, int]:
        return found.new[record.get(_PATH)], record.get(_POS)

    sink = io.BytesIO()
    if found.reordered:
        Container(data, place).rewrite_sorted(_KEY, edit, key, sink)
    else:
        Container(data, place).rewrite(_KEY, edit, sink)
    return found.rewritten(sink.getvalue())


def paths(data: bytes, place: str) -> set[str]:
    """See :func:`migrator.iceberg.deletes.delete_paths`."""
    return set(_rows(data, place))


def _rows(data: bytes, place: str) -> Iterator[str]:
    """The path of each row."""
    for record in Container(data, place).records(_KEY):
        path = record.get(_PATH)
        if path is None or record.get(_POS) is None:
            raise Unreadable(place, NO_KEY)
        yield path
