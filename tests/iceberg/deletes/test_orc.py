"""Position deletes in ORC: what pyarrow reads afterwards, attributes of the types and user metadata included."""

from __future__ import annotations

import io
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.orc as orc
import pytest

from iceberg.avro_files import CORPUS
from iceberg.deletes.lake import ONE_BUCKET, PLACE, TWO_BUCKETS, UNICODE, Row, moved, moved_rows, target
from iceberg.tables import FILE_PATH, POS
from migrator.errors import Unreadable
from migrator.iceberg.deletes import delete_paths, rewrite_deletes
from migrator.iceberg.deletes.orc_tail import Tail, _field
from migrator.iceberg.manifests import DeleteFile

FOREIGN = CORPUS / "foreign"
CODECS = ["uncompressed", "zlib", "snappy", "lz4", "zstd"]


def field(name: str, of_type: pa.DataType, field_id: int, required: bool = False, **more: str) -> pa.Field:
    attributes = {"iceberg.id": str(field_id), "iceberg.required": str(required).lower()} | more
    return pa.field(name, of_type, metadata=attributes)


SCHEMA = pa.schema(
    [
        field("file_path", pa.string(), FILE_PATH, True),
        field("pos", pa.int64(), POS, True, **{"iceberg.long-type": "LONG"}),
    ]
)
ROW = pa.struct(
    [
        field("id", pa.int32(), 1),
        field("tags", pa.list_(field("element", pa.string(), 4)), 3),
        field("sizes", pa.map_(field("key", pa.string(), 6).with_nullable(False), field("value", pa.float64(), 7)), 5),
        field("price", pa.decimal128(12, 3), 8),
        field("day", pa.date32(), 9),
        field("uuid", pa.binary(), 10, **{"iceberg.binary-type": "UUID"}),
        field("flag", pa.bool_(), 11),
    ]
)
SCHEMA_WITH_ROW = SCHEMA.append(field("row", ROW, 2147483544))
META = {"delete-type": b"position", "x": b"\xff\x00", "long": b"y" * 200_000}


def written(table: pa.Table, meta: dict[str, bytes] | None = None, **options: Any) -> bytes:
    sink = io.BytesIO()
    orc.write_table(table, sink, **{"compression": "zlib", "compression_block_size": 1 << 18} | options)
    if not meta:
        return sink.getvalue()
    # pyarrow writes no user metadata; the message UserMetadataItem has a name (1) and a value (2).
    entries = [_field(1, name.encode()) + _field(2, value) for name, value in meta.items()]
    return Tail(sink.getvalue(), PLACE).with_metadata(entries)


def deletes(rows: list[Row], **options: Any) -> bytes:
    return written(pa.table(list(zip(*rows, strict=True)) or [[], []], schema=SCHEMA), **options)


def opened(data: bytes) -> orc.ORCFile:
    return orc.ORCFile(io.BytesIO(data))


def rows_of(data: bytes) -> list[Row]:
    table = opened(data).read()
    return list(zip(table["file_path"].to_pylist(), table["pos"].to_pylist(), strict=True))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("rows", [ONE_BUCKET, TWO_BUCKETS], ids=["one bucket", "two buckets"])
def test_paths_move_and_codec_attributes_and_metadata_stay(rows, codec):
    data = deletes(rows, meta=META, compression=codec)
    out = moved(data)
    assert rows_of(out.data) == sorted(moved_rows(rows))
    paths = [target(path) for path, _ in rows]
    assert (out.file, out.unmapped) == (DeleteFile(len(out.data), min(paths), max(paths)), 0)
    before, after = opened(data), opened(out.data)
    assert after.schema.equals(SCHEMA, check_metadata=False)
    assert [f.metadata for f in after.schema] == [f.metadata for f in SCHEMA]
    assert dict(before.metadata) == dict(after.metadata) == {k.encode(): v for k, v in META.items()}
    for fact in ("compression", "compression_size", "file_version", "row_index_stride", "nrows", "nstripes"):
        assert getattr(after, fact) == getattr(before, fact), fact
    assert delete_paths(data, PLACE) == {path for path, _ in rows}
    assert moved(data) == out


def test_a_file_without_user_metadata_gets_none():
    assert dict(opened(moved(deletes(ONE_BUCKET)).data).metadata) == {}


