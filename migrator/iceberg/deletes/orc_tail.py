"""The parts of an ORC file's tail that Arrow does not give access to: column types and user metadata.

Read and written by hand because Arrow's writer takes no user metadata, and because protobuf classes for this format
would be one more dependency for four kinds of fields.

Layout (ORC specification v1, "File Tail"): …, footer, postscript, length of the postscript in one byte. Both
are protocol buffers; the footer is compressed in chunks, the postscript is not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import lz4.block
import zstandard

from migrator.errors import Unreadable
from migrator.iceberg import bounds
from migrator.iceberg.malformed import Malformed
from migrator.iceberg.unpack import unsnappy, unzstd
from migrator.iceberg.varints import read_varint, write_varint

# Field numbers: orc_proto.proto.
_PS_FOOTER_LENGTH, _PS_COMPRESSION, _PS_BLOCK_SIZE = 1, 2, 3
_FOOTER_TYPE, _FOOTER_METADATA, _FOOTER_STATISTICS, _FOOTER_ENCRYPTION = 4, 5, 7, 10
_TYPE_KIND, _TYPE_ATTRIBUTE = 1, 7
_STATISTICS_VALUES, _STATISTICS_TIMESTAMPS = 1, 9

TIMESTAMPS = frozenset({9, 18})
"""Kinds of types: timestamps without and with a time zone."""
_COUNTABLE = (-9_214_560_000_000, 9_214_560_000_000)
"""The years 1678 to 2261 in milliseconds since 1970: 64 bits of nanoseconds hold a few months more at both ends."""


class Tail:
    """The tail of ``data``. Raises Unreadable if it is damaged, encrypted, or compressed in an unknown way."""

    def __init__(self, data: bytes, place: str) -> None:
        self._data = data
        try:
            self._read()
        except (Malformed, IndexError, zlib.error, zstandard.ZstdError, lz4.block.LZ4BlockError) as fault:
            raise Unreadable(place, f"its ORC tail is damaged: {fault}") from fault

    def _read(self) -> None:
        self._postscript_start = len(self._data) - 1 - self._data[-1]
        self._postscript = list(_fields(self._data[self._postscript_start : -1]))
        postscript = dict(self._postscript)
        self._footer_length = postscript.get(_PS_FOOTER_LENGTH, 0)
        self._compression = postscript.get(_PS_COMPRESSION, 0)
        self._block_size = postscript.get(_PS_BLOCK_SIZE) or _BLOCK_SIZE
        footer = self._data[self._postscript_start - self._footer_length : self._postscript_start]
        fields = list(_fields(_inflated(footer, self._compression)))
        if any(number == _FOOTER_ENCRYPTION for number, _ in fields):
            raise Malformed("it is encrypted")
        self.metadata: list[bytes] = [value for number, value in fields if number == _FOOTER_METADATA]
        """The entries of the user metadata, encoded."""
        self.types = [_type(value) for number, value in fields if number == _FOOTER_TYPE]
        """Every column's type with its attributes, in a normal form for comparison."""
        self._statistics: list[bytes] = [value for number, value in fields if number == _FOOTER_STATISTICS]
        self.timestamps_fit = all(self._fits(column) for column in self._columns_of(TIMESTAMPS))
        """True if the statistics of every column of timestamps prove that nanoseconds in 64 bits can hold them."""

    def _columns_of(self, kinds: frozenset[int]) -> list[int]:
        return [n for n, made_of in enumerate(self.types) if any((_TYPE_KIND, kind) in made_of for kind in kinds)]

    def _fits(self, column: int) -> bool:
        if column >= len(self._statistics):
            return False
        found = dict(_fields(self._statistics[column]))
        if found.get(_STATISTICS_VALUES) == 0:
            return True
        # 1 and 3 are the smallest in the writer's time zone and in UTC, 2 and 4 the largest; writers give one pair.
        bounds = dict(_fields(found.get(_STATISTICS_TIMESTAMPS, b"")))
        given = [number >> 1 ^ -(number & 1) for field, number in bounds.items() if field in (1, 2, 3, 4)]
        complete = {1, 2} <= bounds.keys() or {3, 4} <= bounds.keys()
        return complete and all(_COUNTABLE[0] <= number <= _COUNTABLE[1] for number in given)

    def with_metadata(self, metadata: list[bytes]) -> bytes:
        """The file, which has no user metadata, with these entries."""
        if not metadata:
            return self._data
        more = b"".join(_field(_FOOTER_METADATA, entry) for entry in metadata)
        if self._compression:
            # More chunks of the footer, not compressed: the lowest bit of their length marks that.
            size = self._block_size
            parts = (more[i : i + size] for i in range(0, len(more), size))
            more = b"".join((len(part) << 1 | 1).to_bytes(3, "little") + part for part in parts)
        changed = {_PS_FOOTER_LENGTH: self._footer_length + len(more)}
        postscript = b"".join(_field(number, changed.get(number, value)) for number, value in self._postscript)
        return self._data[: self._postscript_start] + more + postscript + bytes([len(postscript)])


