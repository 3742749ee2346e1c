"""The container: bytes that are not edited do not change, and damage is always noticed."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from iceberg.avro_files import CODECS, CORPUS, SYNC, avro, container, encode, header, long, needs_corpus, records
from iceberg.tables import entry, manifest_schema, pairs, position_deletes
from migrator.errors import Unreadable
from migrator.iceberg.avro import Container, Malformed, Record, Target
from migrator.iceberg.avro import container as container_module
from migrator.iceberg.avro import matchers as matchers_module
from migrator.iceberg.avro import records as records_module
from migrator.iceberg.avro.codecs import CODEC_FAULTS
from migrator.iceberg.avro.codecs import CODECS as CODECS_OF_OURS
from migrator.iceberg.avro.numbers import read_long, write_long
from migrator.iceberg.avro.schema import parse_schema

PATH = Target(100, "file_path", "string", required=True)
SCHEMA = {
    "type": "record",
    "name": "r",
    "fields": [{"name": "n", "type": "long"}, {"name": "file_path", "type": "string", "field-id": 100}],
}
ROWS = [{"n": n, "file_path": f"s3://bronze/{n}"} for n in (0, -1, 1, 2**62, -(2**63))]


def move(record: Record) -> None:
    record.put(PATH, record.get(PATH).replace("s3://bronze", "s3://data-lake/bronze/" + "x" * 70))


def moved(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**r, "file_path": r["file_path"].replace("s3://bronze", "s3://data-lake/bronze/" + "x" * 70)} for r in rows
    ]


def rewritten(data: bytes, place: str, targets: list[Target], edit: Callable[[Record], None]) -> bytes:
    sink = io.BytesIO()
    Container(data, place).rewrite(targets, edit, sink)
    return sink.getvalue()


def rewrite(data: bytes) -> bytes:
    return rewritten(data, "s3://b/f.avro", [PATH], move)


@needs_corpus
@pytest.mark.parametrize("file", sorted(CORPUS.rglob("*.avro")), ids=lambda p: p.name[-44:])
def test_a_real_file_without_edits_comes_back_byte_for_byte(file):
    data = file.read_bytes()
    seen = []
    assert rewritten(data, str(file), [], seen.append) == data
    assert len(seen) == len(records(data))


@pytest.mark.parametrize("codec", CODECS)
def test_edits_are_what_another_reader_sees_and_the_header_stays(codec):
    data = avro(SCHEMA, ROWS, codec, {"unknown-key": b"\x00\xff", "schema": b"{}"})
    out = rewrite(data)
    assert records(out) == moved(ROWS)
    assert header(out) == header(data)
    assert rewrite(data) == out


@pytest.mark.parametrize("codec", CODECS)
def test_blocks_without_edits_keep_their_compressed_bytes(codec):
    data = avro(SCHEMA, ROWS, codec)
    untouched = [{"n": 1, "file_path": "s3://other/x"}] * 2
    kept = avro(SCHEMA, untouched, codec)[len(header(data)[1]) :]
    assert rewrite(data + kept).endswith(kept)
    assert rewritten(data, "p", [PATH], lambda r: r.put(PATH, r.get(PATH))) == data


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_anywhere_is_unreadable(codec):
    data = container(SCHEMA, [[encode(SCHEMA, r) for r in ROWS]], codec)
    whole_without_blocks = len(header(data)[1])  # cut here, it is a sound file with no records
    for size in set(range(len(data))) - {whole_without_blocks}:
        with pytest.raises(Unreadable, match=r"s3://b/f\.avro"):
            rewrite(data[:size])


@pytest.mark.parametrize("codec", ["deflate", "zstandard", "snappy", "bzip2", "xz"])
def test_damaged_compression_is_unreadable(codec):
    block = [encode(SCHEMA, r) for r in ROWS]
    data = container(SCHEMA, [block], codec)
    start = len(header(data)[1])
    damaged = data[: start + 3] + bytes(b ^ 0xFF for b in data[start + 3 : -16]) + data[-16:]
    with pytest.raises(Unreadable):
        rewrite(damaged)


def test_damaged_deflate_is_unpacked_as_by_zlib():
    """Blocks are unpacked by ISA-L where it is installed: the same bytes, and an error for the same damage."""
    chance = random.Random(3)
    whole = b"".join(encode(SCHEMA, {"n": n, "file_path": f"s3://b/{chance.random()}"}) for n in range(500))
    unpack, faults = CODECS_OF_OURS["deflate"][0], set()
    for _ in range(2000):
        bad = bytearray(zlib.compress(whole)[2:-4])
        if chance.random() < 0.5:
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        else:
            del bad[chance.randrange(len(bad)) :]
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            expected = stream.decompress(bad)
            expected = expected if stream.eof else None
        except zlib.error:
            expected = None
        try:
            found = unpack(bytes(bad))
        except (*CODEC_FAULTS, Malformed) as fault:
            found = None
            faults.add(type(fault))
        assert found == expected
    assert len(faults) == 2  # of both kinds: what cannot be unpacked, and what ends too early


def test_a_wrong_snappy_checksum_is_unreadable():
    data = bytearray(container(SCHEMA, [[encode(SCHEMA, ROWS[0])]], "snappy"))
    data[-17] ^= 1
    with pytest.raises(Unreadable, match="checksum"):
        rewrite(bytes(data))


def block(count: int, body: bytes, sync: bytes = SYNC) -> bytes:
    return container(SCHEMA, []) + long(count) + long(len(body)) + body + sync


ROW = encode(SCHEMA, ROWS[0])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an Avro file"),
        (b"PAR1", "not an Avro file"),
        (container(SCHEMA, [], meta={"avro.codec": b"lzo"}), "codec 'lzo' is not known"),
        (container(SCHEMA, [], meta={"avro.schema": b"{"}), "schema is not JSON"),
        (container("long", []), "records are of the type long"),
        (container({"type": "record", "name": "r", "fields": []}, []), "no field 100 file_path"),
        (block(1, ROW, b"\0" * 16), "sync marker"),
        (block(2, ROW), "over the end"),
        (block(1, ROW + b"\0"), "1 bytes after its last record"),
        (block(-1, ROW), "announces -1 records"),
        (block(1, long(0) + long(-5)), "size -5"),
        (block(1, long(0) + long(2**40)), "over the end"),
        (block(1, long(0) + long(2) + b"\xff\xff"), "not UTF-8"),
    ],
)
def test_what_is_wrong_is_said(data, reason):
    with pytest.raises(Unreadable, match=reason):
        rewrite(data)
    with pytest.raises(Unreadable, match=reason):
        [r.get(PATH) for r in Container(data, "p").records([PATH])]


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "r", "fields": [*fields, {"name": "file_path", "type": "string"}]}


UUID = {"type": "fixed", "name": "uuid", "size": 16, "logicalType": "uuid"}
NUMBERS = {"type": "record", "name": "i", "fields": [{"name": n, "type": "long"} for n in ("a", "b")]}
STRANGE = [
    (UUID, b"0123456789abcdef"),
    ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, "B"),
    (["null", "string", "long", "double"], 1.5),
    (["string", "null"], "x" * 100),
    ({"type": "map", "values": ["null", "bytes"]}, {"a": b"x" * 300, "b": None}),
    ({"type": "array", "items": {"type": "array", "items": "boolean"}}, [[True, False], [], [True] * 200]),
    ({"type": "array", "items": "float"}, [1.5] * 70),
    ({"type": "array", "items": {"type": "string"}}, ["", "x" * 63, "y" * 64, "z" * 9000]),
    ({"type": "array", "items": "long"}, [2**63 - 1, -(2**63)] * 5000),
    ({"type": "array", "items": ["null", {"type": "int"}]}, [None, 5, 2**31 - 1]),
    ({"type": "record", "name": "empty", "fields": []}, {}),
    ({"type": "record", "name": "a.b.c", "fields": [{"name": "f", "type": UUID}]}, {"f": b"\0" * 16}),
    (
        {"type": "array", "items": {"type": "record", "name": "o", "fields": [{"name": "i", "type": NUMBERS}]}},
        [{"i": {"a": 1, "b": 2**40}}] * 3,
    ),
]


@pytest.mark.parametrize(("of_type", "value"), STRANGE, ids=lambda v: str(v)[:40])
def test_every_kind_of_type_is_passed_over(of_type, value):
    schema = record({"name": "v", "type": of_type})
    rows = [{"v": value, "file_path": "s3://bronze/x"}] * 3
    assert records(rewrite(avro(schema, rows))) == moved(records(avro(schema, rows)))


def test_a_name_may_be_referred_to_and_defined_again():
    k = {"type": "record", "name": "k", "fields": [{"name": "a", "type": "int"}]}
    other = {"type": "record", "name": "k", "fields": [{"name": "a", "type": "string"}]}
    schema = record(*({"name": f"f{i}", "type": t} for i, t in enumerate([k, "k", other, "k"])))
    row = long(5) + long(6) + encode("string", "seven") + encode("string", "eight") + encode("string", "s3://bronze/x")
    data = container(schema, [[row]])
    assert rewrite(data).count(b"s3://data-lake/bronze/xxx") == 1


def test_names_are_found_in_their_namespace():
    inner = {"type": "fixed", "name": "f", "size": 3}
    schema = {**record({"name": "a", "type": inner}, {"name": "b", "type": "ns.f"}), "namespace": "ns"}
    assert [f.type.size for f in parse_schema(schema).fields[:2]] == [3, 3]


def test_a_type_may_be_wrapped_in_another():
    assert parse_schema({"type": {"type": {"type": "array", "items": {"type": "int"}}}}).parts[0].kind == "int"


@pytest.mark.parametrize(
    "schema",
    [None, "string2", {"type": "array"}, {"type": "fixed", "name": "f"}, {"type": "record", "name": "r"}, [3]],
)
def test_a_schema_that_is_none_is_malformed(schema):
    with pytest.raises(Malformed, match="its schema"):
        parse_schema(schema)


def test_a_recursive_schema_is_unreadable_not_endless():
    schema = record({"name": "next", "type": ["null", "r"]})
    with pytest.raises(Unreadable, match="recursive"):
        Container(container(schema, []), "p")


def test_blocks_of_items_with_a_negative_count_are_passed_over_and_checked():
    schema = record({"name": "v", "type": {"type": "array", "items": "long"}})

    def row(size: int) -> bytes:
        items = long(7) + long(-300)
        array = long(-2) + long(len(items) + size) + items + long(1) + long(8) + long(0)
        return array + encode("string", "s3://bronze/x")

    out = rewrite(container(schema, [[row(0)] * 2]))
    assert [r["v"] for r in records(out)] == [[7, -300, 8]] * 2
    assert out.count(row(0)[:8]) == 2
    with pytest.raises(Unreadable, match="does not have the size"):
        rewrite(container(schema, [[row(1)]]))


def test_a_field_id_decides_and_a_name_only_counts_without_one():
    text = encode("string", "s3://bronze/x")
    renamed = {"type": "record", "name": "r", "fields": [{"name": "location", "type": "string", "field-id": 100}]}
    assert b"s3://data-lake" in rewrite(container(renamed, [[text]]))
    other = {"type": "record", "name": "r", "fields": [{"name": "file_path", "type": "string", "field-id": 7}]}
    with pytest.raises(Unreadable, match="no field 100"):
        rewrite(container(other, [[text]]))


def test_a_damaged_count_does_not_loop_for_ever():
    schema = record({"name": "v", "type": {"type": "array", "items": "null"}})
    with pytest.raises(Unreadable, match="items do not fit"):
        rewrite(container(schema, [[long(2**60)]]))


@pytest.mark.parametrize("number", [0, -1, 1, 63, 64, -64, -65, 2**31, -(2**63), 2**63 - 1])
def test_numbers_are_written_as_another_writer_does(number):
    assert write_long(number) == long(number)
    assert read_long(long(number), 0) == (number, len(long(number)))


def test_a_number_of_eleven_bytes_is_malformed():
    with pytest.raises(Malformed, match="ten bytes"):
        read_long(b"\xff" * 10 + b"\x01", 0)


def test_header_entries_are_known_to_the_caller():
    data = avro(SCHEMA, ROWS, meta={"format-version": b"2"})
    meta = Container(data, "p").metadata
    assert meta["format-version"] == b"2"
    assert json.loads(meta["avro.schema"]) == SCHEMA


# --- streams ---------------------------------------------------------------------------------------


class Stream:
    """Read once, forward, in pieces of any size, like an answer from a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.largest = 0

    def read(self, size: int) -> bytes:
        self.largest = max(self.largest, size)
        return self._data.read(min(size, 7))


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_is_read_like_the_bytes_in_it(codec):
    data = avro(SCHEMA, ROWS, codec)
    sink = io.BytesIO()
    Container(Stream(data), "p").rewrite([PATH], move, sink)
    assert sink.getvalue() == rewrite(data)
    assert [r.get(PATH) for r in Container(Stream(data), "p").records([PATH])] == [r["file_path"] for r in ROWS]


