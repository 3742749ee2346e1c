"""The footer of a Parquet file: remove the annotations from its columns, and restore them in the new file.

Arrow converts annotated types, and may write other ones: ``INT(64, signed)`` loses its annotation, JSON becomes a
string, INT96 a timestamp with another range. So Arrow gets the file without annotations: then it reads and writes the
physical values without a loss, and the schema of the new file is replaced by the old one, byte for byte. Format:
parquet-format, ``parquet.thrift``.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from migrator.errors import Unreadable
from migrator.iceberg.deletes.thrift import BINARY, I32, LIST, STRUCT, Struct, decode, encode
from migrator.iceberg.malformed import Malformed

MAGIC = b"PAR1"

# Field numbers: parquet.thrift.
_SCHEMA, _ROW_GROUPS, _KEY_VALUES, _ENCRYPTION = 2, 4, 5, 8
_TYPE, _TYPE_LENGTH, _REPETITION, _NAME, _CHILDREN, _CONVERTED, _SCALE, _PRECISION, _LOGICAL = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
)
_COLUMNS = 1
_CHUNK_META = 3
_CHUNK_TYPE, _CHUNK_PATH = 1, 3

_INT32, _INT64, _INT96, _BYTE_ARRAY, _FIXED = 1, 2, 3, 6, 7
_CONVERTED_GROUPS = {1, 2, 3}
"""MAP, MAP_KEY_VALUE and LIST describe the structure of a group."""
_LOGICAL_GROUPS = {2, 3}
_CONVERTED_TEXT, _LOGICAL_TEXT = {0, 4, 19, 20}, {1, 4, 12, 13}
"""UTF8, ENUM, JSON and BSON: compared byte by byte, as bare bytes are."""
_CONVERTED_UNSIGNED = {11, 12, 13, 14}
_LOGICAL_INTEGER, _LOGICAL_UUID = 10, 14


class Footer:
    """The footer of ``data``. Raises Unreadable if it is damaged or encrypted."""

    def __init__(self, data: bytes, place: str) -> None:
        self._place = place
        size = int.from_bytes(data[-8:-4], "little")
        self._start = len(data) - 8 - size
        if len(data) < 12 or not data.endswith(MAGIC) or self._start < len(MAGIC):
            raise Unreadable(place, "it is no complete Parquet file")
        try:
            self._top = decode(data[self._start : -8])
            _check_types(self._top)
            self._elements: list[Struct] = self._top[_SCHEMA][1][1]
            self.paths = _paths(self._elements)
            self._chunks = list(_chunks(self._top))
        except (Malformed, KeyError, IndexError) as fault:
            raise Unreadable(place, f"its Parquet footer is damaged: {fault}") from fault
        if _ENCRYPTION in self._top:
            raise Unreadable(place, "it is encrypted")
        if any(len(group) != len(self.paths) for group in self._chunks):
            raise Unreadable(place, "its Parquet footer is damaged: a row group lacks columns")

    @property
    def in_plain_order(self) -> bool:
        """True if every column's values are ordered as the same values without an annotation are."""
        return all(_in_plain_order(leaf) for leaf in self._leaves())

    def without_annotations(self, data: bytes) -> bytes:
        """``data``, which has this footer, with bare physical types. Nothing but the footer changes."""
        top = deepcopy(self._top)
        top.pop(_KEY_VALUES, None)  # one of them may be Arrow's own description of the types
        elements: list[Struct] = top[_SCHEMA][1][1]
        for element in elements:
            if _TYPE in element or not _is_annotated_as(element, _CONVERTED_GROUPS, _LOGICAL_GROUPS):
                for field in (_CONVERTED, _SCALE, _PRECISION, _LOGICAL):
                    element.pop(field, None)
        for number, leaf in enumerate(element for element in elements if _TYPE in element):
            if leaf[_TYPE][1] == _INT96:  # read as 12 bytes
                leaf[_TYPE_LENGTH] = I32, 12
                leaf[_TYPE] = I32, _FIXED
                for group in _chunks(top):
                    group[number][_CHUNK_TYPE] = I32, _FIXED
        return _closed(data[: self._start], top)

    def put_on(self, written: bytes) -> bytes:
        """The file ``written``, made from what :meth:`without_annotations` returned, with this footer's schema and
        key-value metadata. Raises Unreadable if its columns differ."""
        there = Footer(written, self._place)
        # Writers differ in the fields of the root.
        ours, theirs = ([_shape(element) for element in footer._elements[1:]] for footer in (self, there))
        if ours != theirs:
            changed = [".".join(map(_text, path)) for path in self.paths if path not in there.paths] or ["its columns"]
            raise Unreadable(self._place, f"columns cannot be written back as they are: {', '.join(changed)}")
        top = there._top
        top[_SCHEMA] = self._top[_SCHEMA]
        top.pop(_KEY_VALUES, None)
        if _KEY_VALUES in self._top:
            top[_KEY_VALUES] = self._top[_KEY_VALUES]
        for group in there._chunks:
            for chunk, path, leaf in zip(group, self.paths, self._leaves(), strict=True):
                chunk[_CHUNK_TYPE] = leaf[_TYPE]
                chunk[_CHUNK_PATH] = LIST, (BINARY, list(path))
        return _closed(written[: there._start], dict(sorted(top.items())))

    def _leaves(self) -> Iterator[Struct]:
        return (element for element in self._elements if _TYPE in element)


