"""Position deletes in Parquet as other writers annotate them: the columns keep their annotations and values, however
Arrow reads an annotation. pyarrow reads the footer of the new file to check this."""

from __future__ import annotations

import io
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from iceberg.avro_files import CORPUS
from iceberg.deletes.lake import PLACE, TWO_BUCKETS, moved, target
from iceberg.tables import FILE_PATH, POS
from migrator.errors import Unreadable
from migrator.iceberg.deletes import delete_paths, rewrite_deletes
from migrator.iceberg.deletes.thrift import BYTE, FALSE, I32, STRUCT, TRUE, Struct, decode, encode

FOREIGN = CORPUS / "foreign"

EMPTY: Struct = {}
MILLIS, MICROS, NANOS = ({unit: (STRUCT, EMPTY)} for unit in (1, 2, 3))


def time(unit: Struct, utc: bool) -> Struct:
    return {1: (TRUE if utc else FALSE, utc), 2: (STRUCT, unit)}


def integer(bits: int, signed: bool) -> Struct:
    return {1: (BYTE, bytes([bits])), 2: (TRUE if signed else FALSE, signed)}


def annotation(converted: int | None, logical: tuple[int, Struct] | None = None, **more: int) -> Struct:
    """Fields 6 (converted type), 7 and 8 (scale and precision), 10 (logical type) of a schema element."""
    found: Struct = {} if converted is None else {6: (I32, converted)}
    found |= {{"scale": 7, "precision": 8}[name]: (I32, value) for name, value in more.items()}
    return found | ({} if logical is None else {10: (STRUCT, {logical[0]: (STRUCT, logical[1])})})


DECIMAL: Struct = {1: (I32, 2), 2: (I32, 18)}
NUMBERS = {
    "none": annotation(None),
    "INT(64, signed), as Impala": annotation(10, (10, integer(64, True))),
    "INT_64 alone": annotation(10),
    "INT(64, signed) alone": annotation(None, (10, integer(64, True))),
    "UINT_64": annotation(14, (10, integer(64, False))),
    "UINT_64 alone": annotation(14),
    "decimal": annotation(5, (5, DECIMAL), scale=2, precision=18),
    "decimal, converted alone": annotation(5, scale=2, precision=18),
    "timestamp ms": annotation(None, (8, time(MILLIS, False))),
    "timestamp ms utc": annotation(9, (8, time(MILLIS, True))),
    "timestamp us utc": annotation(10, None) | annotation(10, (8, time(MICROS, True))),
    "timestamp ns": annotation(None, (8, time(NANOS, False))),
    "TIMESTAMP_MILLIS alone": annotation(9),
    "time us utc": annotation(8, (7, time(MICROS, True))),
    "time us": annotation(None, (7, time(MICROS, False))),
    "time ns": annotation(None, (7, time(NANOS, True))),
}
TEXTS = {
    "none": annotation(None),
    "UTF8": annotation(0),
    "STRING": annotation(None, (1, EMPTY)),
    "both": annotation(0, (1, EMPTY)),
    "ENUM": annotation(4, (4, EMPTY)),
    "JSON": annotation(19, (12, EMPTY)),
    "BSON": annotation(20, (13, EMPTY)),
}
FIXED = {
    "none": annotation(None),
    "UUID": annotation(None, (14, EMPTY)),
    "decimal": annotation(5, (5, {1: (I32, 2), 2: (I32, 38)}), scale=2, precision=38),
}


def annotated(data: bytes, **columns: Struct) -> bytes:
    """The file with other annotations on the leaves of these names, as writers other than Arrow write them."""
    size = int.from_bytes(data[-8:-4], "little")
    top = decode(data[-8 - size : -8])
    for element in top[2][1][1]:
        new = columns.get(element[4][1].decode())
        if new is not None:
            kept = {field: value for field, value in element.items() if field not in (6, 7, 8, 10)}
            element.clear()
            element.update(sorted((kept | new).items()))
    footer = encode(top)
    return data[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def field(name: str, kind: pa.DataType, field_id: int | None, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable, None if field_id is None else {"PARQUET:field_id": str(field_id)})


def parquet(row: pa.Array | None = None, *, ids: bool = True, optional: bool = False, **options: Any) -> bytes:
    paths, positions = zip(*TWO_BUCKETS, strict=True)
    fields = [
        field("file_path", pa.binary(), FILE_PATH if ids else None, nullable=optional),
        field("pos", pa.int64(), POS if ids else None, nullable=optional),
    ]
    columns = [pa.array(paths, pa.binary()), pa.array(positions, pa.int64())]
    if row is not None:
        fields.append(field("row", row.type, 2147483544 if ids else None, nullable=True))
        columns.append(row)
    out = io.BytesIO()
    options = {"store_schema": False, "row_group_size": 4} | options
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), out, **options)
    return out.getvalue()


