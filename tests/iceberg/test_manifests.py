"""Manifests and manifest lists: what fastavro reads afterwards differs only in the paths."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import fastavro
import pytest

from iceberg.avro_files import CODECS, CORPUS, avro, container, encode, header, long, needs_corpus, records
from iceberg.tables import (
    FILE_PATH,
    POS,
    changed,
    entry,
    field,
    id_map,
    list_schema,
    listed,
    manifest_schema,
    pairs,
    position_deletes,
    without_ids,
)
from migrator.errors import UnmappedPath, Unreadable
from migrator.iceberg.manifests import (
    POSITION_DELETES,
    DeleteFile,
    read_manifest,
    read_manifest_list,
    rewrite_manifest,
    rewrite_manifest_list,
    split_manifest,
)
from migrator.layout import Layout

LAYOUT = Layout.from_mapping("data-lake", {"s3://bronze/": "bronze/", "s3://silver/wh/": "warehouse/"})
PLACE = "s3://bronze/wh/t/metadata/m0.avro"
V2 = manifest_schema(2)


def not_rewritten(path: str) -> None:
    return None


def manifest_rewritten(data: bytes, mapping, delete_file, place: str) -> bytes:
    sink = io.BytesIO()
    rewrite_manifest(data, sink, mapping, delete_file, place)
    return sink.getvalue()


def list_rewritten(data: bytes, mapping, length_of, place: str) -> bytes:
    sink = io.BytesIO()
    rewrite_manifest_list(data, sink, mapping, length_of, place)
    return sink.getvalue()


def moved(data: bytes, delete_file=not_rewritten) -> bytes:
    return manifest_rewritten(data, LAYOUT.map_uri, delete_file, PLACE)


def bounds(record: dict, name: str) -> dict[int, bytes]:
    return {pair["key"]: pair["value"] for pair in record["data_file"][name]}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("size", "entries", "parts"), [(1, 100, 5), (1 << 20, 4, 3), (1 << 20, 100, 1)])
def test_parts_are_manifests_of_their_own_for_fastavro(codec: str, size: int, entries: int, parts: int) -> None:
    data = avro(V2, [entry(f"s3://bronze/wh/t/data/{number}") for number in range(9)], codec, {"unknown": b"kept"})
    cut = list(split_manifest(io.BytesIO(data), PLACE, size=size, entries=entries))
    assert len(cut) == parts and sum(part.records for part in cut) == 9
    assert [record for part in cut for record in records(part.data)] == records(data)
    assert {header(part.data)[1] for part in cut} == {header(data)[1]}


# --- manifests -------------------------------------------------------------------------------------


def is_list(data: bytes) -> bool:
    return json.loads(header(data)[0]["avro.schema"])["name"] == "manifest_file"


@needs_corpus
@pytest.mark.parametrize("file", sorted(CORPUS.rglob("*.avro")), ids=lambda p: p.name[-44:])
def test_real_files_are_read_and_moved_as_fastavro_sees_them(file):
    data = file.read_bytes()
    before = records(data)
    assert [r for part in split_manifest(data, str(file), size=1, entries=1) for r in records(part.data)] == before

    def to_lake(path: str) -> str:
        return f"s3://data-lake/{path}"

    if is_list(data):
        lengths = {m.path: m.length for m in read_manifest_list(data, str(file))}
        assert lengths == {r["manifest_path"]: r["manifest_length"] for r in before}
        assert list_rewritten(data, lambda p: p, lengths.__getitem__, str(file)) == data
        out = list_rewritten(data, to_lake, lambda p: lengths[p] + 1, str(file))
        for record in before:
            record["manifest_path"] = to_lake(record["manifest_path"])
            record["manifest_length"] += 1
    else:
        entries = list(read_manifest(data, str(file)))
        assert [e.path for e in entries] == [r["data_file"]["file_path"] for r in before]
        assert [e.size for e in entries] == [r["data_file"]["file_size_in_bytes"] for r in before]
        assert manifest_rewritten(data, lambda p: p, not_rewritten, str(file)) == data
        out = manifest_rewritten(data, to_lake, not_rewritten, str(file))
        for of in (record["data_file"] for record in before):
            of["file_path"] = to_lake(of["file_path"])
            if of.get("referenced_data_file"):
                of["referenced_data_file"] = to_lake(of["referenced_data_file"])
            if of.get("content") == POSITION_DELETES:
                for bound in (*(of["lower_bounds"] or ()), *(of["upper_bounds"] or ())):
                    if bound["key"] == FILE_PATH:
                        bound["value"] = to_lake(bound["value"].decode()).encode()
    assert records(out) == before
    assert header(out) == header(data)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("ids", [True, False], ids=["ids", "names"])
def test_only_paths_change_in_every_version_and_codec(version, codec, ids):
    schema = manifest_schema(version) if ids else without_ids(manifest_schema(version))
    rows = [
        entry("s3://bronze/a", status=1),
        entry("s3a://bronze/b", status=0, snapshot=7, split_offsets=None, column_sizes=None),
        entry("s3://silver/wh/c%20d?#", status=2, snapshot=2**62, lower_bounds=[], key_metadata=b"k" * 200),
    ]
    data = avro(schema, rows, codec, {"format-version": str(version).encode(), "x": b"y"})
    expected = records(data)
    new = ["s3://data-lake/bronze/a", "s3a://data-lake/bronze/b", "s3://data-lake/warehouse/c%20d?#"]
    for record, path in zip(expected, new, strict=True):
        record["data_file"]["file_path"] = path
    out = moved(data)
    assert records(out) == expected
    assert header(out) == header(data)
    assert manifest_rewritten(data, lambda p: p, not_rewritten, PLACE) == data


def test_entries_are_read():
    rows = [
        entry("s3://bronze/a", status=0),
        entry("s3://bronze/d", status=2, content=2, file_format="AVRO", equality_ids=[1]),
        position_deletes("s3://bronze/p.puffin", file_format="puffin", referenced_data_file="s3://bronze/a"),
        entry("s3://bronze/e", key_metadata=b""),
    ]
    a, d, p, e = read_manifest(avro(V2, rows), PLACE)
    assert (a.status, a.content, a.path, a.file_format, a.size, a.record_count) == (
        0,
        0,
        "s3://bronze/a",
        "PARQUET",
        1234,
        10,
    )
    assert (d.status, d.content, d.file_format) == (2, 2, "AVRO")
    assert (p.content, p.file_format, p.referenced_data_file) == (1, "PUFFIN", "s3://bronze/a")
    assert [x.encrypted for x in (a, d, p, e)] == [False, False, False, True]


def test_version_1_entries_are_data():
    (only,) = read_manifest(avro(manifest_schema(1), [entry("s3://bronze/a")]), PLACE)
    assert (only.content, only.referenced_data_file) == (0, None)


def test_a_bucket_whose_name_begins_like_another_is_not_under_it():
    with pytest.raises(UnmappedPath, match="bronze-archive/x"):
        moved(avro(V2, [entry("s3://bronze-archive/x")]))


def test_a_path_equal_to_the_prefix_is_under_it():
    (record,) = records(moved(avro(V2, [entry("s3://silver/wh")])))
    assert record["data_file"]["file_path"] == "s3://data-lake/warehouse"


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize(
    "row",
    [
        entry("s3://elsewhere/a"),
        position_deletes("s3://bronze/d", referenced_data_file="s3://elsewhere/a"),
        position_deletes("s3://bronze/d", "s3://elsewhere/a", "s3://elsewhere/b"),
    ],
    ids=["file", "referenced file", "bounds"],
)
def test_a_live_entry_that_no_rule_covers_is_an_error(row, status):
    with pytest.raises(UnmappedPath, match="elsewhere") as raised:
        moved(avro(V2, [{**row, "status": status}]))
    assert raised.value.place == PLACE


def test_a_tombstone_that_no_rule_covers_stays():
    gone = position_deletes(
        "s3://elsewhere/a",
        "s3://elsewhere/b",
        "s3://elsewhere/c",
        status=2,
        referenced_data_file="s3://elsewhere/r",
    )
    data = avro(V2, [gone])
    assert moved(data) == data


def test_a_tombstone_of_deletes_is_mapped_and_keeps_its_size():
    cut = position_deletes("s3://bronze/d", "s3://bronze/a", "s3://bron", status=2)
    (record,) = records(moved(avro(V2, [cut])))
    assert record["data_file"]["file_path"] == "s3://data-lake/bronze/d"
    assert record["data_file"]["file_size_in_bytes"] == 1234
    assert bounds(record, "lower_bounds")[FILE_PATH] == b"s3://data-lake/bronze/a"
    assert bounds(record, "upper_bounds")[FILE_PATH] == b"s3://bron"


FACTS = DeleteFile(size=999_999, lower="s3://data-lake/bronze/a", upper="s3://data-lake/bronze/zé")


def test_a_rewritten_delete_file_is_described_as_it_is_now():
    old = position_deletes("s3://bronze/d", "s3://bronze/a", "s3://bron", referenced_data_file="s3://bronze/a")
    asked = []
    (record,) = records(moved(avro(V2, [old]), lambda path: asked.append(path) or FACTS))
    assert asked == ["s3://bronze/d"]
    expected = changed(
        records(avro(V2, [old]))[0],
        file_path="s3://data-lake/bronze/d",
        referenced_data_file="s3://data-lake/bronze/a",
        file_size_in_bytes=999_999,
        split_offsets=None,
    )
    expected["data_file"]["lower_bounds"][1]["value"] = b"s3://data-lake/bronze/a"
    expected["data_file"]["upper_bounds"][0]["value"] = "s3://data-lake/bronze/zé".encode()
    assert record == expected


def test_bounds_that_were_not_there_are_not_invented():
    rows = [
        position_deletes("s3://bronze/d"),
        position_deletes("s3://bronze/e", lower_bounds=[], upper_bounds=pairs({5: b"s3://bronze/a"})),
    ]
    first, second = records(moved(avro(V2, rows), lambda path: FACTS))
    assert first["data_file"]["lower_bounds"] is None
    assert (second["data_file"]["lower_bounds"], bounds(second, "upper_bounds")) == ([], {5: b"s3://bronze/a"})


def vector(puffin: str, data_file: str, offset: int, **more: Any) -> dict[str, Any]:
    """An entry of a deletion vector, as format version 3 has it."""
    where = {"content_offset": offset, "content_size_in_bytes": 50, "referenced_data_file": data_file}
    bounds = {"lower_bounds": None, "upper_bounds": None, "split_offsets": None, "column_sizes": None}
    return entry(puffin, content=1, file_format="PUFFIN", record_count=5, **where | bounds | more)


def test_vectors_in_one_puffin_file_get_its_size_and_stay_where_they_are():
    old = [
        vector("s3://bronze/v.puffin", "s3://bronze/a", 4),
        vector("s3://bronze/v.puffin", "s3://silver/wh/b", 54, first_row_id=7),
    ]
    facts = {"s3://bronze/v.puffin": DeleteFile(size=777, lower=None, upper=None)}
    data = avro(manifest_schema(3), old)
    out = records(moved(data, facts.get))
    moves = {"file_path": "s3://data-lake/bronze/v.puffin", "file_size_in_bytes": 777}
    before = records(data)
    assert out == [
        changed(before[0], referenced_data_file="s3://data-lake/bronze/a", **moves),
        changed(before[1], referenced_data_file="s3://data-lake/warehouse/b", **moves),
    ]
    where = [(r["data_file"]["content_offset"], r["data_file"]["content_size_in_bytes"]) for r in out]
    assert where == [(4, 50), (54, 50)]
    assert [e.referenced_data_file for e in read_manifest(moved(data), PLACE)] == [
        "s3://data-lake/bronze/a",
        "s3://data-lake/warehouse/b",
    ]


def test_bounds_and_split_offsets_of_a_vector_are_no_measured_ones():
    path = pairs({FILE_PATH: b"s3://bronze/a", POS: b"\1" * 8})
    old = vector("s3://bronze/v", "s3://bronze/a", 4, lower_bounds=path, upper_bounds=path, split_offsets=[4])
    (record,) = records(moved(avro(manifest_schema(3), [old]), lambda path: DeleteFile(777, None, None)))
    for name in ("lower_bounds", "upper_bounds"):
        assert bounds(record, name) == {FILE_PATH: b"s3://data-lake/bronze/a", POS: b"\1" * 8}
    assert record["data_file"]["split_offsets"] == [4]


def test_a_vector_of_a_data_file_that_no_rule_covers_is_an_error():
    old = vector("s3://bronze/v", "s3://elsewhere/a", 4)
    with pytest.raises(UnmappedPath, match="s3://elsewhere/a"):
        moved(avro(manifest_schema(3), [old]), lambda path: DeleteFile(777, None, None))


def test_split_offsets_that_cannot_be_null_stay():
    schema = copy.deepcopy(V2)
    fields = schema["fields"][-1]["type"]["fields"]
    splits = next(f for f in fields if f["name"] == "split_offsets")
    del splits["default"]
    splits["type"] = {"type": "array", "items": "long"}
    (record,) = records(moved(avro(schema, [position_deletes("s3://bronze/d")]), lambda path: FACTS))
    assert record["data_file"]["split_offsets"] == [4, 130_000_000]


def test_facts_about_other_content_are_not_asked_for():
    def never(path: str) -> DeleteFile:
        raise AssertionError(path)

    rows = [entry("s3://bronze/a"), entry("s3://bronze/b", content=2, equality_ids=[1, 2])]
    out = records(moved(avro(V2, rows), never))
    assert [bounds(r, "lower_bounds")[1] for r in out] == [b"s3://bronze/orders/a"] * 2


def test_bounds_in_blocks_with_a_negative_count_are_edited():
    schema = without_ids(
        {
            "type": "record",
            "name": "manifest_entry",
            "fields": [f for f in V2["fields"] if f["name"] in ("status", "data_file")],
        }
    )
    wanted = ("content", "file_path", "file_size_in_bytes", "lower_bounds")
    data_file = schema["fields"][1]["type"]
    data_file["fields"] = [f for f in data_file["fields"] if f["name"] in wanted]
    items = long(FILE_PATH) + encode("bytes", b"s3://bronze/a") + long(1) + encode("bytes", b"u" * 90)
    row = long(1) + long(1) + encode("string", "s3://bronze/d") + long(50)
    row += long(1) + long(-2) + long(len(items)) + items + long(0)
    (record,) = records(moved(container(schema, [[row]]), lambda path: FACTS))
    assert bounds(record, "lower_bounds") == {FILE_PATH: FACTS.lower.encode(), 1: b"u" * 90}


def test_a_writer_that_makes_everything_optional_is_understood():
    """BigQuery's manifests: optional entry, optional fields, optional items in other orders."""
    item = {
        "type": "record",
        "name": "element",
        "fields": [{"name": "key", "type": ["null", "int"]}, {"name": "value", "type": ["null", "bytes"]}],
    }
    fields = [
        {"name": "file_size_in_bytes", "type": ["null", "long"], "field-id": 104},
        {"name": "upper_bounds", "type": ["null", {"type": "array", "items": ["null", item]}], "field-id": 125},
        {"name": "content", "type": ["null", {"type": "int"}], "field-id": 134},
        {"name": "file_path", "type": ["null", "string"], "field-id": 100},
    ]
    data_file = ["null", {"type": "record", "name": "data_file", "fields": fields}]
    schema = {
        "type": "record",
        "name": "manifest_entry",
        "fields": [
            {"name": "data_file", "type": data_file, "field-id": 2},
            {"name": "status", "type": ["null", "int"], "field-id": 0},
        ],
    }
    of = {"file_size_in_bytes": 1, "content": 1, "file_path": "s3://bronze/d"}
    of["upper_bounds"] = pairs({1: None, FILE_PATH: b"s3://bronze/a"})
    (record,) = records(moved(avro(schema, [{"status": 1, "data_file": of}]), lambda path: FACTS))
    assert record["data_file"]["upper_bounds"] == pairs({1: None, FILE_PATH: FACTS.lower.encode()})
    assert record["data_file"]["file_path"] == "s3://data-lake/bronze/d"
    for missing in ({"status": 1, "data_file": None}, {"status": None, "data_file": of}):
        with pytest.raises(Unreadable, match="is null"):
            moved(avro(schema, [missing]))
    with pytest.raises(Unreadable, match="file_path is null"):
        moved(avro(schema, [{"status": 1, "data_file": {**of, "file_path": None}}]))


