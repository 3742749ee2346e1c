"""A lake whose tables are in a Hive Metastore is migrated, rolled back, and migrated again. It works without the old
buckets."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from hive_metastore.ttypes import FieldSchema, Partition, SerDeInfo, StorageDescriptor, Table
from pyiceberg.catalog.hive import HiveCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from catalogs.contract import NoReader
from catalogs.servers.java import HIVE, HiveMetastore, require
from migrator.catalogs import open_catalog
from migrator.catalogs.hive.connection import Connection
from migrator.cli import main
from migrator.config import load
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server

pytestmark = pytest.mark.slow

BUCKETS = ("bronze", "gold")
TABLES = ("sales.orders", "gold.daily")
CLICKS = {"": "s3://bronze/clicks", "day=1": "s3://bronze/clicks/day=1", "day=2": "s3://gold/late/day=2"}
"""The location of a table that is not Iceberg's, and those of its partitions."""


def build(hive: HiveMetastore, folder: Path) -> HiveCatalog:
    """Two Iceberg tables, another one, and a lake.toml."""
    catalog = HiveCatalog("lake", **hive.properties())
    catalog.create_namespace("sales")  # below the warehouse
    catalog.create_namespace("gold", {"location": "s3://gold/tables", "owner": "me"})
    schema = Schema(NestedField(1, "id", LongType(), required=False))
    for number, name in enumerate(TABLES):
        table = catalog.create_table(name, schema, properties={"write.data.path": f"s3://gold/data/{name}"})
        for i in range(2):
            table.append(pa.table({"id": [10 * number + i]}))
    build_clicks(catalog, hive.s3)
    lines = ["[source]", f'endpoint_url = "{hive.s3.endpoint_url}"', "[layout]"]
    lines += [f'"s3://{bucket}/" = "{bucket}/"' for bucket in BUCKETS]
    lines += ["[catalogs.lake]", f'uri = "{hive.uri.replace("//", "//user:wr0ng@")}"']
    (folder / "lake.toml").write_text("\n".join(lines) + "\n")
    return catalog


def build_clicks(catalog: HiveCatalog, s3: Server) -> None:
    table = Table("clicks", "sales", "me", tableType="EXTERNAL_TABLE", partitionKeys=[FieldSchema("day", "string")])
    table.sd, table.parameters = day_storage(CLICKS[""]), {"EXTERNAL": "TRUE"}
    days = [
        Partition([day.partition("=")[2]], "sales", "clicks", sd=day_storage(at)) for day, at in CLICKS.items() if day
    ]
    with catalog._client as client:
        client.create_table(table)
        client.add_partitions(days)
    for name, place in CLICKS.items():
        bucket, key = place.removeprefix("s3://").split("/", 1)
        if name:
            s3.client().put_object(Bucket=bucket, Key=f"{key}/part-0.parquet", Body=name.encode())


def day_storage(place: str) -> StorageDescriptor:
    format_ = SerDeInfo("", "org.apache.hadoop.hive.serde2.OpenCSVSerde")
    return StorageDescriptor([FieldSchema("id", "bigint")], place, serdeInfo=format_)


