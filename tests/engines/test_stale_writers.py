"""Spark all through a migration: with an old table in its cache it commits old paths, which a repair moves; and what it
commits at the target comes along on the way back. Position deletes are among both. Each time the other side is emptied
before Spark and pyiceberg read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pyiceberg.catalog.sql import SqlCatalog

from engines.jars import REQUIRED, missing
from migrator import api
from migrator.config import load
from migrator.demo.server import Server

pytestmark = pytest.mark.timeout(600)
OLD, TARGET = "bronze", "data-lake"


@dataclass
class Lake:
    """One SQL catalog, ``lake``, that Spark and pyiceberg share."""

    server: Server
    folder: Path
    base: Any
    properties: dict[str, str]
    catalog_uri: str

    def session(self, *, caches: bool = False) -> Any:
        """A Spark session that has opened no table yet. ``caches``: it keeps what it opens, as Spark does by itself."""
        session = self.base.newSession()
        session.conf.set("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
        for key, value in (self.properties | {"cache-enabled": str(caches).lower()}).items():
            session.conf.set(f"spark.sql.catalog.lake.{key}", value)
        return session

    def ids(self, table: str) -> list[int]:
        """The ids in a table, as Spark and pyiceberg read them."""
        rows = [row[0] for row in self.session().sql(f"SELECT id FROM lake.db.{table} ORDER BY id").collect()]
        catalog = SqlCatalog("lake", uri=self.catalog_uri, **self.server.properties())
        assert sorted(catalog.load_table(f"db.{table}").scan().to_arrow()["id"].to_pylist()) == rows
        return rows

    def take(self, bucket: str) -> dict[str, bytes]:
        """Empty a bucket; what was in it, for :meth:`give`."""
        client, taken = self.server.client(), {}
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                taken[entry["Key"]] = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        for key in taken:
            client.delete_object(Bucket=bucket, Key=key)
        return taken

    def give(self, bucket: str, taken: dict[str, bytes]) -> None:
        for key, data in taken.items():
            self.server.client().put_object(Bucket=bucket, Key=key, Body=data)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, postgres_uri: str) -> Iterator[Lake]:
    if (why := missing()) and os.environ.get(REQUIRED) != "1":
        pytest.skip(why)
    from engines import spark

    folder = tmp_path_factory.mktemp("stale")
    with Server() as server:
        for bucket in (OLD, TARGET):
            server.client().create_bucket(Bucket=bucket)
        keys, uri = server.properties(), sa.make_url(postgres_uri)  # in SQLite, a Spark that has read blocks writers
        properties = {
            "type": "jdbc",
            "uri": f"jdbc:postgresql://{uri.host}:{uri.port}/{uri.database}",
            "jdbc.user": str(uri.username),
            "jdbc.password": str(uri.password),
            "jdbc.schema-version": "V1",
            "warehouse": f"s3://{OLD}/wh",
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "s3.endpoint": server.endpoint_url,
            "s3.path-style-access": "true",
            "s3.access-key-id": keys["s3.access-key-id"],
            "s3.secret-access-key": keys["s3.secret-access-key"],
            "client.region": "us-east-1",
        }
        (folder / "lake.toml").write_text(
            f'[source]\nendpoint_url = "{server.endpoint_url}"\n[target]\nbucket = "{TARGET}"\n'
            f'[layout]\n"s3://{OLD}/" = "{OLD}/"\n'
            f'[catalogs.lake]\ntype = "sql"\nuri = "{postgres_uri}"\n'
        )
        try:
            with spark.spark_session(server, folder / "unused.db", spark.OLD, few_rows=True) as base:
                yield Lake(server, folder, base, properties, postgres_uri)
        finally:
            spark.end_jvm()


def test_a_migration_with_a_stale_spark_a_repair_and_the_way_back(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lake.server.environ().items():
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
    plan = lake.folder / "plan.db"
    api.plan_lake(load(lake.folder / "lake.toml"), plan)
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
    old = lake.take(OLD)
    assert lake.ids("t") == expected
    assert api.verify_lake(plan).ok
    tagged = lake.session().sql(f"SELECT count(*) FROM lake.db.t VERSION AS OF '{repaired.tables[0].tag}'").collect()
    assert tagged[0][0] == len(expected)

    # At the target, a manifest is written anew that names an old file of deletes; then everything goes back.
    fresh = lake.session()
    fresh.sql("INSERT INTO lake.db.u VALUES (300, 'new'), (301, 'new')")
    fresh.sql("DELETE FROM lake.db.u WHERE id IN (7, 300)")
    fresh.sql("CALL lake.system.rewrite_manifests('db.u')")
    wanted = [*sorted(set(range(20)) - {3, 13, 7}), 301]
    assert lake.ids("u") == wanted
    lake.give(OLD, old)
    done = api.rollback_lake(plan, bring_back=True)
    assert sorted(brought.table for brought in done.brought_back) == ["lake.db.t", "lake.db.u"]
    lake.take(TARGET)
    assert (lake.ids("t"), lake.ids("u")) == (expected, wanted)

    # The old lake is used as before.
    spark = lake.session()
    spark.sql("DELETE FROM lake.db.u WHERE id IN (8, 301)")
    spark.sql("CALL lake.system.rewrite_data_files('db.t')")
    spark.sql("CALL lake.system.expire_snapshots(table => 'db.t', older_than => TIMESTAMP '2100-01-01 00:00:00')")
    assert (lake.ids("t"), lake.ids("u")) == (expected, sorted(set(wanted) - {8, 301}))
