"""Spark writes during a migration. With an old table in its cache it commits old paths, and a repair moves these files.
A rollback brings back what Spark commits at the target. Both have position deletes. Each time, the other side is
emptied before Spark and pyiceberg read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import fresh_buckets
from engines.shared import SharedLake, one_spark, sql_lake
from migrator import api
from migrator.config import load
from migrator.demo.server import Server

pytestmark = pytest.mark.timeout(600)
OLD, TARGET = "bronze", "data-lake"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, postgres_uri: str) -> Iterator[SharedLake]:
    with one_spark(tmp_path_factory.mktemp("stale")) as world, fresh_buckets(world.server, (OLD, TARGET)):
        yield sql_lake(world, postgres_uri, f"s3://{OLD}/wh")


def take(server: Server, bucket: str) -> dict[str, bytes]:
    """Empty a bucket, and return its objects for :func:`give`."""
    client, taken = server.client(), {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            taken[entry["Key"]] = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    for key in taken:
        client.delete_object(Bucket=bucket, Key=key)
    return taken


def give(server: Server, bucket: str, taken: dict[str, bytes]) -> None:
    for key, data in taken.items():
        server.client().put_object(Bucket=bucket, Key=key, Body=data)


def test_a_migration_with_a_stale_spark_a_repair_and_a_rollback(
    lake: SharedLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lake.world.server
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    spark = lake.session()
    spark.sql("CREATE NAMESPACE lake.db")
    for name in ("t", "u"):
        spark.sql(
            f"CREATE TABLE lake.db.{name} (id BIGINT, v STRING) TBLPROPERTIES ('format-version'='2',"
            " 'write.delete.mode'='merge-on-read')"
        )
        spark.sql(f"INSERT INTO lake.db.{name} SELECT id, 'old' FROM range(0, 20, 1, 2)")
        spark.sql(f"DELETE FROM lake.db.{name} WHERE id IN (3, 13)")
    cached = lake.session(caches=True)
    assert len(cached.sql("SELECT * FROM lake.db.t").collect()) == 18
    plan = tmp_path / "plan.db"
    api.plan_lake(load(lake.write_config(tmp_path, TARGET, OLD)), plan)
    assert api.migrate_lake(plan).ok

    # The stale session writes; so does one that knows where the tables are now.
    cached.sql("INSERT INTO lake.db.t VALUES (100, 'stale'), (101, 'stale')")
    cached.sql("DELETE FROM lake.db.t WHERE id IN (4, 100)")
    fresh = lake.session()
    fresh.sql("INSERT INTO lake.db.t VALUES (200, 'fresh')")
    fresh.sql("DELETE FROM lake.db.t WHERE id = 5")
    expected = [*sorted(set(range(20)) - {3, 13, 4, 5}), 101, 200]
    assert not api.verify_lake(plan).ok
    repaired = api.repair_lake(plan, change=True)
    assert repaired.ok and [table.table for table in repaired.tables] == ["lake.db.t"]
    assert "deletes" in repaired.tables[0].not_compared
    assert any("spark" in snapshot for snapshot in repaired.tables[0].snapshots)
    old = take(server, OLD)
    assert lake.ids("t") == expected
    assert api.verify_lake(plan).ok
    tagged = lake.session().sql(f"SELECT count(*) FROM lake.db.t VERSION AS OF '{repaired.tables[0].tag}'").collect()
    assert tagged[0][0] == len(expected)

    # At the target, a manifest that names an old file of deletes is written again; then everything is rolled back.
    fresh = lake.session()
    fresh.sql("INSERT INTO lake.db.u VALUES (300, 'new'), (301, 'new')")
    fresh.sql("DELETE FROM lake.db.u WHERE id IN (7, 300)")
    fresh.sql("CALL lake.system.rewrite_manifests('db.u')")
    wanted = [*sorted(set(range(20)) - {3, 13, 7}), 301]
    assert lake.ids("u") == wanted
    give(server, OLD, old)
    done = api.rollback_lake(plan, bring_back=True)
    assert sorted(brought.table for brought in done.brought_back) == ["lake.db.t", "lake.db.u"]
    take(server, TARGET)
    assert (lake.ids("t"), lake.ids("u")) == (expected, wanted)

    # The old lake is used as before.
    spark = lake.session()
    spark.sql("DELETE FROM lake.db.u WHERE id IN (8, 301)")
    spark.sql("CALL lake.system.rewrite_data_files('db.t')")
    spark.sql("CALL lake.system.expire_snapshots(table => 'db.t', older_than => TIMESTAMP '2100-01-01 00:00:00')")
    assert (lake.ids("t"), lake.ids("u")) == (expected, sorted(set(wanted) - {8, 301}))
