"""How the blocks of a container are packed."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, cast

import zstandard

from migrator.iceberg import bounds
from migrator.iceberg.avro.numbers import Malformed

deflater: Any
try:
    from isal import isal_zlib as deflater  # packs several times as fast, which is half of a rewrite
except ImportError:  # no wheel for this machine
    deflater = zlib

MOST_BYTES = 1 << 30
"""In one block as it lies in the file. Some writers put a whole manifest into one block: 100 MB are normal."""


def _deflate(data: bytes) -> bytes:
    # Level 1 is what Iceberg's Java writer uses for manifests.
    stream = deflater.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return cast(bytes, stream.compress(data) + stream.flush())


def _unpack(stream: Any, data: bytes) -> bytes:
    most = bounds.unpacked(len(data))
    out: bytes = stream.decompress(data, most + 1)
    if len(out) > most:
        raise Malformed(f"it unpacks to more than {most:,} bytes")
    # Bytes behind the end are normal: fastavro and pyiceberg leave part of the zlib checksum there.
    if not stream.eof:
        raise Malformed("the data ends too early")
    return out


def unzstd(data: bytes) -> bytes:
    """All zstandard frames in ``data``. Raises Malformed when the last one is incomplete, or all are too large."""
    out: list[bytes] = []
    size = pos = 0
    most = bounds.unpacked(len(data))
    while pos < len(data):
        stream = zstandard.ZstdDecompressor().decompressobj()
        while not stream.eof:
            sip = data[pos : pos + 512]  # may become 16 MB: this decompressor cannot be told when to stop
            out.append(stream.decompress(sip))
            pos += len(sip)
            size += len(out[-1])
            if size > most:
                raise Malformed(f"it unpacks to more than {most:,} bytes")
            if not sip:
                raise Malformed("zstandard data ends too early")
        pos -= len(stream.unused_data)
    return b"".join(out)


def _unsnappy(data: bytes) -> bytes:
    body, checksum = data[:-4], data[-4:]
    size = shift = 0
    for byte in body[:5]:  # the raw snappy format opens with the size as a varint without zigzag
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > min(64 * len(body), bounds.unpacked(len(body))):  # snappy cannot compress better than about 1 : 21
        raise Malformed(f"snappy data announces {size} bytes")
    import pyarrow as pa  # late, since it takes long to import and few manifests are packed so

    try:
        out: bytes = pa.Codec("snappy").decompress(body, decompressed_size=size, asbytes=True)
    except pa.ArrowException as fault:
        raise Malformed(f"snappy data is damaged: {fault}") from fault
    if zlib.crc32(out).to_bytes(4, "big") != checksum:
        raise Malformed("snappy data does not have its checksum")
    return out


def _snappy(data: bytes) -> bytes:
    import pyarrow as pa  # late: see above

    body: bytes = pa.Codec("snappy").compress(data, asbytes=True)
    return body + zlib.crc32(data).to_bytes(4, "big")


def _verbatim(data: bytes) -> bytes:
    return data


_Transform = Callable[[bytes], bytes]
CODECS: dict[str, tuple[_Transform, _Transform]] = {
    "null": (_verbatim, _verbatim),
    "deflate": (lambda data: _unpack(zlib.decompressobj(-zlib.MAX_WBITS), data), _deflate),
    "zstandard": (unzstd, lambda data: zstandard.ZstdCompressor().compress(data)),
    "snappy": (_unsnappy, _snappy),
    "bzip2": (lambda data: _unpack(bz2.BZ2Decompressor(), data), bz2.compress),
    "xz": (lambda data: _unpack(lzma.LZMADecompressor(memlimit=bounds.MOST), data), lzma.compress),
}
"""Codec name in the header → (decompress, compress)."""

CODEC_FAULTS = (
    zlib.error,
    zstandard.ZstdError,
    lzma.LZMAError,
    OSError,
    ValueError,
    EOFError,
    MemoryError,
)
