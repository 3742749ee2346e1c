"""Deletion vectors in Puffin files: pyiceberg reads them afterwards. The tests make the bytes by hand."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import lz4.frame
import pyarrow as pa
import pytest
from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
from pyiceberg.table.puffin import PuffinFile

from iceberg.avro_files import CORPUS, needs_corpus
from iceberg.deletes.lake import PLACE, UNICODE, moved, target
from migrator.errors import Unreadable
from migrator.iceberg import bounds
from migrator.iceberg.deletes import delete_paths, rewrite_deletes
from migrator.iceberg.deletes.puffin import Blob, blobs
from migrator.iceberg.manifests import DeleteFile

# The positions 1, 3, 5, 7 and 9, as the Java implementation writes them.
VECTOR = bytes.fromhex(
    "0000002ad1d339640100000000000000000000003a300000010000000000040010000000010003000500070009 00b3fb20be"
)


def footer(payload: bytes, flags: int = 0) -> bytes:
    return b"PFA1" + payload + len(payload).to_bytes(4, "little") + flags.to_bytes(4, "little") + b"PFA1"


def text_of(*blobs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"blobs": blobs} | more, ensure_ascii=False).encode()


def blob(offset: int, length: int, kind: str = "deletion-vector-v1", **properties: str) -> dict[str, Any]:
    base = {"type": kind, "fields": [2147483645], "snapshot-id": -1, "sequence-number": -1}
    return base | {"offset": offset, "length": length, "properties": properties}


def vector(index: int, path: str) -> dict[str, Any]:
    return blob(4 + index * len(VECTOR), len(VECTOR), **{"referenced-data-file": path, "cardinality": "5"})


def puffin_of(*paths: str) -> bytes:
    """A Puffin file with one vector for each path."""
    return b"PFA1" + VECTOR * len(paths) + footer(text_of(*(vector(i, p) for i, p in enumerate(paths))))


def lz4_of(data: bytes, sized: bool = True, size: int | None = None) -> bytes:
    """A frame with one uncompressed block, in the LZ4 frame format. ``size`` is the size in its header, if that should
    be wrong."""
    announced = len(data) if size is None else size
    head = b"\x04\x22\x4d\x18" + (b"\x68\x40" + announced.to_bytes(8, "little") if sized else b"\x60\x40\x82")
    body = (1 << 31 | len(data)).to_bytes(4, "little") + data + bytes(4)
    for checksum in range(256) if sized else ():
        with suppress(RuntimeError):  # not the right checksum of the header
            lz4.frame.get_frame_info(head + bytes([checksum]) + body)
            return head + bytes([checksum]) + body
    return head + body


def footer_of(data: bytes) -> tuple[bytes, bytes]:
    """The bytes before the footer, and its payload, decompressed by Arrow's stream reader."""
    size = int.from_bytes(data[-12:-8], "little")
    before, payload = data[: -16 - size], data[-12 - size : -12]
    assert data[-16 - size :].startswith(b"PFA1")
    if data[-8]:
        assert payload[4] & 8, "the spec demands the content size"
        assert int.from_bytes(payload[6:14], "little") == len(pa.input_stream(io.BytesIO(payload), "lz4").read())
        payload = pa.input_stream(io.BytesIO(payload), compression="lz4").read()
    return before, payload


PATHS = ["s3://bronze/a.parquet", "s3://silver/b.parquet", "s3://bronze/c.parquet"]


def test_many_vectors_in_one_file_move_and_stay_where_they_are():
    data = puffin_of(*PATHS)
    out = moved(data)
    read = PuffinFile(out.data)
    assert [b.properties["referenced-data-file"] for b in read.footer.blobs] == [target(p) for p in PATHS]
    assert [b.properties["cardinality"] for b in read.footer.blobs] == ["5"] * 3
    vectors = deletion_vectors_from_puffin_file(read)
    assert [v.to_vector().to_pylist() for v in vectors] == [[1, 3, 5, 7, 9]] * 3
    assert out.data.startswith(b"PFA1" + VECTOR * 3 + b"PFA1")
    assert (out.file, out.unmapped) == (DeleteFile(len(out.data), None, None), 0)
    assert delete_paths(data, PLACE) == set(PATHS)
    assert delete_paths(out.data, PLACE) == {target(p) for p in PATHS}
    assert blobs(out.data, PLACE) == [
        Blob("deletion-vector-v1", 4 + i * len(VECTOR), len(VECTOR), target(p)) for i, p in enumerate(PATHS)
    ]
    assert moved(data) == out