@pytest.mark.parametrize(("row", "reason"), [({"status": 3}, "status is 3"), ({"content": 9}, "content is 9")])
def test_unknown_status_and_content_are_unreadable(row, reason):
    data = avro(V2, [{**entry("s3://bronze/a", **row), **{k: v for k, v in row.items() if k == "status"}}])
    with pytest.raises(Unreadable, match=reason):
        moved(data)
    with pytest.raises(Unreadable, match=reason):
        list(read_manifest(data, PLACE))


def test_a_list_is_no_manifest_and_a_manifest_is_no_list():
    with pytest.raises(Unreadable, match="no field 0 status"):
        list(read_manifest(avro(list_schema(2), [listed("s3://bronze/m")]), PLACE))
    with pytest.raises(Unreadable, match="no field 500 manifest_path"):
        read_manifest_list(avro(V2, [entry("s3://bronze/a")]), PLACE)


def test_a_path_that_is_not_utf_8_is_unreadable():
    data = avro(V2, [entry("s3://bronze/abc")]).replace(b"s3://bronze/abc", b"s3://bronze/\xe9bc")
    with pytest.raises(Unreadable, match="field 100 file_path: a string is not UTF-8"):
        list(read_manifest(data, PLACE))
    with pytest.raises(Unreadable, match="not UTF-8"):
        moved(data)


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_manifest_cut_anywhere_is_unreadable(codec):
    data = container(V2, [[encode(V2, entry("s3://bronze/a", value_counts=None))]], codec)
    for size in set(range(len(data))) - {len(header(data)[1])}:
        with pytest.raises(Unreadable):
            moved(data[:size])
        with pytest.raises(Unreadable):
            list(read_manifest(data[:size], PLACE))