def test_rows_are_sorted_again_when_the_mapping_swaps_prefixes():
    out = rows_of(moved(deletes(TWO_BUCKETS)).data)
    assert out == sorted(moved_rows(TWO_BUCKETS))
    assert out[0] == ("s3://data-lake/a-silver/a", 1)
    assert Counter(out) == Counter(moved_rows(TWO_BUCKETS))


def test_rows_keep_their_order_when_the_mapping_does_not_change_it():
    shuffled = ONE_BUCKET[::-1]
    assert rows_of(moved(deletes(shuffled)).data) == moved_rows(shuffled)


@pytest.mark.parametrize("rows", [ONE_BUCKET, TWO_BUCKETS], ids=["one bucket", "two buckets"])
def test_the_row_column_moves_with_its_row(rows):
    def row(index: int) -> Any:
        if index % 4 == 3:
            return None
        return {
            "id": index,
            "tags": ["s3://bronze/x", None],
            "sizes": [("s3://bronze/x", 1.5), ("y", None)],
            "price": Decimal("1234.500"),
            "day": date(1, 1, 1 + index),
            "uuid": bytes(range(16)),
            "flag": None,
        }

    paths, positions = zip(*rows, strict=True)
    expected = sorted((target(path), pos, row(i)) for i, (path, pos) in enumerate(rows))
    data = written(pa.table([paths, positions, [row(i) for i in range(len(rows))]], schema=SCHEMA_WITH_ROW))
    out = opened(moved(data).data)
    assert [tuple(r.values()) for r in out.read().to_pylist()] == expected
    assert out.schema.equals(opened(data).schema, check_metadata=True)
    inner = out.schema.field("row").type
    assert inner.field("tags").type.value_field.metadata[b"iceberg.id"] == b"4"
    assert inner.field("sizes").type.item_field.metadata[b"iceberg.id"] == b"7"
    assert inner.field("uuid").metadata[b"iceberg.binary-type"] == b"UUID"


def test_columns_are_found_by_id_and_else_by_name():
    by_id = pa.schema(
        [field("p", pa.int64(), POS), field("f", pa.string(), FILE_PATH), field("file_path", pa.string(), 9)]
    )
    data = written(pa.table([[1, 2], ["s3://bronze/a", "s3://silver/b"], ["s3://bronze/a", "x"]], schema=by_id))
    out = opened(moved(data).data).read()
    assert out["f"].to_pylist() == ["s3://data-lake/a-silver/b", "s3://data-lake/z-bronze/a"]
    assert out["file_path"].to_pylist() == ["x", "s3://bronze/a"]
    assert delete_paths(data, PLACE) == {"s3://bronze/a", "s3://silver/b"}
    by_name = written(pa.table({"file_path": ["s3://bronze/a"], "pos": [1]}))
    assert rows_of(moved(by_name).data) == [("s3://data-lake/z-bronze/a", 1)]


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


def test_a_mapping_that_changes_nothing_returns_the_bytes():
    data = deletes(TWO_BUCKETS, meta=META)
    out = rewrite_deletes(data, lambda path: path, PLACE)
    assert out.data is data
    assert (out.file.size, out.unmapped) == (len(data), 0)
    nowhere = rewrite_deletes(data, lambda path: None, PLACE)
    assert nowhere.data is data
    assert nowhere.unmapped == len(TWO_BUCKETS)
    assert moved(moved(data).data).data == moved(data).data


def test_a_file_without_rows_stays():
    data = deletes([])
    out = moved(data)
    assert out.data is data
    assert (out.file, out.unmapped) == (DeleteFile(len(data), "", ""), 0)
    assert delete_paths(data, PLACE) == set()