def test_only_the_path_changes_in_the_text():
    text = """\
    { "properties":{"created-by":"s3://bronze/x", "referenced-data-file": "s3://bronze/x"},"new-key": [1.50, 1E3 ],
      "blobs" :[ {"properties":{"cardinality":"5", "referenced-data-file" :"s3://bronze/a","x":"s3://bronze/a"},
        "length":50 , "offset":4,"type":"deletion-vector-v1","fields":[ ],"sequence-number":-1,"snapshot-id":-1,
        "nested":{"properties":{"referenced-data-file":"s3://bronze/a"}}},
      {"type":"ndv","offset":4,"length":0,"properties":{"referenced-data-file":"s3://bronze/a"}} ] }
"""
    data = b"PFA1" + VECTOR + footer(text.encode())
    wanted = text.replace(
        '"referenced-data-file" :"s3://bronze/a"', f'"referenced-data-file" :"{target("s3://bronze/a")}"'
    )
    assert footer_of(moved(data).data) == (b"PFA1" + VECTOR, wanted.encode())
    assert moved(data).data == b"PFA1" + VECTOR + footer(wanted.encode())


def test_other_blobs_are_mixed_in_and_have_no_path():
    other = blob(54, 10, "apache-datasketches-theta-v1", ndv="3", **{"referenced-data-file": "s3://bronze/no"})
    bare = {"type": "some-blob", "fields": [1], "snapshot-id": 2, "sequence-number": 1, "offset": 4, "length": 9}
    data = b"PFA1" + VECTOR + b"x" * 10 + footer(text_of(other, vector(0, "s3://bronze/a"), bare))
    assert delete_paths(data, PLACE) == {"s3://bronze/a"}
    assert [b.referenced_data_file for b in blobs(data, PLACE)] == [None, "s3://bronze/a", None]
    read = PuffinFile(moved(data).data).footer.blobs
    assert [b.properties.get("referenced-data-file") for b in read] == ["s3://bronze/no", target("s3://bronze/a"), None]


def test_paths_are_any_text_and_escapes_stay_as_their_writer_likes_them():
    paths = [path for path, _ in UNICODE] + ['s3://bronze/"quoted"\\back']
    data = puffin_of(*paths)
    read = PuffinFile(moved(data).data).footer.blobs
    assert [b.properties["referenced-data-file"] for b in read] == [target(p) for p in paths]
    escaped = b"PFA1" + VECTOR + footer(json.dumps({"blobs": [vector(0, "s3://bronze/größe")]}).encode())
    assert b"z-bronze/gr\\u00f6\\u00dfe" in moved(escaped).data


def test_a_compressed_footer_stays_compressed():
    text = text_of(*(vector(i, p) for i, p in enumerate(PATHS)), properties={"created-by": "x" * 500})
    data = b"PFA1" + VECTOR * 3 + footer(lz4_of(text), flags=1)
    assert delete_paths(data, PLACE) == set(PATHS)
    out = moved(data).data
    before, payload = footer_of(out)
    assert (before, out[-8:-4]) == (b"PFA1" + VECTOR * 3, b"\1\0\0\0")
    wanted = text
    for path in PATHS:
        wanted = wanted.replace(path.encode(), target(path).encode())
    assert payload == wanted
    assert delete_paths(out, PLACE) == {target(p) for p in PATHS}
    assert moved(data).data == out
    assert rewrite_deletes(data, lambda path: path, PLACE).data is data


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"content_checksum": True},
        {"block_checksum": True},
        {"block_linked": False},
        {"block_size": lz4.frame.BLOCKSIZE_MAX4MB},
        {"compression_level": lz4.frame.COMPRESSIONLEVEL_MAX},
    ],
    ids=lambda options: "-".join(options) or "default",
)
@pytest.mark.parametrize("vectors", [1, 3000], ids=["one-block", "many-blocks"])
def test_lz4_frames_of_every_kind_are_read(options, vectors):
    paths = [f"s3://bronze/data/{n}.parquet" for n in range(vectors)]
    frame = lz4.frame.compress(text_of(*(vector(i, p) for i, p in enumerate(paths))), store_size=True, **options)
    data = b"PFA1" + VECTOR * vectors + footer(frame, flags=1)
    assert delete_paths(data, PLACE) == set(paths)
    out = moved(data).data
    assert delete_paths(out, PLACE) == {target(p) for p in paths}
    assert footer_of(out)[0] == b"PFA1" + VECTOR * vectors
    assert rewrite_deletes(data, lambda path: path, PLACE).data is data