def test_mapping_twice_is_mapping_once():
    once = moved(avro(V2, [entry("s3://bronze/a"), position_deletes("s3://bronze/d", "s3://bronze/a")]))
    assert moved(once) == once


SEQUENCES = [
    {"status": 1, "snapshot_id": None, "sequence_number": None, "file_sequence_number": None},  # inherited
    {"status": 1, "snapshot_id": 7, "sequence_number": 3, "file_sequence_number": 3},
    {"status": 1, "snapshot_id": 7, "sequence_number": 0, "file_sequence_number": None},  # of rewrite_data_files
    {"status": 0, "snapshot_id": 2**62, "sequence_number": 1, "file_sequence_number": 2},
    {"status": 2, "snapshot_id": 7, "sequence_number": 1, "file_sequence_number": None},
]


@pytest.mark.parametrize("first_row_id", [None, 0, 2**40])
@pytest.mark.parametrize("version", [2, 3])
def test_what_readers_inherit_stays_null_and_what_is_said_stays_said(version, first_row_id):
    """Pitfalls 12 and 25. Measured: rewrite_table_path drops the sequence numbers of ADDED entries, so that deletes
    apply to other rows, and throws on the null ``first_row_id`` of a table that was upgraded to version 3."""
    rows = [entry(f"s3://bronze/{n}", first_row_id=first_row_id) | given for n, given in enumerate(SEQUENCES)]
    out = records(moved(avro(manifest_schema(version), rows)))
    assert [{key: record[key] for key in SEQUENCES[0]} for record in out] == SEQUENCES
    assert [r["data_file"]["file_path"] for r in out] == [f"s3://data-lake/bronze/{n}" for n in range(5)]
    if version == 3:
        assert {r["data_file"]["first_row_id"] for r in out} == {first_row_id}


