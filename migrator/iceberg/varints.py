"""Variable-length integers, as Avro, Thrift, Protocol Buffers and snappy encode them: 7 bits in each byte, the lowest
bits first; the highest bit of a byte is set if another byte follows."""

from __future__ import annotations

from migrator.iceberg.malformed import Malformed


def read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """The unsigned integer at ``pos``, and the position after it.

    Raises IndexError if the data ends within it, Malformed if it does not fit 64 bits.
    """
    byte = data[pos]
    pos += 1
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
    return number, pos


def write_varint(number: int) -> bytes:
    """The encoding of an unsigned integer."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