WRITTEN_BY_0_1 = bytes.fromhex(
    "04224d1868402a02000000000000addf000000f1217b22626c6f6273223a205b7b2274797065223a202264656c6574696f6e2d766563746f"
    "722d7631222c20226669656c642a00f0055d2c2022736e617073686f742d6964223a202d311300e4657175656e63652d6e756d6265721700"
    "f0156f6666736574223a20342c20226c656e677468223a2035302c202270726f7065727469655700707b2272656665724200a1642d646174"
    "612d66696c9000ff0b73333a2f2f62726f6e7a652f612e70617271756574227d7d2c20b4004e1f35b5002b8f73696c7665722f62b5005b2f"
    "3130b6002b036b011463b60050227d7d5d7d00000000"
)
"""The footer of three vectors, when Arrow made the blocks and migrator the frame around them."""


def test_a_compressed_footer_that_version_0_1_wrote_is_read():
    data = b"PFA1" + VECTOR * 3 + footer(WRITTEN_BY_0_1, flags=1)
    assert delete_paths(data, PLACE) == set(PATHS)
    assert delete_paths(moved(data).data, PLACE) == {target(p) for p in PATHS}
    assert lz4.frame.decompress(WRITTEN_BY_0_1) == footer_of(data)[1]


def test_a_mapping_that_changes_nothing_returns_the_bytes():
    for data in (puffin_of(*PATHS), puffin_of(), VECTOR):
        out = rewrite_deletes(data, lambda path: path, PLACE)
        assert out.data is data
        assert (out.file, out.unmapped) == (DeleteFile(len(data), None, None), 0)


def test_vectors_under_no_rule_stay_and_are_counted():
    data = puffin_of("s3://bronze-archive/x", "s3://bronze/a", "s3://bronze-archive/x")
    out = moved(data)
    assert out.unmapped == 2
    assert delete_paths(out.data, PLACE) == {"s3://bronze-archive/x", target("s3://bronze/a")}
    none = moved(puffin_of("s3://bronze-archive/x"))
    assert (none.data, none.unmapped) == (puffin_of("s3://bronze-archive/x"), 1)


def test_a_vector_that_does_not_say_its_data_file_stays():
    for properties in ({}, {"properties": {}}, {"properties": None}, {"properties": {"referenced-data-file": None}}):
        one = {"type": "deletion-vector-v1", "offset": 4, "length": 50} | properties
        data = b"PFA1" + VECTOR + footer(text_of(one))
        assert moved(data).data is data
        assert delete_paths(data, PLACE) == set()


def test_a_vector_without_a_puffin_file_stays():
    out = moved(VECTOR)
    assert out.data is VECTOR
    assert (out.file, out.unmapped) == (DeleteFile(50, None, None), 0)
    assert delete_paths(VECTOR, PLACE) == set()
    assert blobs(VECTOR, PLACE) == [Blob("deletion-vector-v1", 0, 50, None)]
    for damaged in (VECTOR[:-1] + b"x", VECTOR[:20] + b"x" + VECTOR[21:], VECTOR + b"x"):
        with pytest.raises(Unreadable, match="its deletion vector does not have"):
            moved(damaged)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "lz4"])
def test_a_file_cut_anywhere_is_unreadable(compressed):
    text = text_of(vector(0, "s3://bronze/a"))
    whole = b"PFA1" + VECTOR + (footer(lz4_of(text), flags=1) if compressed else footer(text))
    assert moved(whole).unmapped == 0
    for data in (whole, VECTOR):
        for size in range(len(data)):
            with pytest.raises(Unreadable, match=r"deletes\.bin"):
                moved(data[:size])
    for size in range(4, len(whole) - 4):  # with the magic number at its end, as a damaged file may have it
        with pytest.raises(Unreadable):
            moved(whole[:size] + b"PFA1")


def sized(size: int) -> bytes:
    return b"PFA1" + VECTOR + b"PFA1{}" + size.to_bytes(4, "little", signed=True) + bytes(4) + b"PFA1"