def test_a_damaged_size_makes_no_room_for_what_is_not_there():
    stream = Stream(container(SCHEMA, []) + long(1) + long(2**29) + ROW)
    with pytest.raises(Unreadable, match="ends too early"):
        Container(stream, "p").rewrite([PATH], move, io.BytesIO())
    assert stream.largest <= 1 << 20
    with pytest.raises(Unreadable, match="has the size"):
        rewrite(container(SCHEMA, []) + long(1) + long(2**40) + ROW)


@pytest.mark.parametrize("codec", CODECS)
def test_a_block_that_inflates_without_end_is_unreadable(codec, monkeypatch):
    rows = [encode(SCHEMA, {"n": 1, "file_path": "x" * 2_000_000})]
    data = container(SCHEMA, [rows], codec)
    assert len(list(Container(data, "p").records([PATH]))) == 1
    monkeypatch.setattr(container_module, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr("migrator.iceberg.bounds.ALWAYS", 1_000_000)
    monkeypatch.setattr("migrator.iceberg.bounds.MOST", 1_000_000)
    with pytest.raises(
        Unreadable, match="has the size 2000" if codec == "null" else "unpacks to more|announces 2000|limit exceeded"
    ):
        rewrite(data)


@pytest.mark.slow
def test_many_blocks_pass_in_flat_memory():
    """The results are discarded, and so is each block before the next one."""
    script = """
import io, resource, sys
from iceberg.avro_files import container, encode
from iceberg.tables import entry, manifest_schema
from migrator.iceberg.manifests import read_manifest, rewrite_manifest

schema, blocks = manifest_schema(2), int(sys.argv[1])
rows = [encode(schema, entry(f"s3://bronze/{i:08}", value_counts=None)) for i in range(300)]
head, body = container(schema, [], "deflate"), container(schema, [rows], "deflate")
body = body[len(head):]

class Endless(io.RawIOBase):
    def __init__(self):
        self.pieces, self.left = iter([head] + [body] * blocks), b""

    def read(self, size):
        self.left = self.left or next(self.pieces, b"")
        piece, self.left = self.left[:size], self.left[size:]
        return piece

class Nowhere(io.RawIOBase):
    size = 0

    def write(self, data):
        self.size += len(data)

assert sum(1 for _ in read_manifest(Endless(), "s3://b/m")) == 300 * blocks
sink = Nowhere()
rewrite_manifest(Endless(), sink, lambda path: path.replace("bronze", "data-lake/bronze"), lambda path: None, "s3://b/m")
assert sink.size > len(body) * blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

    def peak(blocks: int) -> int:
        command = [sys.executable, "-c", script, str(blocks)]
        environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
        return int(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)

    assert peak(1_000) - peak(10) < 10 * 1024  # KiB


# --- patterns --------------------------------------------------------------------------------------

DATA_FILE = Target(2, "data_file", "any")
TARGETS = [
    Target(0, "status", "long"),
    Target(1, "snapshot_id", "any"),
    Target(100, "file_path", "string", parent=DATA_FILE),
    Target(102, "partition", "any", parent=DATA_FILE),
    Target(108, "column_sizes", "any", parent=DATA_FILE),
    Target(125, "lower_bounds", "bounds", parent=DATA_FILE),
    Target(132, "split_offsets", "any", parent=DATA_FILE),
    Target(143, "referenced_data_file", "string", parent=DATA_FILE),
]


def seen(data: bytes, targets: list[Target]) -> tuple[list[Any], str]:
    """The positions of the records and the targets, and why the rest of the file cannot be read."""
    found = []
    try:
        for r in Container(data, "p").records(targets):
            found.append([r.spans.span(number) for number in range(len(r.scanner.fields) + 1)])
    except Unreadable as error:
        return found, str(error)
    return found, ""


def mutated(body: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(body))
    new = [
        b"",
        bytes([chance.randrange(256)]),
        bytes([body[at] ^ 1 << chance.randrange(8)]),
        bytes([body[at] | 128, 0]),
    ]
    return body[:at] + chance.choice(new) + body[at + chance.choice((0, 1, 1, 1, 9)) :]


def blocks_of(data: bytes) -> list[tuple[Any, int, bytes]]:
    """Schema, count and decompressed records of each block."""
    meta = header(data)[0]
    return [(json.loads(meta["avro.schema"]), b.count, b.records) for b in Container(data, "p")._blocks()]


def variety() -> list[bytes]:
    rows = [
        entry(
            "s3://bronze/" + "a" * n,
            snapshot=n % 3 or None,
            split_offsets=[4] * (n % 4) or None,
            value_counts=pairs({i: 99 * i for i in range(n)}),
        )
        for n in range(9)
    ]
    deletes = [position_deletes("s3://b/d", "s3://b/a", "s3://b/z", referenced_data_file=r) for r in (None, "s3://x")]
    types = [pair for pair in STRANGE if pair[0] != {"type": "array", "items": "long"}]  # that one is large
    types.append(({"type": "array", "items": "null"}, [None] * 9))
    strange = record(*({"name": f"f{i}", "type": of_type} for i, (of_type, _) in enumerate(types)))
    values = {f"f{i}": value for i, (_, value) in enumerate(types)} | {"file_path": ""}
    return [avro(manifest_schema(2), rows + deletes), container(strange, [[encode(strange, values)] * 3])]


@pytest.mark.parametrize("seed", range(3))
def test_a_pattern_matches_the_same_spans_as_reading_field_by_field(seed, monkeypatch):
    chance = random.Random(seed)
    files = variety() * 4 + [f.read_bytes() for f in sorted(CORPUS.rglob("*-m*.avro"))]
    for schema, count, body in [block for data in files for block in blocks_of(data)]:
        whole = container(schema, [], meta={"avro.codec": b"null"})
        cases = [(count, body)] + [(count + chance.choice((0, 0, 0, 1, -1)), mutated(body, chance)) for _ in range(100)]
        results = []
        for patience in (1, 10**9):
            container_module._scanner_of.cache_clear()
            monkeypatch.setattr(records_module, "_FIRST_COMPILE_AFTER", patience)
            seen(whole + long(count) + long(len(body)) + body + SYNC, TARGETS)
            results.append([seen(whole + long(n) + long(len(b)) + b + SYNC, TARGETS) for n, b in cases])
        assert results[0] == results[1]


def test_records_like_those_before_are_not_stepped_through(monkeypatch):
    monkeypatch.setattr(records_module, "_FIRST_COMPILE_AFTER", 3)
    (schema, _, _), *_ = blocks_of(variety()[0])
    rows = [encode(schema, entry(f"s3://bronze/{n:020}", split_offsets=None)) for n in range(50)]
    stepped = []
    scanner = records_module.RecordScanner
    monkeypatch.setattr(scanner, "_step", lambda *a, step=scanner._step: stepped.append(a) or step(*a))
    assert len(list(Container(container(schema, [rows]), "s3://b/t/m").records(TARGETS))) == 50
    assert len(stepped) == 3
    assert len(list(Container(container(schema, [rows]), "s3://b/t/other").records(TARGETS))) == 50
    assert len(stepped) == 3


def test_wild_records_and_deep_types_are_read_without_a_pattern(monkeypatch):
    monkeypatch.setattr(records_module, "_FIRST_COMPILE_AFTER", 2)
    for module in (matchers_module, records_module):
        monkeypatch.setattr(module, "MOST_SPELLED", 300)
    of_type: Any = "long"
    for _ in range(30):
        of_type = {"type": "array", "items": of_type}
    schema = record({"name": "v", "type": of_type}, {"name": "w", "type": {"type": "array", "items": "bytes"}})
    row = long(1) * 30 + long(7) + long(0) * 30
    rows = [row + encode({"type": "array", "items": "bytes"}, [b"x" * n * n] * n) for n in range(90)]
    data = container(schema, [[r + encode("string", "s3://bronze/x") for r in rows]])
    assert records(rewrite(data)) == moved(records(data))


def test_an_array_ends_at_a_zero_however_long():
    schema = record({"name": "v", "type": {"type": "array", "items": "long"}}, {"name": "w", "type": "long"})
    row = long(1) + long(5) + b"\x80\x00" + long(3) + encode("string", "s3://bronze/x")
    out = rewrite(container(schema, [[row] * 2]))
    assert [(r["v"], r["w"]) for r in records(out)] == [([5], 3)] * 2


def test_items_without_bytes_do_not_take_for_ever():
    schema = record({"name": "v", "type": {"type": "array", "items": {"type": "array", "items": "null"}}})
    body = long(10_000) + (long(30_000) + long(0)) * 10_000 + long(0) + encode("string", "s3://bronze/" + "x" * 40_000)
    assert b"s3://data-lake/bronze/" in rewrite(container(schema, [[body]]))
