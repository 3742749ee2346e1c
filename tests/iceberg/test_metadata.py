"""Table metadata: only the paths in the text change."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import zstandard

from iceberg.avro_files import CORPUS, needs_corpus
from migrator.errors import UnmappedPath, Unreadable
from migrator.iceberg.metadata import (
    Snapshot,
    is_metadata_file,
    metadata_version,
    paths_in,
    read_metadata,
    rewrite_metadata,
)
from migrator.layout import Layout

LAYOUT = Layout.from_mapping("data-lake", {"s3://bronze/": "bronze/", "s3://silver/wh/": "warehouse/"})
PLACE = "s3://bronze/t/metadata/v3.metadata.json"

TEXT = r"""{
	"format-version" : 2,  "unknown-key":{"location":"s3://bronze/t", "n": [1.50, -0, 1E400, 1e-7, true]},
  "table-uuid":"5f6b", "location":"s3:\/\/bronze\/t", "last-updated-ms":1700000000001,
  "current-snapshot-id": 9007199254740993,
  "properties": {"write.data.path": "s3://silver/wh/t", "owner": "s3 bronze", "empty": "",
    "paths": "s3://bronze/a,s3://bronze/b", "sql": "select * from `s3://bronze/t`", "far": "s3://elsewhere/x",
    "umlaut": "s3://bronze/Zürich/ß", "escaped": "s3:\u002f\u002fbronze/Z\u00fcrich/\"q\"\\", "s3://bronze/k": "v"},
  "snapshots": [
    {"snapshot-id": 9007199254740993, "parent-snapshot-id": 1, "sequence-number": 34, "timestamp-ms": 1700000000000,
     "manifest-list": "s3a://bronze/t/metadata/snap-1.avro", "schema-id": 0,
     "summary": {"operation": "append", "snapshot-property.from": "s3://bronze/in", "total": "5"}},
    {"snapshot-id": 1, "timestamp-ms": 5, "manifests": ["s3://bronze/m0", "s3://bronze/m1"], "key-id": null} ],
  "refs": {"main": {"snapshot-id": 9007199254740993, "type": "branch"}, "v1": {"snapshot-id": 1, "type": "tag"}},
  "metadata-log": [ {"timestamp-ms": 1, "metadata-file": "s3://bronze/t/metadata/v1.metadata.json"},
                    {"metadata-file": "s3://elsewhere/v2.metadata.json", "timestamp-ms": 2} ],
  "statistics": [{"snapshot-id": 1, "statistics-path": "s3://bronze/t/a.stats", "blob-metadata": [
      {"type": "x", "properties": {"statistics-path": "s3://bronze/no"}}]}],
  "partition-statistics": [{"snapshot-id": 1, "statistics-path": "s3://silver/wh/p.parquet"}],
  "schemas": [{"doc": "see s3://bronze/t, \"location\":\"s3://bronze/t\"", "fields": []}], "encryption-keys": []
}
"""

CHANGES = [
    (r'"s3:\/\/bronze\/t"', '"s3://data-lake/bronze/t"'),
    ('"s3://silver/wh/t"', '"s3://data-lake/warehouse/t"'),
    ('"s3://bronze/Zürich/ß"', '"s3://data-lake/bronze/Zürich/ß"'),
    (r'"s3:\u002f\u002fbronze/Z\u00fcrich/\"q\"\\"', r'"s3://data-lake/bronze/Z\u00fcrich/\"q\"\\"'),
    ('"s3a://bronze/t/metadata/snap-1.avro"', '"s3a://data-lake/bronze/t/metadata/snap-1.avro"'),
    ('"s3://bronze/m0"', '"s3://data-lake/bronze/m0"'),
    ('"s3://bronze/m1"', '"s3://data-lake/bronze/m1"'),
    ('"s3://bronze/t/metadata/v1.metadata.json"', '"s3://data-lake/bronze/t/metadata/v1.metadata.json"'),
    ('"s3://bronze/t/a.stats"', '"s3://data-lake/bronze/t/a.stats"'),
    ('"s3://silver/wh/p.parquet"', '"s3://data-lake/warehouse/p.parquet"'),
]


def moved_text() -> str:
    text = TEXT
    for old, new in CHANGES:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def moved(data: bytes) -> bytes:
    return rewrite_metadata(data, LAYOUT.map_uri, PLACE)


def unpacked(data: bytes) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    return zstandard.decompress(data) if data.startswith(b"\x28\xb5") else data


COMPRESSIONS = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_the_text_changes_where_a_path_stands_and_nowhere_else(compress):
    data = compress(TEXT.encode())
    out = moved(data)
    assert unpacked(out).decode() == moved_text()
    assert out[:2] == data[:2]
    assert moved(data) == out
    assert moved(out) == out
    assert rewrite_metadata(data, lambda path: path, PLACE) is data


def test_gzip_output_has_no_time():
    assert moved(gzip.compress(TEXT.encode(), mtime=77))[4:8] == b"\0\0\0\0"


def test_what_a_move_must_know_is_read():
    table = read_metadata(TEXT.encode(), PLACE)
    assert (table.format_version, table.table_uuid, table.location) == (2, "5f6b", "s3://bronze/t")
    assert (table.last_updated_ms, table.current_snapshot_id) == (1700000000001, 9007199254740993)
    first, second = table.snapshots
    assert (first.snapshot_id, first.parent_id, first.sequence_number) == (9007199254740993, 1, 34)
    assert (first.timestamp_ms, first.manifests) == (1700000000000, ())
    assert first.manifest_list == "s3a://bronze/t/metadata/snap-1.avro"
    assert first.summary["operation"] == "append"
    assert (second.parent_id, second.sequence_number, second.manifest_list) == (None, 0, None)
    assert second.manifests == ("s3://bronze/m0", "s3://bronze/m1")
    assert (second.summary, second.key_id) == ({}, None)
    assert table.refs == {"main": ("branch", 9007199254740993), "v1": ("tag", 1)}
    assert table.metadata_log == ("s3://bronze/t/metadata/v1.metadata.json", "s3://elsewhere/v2.metadata.json")
    assert table.statistics == ("s3://bronze/t/a.stats", "s3://silver/wh/p.parquet")
    assert table.properties["umlaut"] == "s3://bronze/Zürich/ß"
    assert not table.encryption_keys


MINIMAL = {"format-version": 2, "location": "s3://bronze/t", "last-updated-ms": 1}
SNAPSHOT = {"snapshot-id": 1, "timestamp-ms": 1, "manifest-list": "s3://bronze/l"}


def document(**more: Any) -> bytes:
    return json.dumps(MINIMAL | {k.replace("_", "-"): v for k, v in more.items()}).encode()


@pytest.mark.parametrize("current", [{}, {"current_snapshot_id": -1}, {"current_snapshot_id": None}])
def test_an_empty_table_has_no_current_snapshot(current):
    table = read_metadata(document(**current), PLACE)
    assert (table.current_snapshot_id, table.snapshots, table.refs, table.table_uuid) == (None, (), {}, None)


@pytest.mark.parametrize(
    "more",
    [{"encryption_keys": [{"key-id": "k"}]}, {"snapshots": [{**SNAPSHOT, "key-id": "k"}]}],
)
def test_encryption_is_seen(more):
    assert read_metadata(document(**more), PLACE).encryption_keys


def test_every_place_of_a_path_is_listed_with_a_label():
    listed = dict(paths_in(TEXT.encode(), PLACE))
    assert listed["location"] == "s3://bronze/t"
    assert listed["snapshots[0].manifest-list"] == "s3a://bronze/t/metadata/snap-1.avro"
    assert listed["snapshots[1].manifests[1]"] == "s3://bronze/m1"
    assert listed["metadata-log[1].metadata-file"] == "s3://elsewhere/v2.metadata.json"
    assert listed["statistics[0].statistics-path"] == "s3://bronze/t/a.stats"
    assert listed["partition-statistics[0].statistics-path"] == "s3://silver/wh/p.parquet"
    assert listed["properties.paths"] == "s3://bronze/a,s3://bronze/b"
    assert listed["properties.owner"] == "s3 bronze"
    assert listed["snapshots[0].summary.snapshot-property.from"] == "s3://bronze/in"
    assert not [label for label in listed if "operation" in label or "schemas" in label or "blob" in label]


@pytest.mark.parametrize(
    "more",
    [
        {"location": "s3://bronze-archive/x"},
        {"location": "relative/path"},
        {"snapshots": [{**SNAPSHOT, "manifest-list": "s3://elsewhere/l"}]},
        {"snapshots": [{"snapshot-id": 1, "timestamp-ms": 1, "manifests": ["s3://bronze/a", "s3://elsewhere/l"]}]},
    ],
)
def test_a_path_that_must_move_and_has_no_rule_is_an_error(more):
    with pytest.raises(UnmappedPath, match=r"elsewhere/l|bronze-archive|relative") as raised:
        moved(document(**more))
    assert raised.value.place == PLACE


def test_a_location_equal_to_the_prefix_keeps_its_slash():
    for old, new in {"s3://silver/wh": "s3://data-lake/warehouse", "s3://bronze/": "s3://data-lake/bronze/"}.items():
        assert json.loads(moved(document(location=old)))["location"] == new


PATH_PROPERTIES = (
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
    "flink.manifests.location",
    "my.own.location-provider.root",
)


def test_every_property_that_is_a_path_moves():
    """Row 6: also properties that the table format no longer has, and those that only the user knows."""
    properties = {name: f"s3a://silver/wh/{name}" for name in PATH_PROPERTIES}
    out = json.loads(moved(document(properties=properties)))["properties"]
    assert out == {name: f"s3a://data-lake/warehouse/{name}" for name in PATH_PROPERTIES}


def test_keys_numbers_and_counters_stay_as_they_are_written():
    """Pitfalls 22, 24, 25 and 26: values that a parser would normalise, and values with which other writers find their
    state."""
    text = """{"location": "s3://bronze/t", "z": 1e3, "format-version": 3, "last-updated-ms": 1,
      "a": [12345678901234567890, -0, 0.10, 1E+2, 1.0], "current-snapshot-id": -1, "next-row-id": 17,
      "z2": {"b": 1, "a": 2, "ü": "\\u00fc\\/"}, "snapshots": [{"snapshot-id": 1, "timestamp-ms": 1,
        "manifest-list": "s3://bronze/l", "first-row-id": 0, "added-rows": 17, "summary": {"total-files-size": "1234",
        "flink.max-committed-checkpoint-id": "9", "flink.job-id": "s3://bronze/j", "queryId": "0c7e"}}]}"""
    expected = text.replace('"s3://bronze/t"', '"s3://data-lake/bronze/t"')
    expected = expected.replace('"s3://bronze/l"', '"s3://data-lake/bronze/l"')
    assert moved(text.encode()).decode() == expected
    assert read_metadata(text.encode(), PLACE).current_snapshot_id is None


def test_a_path_that_becomes_non_ascii_is_valid_json():
    out = rewrite_metadata(document(), lambda path: 's3://lake/ü"\\', PLACE)
    assert json.loads(out)["location"] == 's3://lake/ü"\\'


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_file_cut_anywhere_is_unreadable(compress):
    data = compress(document(snapshots=[SNAPSHOT]))
    for size in range(len(data)):
        for function in (read_metadata, paths_in, lambda cut, place: moved(cut)):
            with pytest.raises(Unreadable, match=r"v3\.metadata\.json"):
                function(data[:size], PLACE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "no JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"{}", "format-version is missing"),
        (document(format_version=4), "format-version is 4"),
        (document(format_version=True), "format-version is 'True'"),
        (document(location=None), "location is missing"),
        (document(location=["x"]), "location is"),
        (document(last_updated_ms="1"), "last-updated-ms is"),
        (document(snapshots={}), "snapshots is"),
        (document(snapshots=[3]), r"snapshots\[0\] is no JSON object"),
        (document(snapshots=[SNAPSHOT, {"snapshot-id": 1}]), r"snapshots\[1\].manifest-list is missing"),
        (document(snapshots=[{**SNAPSHOT, "manifest-list": 5}]), r"snapshots\[0\].manifest-list is '5'"),
        (document(snapshots=[{**SNAPSHOT, "manifests": [5]}]), r"manifests holds 5"),
        (document(metadata_log=[{}]), r"metadata-log\[0\].metadata-file is missing"),
        (document(refs={"main": {"type": "branch"}}), "refs.main.snapshot-id is missing"),
        (document(properties={"a": 5}), "properties.a is '5'"),
    ],
)
def test_what_is_wrong_is_said(data, reason):
    with pytest.raises(Unreadable, match=reason):
        read_metadata(data, PLACE)
    with pytest.raises(Unreadable, match=reason):
        moved(data)


UUID = "4b1c7a52-9a4c-4c0b-8a46-0d2f0f5f7f55"


@pytest.mark.parametrize(
    ("name", "is_metadata", "version"),
    [
        ("v7.metadata.json", True, 7),
        ("v7.gz.metadata.json", True, 7),
        ("v7.metadata.json.gz", True, 7),
        ("v1749025517.metadata.json", True, 1749025517),
        (f"00007-{UUID}.metadata.json", True, 7),
        (f"00007-{UUID}.gz.metadata.json", True, 7),
        (f"00007-{UUID}.metadata.json.gz", True, 7),
        (f"123456-{UUID}.zstd.metadata.json", True, 123456),
        (f"{UUID}.metadata.json", True, None),
        ("v3.1.metadata.json", True, None),
        (".v7.metadata.json.crc", False, None),
        ("metadata.json", False, None),
        ("v7.metadata.json5", False, None),
        ("version-hint.text", False, None),
        ("snap-1-1-x.avro", False, None),
    ],
)
def test_names(name, is_metadata, version):
    assert is_metadata_file(name) is is_metadata
    assert metadata_version(name) == version


@needs_corpus
@pytest.mark.parametrize("file", sorted(CORPUS.rglob("*.metadata.json")), ids=lambda p: "-".join(p.parts[-3:]))
def test_real_tables_change_in_paths_only(file):
    data = file.read_bytes()
    if b'"location"' not in data:  # a stub that BigQuery leaves as v0
        with pytest.raises(Unreadable, match="format-version is missing"):
            read_metadata(data, str(file))
        return
    table = read_metadata(data, str(file))
    assert rewrite_metadata(data, lambda path: path, str(file)) is data

    def to_lake(path: str) -> str | None:
        is_path = path.startswith(("data/persistent/", "gs://", "s3://", "file:/"))
        return f"s3://data-lake/{path}" if is_path else None

    out = rewrite_metadata(data, to_lake, str(file))
    assert out.replace(b"s3://data-lake/", b"") == data
    assert dict(paths_in(out, ""))["location"] == to_lake(table.location)
    assert out.count(b"s3://data-lake/") == sum(to_lake(value) is not None for _, value in paths_in(data, ""))


@pytest.mark.parametrize(
    ("timestamp_ms", "summary", "expected"),
    [
        (0, {}, "snapshot 7 of 1970-01-01T00:00:00+00:00 (unknown operation)"),
        (
            1_700_000_000_000,
            {"operation": "append", "added-records": "3", "engine-name": "spark", "app-id": "local-1"},
            "snapshot 7 of 2023-11-14T22:13:20+00:00 (append, 3 rows added, spark local-1)",
        ),
        (1 << 62, {"operation": "delete"}, f"snapshot 7 of {1 << 62} ms (delete)"),
        (-(1 << 62), {"spark.app.id": "x"}, f"snapshot 7 of {-(1 << 62)} ms (unknown operation, x)"),
    ],
)
def test_a_snapshot_says_when_and_by_whom_it_was_written(
    timestamp_ms: int, summary: dict[str, str], expected: str
) -> None:
    assert str(Snapshot(7, None, 1, timestamp_ms, "s3://b/l.avro", (), summary, None)) == expected