@pytest.mark.parametrize("status", [0, 1, 2])
@pytest.mark.parametrize("facts", [None, DeleteFile(9, "s3://data-lake/bronze/a", "s3://data-lake/bronze/a")])
def test_a_referenced_data_file_moves_with_its_data_file(status, facts):
    """Row 10. Measured: rewrite_table_path leaves that of version 2 at the old path, where it matches nothing."""
    data = "s3://bronze/a"
    rows = [position_deletes("s3://bronze/d", data, data, status=status, referenced_data_file=data), entry(data)]
    deletes, of = records(moved(avro(V2, rows), lambda path: facts))
    new = of["data_file"]["file_path"]
    assert deletes["data_file"]["referenced_data_file"] == new == "s3://data-lake/bronze/a"
    assert bounds(deletes, "lower_bounds")[FILE_PATH] == bounds(deletes, "upper_bounds")[FILE_PATH] == new.encode()


def test_fields_of_version_1_stay():
    """Pitfall 13: in a table of any version, an old manifest has fields that later ones do not have."""
    schema = manifest_schema(1)
    of = schema["fields"][-1]["type"]["fields"]
    of += [
        field("file_ordinal", ["null", "int"], 106),
        field("sort_columns", ["null", {"type": "array", "items": "int", "element-id": 112}], 107),
        field("distinct_counts", id_map("long", 114), 111),
    ]
    old = entry("s3://bronze/a", file_ordinal=3, sort_columns=[2, 1], distinct_counts=pairs({1: 7}))
    data = avro(schema, [old], meta={"format-version": b"1"})
    (before,) = records(data)
    assert before["data_file"]["distinct_counts"] == pairs({1: 7})
    out = moved(data)
    assert records(out) == [changed(before, file_path="s3://data-lake/bronze/a")]
    assert header(out) == header(data)


