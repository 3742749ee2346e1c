"""Avro's integers, and the values that begin with one: bytes, text, blocks of items."""

from __future__ import annotations

from functools import lru_cache

from migrator.iceberg.malformed import Malformed
from migrator.iceberg.varints import read_varint, write_varint


def read_long(data: bytes, pos: int) -> tuple[int, int]:
    """The int or long (a zigzag varint) at ``pos``, and the position after it. Raises as ``read_varint`` does."""
    byte = data[pos]
    if byte < 0x80:  # most numbers of a manifest have one byte
        return (byte >> 1) ^ -(byte & 1), pos + 1
    number, pos = read_varint(data, pos)
    return (number >> 1) ^ -(number & 1), pos


@lru_cache(maxsize=1024)
def write_long(number: int) -> bytes:
    """The encoding of an int or long, which must fit 64 bits."""
    return write_varint((number << 1) ^ (number >> 63))


def read_bytes(data: bytes, pos: int) -> tuple[bytes, int]:
    """The value of type bytes or string at ``pos``, not decoded, and the position after it. Raises Malformed."""
    size, pos = read_long(data, pos)
    if not 0 <= size <= len(data) - pos:
        raise Malformed(f"a value of {size} bytes does not fit the {len(data) - pos} that are left")
    return data[pos : pos + size], pos + size


def read_text(raw: bytes) -> str:
    """The decoded string. Raises Malformed if it is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as fault:
        raise Malformed(f"a string is not UTF-8: {raw[:80]!r}") from fault


def read_count(data: bytes, pos: int) -> tuple[int, int, int | None]:
    """The head of a block of array or map items.

    Returns the number of items, the position of the first item, and the position after the last one if the block
    records its size. Raises Malformed.
    """
    count, pos = read_long(data, pos)
    end = None
    if count < 0:  # the count is negated, and the size of the block in bytes follows
        size, pos = read_long(data, pos)
        count, end = -count, pos + size
    # An item of a real file has at least one byte. Without this check a damaged count could loop for very long.
    if count > len(data) - pos:
        raise Malformed(f"{count} items do not fit the {len(data) - pos} bytes that are left")
    return count, pos, end


def read_branch(data: bytes, pos: int, branches: int) -> tuple[int, int]:
    """The branch number of a union with ``branches`` branches, and the position after it. Raises Malformed."""
    branch, pos = read_long(data, pos)
    if not 0 <= branch < branches:
        raise Malformed(f"a union has no branch {branch}")
    return branch, pos
