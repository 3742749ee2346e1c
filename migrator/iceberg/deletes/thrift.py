"""The part of Thrift's compact protocol that a Parquet footer needs: decode a struct, and encode it again.

It is written by hand, because Thrift libraries drop fields that their schema does not have. Here unknown fields of
later versions of the format are kept. Format: Apache Thrift, "Thrift Compact protocol encoding".
"""

from __future__ import annotations

from typing import Any

from migrator.iceberg.malformed import Malformed
from migrator.iceberg.varints import read_varint, write_varint

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)
_STOP = 0
_FIXED = {BYTE: 1, DOUBLE: 8, UUID: 16}
_DEEPEST = 32

Struct = dict[int, tuple[int, Any]]
"""Field id → (type, value), in the order of the file. A list or set is (type of its elements, [values]); a map is
(type of its keys, type of its values, [(key, value)])."""


def decode(data: bytes) -> Struct:
    """The struct at the beginning of ``data``. Raises Malformed."""
    return _Reader(data).struct(0)


def encode(struct: Struct) -> bytes:
    """The bytes of a struct that :func:`decode` returned, changed or not."""
    out = bytearray()
    _put_struct(out, struct)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise Malformed("it is nested too deeply")
        found: Struct = {}
        field = 0
        while (head := self._take(1)[0]) != _STOP:
            field = field + (head >> 4) if head >> 4 else self._zigzag()
            if field in found:
                raise Malformed(f"it has field {field} twice")
            kind = head & 15
            found[field] = kind, (kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth + 1))
        return found

    def _value(self, kind: int, depth: int) -> Any:
        match kind:
            case 3 | 7 | 13:
                return self._take(_FIXED[kind])
            case 4 | 5 | 6:
                return self._zigzag()
            case 8:
                return self._take(self._varint())
            case 9 | 10:
                return self._list(depth)
            case 11:
                return self._map(depth)
            case 12:
                return self.struct(depth)
        raise Malformed(f"it has a value of the unknown type {kind}")

    def _list(self, depth: int) -> tuple[int, list[Any]]:
        head = self._take(1)[0]
        kind = head & 15
        size = self._varint() if head >> 4 == 15 else head >> 4
        return kind, [self._element(kind, depth) for _ in range(self._checked(size))]

    def _map(self, depth: int) -> tuple[int, int, list[Any]]:
        size = self._checked(self._varint())
        kinds = self._take(1)[0] if size else 0
        key, value = kinds >> 4, kinds & 15
        return key, value, [(self._element(key, depth), self._element(value, depth)) for _ in range(size)]

    def _element(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise Malformed("it is nested too deeply")
        return self._take(1) if kind in (TRUE, FALSE) else self._value(kind, depth + 1)

    def _checked(self, size: int) -> int:
        if size > len(self._data) - self._pos:  # an element has at least one byte
            raise Malformed(f"a list of {size} does not fit")
        return size

    def _take(self, size: int) -> bytes:
        found = self._data[self._pos : self._pos + size]
        if len(found) < size:
            raise Malformed("it is cut off")
        self._pos += size
        return found

    def _zigzag(self) -> int:
        number = self._varint()
        return number >> 1 ^ -(number & 1)

    def _varint(self) -> int:
        try:
            number, self._pos = read_varint(self._data, self._pos)
        except IndexError:
            raise Malformed("it is cut off") from None
        return number


def _put_struct(out: bytearray, struct: Struct) -> None:
    last = 0
    for field, (kind, value) in struct.items():
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        if 0 < field - last < 16:
            out.append(field - last << 4 | kind)
        else:
            out.append(kind)
            out += _zigzag(field)
        last = field
        if kind not in (TRUE, FALSE):
            _put_value(out, kind, value)
    out.append(_STOP)


def _put_value(out: bytearray, kind: int, value: Any) -> None:
    match kind:
        case 1 | 2 | 3 | 7 | 13:  # of a list: a byte each
            out += value
        case 4 | 5 | 6:
            out += _zigzag(value)
        case 8:
            out += write_varint(len(value))
            out += value
        case 9 | 10:
            of, values = value
            if len(values) < 15:
                out.append(len(values) << 4 | of)
            else:
                out.append(0xF0 | of)
                out += write_varint(len(values))
            for element in values:
                _put_value(out, of, element)
        case 11:
            of_key, of_value, pairs = value
            out += write_varint(len(pairs))
            if pairs:
                out.append(of_key << 4 | of_value)
            for key, element in pairs:
                _put_value(out, of_key, key)
                _put_value(out, of_value, element)
        case 12:
            _put_struct(out, value)


def _zigzag(number: int) -> bytes:
    return write_varint(number << 1 if number >= 0 else (-number << 1) - 1)
