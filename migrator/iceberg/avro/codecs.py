"""The codecs that compress the blocks of a container (Avro specification, "Required Codecs", "Optional Codecs")."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, cast

import zstandard

from migrator.iceberg import bounds
from migrator.iceberg.malformed import Malformed
from migrator.iceberg.unpack import unsnappy, unzstd

deflater: Any
try:
    # Compresses several times as fast as zlib, which is half the time of a rewrite, and decompresses twice as fast.
    from isal import isal_zlib as deflater
except ImportError:  # isal has no wheel for this machine
    deflater = zlib

MOST_BYTES = 1 << 30
"""The largest compressed size of one block. Some writers put a whole manifest into one block: 100 MB are normal."""


def _deflate(data: bytes) -> bytes:
    # Level 1 is what Iceberg's Java writer uses for manifests.
    stream = deflater.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return cast(bytes, stream.compress(data) + stream.flush())


def _unpack(stream: Any, data: bytes) -> bytes:
    most = bounds.unpacked(len(data))
    out: bytes = stream.decompress(data, most + 1)
    if len(out) > most:
        raise Malformed(f"it unpacks to more than {most:,} bytes")
    # Bytes after the end are normal: fastavro and pyiceberg leave part of the zlib checksum there.
    if not stream.eof:
        raise Malformed("the data ends too early")
    return out


def _unsnappy(data: bytes) -> bytes:
    body, checksum = data[:-4], data[-4:]
    out = unsnappy(body, bounds.unpacked(len(body)))
    if zlib.crc32(out).to_bytes(4, "big") != checksum:
        raise Malformed("snappy data does not have its checksum")
    return out


def _snappy(data: bytes) -> bytes:
    import pyarrow as pa  # imported here, because it takes long and few manifests are compressed with snappy

    body: bytes = pa.Codec("snappy").compress(data, asbytes=True)
    return body + zlib.crc32(data).to_bytes(4, "big")


def _verbatim(data: bytes) -> bytes:
    return data


_Transform = Callable[[bytes], bytes]
CODECS: dict[str, tuple[_Transform, _Transform]] = {
    "null": (_verbatim, _verbatim),
    "deflate": (lambda data: _unpack(deflater.decompressobj(-zlib.MAX_WBITS), data), _deflate),
    "zstandard": (unzstd, lambda data: zstandard.ZstdCompressor().compress(data)),
    "snappy": (_unsnappy, _snappy),
    "bzip2": (lambda data: _unpack(bz2.BZ2Decompressor(), data), bz2.compress),
    "xz": (lambda data: _unpack(lzma.LZMADecompressor(memlimit=bounds.MOST), data), lzma.compress),
}
"""Codec name in the header → (decompress, compress)."""

CODEC_FAULTS = (
    zlib.error,
    deflater.error,
    zstandard.ZstdError,
    lzma.LZMAError,
    OSError,
    ValueError,
    EOFError,
    MemoryError,
)
"""What the decompressors raise for damaged data."""