def opened(data: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(io.BytesIO(data))


def columns_of(data: bytes) -> list[tuple[Any, ...]]:
    """What the footer says of each column, read by pyarrow."""
    schema = opened(data).schema
    leaves = (schema.column(number) for number in range(len(schema)))
    return [
        (c.path, c.physical_type, str(c.logical_type), c.converted_type, c.length, c.scale, c.precision, *levels(c))
        for c in leaves
    ]


def levels(column: pq.ColumnSchema) -> tuple[int, int]:
    return column.max_definition_level, column.max_repetition_level


def schema_of(data: bytes) -> str:
    """The schema as pyarrow prints it, with groups and field ids."""
    return str(opened(data).schema).partition("\n")[2]


def check(data: bytes) -> pq.ParquetFile:
    """Move the file; every column, annotation, id and value is the same, except the paths, which are sorted again."""
    out = moved(data)
    before, after = opened(data), opened(out.data)
    assert columns_of(out.data) == columns_of(data)
    assert schema_of(out.data) == schema_of(data)
    assert after.metadata.metadata == before.metadata.metadata
    groups = [[f.metadata.row_group(i).num_rows for i in range(f.metadata.num_row_groups)] for f in (before, after)]
    assert groups[0] == groups[1]
    rows = [bare(data), bare(out.data)]
    expected = sorted([(target(path), *others) for path, *others in rows[0]], key=lambda row: row[:2])
    assert rows[1] == expected
    assert delete_paths(data, PLACE) == {path for path, _ in TWO_BUCKETS}
    assert moved(data) == out
    return after


def bare(data: bytes) -> list[tuple[Any, ...]]:
    """The rows, for any annotations of their columns: the annotations of leaves are removed before reading."""
    names = {"file_path", "pos", "n", "s", "f", "element"}
    table = pq.read_table(io.BytesIO(annotated(data, **dict.fromkeys(names, annotation(None)))))
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return [(path.decode(), *others) for path, *others in rows]


def struct(**columns: pa.Array) -> pa.Array:
    fields = [field(name, column.type, number, nullable=True) for number, (name, column) in enumerate(columns.items())]
    return pa.StructArray.from_arrays(list(columns.values()), fields=fields)


COUNT = len(TWO_BUCKETS)
N = pa.array([None, *range(-2, COUNT - 3)], pa.int64())
S = pa.array([None, *(f'{{"a": {i}}}'.encode() for i in range(COUNT - 1))], pa.binary())
F = pa.array([None, *(bytes([255 - i] * 16) for i in range(COUNT - 1))], pa.binary(16))


@pytest.mark.parametrize("name", NUMBERS)
def test_annotations_of_pos_and_of_numbers_in_row_stay(name):
    check(annotated(parquet(struct(n=N)), pos=annotation(10, (10, integer(64, True))), n=NUMBERS[name]))
    if name.startswith(("none", "INT")):
        check(annotated(parquet(), pos=NUMBERS[name]))


@pytest.mark.parametrize("name", TEXTS)
def test_annotations_of_file_path_and_of_texts_in_row_stay(name):
    check(annotated(parquet(struct(s=S)), file_path=TEXTS[name], s=TEXTS[name]))


@pytest.mark.parametrize("name", FIXED)
def test_annotations_of_fixed_bytes_in_row_stay(name):
    check(annotated(parquet(struct(f=F)), f=FIXED[name]))


def test_bytes_that_are_no_utf_8_stay_in_a_string_of_the_row():
    check(annotated(parquet(struct(s=pa.array([b"\xff\xfe"] * COUNT, pa.binary()))), s=TEXTS["both"]))


@pytest.mark.parametrize(
    "options",
    [
        {"row_group_size": 3},
        {"row_group_size": COUNT, "use_dictionary": False},
        {"use_dictionary": False, "column_encoding": {"pos": "DELTA_BINARY_PACKED", "file_path": "DELTA_BYTE_ARRAY"}},
        {"use_dictionary": False, "column_encoding": {"pos": "PLAIN", "file_path": "DELTA_LENGTH_BYTE_ARRAY"}},
        {"write_statistics": False},
        {"write_page_index": True},
        {"data_page_version": "2.0", "compression": "zstd"},
        {"compression": "none", "ids": False},
        {"optional": True},
        {"optional": True, "ids": False, "write_statistics": False},
    ],
    ids=str,
)
def test_however_an_annotated_file_is_written(options):
    row = struct(n=N, s=S)
    after = check(annotated(parquet(row, **options), pos=NUMBERS["UINT_64"], file_path=TEXTS["both"], s=TEXTS["BSON"]))
    key = after.metadata.row_group(0).column(0)
    assert key.statistics.max == max(
        p.decode() for p in after.read_row_group(0)["file_path"].cast("binary").to_pylist()
    )
    assert key.has_column_index is options.get("write_page_index", False)


def test_no_statistics_are_written_in_an_order_that_readers_do_not_expect():
    data = annotated(parquet(struct(n=N, f=F)), n=NUMBERS["UINT_64"], f=FIXED["decimal"])
    group = check(data).metadata.row_group(0)
    assert [group.column(i).is_stats_set for i in range(4)] == [True, True, False, False]
    group = check(annotated(parquet(struct(n=N, f=F)), n=NUMBERS["time us"], f=FIXED["UUID"])).metadata.row_group(0)
    assert [group.column(i).is_stats_set for i in range(4)] == [True, True, True, True]


def test_timestamps_of_96_bits_stay_beyond_what_arrow_can_count():
    row = struct(at=pa.array([1_700_000_000_000_000_000, None] + [-1] * (COUNT - 2), pa.timestamp("ns")))
    data = parquet(row, use_deprecated_int96_timestamps=True)
    out = moved(data)
    assert columns_of(out.data) == columns_of(data)
    assert "INT96" in str(columns_of(out.data))
    before, after = (opened(d).read().flatten().sort_by("pos") for d in (data, out.data))
    assert before["row.at"].combine_chunks().equals(after["row.at"].combine_chunks())


def test_nested_columns_keep_the_names_that_their_writer_gave_them():
    items = pa.array(
        [[{"a": i}, None] for i in range(COUNT)],
        pa.list_(field("bag", pa.struct([field("a", pa.int32(), 7)]), 6, nullable=True)),
    )
    pairs = pa.array([[("k", Decimal(i))] for i in range(COUNT)], pa.map_(pa.string(), pa.decimal128(30, 2)))
    data = parquet(struct(items=items, pairs=pairs), use_compliant_nested_type=False)
    out = moved(data)
    assert columns_of(out.data) == columns_of(data)
    assert schema_of(out.data) == schema_of(data)
    before, after = (sorted(opened(d).read(["pos", "row"]).to_pylist(), key=str) for d in (data, out.data))
    assert before == after


def test_what_arrow_would_build_in_another_way_is_refused():
    """A repeated column without a list around it, as old writers have it, would get one."""
    data = parquet(struct(n=N))
    size = int.from_bytes(data[-8:-4], "little")
    top = decode(data[-8 - size : -8])
    top[2][1][1][-1][3] = I32, 2  # the last column: repeated, no longer optional
    footer = encode(top)
    broken = data[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(Unreadable, match="deletes"):
        moved(broken)


@pytest.mark.parametrize("byte", range(0, 256, 5))
def test_a_damaged_footer_is_unreadable_or_read(byte):
    data = bytearray(annotated(parquet(struct(n=N)), n=NUMBERS["time us"]))
    size = int.from_bytes(data[-8:-4], "little")
    for at in range(len(data) - 8 - size + byte % 5, len(data) - 8, 31):
        changed = bytes(data[:at]) + bytes([byte]) + bytes(data[at + 1 :])
        with suppress(Unreadable):
            moved(changed)


@pytest.mark.skipif(not FOREIGN.exists(), reason="the corpus of other engines' files is not here")
def test_the_real_file_of_impala():
    data = (FOREIGN / "loose" / "impala-position-deletes.parquet").read_bytes()
    paths = delete_paths(data, PLACE)
    out = rewrite_deletes(data, lambda path: f"s3://data-lake/{path.rpartition('/')[2]}", PLACE)
    assert columns_of(out.data) == columns_of(data)
    assert "Int(bitWidth=64, isSigned=true)" in str(columns_of(data))
    assert delete_paths(out.data, PLACE) == {f"s3://data-lake/{path.rpartition('/')[2]}" for path in paths}
    assert opened(out.data).read()["pos"].equals(opened(data).read()["pos"])
