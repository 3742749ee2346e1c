"""``migrator check`` on a real server: before a migration, after it without the old buckets, and a year later."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pyarrow as pa
from click.testing import CliRunner
from pyiceberg.catalog.sql import SqlCatalog

from e2e.world import World
from migrator.cli import main
from migrator.demo import lake as old_lake

OLD = {*old_lake.BUCKETS}


def checked(world: World, *options: str, exit_code: int = 3) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(
        world.run("check", "--config", world.config, "--json", *options, exit_code=exit_code).stdout
    )
    assert result["ok"] == (exit_code == 0)
    return result


def places(found: dict[str, Any], code: str) -> set[str]:
    return {finding["place"] for finding in found["findings"] if finding["code"] == code}


def warnings(found: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in found["findings"] if finding["severity"] == "warn"}


def states(found: dict[str, Any]) -> dict[str, str]:
    return {folder["folder"]: folder["state"] for folder in found["folders"]}


def folder(found: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = [one for one in found["folders"] if one["folder"] == name]
    return dict(one)


def test_before_after_and_a_year_later(own_world: World) -> None:
    world = own_world
    before(world)
    world.run("migrate", world.plan(), "--yes")
    after(world)
    a_year_later(world)


def before(world: World) -> None:
    """Nothing was migrated: everything is in the old buckets, and named there."""
    listed = world.listing(*OLD)
    found = checked(world)
    assert set(states(found).values()) == {"in old buckets"} and not found["target_exists"]
    assert warnings(found) == {
        "target-bucket-missing",
        "not-migrated",
        "old-pointer",
        "old-namespace",
        "old-path-in-script",
    }
    assert places(found, "old-pointer") == {name for name in world.lake.tables if "." in name}
    assert places(found, "old-namespace") == {"iceberg.bronze", "iceberg.silver", "iceberg.gold"}
    assert world.listing(*OLD) == listed and "data-lake" not in world.buckets()


def after(world: World) -> None:
    """First the old buckets are still there, then they are gone."""
    found = checked(world, exit_code=0)
    assert set(states(found).values()) == {"present"}
    assert places(found, "old-bucket") == {f"s3://{bucket}/" for bucket in OLD}
    old_lake.delete_buckets(world.client)
    found = checked(world, exit_code=0)
    assert {bucket["state"] for bucket in found["old_buckets"]} == {"gone"}
    assert found["findings"] == [] and (found["tables_read"], found["scripts_read"]) == (7, 3)
    assert {"bronze.db/", "silver.db/", "gold.db/"} < {p["folder"] for p in folder(found, "warehouse/")["parts"]}
    assert [stream["folder"] for stream in folder(found, "checkpoints/")["streams"]] == [
        "bronze/raw_events/",
        "silver_page_views/",
    ]
    assert [part["folder"] for part in folder(found, "logs/")["parts"]] == ["dagster/", "kafka/", "spark/"]
    said = world.run("check", "--config", world.config).stdout
    assert "The structure is as expected, and nothing names an old bucket." in said


def a_year_later(world: World) -> None:
    """People and programs have continued to work."""
    put = world.client.put_object
    put(Bucket="data-lake", Key="platinum/kpi/2027.parquet", Body=b"x")
    put(Bucket="data-lake", Key="tmp/x", Body=b"x")
    put(Bucket="data-lake", Key="notes.txt", Body=b"x")
    put(Bucket="data-lake", Key="scripts/etl/new.py", Body=b"spark.read.parquet('s3a://bronze/raw_events/')\n")
    line = b'v1\n{"path":"s3a://bronze/in/x.json","timestamp":1,"batchId":0}'
    put(Bucket="data-lake", Key="checkpoints/files/metadata", Body=b"{}")
    put(Bucket="data-lake", Key="checkpoints/files/sources/0/0", Body=line)
    world.client.delete_object(Bucket="data-lake", Key="checkpoints/silver_page_views/metadata")
    stale_table(world)
    uri = world.catalog_file
    with closing(sqlite3.connect(uri)) as db, db:
        db.execute(
            "UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = 'empty'",
            (world.lake.tables["iceberg.gold.empty"],),
        )
    found = checked(world)
    assert places(found, "stray-folder") == {"s3://data-lake/platinum/", "s3://data-lake/tmp/"}
    assert places(found, "stray-object") == {"s3://data-lake/notes.txt"}
    assert places(found, "old-path-in-script") == {"s3://data-lake/scripts/etl/new.py"}
    assert places(found, "old-path-in-log") == {"s3://data-lake/checkpoints/files/sources/0/0"}
    assert places(found, "checkpoint-incomplete") == {"s3://data-lake/checkpoints/silver_page_views/"}
    assert places(found, "old-path") == {"iceberg.silver.legacy_v1"}
    assert places(found, "old-pointer") == {"iceberg.gold.empty"}
    shown = world.run("check", "--config", world.config, "--layer", "platinum", exit_code=3).stdout
    assert "Write in lake.toml: [check] layers = [" in shown and "tmp/" in shown
    world.config.write_text(f'{world.config.read_text()}\n[check]\nlayers = ["platinum"]\n')
    assert places(checked(world), "stray-folder") == {"s3://data-lake/tmp/"}
    one_unreadable(world)


def stale_table(world: World) -> None:
    """An engine that had the old table in its cache commits a file in an old bucket."""
    uri = world.lake.catalogs["iceberg"]["uri"]
    world.client.create_bucket(Bucket="bronze")
    with closing(SqlCatalog("iceberg", uri=uri, **world.server.properties())) as catalog:
        table = catalog.load_table("silver.legacy_v1")
        late = "s3a://bronze/late.parquet"
        old_lake._write_parquet(table.io, late, old_lake._events(900, 5).cast(pa.schema(table.schema().as_arrow())))
        table.add_files([late])
    old_lake.delete_buckets(world.client, ["bronze"])


def one_unreadable(world: World) -> None:
    """A table and a catalog entry that cannot be read do not hide the rest."""
    with closing(sqlite3.connect(world.catalog_file)) as db:
        (metadata,) = db.execute(
            "SELECT metadata_location FROM iceberg_tables WHERE table_name = 'raw_events'"
        ).fetchone()
    key = metadata.partition("data-lake/")[2]
    with world.replaced("data-lake", key, b"{"):
        found = checked(world)
    assert places(found, "not-checked") == {"iceberg.bronze.raw_events"}
    assert places(found, "old-path") == {"iceberg.silver.legacy_v1"}


def test_without_a_configuration(world: World) -> None:
    """The medallion layout, a catalog of pyiceberg's own configuration, and a target that is still empty."""
    world.client.create_bucket(Bucket="data-lake")
    options = ["--endpoint-url", world.server.endpoint_url, "--json"]
    result = CliRunner().invoke(main, ["check", *options])
    found = json.loads(result.stdout)
    assert result.exit_code == 3 and found["catalogs"] == []
    assert set(states(found).values()) == {"in old buckets"} and found["target_exists"]
    assert warnings(found) == {"not-migrated", "old-path-in-script"}
    other = CliRunner().invoke(main, ["check", *options, "--target", "elsewhere"])
    assert other.exit_code == 3 and not json.loads(other.stdout)["target_exists"]