HEADERS: list[dict[str, bytes]] = [
    {},
    {"format-version": b"2", "content": b"deletes", "partition-spec": b"[]", "partition-spec-id": b"0"},
    {"format-version": b"3", "content": b"data", "schema": b"{}", "iceberg.schema": b"\xff", "made-up": b""},
]


@pytest.mark.parametrize("meta", HEADERS, ids=["bare", "usual", "odd"])
def test_headers_stay_whatever_they_have_or_lack(meta):
    """Pitfall 14."""
    manifest = avro(V2, [entry("s3://bronze/a")], "deflate", meta)
    assert header(moved(manifest)) == header(manifest)
    of_lists = avro(list_schema(2), [listed("s3://bronze/m")], "deflate", meta)
    assert header(list_rewritten(of_lists, LAYOUT.map_uri, len, PLACE)) == header(of_lists)


def test_a_users_column_of_paths_is_data():
    """Pitfall 27: also in deletes that keep the values of the other columns."""
    user = pairs({1: b"s3://bronze/orders/a", FILE_PATH: b"s3://bronze/a"})
    rows = [
        entry("s3://bronze/a", lower_bounds=user),  # no deletes: nothing in there is a path of ours
        entry("s3://bronze/e", content=2, equality_ids=[1], lower_bounds=user),
        entry("s3://bronze/d", content=1, lower_bounds=user, upper_bounds=user),
    ]
    data, equality, positions = records(moved(avro(V2, rows), lambda path: FACTS))
    assert data["data_file"]["lower_bounds"] == equality["data_file"]["lower_bounds"] == user
    assert bounds(positions, "lower_bounds") == {1: b"s3://bronze/orders/a", FILE_PATH: FACTS.lower.encode()}