_BLOCK_SIZE = 256 << 10
"""The size of a chunk, before compression, in files that do not record it (ORC specification, "Compression")."""


def _type(encoded: bytes) -> list[tuple[int, Any]]:
    """The fields of a type; writers differ in whether they spell out zeros and in the order of attributes."""
    fields = [(number, value) for number, value in _fields(encoded) if value != 0 or number == _TYPE_KIND]
    attributes = sorted(field for field in fields if field[0] == _TYPE_ATTRIBUTE)
    return [field for field in fields if field[0] != _TYPE_ATTRIBUTE] + attributes


# --- compression -----------------------------------------------------------------------------------------


def _inflated(data: bytes, compression: int) -> bytes:
    if compression == 0:
        return data
    if compression not in _CODECS:
        raise Malformed(f"its compression {compression} is not known")
    out = []
    size = 0
    while data:
        head = int.from_bytes(data[:3], "little")
        chunk, data = data[3 : 3 + (head >> 1)], data[3 + (head >> 1) :]
        out.append(chunk if head & 1 else _CODECS[compression](chunk))
        size += len(out[-1])
        if size > bounds.FOOTER_BYTES:
            raise Malformed("its footer is too large")
    return b"".join(out)


def _unlz4(data: bytes) -> bytes:
    # ORC does not record the size of a chunk's content. LZ4 cannot compress better than 1 : 255.
    out: bytes = lz4.block.decompress(data, uncompressed_size=min(255 * len(data), bounds.FOOTER_BYTES))
    return out


_CODECS: dict[int, Callable[[bytes], bytes]] = {
    1: lambda data: zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, bounds.FOOTER_BYTES + 1),
    2: lambda data: unsnappy(data, bounds.FOOTER_BYTES),
    4: _unlz4,
    5: unzstd,
}
"""``CompressionKind`` → decompress one chunk. LZO (3) and Brotli (6) are left out: Arrow cannot write them."""


# --- protocol buffers ------------------------------------------------------------------------------------


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) in order; numbers are ints, everything else is bytes."""
    pos = 0
    while pos < len(data):
        key, pos = read_varint(data, pos)
        match key & 7:
            case 0:
                value, pos = read_varint(data, pos)
                yield key >> 3, value
                continue
            case 2:
                size, pos = read_varint(data, pos)
            case kind:
                raise Malformed(f"a field has the wire type {kind}")  # ORC's messages have no others here
        if size > len(data) - pos:
            raise Malformed(f"a field of {size} bytes does not fit")
        yield key >> 3, data[pos : pos + size]
        pos += size


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return write_varint(number << 3) + write_varint(value)
    return write_varint(number << 3 | 2) + write_varint(len(value)) + value
