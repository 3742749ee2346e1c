"""Decompression that stops at a bound, for the codecs that several file formats share. See ``bounds``."""

from __future__ import annotations

import zstandard

from migrator.iceberg import bounds
from migrator.iceberg.malformed import Malformed
from migrator.iceberg.varints import read_varint


def unzstd(data: bytes) -> bytes:
    """The content of all zstandard frames in ``data``.

    Raises Malformed if the last frame is incomplete, or if the content exceeds its bound.
    """
    out: list[bytes] = []
    size = pos = 0
    most = bounds.unpacked(len(data))
    while pos < len(data):
        stream = zstandard.ZstdDecompressor().decompressobj()
        while not stream.eof:
            sip = data[pos : pos + 512]  # may become 16 MB: this decompressor has no parameter for a limit
            out.append(stream.decompress(sip))
            pos += len(sip)
            size += len(out[-1])
            if size > most:
                raise Malformed(f"it unpacks to more than {most:,} bytes")
            if not sip:
                raise Malformed("zstandard data ends too early")
        pos -= len(stream.unused_data)
    return b"".join(out)


def unsnappy(data: bytes, most: int) -> bytes:
    """The content of raw snappy data. Raises Malformed if it is damaged or announces more than ``most`` bytes."""
    import pyarrow as pa  # imported here, because it takes long and few files are compressed with snappy

    try:
        size, _ = read_varint(data, 0)  # the format begins with the size of the content
    except IndexError:
        raise Malformed("snappy data ends too early") from None
    if size > min(64 * len(data), most):  # snappy cannot compress better than about 1 : 21
        raise Malformed(f"snappy data announces {size} bytes")
    try:
        out: bytes = pa.Codec("snappy").decompress(data, decompressed_size=size, asbytes=True)
    except (pa.ArrowException, OSError) as fault:
        raise Malformed(f"snappy data is damaged: {fault}") from fault
    return out
