"""The lake is as described. Readers that did not write it check this: pyiceberg's scan, fastavro, pyarrow."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable

from demo.conftest import Built
from migrator.demo import lake as old_lake
from migrator.iceberg.field_ids import FILE_PATH_ID, POS_ID
from migrator.verifying.pyiceberg_reader import open_table

ROWS = {
    "iceberg.bronze.raw_events": 787,  # 800 appended, 3 deleted in each of 4 files and 1 in the newest
    "iceberg.silver.user_sessions": 130,
    "iceberg.silver.legacy_v1": 80,
    "iceberg.gold.daily_sales": 194,  # 200, of which 2 are deleted in each of 3 files
    "iceberg.gold.empty": 0,
    "local.ops.audit_log": 75,
    "forgotten": 20,
}


def test_every_table_has_the_rows_that_were_meant(built: Built) -> None:
    assert set(built.lake.tables) == set(ROWS)
    for name, metadata in built.lake.tables.items():
        assert open_table(metadata, built.server.properties()).scan().to_arrow().num_rows == ROWS[name], name


def test_every_snapshot_reads(built: Built) -> None:
    read = {}
    for name, metadata in built.lake.tables.items():
        table = open_table(metadata, built.server.properties())
        ids = [s.snapshot_id for s in table.metadata.snapshots]
        read[name.rpartition(".")[2]] = [table.scan(snapshot_id=i).to_arrow().num_rows for i in ids]
    assert read["audit_log"] == [25, 50, 75]
    assert read["legacy_v1"] == [40, 80]
    assert read["daily_sales"] == [100, 160, 200, 194]
    assert read["raw_events"][:3] == [300, 600, 750] and read["raw_events"][-1] == 787


def test_deletes_are_really_applied(built: Built) -> None:
    table = open_table(built.lake.tables["iceberg.gold.daily_sales"], built.server.properties())
    left = set(table.scan().to_arrow().column("event_id").to_pylist())
    # Rows 0 and 3 of each file. Every file begins at the first event that was written to it.
    assert set(range(200)) - left == {0, 3, 100, 103, 160, 163}


def test_the_catalog_knows_its_tables_and_namespaces(built: Built) -> None:
    iceberg = built.lake.catalogs["iceberg"]
    properties = built.server.properties()
    with closing(SqlCatalog("iceberg", uri=iceberg["uri"], warehouse=iceberg["warehouse"], **properties)) as catalog:
        names = {".".join(("iceberg", *t)) for n in catalog.list_namespaces() for t in catalog.list_tables(n)}
        locations = {n: catalog.load_namespace_properties(n)["location"] for n in catalog.list_namespaces()}
        empty = catalog.load_table("gold.empty")
        sessions = catalog.load_table("silver.user_sessions")
        versions = {n: catalog.load_table(n).format_version for n in ("silver.legacy_v1", "bronze.raw_events")}
    assert names == {name for name in built.lake.tables if name.startswith("iceberg.")}
    assert set(locations.values()) == {f"{old_lake.SQL_WAREHOUSE}{n}.db" for n in ("bronze", "silver", "gold")}
    assert empty.current_snapshot() is None
    assert {"main", "before-clean-up", "audit"} <= set(sessions.metadata.refs)
    assert sessions.location().startswith("s3://")
    assert versions == {"silver.legacy_v1": 1, "bronze.raw_events": 2}


def test_the_hadoop_table_has_that_layout(built: Built) -> None:
    folder = "ops/audit_log/metadata/"
    names = {e["Key"].removeprefix(folder) for e in built.keys("warehouse") if e["Key"].startswith(folder)}
    documents = {name for name in names if name.endswith(".json")}
    assert documents == {f"v{number}.metadata.json" for number in range(1, 5)}
    hint = built.get(f"{old_lake.HADOOP_WAREHOUSE}{folder}version-hint.text")
    newest = json.loads(built.get(f"{old_lake.HADOOP_WAREHOUSE}{folder}v{hint.decode()}.metadata.json"))
    logged = [entry["metadata-file"].rpartition("/")[2] for entry in newest["metadata-log"]]
    assert logged == [f"v{number}.metadata.json" for number in range(1, 4)]
    table = StaticTable.from_metadata(f"{old_lake.HADOOP_WAREHOUSE}ops/audit_log", built.server.properties())
    assert table.scan().to_arrow().num_rows == ROWS["local.ops.audit_log"]


def delete_entries(built: Built, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every entry of every delete manifest that the newest snapshot names, as fastavro reads it, with its header."""
    metadata = json.loads(built.get(built.lake.tables[name]))
    current = next(s for s in metadata["snapshots"] if s["snapshot-id"] == metadata["current-snapshot-id"])
    for manifest in fastavro.reader(io.BytesIO(built.get(current["manifest-list"]))):
        data = built.get(manifest["manifest_path"])
        assert manifest["manifest_length"] == len(data)
        if manifest["content"] == 1:
            reader = fastavro.reader(io.BytesIO(data))
            assert reader.metadata["content"] == "deletes"
            for entry in reader:
                yield reader.metadata, entry["data_file"]


