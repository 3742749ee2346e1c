"""Manifest lists and manifests: read their entries, and map the paths in them.

Numbers in parentheses are field ids of the Iceberg table spec ("Manifest Lists", "Manifests"). Every other byte stays,
so nulls that readers fill by inheritance stay null, and each file keeps its own format version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from migrator.errors import UnmappedPath, Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.avro import Container, Part, Record, Source, Target
from migrator.iceberg.field_ids import FILE_PATH_ID

EXISTING, ADDED, DELETED = 0, 1, 2
"""Entry status."""
DATA, POSITION_DELETES, EQUALITY_DELETES = 0, 1, 2
"""Content of a data file entry."""
_STATUSES = (EXISTING, ADDED, DELETED)
_CONTENTS = (DATA, POSITION_DELETES, EQUALITY_DELETES)

_LIST_PATH = Target(500, "manifest_path", "string", required=True)
_LIST_LENGTH = Target(501, "manifest_length", "long", required=True)
_LIST_CONTENT = Target(517, "content", "long")
_LIST_KEY = Target(519, "key_metadata", "bytes")
_LIST_COUNTS = (
    Target(504, "added_files_count", "long"),
    Target(505, "existing_files_count", "long"),
    Target(506, "deleted_files_count", "long"),
)

_STATUS = Target(0, "status", "long", required=True)
_DATA_FILE = Target(2, "data_file", "any")
_CONTENT = Target(134, "content", "long", parent=_DATA_FILE)
_PATH = Target(100, "file_path", "string", required=True, parent=_DATA_FILE)
_FORMAT = Target(101, "file_format", "string", required=True, parent=_DATA_FILE)
_RECORDS = Target(103, "record_count", "long", required=True, parent=_DATA_FILE)
_SIZE = Target(104, "file_size_in_bytes", "long", required=True, parent=_DATA_FILE)
_LOWER = Target(125, "lower_bounds", "bounds", parent=_DATA_FILE)
_UPPER = Target(128, "upper_bounds", "bounds", parent=_DATA_FILE)
_KEY = Target(131, "key_metadata", "bytes", parent=_DATA_FILE)
_SPLITS = Target(132, "split_offsets", "any", parent=_DATA_FILE)
_REFERENCED = Target(143, "referenced_data_file", "string", parent=_DATA_FILE)


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One entry of a manifest list."""

    path: str
    length: int
    content: int
    """0 data, 1 deletes; 0 in lists of format version 1, which have no such field."""
    encrypted: bool
    entries: int | None
    """The number of entries of every status, as the list records it; None if the list does not record it."""


class Entry(NamedTuple):
    """One entry of a manifest."""

    status: int
    """0 existing, 1 added, 2 deleted."""
    content: int
    """0 data, 1 position deletes (deletion vectors included), 2 equality deletes."""
    path: str
    file_format: str
    """In upper case."""
    size: int
    record_count: int
    referenced_data_file: str | None
    encrypted: bool


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """What a manifest records about a rewritten file of position deletes or deletion vectors."""

    size: int
    """In bytes."""
    lower: str | None
    """The smallest new ``file_path`` in its rows, "" if it has no rows. None for deletion vectors, whose paths are in
    the manifest: then bounds are mapped like paths."""
    upper: str | None
    """The largest one, likewise."""


def read_manifest_list(source: Source, place: str) -> list[ManifestFile]:
    """The manifests that a list names, in order. Raises Unreadable for a damaged list."""
    records = Container(source, place).records((_LIST_PATH, _LIST_LENGTH, _LIST_CONTENT, _LIST_KEY, *_LIST_COUNTS))
    return [
        ManifestFile(
            path=_required(record, _LIST_PATH, place),
            length=_required(record, _LIST_LENGTH, place),
            content=_one_of((DATA, 1), record.get(_LIST_CONTENT) or 0, _LIST_CONTENT, place),
            encrypted=record.get(_LIST_KEY) is not None,
            entries=_total([record.get(count) for count in _LIST_COUNTS]),
        )
        for record in records
    ]


def _total(counts: list[int | None]) -> int | None:
    return None if None in counts else sum(count or 0 for count in counts)


def rewrite_manifest_list(
    source: Source, sink: BinaryIO, mapping: Mapping, length_of: Callable[[str], int | None], place: str
) -> None:
    """Write the list to ``sink`` with each manifest's path mapped and its length replaced by ``length_of(old path)``.

    If ``length_of`` returns None the length stays: the manifest was expired, and only old metadata still names it.

    Raises UnmappedPath for a manifest that no rule covers and Unreadable for a damaged list.
    """

    def edit(record: Record) -> None:
        path = _required(record, _LIST_PATH, place)
        record.put(_LIST_PATH, _mapped(path, mapping, place))
        length = length_of(path)
        if length is not None:
            record.put(_LIST_LENGTH, length)

    Container(source, place).rewrite((_LIST_PATH, _LIST_LENGTH), edit, sink)


def read_manifest(source: Source, place: str) -> Iterator[Entry]:
    """The entries of a manifest, in order; the iterator reads one block at a time. It raises Unreadable."""
    targets = (_STATUS, _CONTENT, _PATH, _FORMAT, _SIZE, _RECORDS, _REFERENCED, _KEY)
    for status, content, path, file_format, size, records, referenced, key in Container(source, place).values(targets):
        if status not in _STATUSES or (content or DATA) not in _CONTENTS or None in (path, file_format, size, records):
            _check(status, content or DATA, place)
            for target, value in ((_PATH, path), (_FORMAT, file_format), (_SIZE, size), (_RECORDS, records)):
                _not_null(value, target, place)
        encrypted = key is not None
        yield Entry(status, content or DATA, path, file_format.upper(), size, records, referenced, encrypted)


