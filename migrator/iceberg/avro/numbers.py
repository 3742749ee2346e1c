"""Varints and what is counted with them."""

from __future__ import annotations

from functools import lru_cache


class Malformed(Exception):
    """The bytes do not follow the Avro specification or the schema; the message says what is wrong."""


def read_long(data: bytes, pos: int) -> tuple[int, int]:
    """The zigzag varint at ``pos`` and the position behind it. Raises IndexError at the end of the data."""
    byte = data[pos]
    pos += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), pos
    number = byte & 0x7F
    shift = 7
    while byte > 0x7F:
        if shift > 63:
            raise Malformed("a number is longer than ten bytes")
        byte = data[pos]
        pos += 1
        number |= (byte & 0x7F) << shift
        shift += 7
    if number >> 64:
        raise Malformed("a number has more than 64 bits")
    return (number >> 1) ^ -(number & 1), pos


@lru_cache(maxsize=1024)
def write_long(number: int) -> bytes:
    """``number``, which must fit 64 bits, as a zigzag varint."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def read_bytes(data: bytes, pos: int) -> tuple[bytes, int]:
    size, pos = read_long(data, pos)
    if not 0 <= size <= len(data) - pos:
        raise Malformed(f"a value of {size} bytes does not fit the {len(data) - pos} that are left")
    return data[pos : pos + size], pos + size


def read_text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as fault:
        raise Malformed(f"a string is not UTF-8: {raw[:80]!r}") from fault


def read_count(data: bytes, pos: int) -> tuple[int, int, int | None]:
    """The head of a block of array or map items: count, position behind it, and its end if it says so."""
    count, pos = read_long(data, pos)
    end = None
    if count < 0:  # the count is negated, and the size of the block in bytes follows
        size, pos = read_long(data, pos)
        count, end = -count, pos + size
    # Each item of a real file takes a byte at least; this keeps a damaged count from looping for ever.
    if count > len(data) - pos:
        raise Malformed(f"{count} items do not fit the {len(data) - pos} bytes that are left")
    return count, pos, end