@pytest.mark.parametrize(("name", "most_paths"), [("iceberg.bronze.raw_events", 3), ("iceberg.gold.daily_sales", 3)])
def test_delete_manifests_tell_the_truth(built: Built, name: str, most_paths: int) -> None:
    spans = []
    for _, file in delete_entries(built, name):
        data = built.get(file["file_path"])
        content = pq.read_table(io.BytesIO(data))
        pairs = list(zip(*(content.column(c).to_pylist() for c in ("file_path", "pos")), strict=True))
        assert file["content"] == 1 and pairs == sorted(pairs)
        assert (file["record_count"], file["file_size_in_bytes"]) == (len(pairs), len(data))
        paths = sorted({path for path, _ in pairs})
        for bound, path in (("lower_bounds", paths[0]), ("upper_bounds", paths[-1])):
            assert {b["key"]: b["value"] for b in file[bound]} == {FILE_PATH_ID: path.encode()}
        schema = pq.read_schema(io.BytesIO(data))
        ids = [schema.field(c).metadata[b"PARQUET:field_id"] for c in ("file_path", "pos")]
        assert ids == [str(FILE_PATH_ID).encode(), str(POS_ID).encode()]
        assert schema.metadata[b"delete-type"] == b"position"
        spans.append(len(paths))
    assert max(spans) == most_paths
    if name.endswith("raw_events"):
        assert 1 in spans  # a delete file for one data file only


def test_one_table_spans_three_buckets(built: Built) -> None:
    table = open_table(built.lake.tables["iceberg.gold.daily_sales"], built.server.properties())
    data = {path.partition("://")[2].partition("/")[0] for path in old_lake.data_files(table)}
    assert data == {"gold", "bronze"}
    assert (table.metadata_location or "").startswith("s3a://warehouse/")


def test_plain_objects(built: Built) -> None:
    assert all(built.keys(bucket) for bucket in old_lake.BUCKETS)
    client = built.server.client()
    odd = {entry["Key"]: entry["Size"] for entry in built.keys("gold") if entry["Key"].startswith("odd/")}
    assert {"odd/with space", "odd/plus+and%20percent", "odd/ünï/cødé/日本", "odd/a=b/c:d&e"} <= set(odd)
    assert odd["odd/empty"] == 0
    tags = client.get_object_tagging(Bucket="gold", Key="odd/with space")["TagSet"]
    assert tags == [{"Key": "team", "Value": "bi + co"}]
    event = next(e["Key"] for e in built.keys("bronze") if e["Key"].endswith(".json.gz"))
    head = client.head_object(Bucket="bronze", Key=event)
    assert (head["ContentType"], head["ContentEncoding"]) == ("application/json", "gzip")
    assert head["Metadata"]["writer"].startswith("kafka-")


def test_plain_objects_are_the_same_every_time() -> None:
    assert list(old_lake._plain_objects(40)) == list(old_lake._plain_objects(40))


def test_buckets_are_deleted_with_all_that_is_in_them(built: Built) -> None:
    client = built.server.client()
    client.create_bucket(Bucket="doomed")
    for key in ("a", "a/b", "with space", "é"):
        client.put_object(Bucket="doomed", Key=key, Body=b"1")
    old_lake.delete_buckets(client, ["doomed"])
    assert {b["Name"] for b in client.list_buckets()["Buckets"]} >= set(old_lake.BUCKETS)
    assert "doomed" not in {b["Name"] for b in client.list_buckets()["Buckets"]}
