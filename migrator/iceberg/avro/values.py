"""Decoding and encoding the values of target fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from migrator.iceberg.avro.numbers import read_branch, read_bytes, read_count, read_long, read_text, write_long
from migrator.iceberg.avro.schema import Type
from migrator.iceberg.malformed import Malformed


def decode(made_of: Type, data: bytes, pos: int) -> tuple[Any, int]:
    """The value of this type at ``pos``, and the position after it. A record or an array is a list, a null is None.

    Raises Malformed for a type that no target has (map, enum, fixed, boolean, floating point).
    """
    match made_of.kind:
        case "int" | "long":
            return read_long(data, pos)
        case "string":
            raw, pos = read_bytes(data, pos)
            return read_text(raw), pos
        case "bytes":
            return read_bytes(data, pos)
        case "null":
            return None, pos
        case "union":
            branch, pos = read_branch(data, pos, len(made_of.parts))
            return decode(made_of.parts[branch], data, pos)
        case "record":
            values = []
            for member in made_of.fields:
                value, pos = decode(member.type, data, pos)
                values.append(value)
            return values, pos
        case "array":
            values = []
            while True:
                count, pos, _ = read_count(data, pos)
                if count == 0:
                    return values, pos
                for _ in range(count):
                    value, pos = decode(made_of.parts[0], data, pos)
                    values.append(value)
    raise Malformed(f"a field has the type {made_of.kind}")


def decoder_of(made_of: Type) -> Callable[[bytes], Any]:
    """A function from the bytes of one whole value of this type to the value. It raises as :func:`decode` does.

    Numbers and texts, which manifests have for each file, get faster functions.
    """
    fast = {"int": _long_of, "long": _long_of, "string": _text_of}.get(made_of.kind)
    return fast or (lambda raw: decode(made_of, raw, 0)[0])


def _long_of(raw: bytes) -> int:
    size = len(raw)
    if size == 3:
        number = raw[0] & 0x7F | (raw[1] & 0x7F) << 7 | raw[2] << 14
    elif size == 4:
        number = raw[0] & 0x7F | (raw[1] & 0x7F) << 7 | (raw[2] & 0x7F) << 14 | raw[3] << 21
    else:
        return read_long(raw, 0)[0]
    return (number >> 1) ^ -(number & 1)


def _text_of(raw: bytes) -> str:
    if raw[0] < 0x80:
        return read_text(raw[1:])
    return read_text(raw[2:] if raw[1] < 0x80 else read_bytes(raw, 0)[0])


def encode(made_of: Type, value: Any) -> bytes:
    """The inverse of :func:`decode`. An array becomes one block; a union takes null or its other branch."""
    match made_of.kind:
        case "int" | "long":
            return write_long(value)
        case "string":
            raw: bytes = value.encode()
            return write_long(len(raw)) + raw
        case "bytes":
            return write_long(len(value)) + cast(bytes, value)
        case "null":
            return b""
        case "union":
            index = next(i for i, b in enumerate(made_of.parts) if (b.kind == "null") == (value is None))
            return write_long(index) + encode(made_of.parts[index], value)
        case "record":
            return b"".join(encode(m.type, v) for m, v in zip(made_of.fields, value, strict=True))
        case "array":
            items = b"".join(encode(made_of.parts[0], v) for v in value)
            return write_long(len(value)) + items + b"\0" if value else b"\0"
    raise Malformed(f"a field has the type {made_of.kind}")