TEXT = text_of(vector(0, "s3://bronze/a"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PFA1" + VECTOR + footer(TEXT)[:-4] + b"PFA2", "no complete Puffin file"),
        (b"PFA1", "no complete Puffin file"),
        (footer(text_of())[:-4], "no complete Puffin file"),
        (footer(text_of()), "does not have the 13 bytes that it announces"),
        (sized(1), "does not have the 1 bytes"),
        (sized(3), "does not have the 3 bytes"),
        (sized(2**31 - 1), "does not have the 2147483647 bytes"),
        (sized(-1), "does not have the -1 bytes"),
        (b"PFA1" + VECTOR + footer(TEXT, flags=2), "unknown flags 02000000"),
        (b"PFA1" + VECTOR + footer(TEXT, flags=1 << 8), "unknown flags 00010000"),
        (b"PFA1" + VECTOR + footer(TEXT, flags=1), "no LZ4 frame with a content size"),
        (b"PFA1" + VECTOR + footer(lz4_of(TEXT, sized=False), flags=1), "no LZ4 frame with a content size"),
        (b"PFA1" + VECTOR + footer(lz4_of(TEXT)[:-3], flags=1), "cannot be decompressed"),
        (b"PFA1" + VECTOR + footer(lz4_of(TEXT) + b"x", flags=1), "cannot be decompressed"),
        (b"PFA1" + VECTOR + footer(lz4_of(TEXT)[:9] + b"\1" + lz4_of(TEXT)[10:], flags=1), "no LZ4 frame"),
        (b"PFA1" + VECTOR + footer(lz4_of(TEXT, size=len(TEXT) - 1), flags=1), "cannot be decompressed"),
        (b"PFA1" + VECTOR + footer(lz4_of(TEXT, size=len(TEXT) + 1), flags=1), "cannot be decompressed"),
        (b"PFA1" + VECTOR + footer(lz4_of(TEXT, size=16_777_216), flags=1), "announces 16777216 bytes"),
        (b"PFA1" + VECTOR + footer(lz4.frame.compress(bytes(bounds.FOOTER_BYTES + 1)), flags=1), "announces 67108865"),
        (b"PFA1" + VECTOR + footer(b'{"blobs": ['), "it is not JSON"),
        (b"PFA1" + VECTOR + footer(b"[]"), "it is no JSON object"),
        (b"PFA1" + VECTOR + footer(b'{"blobs": "\xff"}'), "not UTF-8"),
        (b"PFA1" + VECTOR + footer(b"{}"), "blobs is missing"),
        (b"PFA1" + VECTOR + footer(b'{"blobs": {}}'), "blobs is '{}'"),
        (b"PFA1" + VECTOR + footer(b'{"blobs": [1]}'), r"blobs\[0\] is no JSON object"),
        (b"PFA1" + VECTOR + footer(b'{"blobs": [{"offset": 4, "length": 1}]}'), r"blobs\[0\].type is missing"),
        (b"PFA1" + VECTOR + footer(text_of(blob(3, 1))), r"blobs\[0\].offset and length lie outside"),
        (b"PFA1" + VECTOR + footer(text_of(blob(4, 51))), r"blobs\[0\].offset and length lie outside"),
        (b"PFA1" + VECTOR + footer(text_of(blob(4, -1))), r"blobs\[0\].offset and length lie outside"),
        (
            b"PFA1" + VECTOR + footer(text_of(blob(4, 50, **{"referenced-data-file": 7}))),
            "properties.referenced-data-file is '7'",
        ),
    ],
)
def test_what_is_wrong_is_said(data, reason):
    for function in (moved, lambda d: delete_paths(d, PLACE), lambda d: blobs(d, PLACE)):
        with pytest.raises(Unreadable, match=reason) as error:
            function(data)
        assert error.value.place == PLACE


@needs_corpus
def test_puffin_files_of_other_writers():
    folder = CORPUS / "puffin" / "testdata"
    data = (folder / "deletion-vector-v1.puffin").read_bytes()
    assert delete_paths(data, PLACE) == {"data/test.parquet"}
    out = rewrite_deletes(data, lambda path: f"s3://data-lake/{path}", PLACE)
    (read,) = deletion_vectors_from_puffin_file(PuffinFile(out.data))
    assert (read.referenced_data_file, read.to_vector().to_pylist()) == (
        "s3://data-lake/data/test.parquet",
        [1, 3, 5, 7, 9],
    )
    assert PuffinFile(out.data).footer.properties == {"created-by": "iceberg-go test fixture"}
    assert (folder / "deletion-vector-v1-payload.bin").read_bytes() == VECTOR
    for file in folder.glob("*-*.bin"):
        assert moved(file.read_bytes()).data == file.read_bytes()
        assert delete_paths(file.read_bytes(), PLACE) == set()
    assert len(blobs((folder / "sample-metric-data-compressed-zstd.bin").read_bytes(), PLACE)) == 2


@needs_corpus
def test_a_bare_vector_of_a_real_table():
    (file,) = CORPUS.rglob("legacy-bare-deletion-vector.puffin")
    data = file.read_bytes()
    assert moved(data).data == data
    assert blobs(data, PLACE) == [Blob("deletion-vector-v1", 0, 42, None)]
