"""Which files may hold absolute paths, and which places in S3 they name."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.carriers.kinds import (
    DELTA,
    FLINK,
    FLINK_MAGIC,
    HUDI,
    NARROW,
    PAIMON,
    SINK,
    SOURCE,
    SYMLINK,
    Unread,
    carrier_of,
    places_in,
    places_in_checkpoint,
)

ROOTS = ("", "a/", "a/b c/")


NAMES = {
    "_delta_log/00000000000000000000.json": DELTA,
    "_delta_log/00000000000000000010.checkpoint.parquet": DELTA,
    "_delta_log/_sidecars/x.parquet": DELTA,
    "_spark_metadata/0": SINK,
    "_spark_metadata/19.compact": SINK,
    "sources/0/0": SOURCE,
    "sources/12/99.compact": SOURCE,
    "_symlink_format_manifest/manifest": SYMLINK,
    "_symlink_format_manifest/day=1/manifest": SYMLINK,
    "hive/dt=2026-01-01-00-00/symlink.txt": SYMLINK,
    "_metadata": FLINK,
    "chk-7/_metadata": FLINK,
    "completedCheckpoint1f3": FLINK,
    "schema/schema-0": PAIMON,
    "branch/branch-b/schema/schema-12": PAIMON,
    ".hoodie/hoodie.properties": HUDI,
    ".hoodie/20260101000000.commit": HUDI,
    ".hoodie/metadata/.hoodie/hoodie.properties": HUDI,
    "x/Symlinks/part-0": SYMLINK,
    "unload/MANIFEST": SYMLINK,
}


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(("name", "code"), NAMES.items())
def test_files_are_recognized_by_their_names(root: str, name: str, code: str) -> None:
    carrier = carrier_of(root + name)
    assert carrier is not None and carrier.code == code
    assert (root + name).startswith(carrier.root) and not carrier.root.endswith("/")
    if code in (SINK, SOURCE, SYMLINK):
        assert (root + name).startswith(f"{carrier.folder}/" if carrier.folder else "")


@pytest.mark.parametrize(
    "key",
    ["a", "sources/0/offsets/0", "sources/x/0", "my_delta_log/0.json", "_delta_log/_last_checkpoint", "x_metadata",
     "t/metadata/1-m0-manifest.avro", "_spark_metadata/.0.crc", "_delta_log/00.crc", ".hoodie/metadata/files/x.hfile"],
)  # fmt: skip
def test_other_files_are_not(key: str) -> None:
    assert carrier_of(key) is None


def named(key: str, data: bytes | str) -> list[tuple[str, str]]:
    carrier = carrier_of(key)
    assert carrier is not None
    data = data.encode() if isinstance(data, str) else data
    return [(place.bucket, place.key) for place in places_in(carrier, data)]


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n"])
@pytest.mark.parametrize(
    ("written", "key"),
    [("/in/a.json", "in/a.json"), ("/in/a%20b%2Fc", "in/a b/c"), ("/p=1/ü.json", "p=1/ü.json"), ("", "")],
)
def test_paths_of_streams(scheme: str, written: str, key: str) -> None:
    uri = f"{scheme}://bronze{written}"
    line = json.dumps({"path": uri, "timestamp": 1, "batchId": 0}, ensure_ascii=False)
    for name in ("sources/0/0", "_spark_metadata/9.compact"):
        assert named(name, f"v1\n{line}") == [("bronze", key)]
        assert named(name, f"v1\n{line}\n{line[:-20]}") == [("bronze", key)] * 2  # cut off


@pytest.mark.parametrize("written", ["s3a:\\/\\/bronze\\/x", "s3a%3A%2F%2Fbronze%2Fx", "S3A://bronze/x"])
def test_escaped_paths(written: str) -> None:
    assert named("sources/0/0", f'v1\n{{"path":"{written}"}}') == [("bronze", "x")]


def test_a_source_without_files() -> None:
    assert named("sources/0/0", b'\0v1\n{"events":{"0":0}}') == []
    assert named("sources/0/0", 'v1\n{"path":"file:/in/a.json"}\n{"path":"hdfs://n/s3a"}') == []


@pytest.mark.parametrize(
    ("action", "places"),
    [
        ({"add": {"path": "part-0.parquet"}}, []),
        ({"add": {"path": "s3a://bronze/x%20y"}}, [("bronze", "x y")]),
        ({"remove": {"path": "s3://bronze/x"}}, [("bronze", "x")]),
        ({"sidecar": {"path": "s3://bronze/x"}}, [("bronze", "x")]),
        ({"add": {"path": "p", "deletionVector": {"storageType": "p", "pathOrInlineDv": "s3://dv/1"}}}, [("dv", "1")]),
        ({"add": {"path": "p", "deletionVector": {"storageType": "i", "pathOrInlineDv": "wi5b=000"}}}, []),
        # Values in users' rows are not paths.
        ({"add": {"path": "p", "stats": json.dumps({"minValues": {"path": "s3a://bronze/u"}})}}, []),
        ({"commitInfo": {"operationParameters": {"source": "s3a://bronze/t"}}}, []),
        ({"add": None}, []),
        ([1], []),
    ],
)
def test_paths_of_delta(action: object, places: list[tuple[str, str]]) -> None:
    lines = json.dumps({"commitInfo": {}}) + "\n" + json.dumps(action) + "\n"
    assert named("t/_delta_log/00000000000000000000.json", lines) == places


def test_lists_of_files() -> None:
    lines = "s3a://bronze/t/part-0\ns3://bronze/t/part-1\n"
    assert named("t/_symlink_format_manifest/manifest", lines) == [("bronze", "t/part-0"), ("bronze", "t/part-1")]
    assert named("unload/manifest", '{"entries":[{"url":"s3://bronze/u/0"}]}') == [("bronze", "u/0")]
    assert named("docs/manifest.txt", "see s3://bronze/u/0") == []


def test_metadata_of_flink_is_recognized() -> None:
    data = FLINK_MAGIC + b"\0\0\0\4\0\x1es3a://bronze/chk-7/0a1b\0\0\xff"
    assert named("chk-7/_metadata", data)[0][0] == "bronze"
    carrier = carrier_of("chk-7/_metadata")
    assert carrier is not None and not b"PAR1...s3://bronze/x".startswith(carrier.sign)


def test_paths_of_hudi() -> None:
    properties = "hoodie.table.name=t\nhoodie.bootstrap.base.path=s3a\\://bronze/old\n"
    assert named(".hoodie/hoodie.properties", properties) == [("bronze", "old")]
    commit = json.dumps({"fullPath": "s3://bronze/x", "schema": json.dumps({"doc": "s3://user/data"})})
    assert named(".hoodie/1.commit", commit) == [("bronze", "x")]


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (
            {"fields": [], "options": {"data-file.external-paths": "s3://bronze/x, s3a://bronze/y,oss://z"}},
            ["x", "y"],
        ),
        ({"fields": [], "options": {"path": "s3://bronze/t"}}, []),
        ({"fields": [{"description": "s3://bronze/x"}], "comment": "s3://bronze/x", "options": {"bucket": "1"}}, []),
        ({"options": {"a": "s3://bronze/x"}}, []),
        (["s3://bronze/x"], []),
    ],
    ids=["places outside", "its own place", "texts of users", "something else", "no schema"],
)
def test_schemas_of_paimon(schema: object, found: list[str]) -> None:
    assert [key for _, key in named("pai.db/t/schema/schema-0", json.dumps(schema))] == found


def checkpoint(*paths: str, statistics: bool = True) -> io.BytesIO:
    sink = io.BytesIO()
    vector = pa.struct([("storageType", pa.string()), ("pathOrInlineDv", pa.string())])
    add = pa.struct([("path", pa.string()), ("stats", pa.string()), ("deletionVector", vector)])
    rows = [{"path": path, "stats": '{"a":"s3://user/data"}', "deletionVector": None} for path in paths]
    pq.write_table(pa.table({"add": pa.array(rows, add), "txn": ["x"] * len(rows)}), sink, write_statistics=statistics)
    sink.seek(0)
    return sink


@pytest.mark.parametrize("statistics", [True, False])
def test_a_checkpoint_of_delta(statistics: bool) -> None:
    for paths, found in (
        (("part-0", "t/part-1"), []),
        (("part-0", "s3a://bronze/x%20y", "year=1/z"), ["x y"]),
    ):
        places = places_in_checkpoint(checkpoint(*paths, statistics=statistics), 1 << 20)
        assert [place.key for place in places] == found


def test_a_checkpoint_of_which_too_little_may_be_read() -> None:
    with pytest.raises(Unread):
        list(places_in_checkpoint(checkpoint("a", "z"), 1))
    assert not list(places_in_checkpoint(checkpoint("a", "b"), 1))  # its statistics are enough
    with pytest.raises(ValueError, match="no Parquet"):
        list(places_in_checkpoint(io.BytesIO(b"PAR1 and no more"), 1 << 20))


def test_every_name_is_selected_by_sql() -> None:
    """NARROW is faster than carrier_of, and must not miss a name that carrier_of knows."""
    keys = [root + name for root in ROOTS for name in NAMES]
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE objects (key TEXT)")
        db.executemany("INSERT INTO objects VALUES (?)", [(key,) for key in keys])
        assert [key for (key,) in db.execute(f"SELECT key FROM objects WHERE {NARROW}")] == keys