# --- manifest lists ----------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", [1, 2])
def test_a_list_gets_new_paths_and_true_lengths(version, codec):
    rows = [listed("s3://bronze/m0.avro", 7000), listed("s3a://silver/wh/m1.avro", 1, content=1, key_metadata=b"k")]
    data = avro(list_schema(version), rows, codec, {"sequence-number": b"3"})
    lengths = {"s3://bronze/m0.avro": 123_456_789_012, "s3a://silver/wh/m1.avro": 2}
    out = list_rewritten(data, LAYOUT.map_uri, lengths.__getitem__, PLACE)
    expected = records(data)
    expected[0] |= {"manifest_path": "s3://data-lake/bronze/m0.avro", "manifest_length": 123_456_789_012}
    expected[1] |= {"manifest_path": "s3a://data-lake/warehouse/m1.avro", "manifest_length": 2}
    assert records(out) == expected
    assert header(out) == header(data)
    read = read_manifest_list(out, PLACE)
    assert [(m.path, m.length) for m in read] == [(e["manifest_path"], e["manifest_length"]) for e in expected]
    assert [m.content for m in read] == ([0, 1] if version == 2 else [0, 0])
    assert [m.encrypted for m in read] == [False, True]


def test_a_listed_manifest_that_no_rule_covers_is_an_error():
    with pytest.raises(UnmappedPath, match="s3://elsewhere/m"):
        list_rewritten(avro(list_schema(2), [listed("s3://elsewhere/m")]), LAYOUT.map_uri, len, PLACE)