def split_manifest(source: Source, place: str, *, size: int, entries: int) -> Iterator[Part]:
    """Cut a manifest between blocks into parts of about ``size`` bytes or ``entries`` entries, each of which is a
    complete manifest for :func:`read_manifest`. The parts have the entries of the whole, in order.

    Raises Unreadable for a damaged header at once, and for a damaged end after the parts before it. The entries
    themselves are not checked here.
    """
    return Container(source, place).parts(size, entries)


def rewrite_manifest(
    source: Source, sink: BinaryIO, mapping: Mapping, delete_file: Callable[[str], DeleteFile | None], place: str
) -> None:
    """Write the manifest to ``sink`` with its paths mapped, and with the sizes and bounds of rewritten delete files.

    ``file_path`` (100) and ``referenced_data_file`` (143) are mapped in entries of every status. A path that
    no rule covers raises UnmappedPath, or stays if the entry is deleted: its file need not exist any more.

    ``delete_file(old path)`` returns the size and bounds of a rewritten file of position deletes or deletion vectors:
    its entry gets the new size (104). If the file has rows, the entry also gets the bounds of the paths in
    them (125, 128, if it has bounds), and loses its split offsets (132), which are positions in the old file.
    The blobs of deletion vectors do not move in their file, so their offset and length (144, 145) stay. If
    ``delete_file`` returns None, the file was not rewritten; then, as for vectors, the bounds are mapped like paths.
    Bounds of other columns are data and stay. Raises Unreadable for a damaged manifest.
    """

    def edit(record: Record) -> None:
        status, content, path = record.get(_STATUS), record.get(_CONTENT) or DATA, record.get(_PATH)
        if status not in _STATUSES or content not in _CONTENTS or path is None:
            _check(status, content, place)
            _not_null(path, _PATH, place)
        live = status != DELETED
        _map_path(record, _PATH, path, mapping, live, place)
        referenced = record.get(_REFERENCED)
        if referenced is not None:
            _map_path(record, _REFERENCED, referenced, mapping, live, place)
        if content != POSITION_DELETES:
            return
        measured = delete_file(path)
        if measured is not None:
            record.put(_SIZE, measured.size)
        if measured is None or measured.lower is None or measured.upper is None:
            for bounds in (_LOWER, _UPPER):
                _put_bound(record, bounds, lambda old: _mapped_bound(old, mapping, live, place))
        else:
            _put_row_bounds(record, measured.lower.encode(), measured.upper.encode())

    targets = (_STATUS, _CONTENT, _PATH, _SIZE, _LOWER, _UPPER, _SPLITS, _REFERENCED)
    Container(source, place).rewrite(targets, edit, sink)


def _map_path(record: Record, field: Target, old: str, mapping: Mapping, live: bool, place: str) -> None:
    new = mapping(old)
    if new is not None:
        record.put(field, new)
    elif live:
        raise UnmappedPath(place, old)


def _put_row_bounds(record: Record, lower: bytes, upper: bytes) -> None:
    if record.nullable(_SPLITS):
        record.put(_SPLITS, None)
    _put_bound(record, _LOWER, lambda old: lower)
    _put_bound(record, _UPPER, lambda old: upper)


def _put_bound(record: Record, bounds: Target, new: Callable[[bytes], bytes]) -> None:
    """Replace the bound of ``file_path``, if there is one. The other columns' bounds and the order stay."""
    before = record.get(bounds)
    if not before:
        return
    after = [[k, new(v) if k == FILE_PATH_ID and v is not None else v] for k, v in filter(None, before)]
    if after != before:
        record.put(bounds, after)


def _mapped_bound(bound: bytes, mapping: Mapping, live: bool, place: str) -> bytes:
    try:
        path = bound.decode()
    except UnicodeDecodeError:  # truncated within a character
        path = ""
    new = mapping(path) if path else None
    if new is not None:
        return new.encode()
    if live:  # readers find the deletes of a data file by these bounds: with an old bound deleted rows would reappear
        raise UnmappedPath(place, bound.decode(errors="replace"))
    return bound


def _mapped(path: str, mapping: Mapping, place: str) -> str:
    new = mapping(path)
    if new is None:
        raise UnmappedPath(place, path)
    return new


def _required(record: Record, target: Target, place: str) -> Any:
    return _not_null(record.get(target), target, place)


def _not_null(value: Any, target: Target, place: str) -> Any:
    if value is None:
        raise Unreadable(place, f"field {target.id} {target.name} is null")
    return value


def _one_of(known: tuple[int, ...], value: int, target: Target, place: str) -> int:
    if value not in known:
        raise Unreadable(place, f"field {target.id} {target.name} is {value}")
    return value


def _check(status: int | None, content: int, place: str) -> None:
    """Raise Unreadable for an unknown status or content of an entry."""
    _one_of(_STATUSES, _not_null(status, _STATUS, place), _STATUS, place)
    _one_of(_CONTENTS, content, _CONTENT, place)
