"""Avro files for tests, written and read with fastavro, which shares no code with migrator."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import zlib
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
import zstandard

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real tables is not here")

HEADER = {
    "type": "record",
    "name": "header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}
SYNC = bytes(range(16))


def _raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


def _snappy(data: bytes) -> bytes:
    return pa.compress(data, "snappy", asbytes=True) + zlib.crc32(data).to_bytes(4, "big")


def _unsnappy(data: bytes) -> bytes:
    body = _unsnappy_raw(data[:-4])
    assert zlib.crc32(body).to_bytes(4, "big") == data[-4:]
    return body


def _unsnappy_raw(data: bytes) -> bytes:
    size = shift = 0
    for byte in data:
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return pa.decompress(data, size, "snappy", asbytes=True)


CODECS = {
    "null": (bytes, bytes),
    "deflate": (_raw_deflate, lambda d: zlib.decompress(d, -15)),
    "zstandard": (zstandard.compress, lambda d: zstandard.ZstdDecompressor().decompress(d)),
    "snappy": (_snappy, _unsnappy),
    "bzip2": (bz2.compress, bz2.decompress),
    "xz": (lzma.compress, lzma.decompress),
}


def encode(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def long(number: int) -> bytes:
    return encode("long", number)


def container(
    schema: Any, blocks: list[list[bytes]], codec: str = "null", meta: dict[str, bytes] | None = None
) -> bytes:
    """A file of these blocks of encoded records."""
    meta = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()} | (meta or {})
    out = encode(HEADER, {"magic": b"Obj\x01", "meta": meta, "sync": SYNC})
    for block in blocks:
        packed = CODECS[codec][0](b"".join(block))
        out += long(len(block)) + long(len(packed)) + packed + SYNC
    return out


def avro(schema: Any, records: list[Any], codec: str = "null", meta: dict[str, bytes] | None = None) -> bytes:
    """A file with two records in each block."""
    encoded = [encode(schema, r) for r in records]
    return container(schema, [encoded[i : i + 2] for i in range(0, len(encoded), 2)], codec, meta)


def header(data: bytes) -> tuple[dict[str, bytes], bytes]:
    """The metadata entries of a file, and the bytes of its header."""
    source = io.BytesIO(data)
    read = fastavro.schemaless_reader(source, fastavro.parse_schema(HEADER), None)
    return read["meta"], data[: source.tell()]


def records(data: bytes) -> list[Any]:
    """All records of a file, decoded by fastavro, for any codec."""
    meta, head = header(data)
    schema = fastavro.parse_schema(json.loads(meta["avro.schema"]))
    source = io.BytesIO(data[len(head) :])
    found = []
    while source.tell() < len(source.getvalue()):
        count = fastavro.schemaless_reader(source, "long", None)
        packed = fastavro.schemaless_reader(source, "bytes", None)
        block = io.BytesIO(CODECS[meta["avro.codec"].decode()][1](packed))
        found += [fastavro.schemaless_reader(block, schema, None) for _ in range(count)]
        assert not block.read()
        assert source.read(16) == head[-16:]
    return found