def run(*arguments: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
    assert "wr0ng" not in result.output + result.stderr
    return result


def locations(catalog: HiveCatalog) -> dict[str, Any]:
    """All that the metastore names."""
    with catalog._client as client:
        tables = {name: client.get_table(*name.split(".")) for name in TABLES}
        clicks = client.get_table("sales", "clicks")
        days = client.get_partitions("sales", "clicks", -1)
        databases = [client.get_database(name) for name in ("sales", "gold")]
    return {
        "pointers": {name: table.parameters["metadata_location"] for name, table in tables.items()},
        "data": {name: table.parameters["write.data.path"] for name, table in tables.items()},
        "places": {name: table.sd.location for name, table in tables.items()},
        "clicks": {"": clicks.sd.location, **{f"day={p.values[0]}": p.sd.location for p in days}},
        "databases": {database.name: database.locationUri for database in databases},
    }


def moved(value: Any) -> Any:
    """Where the layout moves it."""
    if isinstance(value, dict):
        return {key: moved(inner) for key, inner in value.items()}
    return value.replace("s3://", "s3://data-lake/")


def rows(catalog: HiveCatalog, name: str) -> list[int]:
    return sorted(catalog.load_table(name).scan().to_arrow()["id"].to_pylist())


def test_a_lake_in_a_hive_metastore(s3: Server, tmp_path: Path) -> None:
    require(HIVE)
    plan = tmp_path / "plan.db"
    with HiveMetastore(s3, "s3://bronze/wh") as hive:
        catalog = build(hive, tmp_path)
        before = locations(catalog)
        assert before["clicks"] == CLICKS
        run("plan", "--config", tmp_path / "lake.toml", "-o", plan)
        described = json.loads(run("show", plan, "--json").stdout)
        assert not [f for f in described["findings"] if f["severity"] in ("block", "warn")]
        assert sorted((n["namespace"], n["key"]) for n in described["namespaces"]) == [
            ("default", "location"),
            ("gold", "location"),
            ("sales", "location"),
            ("sales.clicks", "location"),
            ("sales.clicks", "location of partition day=1"),
            ("sales.clicks", "location of partition day=2"),
        ]
        assert locations(catalog) == before
        run("migrate", plan, "--yes")
        assert locations(catalog) == moved(before)

        run("rollback", plan, "--yes")
        assert locations(catalog) == before
        assert [rows(catalog, name) for name in TABLES] == [[0, 1], [10, 11]]
        run("migrate", plan, "--yes")
        assert locations(catalog) == moved(before)

        late = Partition(["3"], "sales", "clicks", sd=day_storage("s3://bronze/clicks/day=3"))
        with catalog._client as client:
            client.add_partition(late)
        said = run("retire", plan, "--cooling", "0", exit_code=3).stderr
        assert "lake.sales.clicks has the property 'location of partition day=3' with s3://bronze/clicks/day=3" in said
        with catalog._client as client:
            client.drop_partition("sales", "clicks", ["3"], False)
        run("retire", plan, "--cooling", "0", "--yes", "--confirm", "data-lake")
        delete_buckets(s3.client(), BUCKETS)
        run("verify", plan)
        for number, name in enumerate(TABLES):
            catalog.load_table(name).append(pa.table({"id": [99]}))
            assert rows(catalog, name) == [10 * number, 10 * number + 1, 99]
        assert catalog.load_namespace_properties("gold")["owner"] == "me"
        for name in ("day=1", "day=2"):
            key = f"{moved(CLICKS[name]).removeprefix('s3://data-lake/')}/part-0.parquet"
            assert s3.client().get_object(Bucket="data-lake", Key=key)["Body"].read() == name.encode()
        with closing(open_catalog("lake", load(tmp_path / "lake.toml").catalogs["lake"], NoReader())) as ours:
            assert {f"{t.namespace}.{t.name}" for t in ours.tables()} == set(TABLES)
            assert not [value for _, _, value in ours.namespace_properties() if "bronze/" in value[:12]]
    for file in tmp_path.glob("plan.db*"):
        assert b"wr0ng" not in file.read_bytes()


def test_a_cutover_that_crashes_in_the_middle_is_finished(
    s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crash comes before each change in turn. Each table is in the old or the new place, and the same command
    continues."""
    require(HIVE)
    plan = tmp_path / "plan.db"
    with HiveMetastore(s3, "s3://bronze/wh") as hive:
        catalog = build(hive, tmp_path)
        before = locations(catalog)
        run("plan", "--config", tmp_path / "lake.toml", "-o", plan)
        for command, aim in (("migrate", moved(before)), ("rollback", before)):
            crashes = 0
            while locations(catalog) != aim:
                with monkeypatch.context() as patch:
                    patch.setattr(Connection, "change", crash_at_the_second(Connection.change))
                    if CliRunner().invoke(main, [command, str(plan), "--yes"]).exit_code == 0:
                        break
                crashes += 1
                assert crashes < 20
            assert crashes >= 6, command
            run(command, plan, "--yes")
            assert locations(catalog) == aim
        assert [rows(catalog, name) for name in TABLES] == [[0, 1], [10, 11]]


class Crash(Exception):
    """The process ends here."""


def crash_at_the_second(send: Any) -> Any:
    """Let one change through, with its locks, and end the process at the next one."""
    sent = []

    def change(self: Connection, doing: str, request: Any) -> Any:
        if doing.startswith("change "):
            if sent:
                raise Crash
            sent.append(doing)
        return send(self, doing, request)

    return change