def _check_types(top: Struct) -> None:
    """Raises Malformed unless every field that this module uses has the type in the format."""
    for element in _structs(top, _SCHEMA):
        for field in (_TYPE, _TYPE_LENGTH, _REPETITION, _CHILDREN, _CONVERTED):
            _expect(element, field, I32)
        _expect(element, _NAME, BINARY)
        _expect(element, _LOGICAL, STRUCT)
        for field, (kind, value) in element[_LOGICAL][1].items() if _LOGICAL in element else ():
            if kind != STRUCT or (field == _LOGICAL_INTEGER and value.get(2, (0, True))[1] not in (True, False)):
                raise Malformed("a logical type is none")
    for group in _structs(top, _ROW_GROUPS):
        for chunk in _structs(group, _COLUMNS):
            _expect(chunk, _CHUNK_META, STRUCT)


def _structs(struct: Struct, field: int) -> list[Struct]:
    _expect(struct, field, LIST)
    kind, found = struct[field][1]
    if kind != STRUCT and found:
        raise Malformed(f"field {field} is no list of structs")
    return list(found)


def _expect(struct: Struct, field: int, kind: int) -> None:
    if field in struct and struct[field][0] != kind:
        raise Malformed(f"field {field} has another type")


def _closed(body: bytes, top: Struct) -> bytes:
    footer = encode(top)
    return b"".join((body, footer, len(footer).to_bytes(4, "little"), MAGIC))


def _paths(elements: list[Struct]) -> list[tuple[bytes, ...]]:
    """The names on the path to each leaf, without the root's. Raises Malformed if the schema is not a tree."""
    found: list[tuple[bytes, ...]] = []
    around: list[tuple[int, tuple[bytes, ...]]] = [(elements[0][_CHILDREN][1], ())]  # (children to come, path)
    for element in elements[1:]:
        while around and around[-1][0] == 0:
            around.pop()
        if not around:
            raise Malformed("its schema is no tree")
        left, parent = around[-1]
        around[-1] = left - 1, parent
        path = (*parent, element[_NAME][1])
        if _TYPE in element:
            found.append(path)
        else:
            around.append((element[_CHILDREN][1], path))
    if any(left for left, _ in around):
        raise Malformed("its schema is cut off")
    return found


def _chunks(top: Struct) -> Iterator[list[Struct]]:
    """The metadata of each column chunk, row group by row group."""
    for group in top[_ROW_GROUPS][1][1]:
        yield [chunk[_CHUNK_META][1] for chunk in group[_COLUMNS][1][1]]


def _shape(element: Struct) -> tuple[Any, ...]:
    """The properties of an element without its name and annotations; INT96 counts as its 12 bytes."""
    kind = element.get(_TYPE, (0, None))[1]
    length = element.get(_TYPE_LENGTH, (0, None))[1] if kind == _FIXED else None
    if kind == _INT96:
        kind, length = _FIXED, 12
    return kind, length, element.get(_REPETITION, (0, None))[1], element.get(_CHILDREN, (0, 0))[1]


def _is_annotated_as(element: Struct, converted: set[int], logical: set[int]) -> bool:
    """True if the element has one of these converted types or, if it has none, one of these logical types."""
    if _CONVERTED in element:
        return element[_CONVERTED][1] in converted
    return _LOGICAL in element and bool(logical & element[_LOGICAL][1].keys())


def _in_plain_order(leaf: Struct) -> bool:
    kind = leaf[_TYPE][1]
    if kind == _INT96:
        return False
    if _CONVERTED not in leaf and _LOGICAL not in leaf:
        return True
    logical: Struct = leaf[_LOGICAL][1] if _LOGICAL in leaf else {}
    if kind in (_INT32, _INT64):
        integer: Struct = logical.get(_LOGICAL_INTEGER, (0, {}))[1]
        unsigned = not integer.get(2, (0, True))[1]
        return not unsigned and not _is_annotated_as(leaf, _CONVERTED_UNSIGNED, set())
    if kind == _BYTE_ARRAY:
        return _is_annotated_as(leaf, _CONVERTED_TEXT, _LOGICAL_TEXT)
    return kind == _FIXED and _LOGICAL_UUID in logical


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
