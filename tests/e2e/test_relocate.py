"""``migrator relocate``: one table, from its metadata file alone. The old place is deleted before anything is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable, Table

from migrator import reference
from migrator.cli import main
from migrator.demo.lake import data_files, delete_buckets, delete_rows
from migrator.demo.server import Server

ROWS = pa.table({"n": range(30), "path": [f"s3a://lost/wh/t/{n}" for n in range(30)]})
Listing = dict[str, tuple[int, str]]


class Backup:
    """A table written at s3a://lost/wh/t, copied byte for byte to s3://backup/2026/t, the original deleted."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.client = server.client()
        for bucket in ("lost", "backup", "new"):
            self.client.create_bucket(Bucket=bucket)
        with closing(SqlCatalog("c", uri=f"sqlite:///{folder}/catalog.db", **server.properties())) as catalog:
            catalog.create_namespace("db")
            table = catalog.create_table("db.t", ROWS.schema, location="s3a://lost/wh/t")
            table.append(ROWS)
            table.append(ROWS)
            delete_rows(table, {path: [0, 3] for path in data_files(table)})
            self.expected = snapshots(table)
            name = table.metadata_location.rpartition("/")[2]
        for key in self.listing("lost"):
            source = {"Bucket": "lost", "Key": key.partition("/")[2]}
            self.client.copy_object(CopySource=source, Bucket="backup", Key=source["Key"].replace("wh/t", "2026/t"))
        delete_buckets(self.client, ["lost"])
        self.metadata = f"s3://backup/2026/t/metadata/{name}"

    def listing(self, bucket: str) -> Listing:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {f"{bucket}/{e['Key']}": (e["Size"], e["ETag"]) for page in pages for e in page.get("Contents", [])}

    def open(self, uri: str) -> Table:
        return StaticTable.from_metadata(uri, self.server.properties())

    def run(self, *arguments: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["relocate", *arguments])
        assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
        return result

    def relocated(self, *arguments: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run(*arguments, "--json").stdout)
        return document


def snapshots(table: Table) -> dict[int, list[dict[str, Any]]]:
    """Every snapshot's rows, in order."""
    found = {}
    for snapshot in table.metadata.snapshots:
        rows = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().to_pylist()
        found[snapshot.snapshot_id] = sorted(rows, key=lambda row: row["n"])
    return found


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backup]:
    with Server() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        yield Backup(server, tmp_path)


def test_a_backup_reads_at_its_new_place_with_both_old_ones_gone(backup: Backup) -> None:
    before = backup.listing("backup")
    done = backup.relocated(backup.metadata, "--to", "s3a://new/lake/t")
    documented = reference.text(reference.JSON_KEYS)
    assert all(f"`{key}`" in documented for key in done)
    assert done["location"] == "s3a://new/lake/t" and done["copied"] == 2 and done["snapshots"] == 3
    assert done["metadata_location"].startswith("s3a://new/lake/t/metadata/")
    assert backup.listing("backup") == before
    delete_buckets(backup.client, ["backup"])
    table = backup.open(done["metadata_location"])
    assert snapshots(table) == backup.expected  # the user's own column of paths included
    assert all(path.startswith("s3a://new/lake/t/data/") for path in data_files(table))
    assert {e.metadata_file.startswith("s3a://new/lake/t/") for e in table.metadata.metadata_log} == {True}


def test_a_backup_reads_where_it_lies(backup: Backup) -> None:
    before = backup.listing("backup")
    done = backup.relocated(backup.metadata, "--to", "s3a://backup/2026/t")
    assert done["copied"] == 0
    after = backup.listing("backup")
    assert {k: after[k] for k in before} == before, "something of the backup was overwritten"
    assert all("/relocated/" in key for key in set(after) - set(before))
    assert snapshots(backup.open(done["metadata_location"])) == backup.expected


def test_repeated_it_does_nothing_again_and_interrupted_it_goes_on(backup: Backup) -> None:
    backup.relocated(backup.metadata, "--to", "s3a://new/t")
    expected = backup.listing("new")
    assert backup.relocated(backup.metadata, "--to", "s3a://new/t")["copied"] == 0
    assert backup.listing("new") == expected
    for key in list(expected)[::2]:
        backup.client.delete_object(Bucket="new", Key=key.partition("/")[2])
    backup.relocated(backup.metadata, "--to", "s3a://new/t")
    assert backup.listing("new") == expected