def test_a_list_without_manifests_is_a_list():
    data = container(list_schema(2), [])
    assert read_manifest_list(data, PLACE) == []
    assert list_rewritten(data, LAYOUT.map_uri, len, PLACE) == data


def test_a_list_cut_anywhere_is_unreadable():
    data = container(list_schema(2), [[encode(list_schema(2), listed("s3://bronze/m"))]], "deflate")
    for size in set(range(len(data))) - {len(header(data)[1])}:
        with pytest.raises(Unreadable):
            read_manifest_list(data[:size], PLACE)


def test_files_that_fastavro_writes_itself_are_understood(tmp_path):
    file = tmp_path / "m.avro"
    with file.open("wb") as out:
        fastavro.writer(out, V2, [entry(f"s3://bronze/{i}") for i in range(500)], codec="deflate", sync_interval=9000)
    with file.open("r+b") as both:
        data = moved(both.read())
        both.seek(0)
        both.write(data)
    with file.open("rb") as source:
        paths = [r["data_file"]["file_path"] for r in fastavro.reader(source)]
    assert paths == [f"s3://data-lake/bronze/{i}" for i in range(500)]


def test_what_a_list_says_of_snapshots_and_rows_stays():
    """Row 8, pitfalls 12 and 25: the numbers of sequences, snapshots and rows."""
    schema = list_schema(2)
    schema["fields"] += [
        field("min_sequence_number", "long", 516),
        field("added_rows_count", ["null", "long"], 512),
        field("first_row_id", ["null", "long"], 520),
    ]
    numbers = [(3, None, None), (0, 10, 0), (2**62, 2**40, 2**41)]
    rows = [
        listed(f"s3://bronze/m{n}") | {"min_sequence_number": a, "added_rows_count": b, "first_row_id": c}
        for n, (a, b, c) in enumerate(numbers)
    ]
    data = avro(schema, rows, "deflate", {"format-version": b"3", "first-row-id": b"0"})
    expected = records(data)
    for number, record in enumerate(expected):
        record |= {"manifest_path": f"s3://data-lake/bronze/m{number}", "manifest_length": 9}
    out = list_rewritten(data, LAYOUT.map_uri, lambda path: 9, PLACE)
    assert records(out) == expected
    assert header(out) == header(data)


def test_an_expired_manifest_keeps_the_length_that_its_list_records():
    """Pitfall 1: a list that only old metadata names may name manifests that are gone."""
    data = avro(list_schema(2), [listed("s3://bronze/m", 7123)])
    (only,) = records(list_rewritten(data, LAYOUT.map_uri, lambda path: None, PLACE))
    assert (only["manifest_path"], only["manifest_length"]) == ("s3://data-lake/bronze/m", 7123)
