"""Position deletes in Avro: what fastavro reads afterwards, and which bytes have not changed."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import fastavro
import pytest

from iceberg.avro_files import CODECS, avro, container, encode, header, long, records
from iceberg.deletes.lake import ONE_BUCKET, PLACE, TWO_BUCKETS, UNICODE, Row, moved, moved_rows, target
from iceberg.tables import FILE_PATH, POS, field
from migrator.errors import Unreadable
from migrator.iceberg.deletes import delete_paths, rewrite_deletes
from migrator.iceberg.manifests import DeleteFile
from migrator.layout import Layout

SCHEMA = {
    "type": "record",
    "name": "delete",
    "fields": [field("file_path", "string", FILE_PATH), field("pos", "long", POS)],
}
ROW = {
    "type": "record",
    "name": "r",
    "fields": [
        field("id", "int", 1),
        field("tags", ["null", {"type": "map", "values": "string"}], 2),
        field("ratio", "double", 3),
        field("at", {"type": "fixed", "name": "f", "size": 3}, 4),
    ],
}
SCHEMA_WITH_ROW = SCHEMA | {"fields": [*SCHEMA["fields"], field("row", ["null", ROW], 2147483544)]}
META = {"delete-type": b"position", "iceberg.schema": b'{"type":"struct"}', "odd": b"\xff\x00"}


def deletes(rows: list[Row], codec: str = "null") -> bytes:
    """A file with two rows in each block."""
    return avro(SCHEMA, [{"file_path": path, "pos": pos} for path, pos in rows], codec, META)


def rows_of(data: bytes) -> list[Row]:
    return [(r["file_path"], r["pos"]) for r in records(data)]


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("rows", [ONE_BUCKET, TWO_BUCKETS], ids=["one bucket", "two buckets"])
def test_paths_move_and_codec_and_header_stay(rows, codec):
    data = deletes(rows, codec)
    out = moved(data)
    assert rows_of(out.data) == sorted(moved_rows(rows))
    assert header(out.data) == header(data)
    assert header(out.data)[0]["delete-type"] == b"position"
    paths = [target(path) for path, _ in rows]
    assert (out.file, out.unmapped) == (DeleteFile(len(out.data), min(paths), max(paths)), 0)
    assert delete_paths(data, PLACE) == {path for path, _ in rows}
    assert moved(data) == out


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_a_file_that_fastavro_wrote_is_one_that_fastavro_reads(codec):
    source = io.BytesIO()
    rows = [{"file_path": path, "pos": pos} for path, pos in TWO_BUCKETS * 300]
    fastavro.writer(source, fastavro.parse_schema(SCHEMA), rows, codec, sync_interval=500)
    out = list(fastavro.reader(io.BytesIO(moved(source.getvalue()).data)))
    assert [(r["file_path"], r["pos"]) for r in out] == sorted(moved_rows(TWO_BUCKETS * 300))


def test_nothing_but_the_path_changes_in_a_record():
    data = deletes(ONE_BUCKET)
    expected = container(
        SCHEMA,
        [
            [encode(SCHEMA, {"file_path": target(path), "pos": pos}) for path, pos in ONE_BUCKET[i : i + 2]]
            for i in range(0, len(ONE_BUCKET), 2)
        ],
        meta=META,
    )
    assert moved(data).data == expected


def test_rows_are_sorted_again_when_the_mapping_swaps_prefixes():
    out = moved(deletes(TWO_BUCKETS))
    assert rows_of(out.data) == sorted(moved_rows(TWO_BUCKETS))
    assert rows_of(out.data)[0] == ("s3://data-lake/a-silver/a", 1)
    assert Counter(rows_of(out.data)) == Counter(moved_rows(TWO_BUCKETS))


def test_rows_keep_their_order_when_the_mapping_does_not_change_it():
    shuffled = ONE_BUCKET[::-1]
    assert rows_of(moved(deletes(shuffled)).data) == moved_rows(shuffled)


@pytest.mark.parametrize("rows", [ONE_BUCKET, TWO_BUCKETS], ids=["one bucket", "two buckets"])
def test_the_row_column_moves_with_its_row_untouched(rows):
    def row(index: int) -> Any:
        inner = {"id": index, "tags": {"s3://bronze/x": "s3://bronze/y"}, "ratio": float("nan"), "at": b"\xffa\0"}
        return inner if index % 3 else None

    whole = [{"file_path": path, "pos": pos, "row": row(i)} for i, (path, pos) in enumerate(rows)]
    data = avro(SCHEMA_WITH_ROW, whole)
    expected = [r | {"file_path": target(r["file_path"])} for r in whole]
    expected.sort(key=lambda r: (r["file_path"], r["pos"]))
    assert moved(data).data == avro(SCHEMA_WITH_ROW, expected)


def test_blocks_keep_their_numbers_of_rows():
    encoded = [encode(SCHEMA, {"file_path": path, "pos": pos}) for path, pos in TWO_BUCKETS]
    data = container(SCHEMA, [encoded[:7], [], encoded[7:8], encoded[8:]])
    again = [encode(SCHEMA, {"file_path": path, "pos": pos}) for path, pos in sorted(moved_rows(TWO_BUCKETS))]
    assert moved(data).data == container(SCHEMA, [again[:7], [], again[7:8], again[8:]])


def test_blocks_of_items_with_a_negative_count_are_passed_over():
    schema = SCHEMA | {"fields": [*SCHEMA["fields"], field("tags", {"type": "array", "items": "string"}, 9)]}
    item = encode("string", "s3://bronze/x")
    tags = long(-2) + long(2 * len(item)) + 2 * item + long(0)

    def made(rows: list[Row]) -> bytes:
        return container(schema, [[encode("string", path) + long(pos) + tags for path, pos in rows]])

    assert moved(made(TWO_BUCKETS)).data == made(sorted(moved_rows(TWO_BUCKETS)))


def test_columns_are_found_by_id_and_else_by_name():
    fields = [field("p", "int", POS), field("f", ["null", "string"], FILE_PATH), field("file_path", "string", 9)]
    by_id = {"type": "record", "name": "d", "fields": fields}
    rows = [
        {"p": 1, "f": "s3://bronze/a", "file_path": "s3://bronze/a"},
        {"p": 2, "f": "s3://silver/b", "file_path": ""},
    ]
    out = records(moved(avro(by_id, rows)).data)
    assert out == [rows[1] | {"f": target("s3://silver/b")}, rows[0] | {"f": target("s3://bronze/a")}]
    fields = [{"name": "pos", "type": "long"}, {"name": "file_path", "type": "string"}]
    by_name = avro({"type": "record", "name": "d", "fields": fields}, [{"file_path": "s3://bronze/a", "pos": 1}])
    assert rows_of(moved(by_name).data) == [(target("s3://bronze/a"), 1)]
    assert delete_paths(by_name, PLACE) == {"s3://bronze/a"}


def test_paths_are_any_text():
    out = moved(deletes(UNICODE))
    assert rows_of(out.data) == moved_rows(UNICODE)
    assert (out.file.lower, out.file.upper) == (
        target("s3://bronze/größe/α=%C3%A4/😀 b?c#d//e"),
        target("s3://bronze/😀"),
    )


def test_dangling_rows_stay_and_are_counted():
    rows = [("s3://bronze-archive/x", 1), ("s3://bronze-archive/x", 2), ("s3://bronze/a", 3)]
    out = moved(deletes(rows))
    assert (out.unmapped, out.file.lower) == (2, "s3://bronze-archive/x")
    assert rows_of(out.data) == moved_rows(rows)


def test_two_spellings_that_become_one_are_sorted_as_one():
    same = {"s3://a/x": "s3://t/x", "s3a://a/x": "s3://t/x"}
    out = rewrite_deletes(deletes([("s3://a/x", 5), ("s3a://a/x", 1)]), same.get, PLACE)
    assert rows_of(out.data) == [("s3://t/x", 1), ("s3://t/x", 5)]


def test_a_path_equal_to_the_prefix_moves():
    layout = Layout.from_mapping("data-lake", {"s3://bronze/wh/": "warehouse/"})
    out = rewrite_deletes(deletes([("s3://bronze/wh", 0)]), layout.map_uri, PLACE)
    assert rows_of(out.data) == [("s3://data-lake/warehouse", 0)]


def test_a_mapping_that_changes_nothing_returns_the_bytes():
    data = deletes(TWO_BUCKETS)
    out = rewrite_deletes(data, lambda path: path, PLACE)
    assert out.data is data
    assert (out.file.size, out.unmapped) == (len(data), 0)
    nowhere = rewrite_deletes(data, lambda path: None, PLACE)
    assert nowhere.data is data
    assert nowhere.unmapped == len(TWO_BUCKETS)
    assert moved(moved(data).data).data == moved(data).data


def test_a_file_without_rows_stays():
    for data in (deletes([]), container(SCHEMA, [[]])):
        out = moved(data)
        assert out.data is data
        assert (out.file, out.unmapped) == (DeleteFile(len(data), "", ""), 0)
        assert delete_paths(data, PLACE) == set()


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard"])
def test_a_file_cut_anywhere_is_unreadable(codec):
    data = deletes(TWO_BUCKETS[-4:], codec)
    sync = header(data)[1][-16:]
    for size in range(len(data)):
        if size > len(sync) and data[:size].endswith(sync):
            continue  # between two blocks: see the module ``avro``
        with pytest.raises(Unreadable, match=r"deletes\.bin"):
            moved(data[:size])


def without(name: str) -> dict[str, Any]:
    return SCHEMA | {"fields": [f for f in SCHEMA["fields"] if f["name"] != name]}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (avro(without("file_path"), [{"pos": 1}]), "no field 2147483546 file_path"),
        (avro(without("pos"), [{"file_path": "s3://bronze/a"}]), "no field 2147483545 pos"),
        (
            avro({"type": "record", "name": "d", "fields": [field("file_path", "bytes", FILE_PATH)]}, []),
            "file_path has the type bytes",
        ),
        (
            avro(
                {
                    "type": "record",
                    "name": "d",
                    "fields": [field("file_path", "string", FILE_PATH), field("pos", "string", POS)],
                },
                [],
            ),
            "pos has the type string",
        ),
        (
            container(SCHEMA, [[encode("bytes", b"s3://bronze/\xff") + long(1)]]),
            "file_path: a string is not UTF-8",
        ),
        (container(SCHEMA, [[encode("string", "s3://bronze/a") + long(1) + b"x"]]), "1 bytes after its last record"),
    ],
)
def test_what_is_wrong_is_said(data, reason):
    for function in (moved, lambda d: delete_paths(d, PLACE)):
        with pytest.raises(Unreadable, match=reason):
            function(data)


@pytest.mark.parametrize("row", [{"file_path": None, "pos": 1}, {"file_path": "s3://bronze/a", "pos": None}])
def test_a_row_needs_a_path_and_a_position(row):
    fields = [field("file_path", ["null", "string"], FILE_PATH), field("pos", ["null", "long"], POS)]
    data = avro({"type": "record", "name": "d", "fields": fields}, [row])
    for function in (moved, lambda d: delete_paths(d, PLACE)):
        with pytest.raises(Unreadable, match="a row has no file_path or no pos"):
            function(data)