def test_many_rows_are_rewritten_fast():
    count = 300_000
    paths = pa.array([f"s3://{('bronze', 'silver')[i % 2]}/file-{i:04}" for i in range(1000)])
    column = paths.take(pa.array([i * 1000 // count for i in range(count)], pa.int32()))
    data = written(pa.table([column, pa.array(range(count))], schema=SCHEMA))
    out = moved(data)
    assert (opened(out.data).nrows, out.unmapped) == (count, 0)
    assert rows_of(out.data) == sorted(rows_of(out.data))
    assert len(out.data) < len(data)  # its paths are a dictionary


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_anywhere_is_unreadable(codec):
    data = deletes(TWO_BUCKETS, meta={"delete-type": b"position"}, compression=codec)
    for size in range(len(data)):
        for cut in (data[:size], data[:size] + data[-1:]):  # the last byte is the size of the postscript
            if cut == data:
                continue
            with pytest.raises(Unreadable, match=r"deletes\.bin"):
                moved(cut)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"id": [1], "pos": [1]}), "no column file_path"),
        (pa.table({"file_path": ["s3://bronze/a"], "position": [1]}), "no column pos"),
        (pa.table({"file_path": [1], "pos": [1]}), "file_path is no string"),
        (pa.table({"file_path": [["s3://bronze/a"]], "pos": [1]}), "file_path is no string"),
        (pa.table({"file_path": ["s3://bronze/a"], "pos": ["1"]}), "pos is no integer"),
        (pa.table({"file_path": ["s3://bronze/a"], "pos": [1.0]}), "pos is no integer"),
        (pa.table({"file_path": ["s3://bronze/a", None], "pos": [1, 2]}), "no file_path or no pos"),
        (pa.table({"file_path": ["s3://bronze/a"] * 2, "pos": [1, None]}), "no file_path or no pos"),
        (pa.table({"file_path": [b"s3://bronze/\xff"], "pos": [1]}), "UTF"),
    ],
)
def test_what_is_wrong_is_said(table, reason):
    for function in (moved, lambda d: delete_paths(d, PLACE)):
        with pytest.raises(Unreadable, match=reason):
            function(written(table))


TIMES = [0, None, 1_767_225_600_000_000_000, 1_583_020_800_123_456_789, -1, -86_400_000_000_001, -9_000_000_000 * 10**9]


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("times", [TIMES, [None] * len(TIMES)], ids=["some", "none"])
def test_timestamps_stay(times, zone):
    row = pa.StructArray.from_arrays(
        [pa.array(times, pa.timestamp("ns", zone))], fields=[field("at", pa.timestamp("ns", zone), 4)]
    )
    paths = [f"s3://{('bronze', 'silver')[i % 2]}/a" for i in range(len(times))]
    schema = SCHEMA.append(field("row", row.type, 2147483544))
    data = written(pa.table([paths, range(len(times)), row], schema=schema))
    out = moved(data)
    before, after = (opened(d).read().sort_by("pos") for d in (data, out.data))
    assert after["row"].equals(before["row"])
    assert after["file_path"].to_pylist() == [target(path) for path in paths]
    assert opened(out.data).schema.equals(opened(data).schema, check_metadata=True)
    assert Tail(out.data, PLACE).types == Tail(data, PLACE).types


@pytest.mark.parametrize("year", [1, 1677, 2262, 9999])
def test_timestamps_that_nanoseconds_cannot_count_are_refused(year):
    times = pa.array([datetime(2026, 1, 1), datetime(year, 6, 1)], pa.timestamp("us"))
    data = written(pa.table({"file_path": ["s3://bronze/a"] * 2, "pos": [1, 2], "at": times}))
    with pytest.raises(Unreadable, match="timestamp"):
        moved(data)
    assert not Tail(data, PLACE).timestamps_fit  # versions of Arrow that do not notice


@pytest.mark.skipif(not FOREIGN.exists(), reason="the corpus of other engines' files is not here")
def test_the_real_file_of_hive():
    data = (FOREIGN / "loose" / "hive-position-deletes-row-timestamp.orc").read_bytes()
    out = rewrite_deletes(data, lambda path: f"s3://data-lake/{path.rpartition('/')[2]}", PLACE)
    before, after = opened(data), opened(out.data)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.read().drop(["file_path"]).equals(before.read().drop(["file_path"]))
    assert Tail(out.data, PLACE).metadata == Tail(data, PLACE).metadata
    assert delete_paths(out.data, PLACE) == {
        f"s3://data-lake/{path.rpartition('/')[2]}" for path in delete_paths(data, PLACE)
    }


def test_a_column_that_arrow_would_change_is_refused():
    table = pa.table({"file_path": ["s3://bronze/a"], "pos": [1], "code": ["x"]})
    data = written(table, compression="uncompressed")
    before, string, after = data.rpartition(b"\x08\x07 \x00(\x000\x00")  # the type of the last column
    assert string
    varchar = before + b"\x08\x10 \x08(\x000\x00" + after  # kind 16, maximum length 8
    assert opened(varchar).read().equals(table)
    with pytest.raises(Unreadable, match="columns cannot be written back as they are"):
        moved(varchar)


def test_the_row_index_keeps_its_stride():
    assert opened(moved(deletes(ONE_BUCKET, row_index_stride=1000)).data).row_index_stride == 1000
