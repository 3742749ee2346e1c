"""View metadata: pyiceberg reads it afterwards, and only the paths in the text change."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import zstandard
from pyiceberg.view.metadata import ViewMetadata as PyicebergView

from migrator.errors import UnmappedPath, Unreadable
from migrator.iceberg.views import is_view_metadata, read_view, rewrite_view
from migrator.layout import Layout

LAYOUT = Layout.from_mapping("data-lake", {"s3://bronze/": "bronze/", "s3://silver/wh/": "warehouse/"})
PLACE = "s3://bronze/v/metadata/00001-x.metadata.json"

TEXT = r"""{
	"view-uuid":"fa6506c3-7681-40c8-86dc-e36561f83385", "format-version" : 1, "location":"s3:\/\/bronze\/v",
  "unknown-key":{"location":"s3://bronze/t", "n": [1.50, -0, 1E400, 1e-7, true]},
  "properties": {"write.metadata.path": "s3://silver/wh/v", "comment": "see s3://bronze/v", "far": "s3://elsewhere/x",
    "paths": "s3://bronze/a,s3://bronze/b",
    "umlaut": "s3://bronze/Zürich/ß", "escaped": "s3:\u002f\u002fbronze\u002fß"},
  "schemas": [{"schema-id": 0, "type": "struct", "fields": [
    {"id": 1, "name": "x", "required": true, "type": "long", "doc": "s3://bronze/v"}]}],
  "current-version-id": 2,
  "versions": [
    {"version-id": 1, "timestamp-ms": 4353, "schema-id": 0, "default-catalog": "c", "default-namespace": ["db"],
     "summary": {"engine-name": "Spark", "from": "s3://bronze/v"}, "representations": [
      {"type": "sql", "sql": "select * from parquet.`s3a://bronze/raw`", "dialect": "spark"},
      {"type": "sql", "sql": "SELECT 1", "dialect": "trino"}]},
    {"version-id": 2, "timestamp-ms": 5555, "schema-id": 0, "default-namespace": [], "summary": {},
     "representations": [{"dialect": "spark", "sql": "s3://bronze/v", "type": "sql"}]} ],
  "version-log": [{"timestamp-ms": 4353, "version-id": 1}, {"timestamp-ms": 5555, "version-id": 2}]
}
"""

CHANGES = [
    (r'"s3:\/\/bronze\/v"', '"s3://data-lake/bronze/v"'),
    ('"s3://silver/wh/v"', '"s3://data-lake/warehouse/v"'),
    ('"s3://bronze/Zürich/ß"', '"s3://data-lake/bronze/Zürich/ß"'),
    (r'"s3:\u002f\u002fbronze\u002fß"', r'"s3://data-lake/bronze/\u00df"'),
]

PLAIN = TEXT.encode()
CODECS = {"plain": PLAIN, "gzip": gzip.compress(PLAIN), "zstandard": zstandard.compress(PLAIN)}


def unpacked(data: bytes) -> str:
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data).decode()
    return (zstandard.ZstdDecompressor().decompress(data) if data.startswith(b"\x28\xb5") else data).decode()


def moved(data: bytes) -> bytes:
    return rewrite_view(data, LAYOUT.map_uri, PLACE)


@pytest.mark.parametrize("codec", CODECS)
def test_only_paths_change(codec):
    expected = TEXT
    for old, new in CHANGES:
        assert expected.count(old) == 1
        expected = expected.replace(old, new)
    out = moved(CODECS[codec])
    assert unpacked(out) == expected
    assert out[:2] == CODECS[codec][:2]
    assert moved(out) == out


def test_pyiceberg_reads_what_was_written():
    before, after = (PyicebergView.model_validate_json(data) for data in (PLAIN, moved(PLAIN)))
    assert after.location == "s3://data-lake/bronze/v"
    assert after.properties == before.properties | {
        "write.metadata.path": "s3://data-lake/warehouse/v",
        "umlaut": "s3://data-lake/bronze/Zürich/ß",
        "escaped": "s3://data-lake/bronze/ß",
    }
    same = {"location": "", "properties": {}}
    assert after.model_copy(update=same) == before.model_copy(update=same)


@pytest.mark.parametrize("codec", CODECS)
def test_facts_are_read(codec):
    view = read_view(CODECS[codec], PLACE)
    assert (view.format_version, view.view_uuid) == (1, "fa6506c3-7681-40c8-86dc-e36561f83385")
    assert view.location == "s3://bronze/v"
    assert view.properties == json.loads(TEXT)["properties"]
    assert view.sql == (
        ("versions[0].representations[0].sql", "select * from parquet.`s3a://bronze/raw`"),
        ("versions[0].representations[1].sql", "SELECT 1"),
        ("versions[1].representations[0].sql", "s3://bronze/v"),
    )
    assert is_view_metadata(CODECS[codec], PLACE)


def test_a_table_is_no_view():
    assert not is_view_metadata(b'{"format-version": 2, "table-uuid": "x", "location": "s3://bronze/t"}', PLACE)
    with pytest.raises(Unreadable, match="not JSON"):
        is_view_metadata(b"", PLACE)


def test_a_mapping_that_changes_nothing_returns_the_bytes():
    for data in CODECS.values():
        assert rewrite_view(data, lambda path: path, PLACE) is data


def test_a_location_under_no_rule_is_an_error():
    layout = Layout.from_mapping("data-lake", {"s3://silver/": "silver/"})
    with pytest.raises(UnmappedPath, match="s3://bronze/v") as error:
        rewrite_view(PLAIN, layout.map_uri, PLACE)
    assert error.value.place == PLACE


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_anywhere_is_unreadable(codec):
    data = CODECS[codec].rstrip()
    for size in range(len(data)):
        with pytest.raises(Unreadable, match=r"00001-x\.metadata\.json"):
            moved(data[:size])


def changed(**keys: Any) -> bytes:
    """The metadata with these keys replaced, or left out where None."""
    document = json.loads(TEXT) | {k.replace("_", "-"): v for k, v in keys.items()}
    return json.dumps({k: v for k, v in document.items() if v is not None}).encode()


def with_representation(**keys: Any) -> bytes:
    return changed(versions=[{"version-id": 1, "representations": [keys]}])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[]", "it is no JSON object"),
        (b"\xff\xfe", "it is not UTF-8"),
        (changed(format_version=2), "its format-version is 2"),
        (changed(format_version="1"), "format-version is '1'"),
        (changed(format_version=None), "format-version is missing"),
        (changed(view_uuid=None), "it is a view whose view-uuid is missing"),
        (changed(location=None), "location is missing"),
        (changed(location=["s3://bronze/v"]), "location is "),
        (changed(versions=None), "versions is missing"),
        (changed(versions=[1]), r"versions\[0\] is no JSON object"),
        (changed(properties={"write.metadata.path": ["s3://bronze/v"]}), "properties.write.metadata.path is"),
        (with_representation(type="sql"), r"versions\[0\].representations\[0\].sql is missing"),
        (with_representation(sql="SELECT 1"), r"versions\[0\].representations\[0\].type is missing"),
    ],
)
def test_what_is_wrong_is_said(data, reason):
    for function in (moved, lambda d: read_view(d, PLACE)):
        with pytest.raises(Unreadable, match=reason):
            function(data)


def test_what_later_writers_add_is_kept():
    assert read_view(changed(properties=None), PLACE).properties == {}
    data = with_representation(type="substrait", plan="s3://bronze/x")
    assert read_view(data, PLACE).sql == ()
    assert json.loads(moved(data))["versions"] == json.loads(data)["versions"]


def test_a_view_without_a_uuid_is_a_view() -> None:
    assert is_view_metadata(
        b'{"format-version": 1, "location": "s3://b/v", "current-version-id": 1, "versions": []}', PLACE
    )
