"""Position deletes in Parquet: what pyarrow reads afterwards, and what Iceberg readers need in the file."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import pyarrow_to_schema

from iceberg.avro_files import CORPUS, needs_corpus
from iceberg.tables import FILE_PATH, POS
from migrator.errors import Unreadable
from migrator.iceberg.deletes import delete_paths, rewrite_deletes
from migrator.layout import Layout

# The mapping reverses the order of the two buckets.
LAYOUT = Layout.from_mapping("data-lake", {"s3://bronze/": "z-bronze/", "s3://silver/": "a-silver/"})
PLACE = "s3://bronze/t/data/deletes.parquet"


def field(name: str, of_type: pa.DataType, field_id: int, nullable: bool = False) -> pa.Field:
    return pa.field(name, of_type, nullable, {"PARQUET:field_id": str(field_id)})


ROW = pa.struct([field("id", pa.int64(), 1), field("tags", pa.list_(field("element", pa.string(), 4, True)), 3, True)])
SCHEMA = pa.schema([field("file_path", pa.string(), FILE_PATH), field("pos", pa.int64(), POS)])
SCHEMA_WITH_ROW = SCHEMA.append(field("row", ROW, 2147483544, True))
EXTRA = {"delete-type": "position", "iceberg.schema": '{"type":"struct"}', "x": "y"}


def parquet(table: pa.Table, extra: dict[str, str] | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    rows = options.pop("row_group_size", None)
    with pq.ParquetWriter(out, table.schema, **{"store_schema": False} | options) as writer:
        writer.add_key_value_metadata(EXTRA if extra is None else extra)
        writer.write_table(table, row_group_size=rows)
    return out.getvalue()


def deletes(rows: list[tuple[str, int]], **options: Any) -> bytes:
    return parquet(pa.table(list(zip(*rows, strict=True)) or [[], []], schema=SCHEMA), **options)


def rows_of(data: bytes) -> list[tuple[str, int]]:
    table = pq.read_table(io.BytesIO(data))
    return list(zip(table["file_path"].to_pylist(), table["pos"].to_pylist(), strict=True))


def opened(data: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(io.BytesIO(data))


def moved(data: bytes):
    return rewrite_deletes(data, LAYOUT.map_uri, PLACE)


ONE_BUCKET = [(f"s3://bronze/{f}", pos) for f in ("a", "b", "b-archive") for pos in (0, 5, 2**40)]
TWO_BUCKETS = [*ONE_BUCKET, ("s3://silver/a", 1), ("s3://silver/a", 2)]


def target(path: str) -> str:
    return LAYOUT.map_uri(path) or path


@pytest.mark.parametrize("codec", ["snappy", "gzip", "zstd", "brotli", "lz4", "none"])
def test_paths_move_and_codec_ids_and_metadata_stay(codec):
    data = deletes(ONE_BUCKET, compression=codec)
    out = moved(data)
    assert rows_of(out.data) == [(target(p), pos) for p, pos in ONE_BUCKET]
    assert (out.file.size, out.unmapped) == (len(out.data), 0)
    assert (out.file.lower, out.file.upper) == ("s3://data-lake/z-bronze/a", "s3://data-lake/z-bronze/b-archive")
    before, after = opened(data), opened(out.data)
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    assert after.schema.equals(before.schema)
    assert after.metadata.metadata == {k.encode(): v.encode() for k, v in EXTRA.items()}
    columns = [m.metadata.row_group(0).column(0).compression for m in (before, after)]
    assert columns[0] == columns[1]
    assert moved(data) == out


def test_statistics_are_those_of_the_new_paths():
    statistics = opened(moved(deletes(ONE_BUCKET)).data).metadata.row_group(0).column(0).statistics
    assert (statistics.min, statistics.max) == ("s3://data-lake/z-bronze/a", "s3://data-lake/z-bronze/b-archive")
    old = pq.read_table(
        io.BytesIO(moved(deletes(ONE_BUCKET)).data), filters=[("file_path", "=", target("s3://bronze/b"))]
    )
    assert old.num_rows == 3


def test_rows_are_sorted_again_when_the_mapping_swaps_prefixes():
    out = moved(deletes(TWO_BUCKETS))
    assert rows_of(out.data) == sorted((target(p), pos) for p, pos in TWO_BUCKETS)
    assert rows_of(out.data)[0] == ("s3://data-lake/a-silver/a", 1)
    assert (out.file.lower, out.file.upper) == ("s3://data-lake/a-silver/a", "s3://data-lake/z-bronze/b-archive")


def test_rows_keep_their_order_when_the_mapping_does_not_change_it():
    shuffled = ONE_BUCKET[::-1]
    assert rows_of(moved(deletes(shuffled)).data) == [(target(p), pos) for p, pos in shuffled]


def test_the_row_column_moves_with_its_row():
    rows = [{"id": pos, "tags": ["s3://bronze/x", None]} for _, pos in TWO_BUCKETS]
    paths, positions = zip(*TWO_BUCKETS, strict=True)
    data = parquet(pa.table([paths, positions, rows], schema=SCHEMA_WITH_ROW), row_group_size=3)
    out = opened(moved(data).data)
    table = out.read()
    assert [row["id"] for row in table["row"].to_pylist()] == table["pos"].to_pylist()
    assert table["row"][0].as_py()["tags"] == ["s3://bronze/x", None]
    assert out.schema_arrow.equals(opened(data).schema_arrow, check_metadata=True)
    iceberg = pyarrow_to_schema(out.schema_arrow)
    assert [iceberg.find_field(i).name for i in (FILE_PATH, POS, 2147483544, 4)] == [
        "file_path",
        "pos",
        "row",
        "element",
    ]


def test_file_scoped_deletes_stay_file_scoped():
    out = moved(deletes([("s3://silver/a", pos) for pos in range(100)]))
    assert out.file.lower == out.file.upper == "s3://data-lake/a-silver/a"


def test_dangling_rows_stay_and_are_counted():
    rows = [("s3://bronze-archive/x", 1), ("s3://bronze-archive/x", 2), ("s3://bronze/a", 3)]
    out = moved(deletes(rows))
    assert out.unmapped == 2
    assert rows_of(out.data) == [*rows[:2], ("s3://data-lake/z-bronze/a", 3)]
    assert out.file.lower == "s3://bronze-archive/x"


def test_a_path_equal_to_the_prefix_moves():
    layout = Layout.from_mapping("data-lake", {"s3://bronze/wh/": "warehouse/"})
    out = rewrite_deletes(deletes([("s3://bronze/wh", 0)]), layout.map_uri, PLACE)
    assert rows_of(out.data) == [("s3://data-lake/warehouse", 0)]


def test_a_mapping_that_changes_nothing_returns_the_bytes():
    data = deletes(TWO_BUCKETS)
    out = rewrite_deletes(data, lambda path: path, PLACE)
    assert (out.data, out.file.size, out.unmapped) == (data, len(data), 0)
    nowhere = rewrite_deletes(data, lambda path: None, PLACE)
    assert (nowhere.data, nowhere.unmapped) == (data, len(TWO_BUCKETS))
    assert moved(moved(data).data).data == moved(data).data


def test_row_groups_keep_their_sizes():
    rows = [(f"s3://bronze/{i // 700:05}", i) for i in range(7000)]
    data = deletes(rows, row_group_size=3000)
    found = opened(moved(data).data).metadata
    assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == [3000, 3000, 1000]
    assert rows_of(moved(data).data) == [(target(p), pos) for p, pos in rows]


def test_a_page_index_stays_a_page_index():
    for wanted in (True, False):
        out = opened(moved(deletes(ONE_BUCKET, write_page_index=wanted)).data)
        assert out.metadata.row_group(0).column(0).has_column_index is wanted


@pytest.mark.parametrize("stored", [True, False], ids=["arrow schema", "no arrow schema"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_whatever_type_arrow_makes_of_the_column(kind, stored):
    schema = SCHEMA.set(0, field("file_path", kind, FILE_PATH)).with_metadata({"in-schema": "1"})
    paths, positions = zip(*TWO_BUCKETS, strict=True)
    column = pa.array(paths).cast(kind) if not pa.types.is_dictionary(kind) else pa.array(paths).dictionary_encode()
    data = parquet(pa.table([column, pa.array(positions)], schema=schema), store_schema=stored)
    out = moved(data)
    expected = sorted((target(p), pos) for p, pos in TWO_BUCKETS)
    table = pq.read_table(io.BytesIO(out.data))
    assert pc.cast(table["file_path"], pa.string()).to_pylist() == [p for p, _ in expected]
    before, after = opened(data), opened(out.data)
    assert set(after.metadata.metadata) == set(before.metadata.metadata)
    assert after.schema_arrow.metadata == before.schema_arrow.metadata
    assert after.schema.equals(before.schema)


def test_columns_are_found_by_id_and_else_by_name():
    by_id = pa.schema(
        [field("p", pa.int64(), POS), field("f", pa.string(), FILE_PATH), field("file_path", pa.string(), 9)]
    )
    table = pa.table([[1, 2], ["s3://bronze/a", "s3://silver/b"], ["s3://bronze/a", "x"]], schema=by_id)
    out = pq.read_table(io.BytesIO(moved(parquet(table)).data))
    assert out["f"].to_pylist() == ["s3://data-lake/a-silver/b", "s3://data-lake/z-bronze/a"]
    assert out["file_path"].to_pylist() == ["x", "s3://bronze/a"]
    assert delete_paths(parquet(table), PLACE) == {"s3://bronze/a", "s3://silver/b"}
    by_name = pa.table({"file_path": ["s3://bronze/a"], "pos": [1]})
    assert rows_of(moved(parquet(by_name)).data) == [("s3://data-lake/z-bronze/a", 1)]


def test_distinct_paths_are_listed():
    assert delete_paths(deletes(TWO_BUCKETS, row_group_size=2), PLACE) == {p for p, _ in TWO_BUCKETS}


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"data_page_version": "2.0"}])
def test_however_the_column_is_encoded(options):
    out = moved(deletes(TWO_BUCKETS, row_group_size=4, **options))
    assert rows_of(out.data) == sorted((target(p), pos) for p, pos in TWO_BUCKETS)


def test_a_file_without_rows_stays():
    data = deletes([])
    out = moved(data)
    assert (out.data, out.file.lower, out.file.upper, out.unmapped) == (data, "", "", 0)
    assert delete_paths(data, PLACE) == set()


def test_a_file_cut_anywhere_is_unreadable():
    data = deletes(ONE_BUCKET)
    for size in range(len(data)):
        with pytest.raises(Unreadable, match=r"deletes\.parquet"):
            moved(data[:size])
    for size in range(8, len(data), 7):  # with the magic number at its end, as a damaged file may have it
        with pytest.raises(Unreadable):
            moved(data[:size] + b"PAR1")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"id": [1], "pos": [1]}), "no column file_path"),
        (pa.table({"file_path": ["s3://bronze/a"], "position": [1]}), "no column pos"),
        (pa.table({"file_path": [1], "pos": [1]}), "file_path is no string"),
        (pa.table({"file_path": [["s3://bronze/a"]], "pos": [1]}), "file_path is no string"),
        (pa.table({"file_path": ["s3://bronze/a"], "pos": ["1"]}), "pos is no integer"),
        (pa.table({"file_path": ["s3://bronze/a", None], "pos": [1, 2]}), "no file_path or no pos"),
        (pa.table({"file_path": ["s3://bronze/a"] * 2, "pos": [1, None]}), "no file_path or no pos"),
        (pa.table({"file_path": [b"s3://bronze/\xff"], "pos": [1]}), "UTF"),
    ],
)
def test_what_is_wrong_is_said(table, reason):
    with pytest.raises(Unreadable, match=reason):
        moved(parquet(table))


def test_many_rows_are_rewritten_fast():
    count = 300_000
    paths = pa.array([f"s3://{('bronze', 'silver')[i % 2]}/file-{i:04}" for i in range(1000)])
    column = pa.DictionaryArray.from_arrays(pa.array([i * 1000 // count for i in range(count)], pa.int32()), paths)
    data = parquet(pa.table([column.cast(pa.string()), pa.array(range(count))], schema=SCHEMA))
    out = moved(data)
    assert (opened(out.data).metadata.num_rows, out.unmapped) == (count, 0)
    assert rows_of(out.data) == sorted(rows_of(out.data))


@needs_corpus
def test_other_parquet_files_of_real_tables_are_no_position_deletes():
    others = [file for file in CORPUS.rglob("*.parquet") if "file_path" not in pq.read_schema(file).names]
    assert others
    for file in others:
        with pytest.raises(Unreadable, match="no column file_path"):
            moved(file.read_bytes())