def test_on_all_cores_the_same(backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    backup.relocated(backup.metadata, "--to", "s3a://new/t")
    expected = backup.listing("new")
    delete_buckets(backup.client, ["new"])
    backup.client.create_bucket(Bucket="new")
    monkeypatch.setattr("migrator.rewriting.rewriter.PARALLEL_ABOVE", 0)
    backup.relocated(backup.metadata, "--to", "s3a://new/t")
    assert backup.listing("new") == expected


def test_in_place_a_missing_data_file_stops_it_too(backup: Backup) -> None:
    key = next(key for key in backup.listing("backup") if "/data/" in key and "deletes" not in key)
    backup.client.delete_object(Bucket="backup", Key=key.partition("/")[2])
    before = backup.listing("backup")
    result = backup.run(backup.metadata, "--to", "s3a://backup/2026/t", exit_code=1)
    assert key in result.stderr and "does not exist" in result.stderr
    assert backup.listing("backup") == before


@pytest.mark.parametrize("part", ["/data/", "-m0.avro", "snap-", ".metadata.json"])
def test_nothing_else_at_the_target_is_overwritten(backup: Backup, part: str) -> None:
    key = next(key for key in backup.listing("backup") if part in key).partition("/")[2].replace("2026/t", "t")
    backup.client.put_object(Bucket="new", Key=key, Body=b"precious")
    result = backup.run(backup.metadata, "--to", "s3a://new/t", exit_code=3)
    assert f"new/{key} exists already" in result.stderr and "Choose an empty place" in result.stderr
    assert backup.client.get_object(Bucket="new", Key=key)["Body"].read() == b"precious"


def test_only_what_must_be_rewritten(backup: Backup) -> None:
    done = backup.relocated(backup.metadata, "--to", "s3a://new/t", "--no-copy")
    assert done["copied"] == 0 and "--no-copy" in done["notes"][0]
    there = backup.listing("new")
    data = {key for key in backup.listing("backup") if "/data/" in key and "deletes" not in key}
    assert not {key.replace("backup/2026", "new") for key in data} & set(there)
    for key in data:
        at = key.partition("/")[2]
        backup.client.copy_object(
            CopySource={"Bucket": "backup", "Key": at}, Bucket="new", Key=at.replace("2026/t", "t")
        )
    assert snapshots(backup.open(done["metadata_location"])) == backup.expected


def test_a_missing_data_file_stops_it_before_there_is_a_table(backup: Backup) -> None:
    key = next(key for key in backup.listing("backup") if "/data/" in key and "deletes" not in key)
    backup.client.delete_object(Bucket="backup", Key=key.partition("/")[2])
    result = backup.run(backup.metadata, "--to", "s3a://new/t", exit_code=1)
    assert key in result.stderr and "does not exist" in result.stderr
    assert not [key for key in backup.listing("new") if key.endswith(".metadata.json")]


def test_files_outside_the_location_need_a_rule(backup: Backup, tmp_path: Path) -> None:
    for bucket in ("shelf", "elsewhere"):
        backup.client.create_bucket(Bucket=bucket)
    with closing(SqlCatalog("d", uri=f"sqlite:///{tmp_path}/d.db", **backup.server.properties())) as catalog:
        catalog.create_namespace("db")
        properties = {"write.data.path": "s3a://elsewhere/data"}
        table = catalog.create_table("db.t", ROWS.schema, location="s3a://shelf/t", properties=properties)
        table.append(ROWS)
        uri, expected = table.metadata_location, snapshots(table)
    result = backup.run(uri, "--to", "s3a://new/t", exit_code=3)
    assert "s3a://elsewhere/data/" in result.stderr and "--also OLD=NEW" in result.stderr
    done = backup.relocated(uri, "--to", "s3a://new/t", "--also", "s3a://elsewhere/data=s3a://new/t/data")
    delete_buckets(backup.client, ["shelf", "elsewhere"])
    table = backup.open(done["metadata_location"])
    assert snapshots(table) == expected
    assert table.properties["write.data.path"] == "s3a://new/t/data"


def test_a_hadoop_table_gets_its_version_hint(backup: Backup) -> None:
    at = backup.metadata.partition("backup/")[2]
    hadoop = "2026/t/metadata/v7.metadata.json"
    backup.client.copy_object(CopySource={"Bucket": "backup", "Key": at}, Bucket="backup", Key=hadoop)
    backup.relocated(f"s3://backup/{hadoop}", "--to", "s3a://new/t")
    hint = backup.client.get_object(Bucket="new", Key="t/metadata/version-hint.text")["Body"].read()
    assert hint == b"7"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["s3://backup/none.metadata.json", "--to", "s3://new/t"], 1, "does not exist"),
        (["METADATA", "--to", "/tmp/t"], 2, "not a place in S3"),
        (["METADATA", "--to", "s3:///t"], 2, "not a place in S3"),
        (["METADATA", "--to", "s3://new/t", "--also", "nonsense"], 2, "OLD=NEW"),
        (["METADATA"], 2, "--to"),
        (["s3://backup/loose.json", "--to", "s3://new/t"], 2, "lies neither below its table's location"),
    ],
)
def test_impossible_arguments(backup: Backup, arguments: list[str], exit_code: int, message: str) -> None:
    at = backup.metadata.partition("backup/")[2]
    backup.client.copy_object(CopySource={"Bucket": "backup", "Key": at}, Bucket="backup", Key="loose.json")
    given = [backup.metadata if a == "METADATA" else a for a in arguments]
    assert message in backup.run(*given, exit_code=exit_code).stderr
    assert backup.listing("new") == {}
