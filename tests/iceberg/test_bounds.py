"""Data that unpacks without end is unreadable, and needs no more memory than its limit."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import time
import tracemalloc
import zlib

import pyarrow as pa
import pyarrow.orc
import pytest
import zstandard

from iceberg.avro_files import container
from migrator.errors import Unreadable
from migrator.iceberg import bounds
from migrator.iceberg.avro import Container, Target
from migrator.iceberg.avro.codecs import CODECS
from migrator.iceberg.avro.numbers import write_long
from migrator.iceberg.deletes import child_reader, delete_paths
from migrator.iceberg.metadata import read_metadata

SIZE = 1 << 20
PATH = Target(1, "file_path", "string", required=True)
SCHEMA = {"type": "record", "name": "r", "fields": [{"name": "file_path", "type": "string", "field-id": 1}]}
SYNC = container(SCHEMA, [])[-16:]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ALWAYS", SIZE)
    monkeypatch.setattr(bounds, "MOST", SIZE)
    monkeypatch.setattr(bounds, "HEADER_BYTES", SIZE)


def peak_of(job: object) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match=r"wh/file"):
            job()  # type: ignore[operator]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("members", [1, 64])
def test_metadata_that_unpacks_without_end(pack: object, members: int) -> None:
    packed = pack(b" " * (64 * SIZE // members)) * members  # type: ignore[operator]
    assert len(packed) < SIZE / 2
    assert peak_of(lambda: read_metadata(packed, "wh/file")) < 32 * SIZE


BOMBS = {
    "deflate": lambda data: zlib.compress(data)[2:-4],
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstandard": zstandard.ZstdCompressor().compress,
    "snappy": CODECS["snappy"][1],
}


@pytest.mark.parametrize("codec", BOMBS)
def test_a_block_that_unpacks_without_end(codec: str) -> None:
    packed = BOMBS[codec](bytes(64 * SIZE))
    data = container(SCHEMA, [], codec) + write_long(1) + write_long(len(packed)) + packed + SYNC
    assert peak_of(lambda: list(Container(data, "wh/file").records([PATH]))) < 32 * SIZE


@pytest.mark.parametrize("entry", [b"\x00\x00", b"\x02k" + write_long(200) + bytes(200)])
@pytest.mark.parametrize("count", [1 << 40, 1])
def test_a_header_without_end(entry: bytes, count: int) -> None:
    block = write_long(count) + entry * (1 if count == 1 else 1 << 18)
    data = b"Obj\x01" + block * (1 << 18 if count == 1 else 1)
    assert peak_of(lambda: Container(io.BytesIO(data), "wh/file")) < 32 * SIZE


def test_the_bound_grows_with_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert bounds.unpacked(1) == bounds.ALWAYS
    assert bounds.unpacked(2 << 20) == 200 << 20
    assert bounds.unpacked(1 << 30) == bounds.MOST < 512 << 20


# -- readers in a process of their own -------------------------------------------------------------------


def crash(data: bytes, place: str) -> None:
    os.abort()


def hang(data: bytes, place: str) -> None:
    time.sleep(600)


def eat(data: bytes, place: str) -> int:
    return len(bytearray(1 << 40))


def test_a_reader_that_dies_makes_the_file_unreadable_and_the_next_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_reader, "SECONDS", 5.0)
    for function, message in (("crash", "died with signal 6"), ("hang", "more than 5 s"), ("eat", "memory")):
        with pytest.raises(Unreadable, match=f"wh/file.*{message}"):
            child_reader.call(__name__, function, b"", "wh/file")
    out = io.BytesIO()
    pa.orc.write_table(pa.table({"file_path": ["s3://b/x"], "pos": [1]}), out)
    assert delete_paths(out.getvalue(), "wh/other") == {"s3://b/x"}
