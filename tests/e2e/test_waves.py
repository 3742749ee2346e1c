"""A lake that moves in parts, on a real server: wave by wave, until nothing is left in the old buckets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from migrator import api
from migrator.config import load
from migrator.demo.server import Server
from migrator.errors import ConfigError, PlanStale, RetireRefused
from migrator.store import is_own

OLD, TARGET = ("bronze", "silver", "gold"), "lake"
TABLES = ("bronze.raw", "silver.orders", "gold.report", "gold.span")
"""``gold.span`` has its metadata in the bucket gold, and its data files in the bucket silver."""
LOOSE = {("bronze", "landing/a.csv"), ("gold", "notes.txt"), ("silver", "wh/stray")}
"""Objects that are no table's."""


class Lake:
    """Three namespaces in three buckets, in one SQL catalog."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.client = server.client()
        self._open: SqlCatalog | None = None
        for bucket in OLD:
            self.client.create_bucket(Bucket=bucket)
            self.catalog.create_namespace(bucket, {"location": f"s3://{bucket}/wh"})
        for number, name in enumerate(TABLES):
            namespace, _, table = name.partition(".")
            properties = {"write.data.path": "s3://silver/span-data"} if table == "span" else {}
            schema = pa.schema([("id", pa.int64())])
            self.catalog.create_table(name, schema, f"s3://{namespace}/wh/{table}", properties=properties)
            self.append(name, range(number * 100, number * 100 + 3))
            self.append(name, range(number * 100 + 3, number * 100 + 5))
        for bucket, key in LOOSE:
            self.client.put_object(Bucket=bucket, Key=key, Body=b"loose")
        self.client.put_object(Bucket="gold", Key="wh/report/data/orphan.parquet", Body=b"orphan")

    @property
    def catalog(self) -> SqlCatalog:
        """A new catalog without a cache. It replaces the previous one, whose connections might hold a lock."""
        self.close()
        uri = f"sqlite:///{self.folder}/catalog.db"
        self._open = SqlCatalog("ice", uri=uri, warehouse="s3://bronze/wh", **self.server.properties())
        return self._open

    def close(self) -> None:
        """Close the catalog, so that only migrator uses its database."""
        if self._open is not None:
            self._open.close()

    def append(self, name: str, ids: range) -> None:
        self.catalog.load_table(name).append(pa.table({"id": pa.array(ids, pa.int64())}))
        self.close()

    def plan(self, name: str, *only: str, layout: dict[str, Any] | None = None, accept: str = "") -> Path:
        """A plan of the tables that match, or of everything."""
        rules = layout or {f"s3://{bucket}/": f"{bucket}/" for bucket in OLD}
        lines = ["[source]", f'endpoint_url = "{self.server.endpoint_url}"', "[target]", f'bucket = "{TARGET}"']
        lines += ["[layout]", *(f'"{old}" = ' + (f'"{new}"' if new else "false") for old, new in rules.items())]
        lines += ["[catalogs.ice]", 'type = "sql"', f'uri = "sqlite:///{self.folder}/catalog.db"']
        lines += ["[tables]", f"only = {list(only)}", "[plan]", f"accept = {[accept] if accept else []}"]
        config = self.folder / f"{name}.toml"
        config.write_text("\n".join(lines))
        path = self.folder / f"{name}.db"
        self.close()
        self.described = api.plan_lake(load(config), path)
        return path

    def findings(self, code: str) -> list[dict[str, Any]]:
        """The findings of the last plan."""
        return [dict(finding) for finding in self.described["findings"] if finding["code"] == code]

    def pointers(self) -> dict[str, str]:
        """Table → the bucket of its metadata file."""
        catalog = self.catalog
        found = {name: catalog.load_table(name).metadata_location.split("/")[2] for name in TABLES}
        self.close()
        return found

    def rows(self) -> dict[str, list[int]]:
        catalog = self.catalog
        found = {name: sorted(catalog.load_table(name).scan().to_arrow()["id"].to_pylist()) for name in TABLES}
        self.close()
        return found

    def location_of(self, namespace: str) -> str:
        location = str(self.catalog.load_namespace_properties(namespace)["location"])
        self.close()
        return location

    def keys(self, bucket: str) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {e["Key"] for page in pages for e in page.get("Contents", []) if not is_own(e["Key"])}

    def drop(self, *buckets: str) -> None:
        for bucket in buckets:
            for key in self.keys(bucket):
                self.client.delete_object(Bucket=bucket, Key=key)
            self.client.delete_bucket(Bucket=bucket)


@pytest.fixture
def lake(own_server: Server, tmp_path: Path) -> Lake:
    return Lake(own_server, tmp_path)


def test_wave_after_wave_until_the_old_buckets_can_go(lake: Lake) -> None:
    before = lake.rows()
    one = lake.plan("one", "gold.*")
    assert not lake.described["blocked"], lake.described["findings"]
    assert [t["state"] for t in lake.described["tables"]] == ["later", "rewrite", "rewrite", "later"]
    later = lake.described["later"]
    assert later is not None and later["tables"] == 2 and later["objects"] > 10 and later["bytes"] > 0
    assert lake.findings("later-wave")[0]["count"] == later["objects"]
    assert api.migrate_lake(one).ok
    assert lake.pointers() == {"bronze.raw": "bronze", "silver.orders": "silver"} | dict.fromkeys(TABLES[2:], TARGET)
    moved = lake.keys(TARGET)
    assert {key.split("/")[0] for key in moved} == {"gold", "silver"} and lake.rows() == before
    assert "gold/wh/report/data/orphan.parquet" in moved
    assert all(key.startswith("silver/span-data/") for key in moved if key.startswith("silver/"))
    assert not {f"{bucket}/{key}" for bucket, key in LOOSE} & moved
    assert lake.location_of("gold") == f"s3://{TARGET}/gold/wh" and lake.location_of("silver") == "s3://silver/wh"

    lake.append("silver.orders", range(900, 903))  # writes to other tables do not matter to the first wave
    assert api.verify_lake(one).ok and api.migrate_lake(one).nothing_to_do

    lake.append("gold.span", range(910, 912))
    before = lake.rows()
    two = lake.plan("two", "silver.*", "bronze.*")
    assert not lake.described["blocked"], lake.described["findings"]
    assert [t["state"] for t in lake.described["tables"]] == ["rewrite", "earlier", "earlier", "rewrite"]
    assert api.migrate_lake(two).ok
    assert set(lake.pointers().values()) == {TARGET} and lake.rows() == before
    assert moved <= lake.keys(TARGET)
    assert api.verify_lake(one).ok and api.verify_lake(two).ok

    rest = lake.plan("rest")
    assert not lake.described["blocked"] and lake.described["later"] is None
    assert {table["state"] for table in lake.described["tables"]} == {"migrated"}
    assert api.migrate_lake(rest).ok
    assert {f"{bucket}/{key}" for bucket, key in LOOSE} <= lake.keys(TARGET)
    lake.drop(*OLD)
    assert lake.rows() == before
    assert api.verify_lake(rest).ok and api.verify_lake(one).ok and api.verify_lake(two).ok


def test_rolling_back_one_wave_leaves_the_other_alone(lake: Lake) -> None:
    before = lake.rows()
    one = lake.plan("one", "gold.*")
    assert api.migrate_lake(one).ok
    two = lake.plan("two", "ice.silver.orders")
    assert api.migrate_lake(two).ok
    done = api.rollback_lake(one)
    assert sorted(done.put_back) == ["ice.gold.report", "ice.gold.span"]
    assert lake.pointers() == {
        "bronze.raw": "bronze",
        "silver.orders": TARGET,
        "gold.report": "gold",
        "gold.span": "gold",
    }
    assert lake.location_of("gold") == "s3://gold/wh" and lake.location_of("silver") == f"s3://{TARGET}/silver/wh"
    assert lake.rows() == before and api.verify_lake(two).ok and api.migrate_lake(two).nothing_to_do
    assert api.migrate_lake(one).ok and set(lake.pointers().values()) == {TARGET, "bronze"}
    assert lake.rows() == before


def test_a_wave_is_retired_while_the_rest_is_in_use(lake: Lake) -> None:
    one = lake.plan("one", "gold.*")
    assert api.migrate_lake(one).ok
    rest = {bucket: lake.keys(bucket) for bucket in OLD}
    lake.append("bronze.raw", range(950, 953))
    lake.catalog.create_table("silver.new", pa.schema([("id", pa.int64())]), "s3://silver/wh/new")
    before = lake.rows()
    two = lake.plan("two", "silver.*")
    assert api.migrate_lake(two).ok
    retired = api.retire_lake(one, confirm=TARGET, cooling="0")
    assert retired.ok
    assert lake.keys("gold") == {"notes.txt"}
    assert rest["bronze"] <= lake.keys("bronze")
    assert rest["silver"] - lake.keys("silver") == {k for k in rest["silver"] if k.startswith("span-data/")}
    assert lake.rows() == before and api.verify_lake(two).ok


def test_a_newer_plan_for_the_same_tables_replaces_a_wave(lake: Lake) -> None:
    one = lake.plan("one", "gold.*")
    api.migrate_lake(one, cutover=False)
    two = lake.plan("two", "gold.report", "silver.*")
    assert api.migrate_lake(two).ok
    with pytest.raises(PlanStale, match="superseded"):
        api.migrate_lake(one)


def test_waves_of_a_live_lake(lake: Lake) -> None:
    """Writers of other tables do not delay the cutover, and no new plan is needed for them."""
    one = lake.plan("one", "gold.*")
    api.copy_lake(one)
    lake.append("gold.report", range(960, 962))
    lake.catalog.create_table("bronze.fresh", pa.schema([("id", pa.int64())]), "s3://bronze/wh/fresh")
    before = lake.rows()
    done = api.cutover_lake(one, quiet_for=0.2, wait=30)
    assert done.migration.ok and set(done.held_up) == {"ice.gold.report", "ice.gold.span"}
    assert lake.rows() == before and lake.pointers()["bronze.raw"] == "bronze"


def test_files_of_two_tables_one_of_which_moves(lake: Lake) -> None:
    """The branch of gold.report is registered a second time: both names can be read, and nothing is deleted."""
    pointer = lake.catalog.load_table("gold.report").metadata_location
    lake.catalog.register_table("bronze.copy", pointer)
    before = lake.rows()
    one = lake.plan("one", "gold.*")
    assert not lake.described["blocked"]
    (shared,) = lake.findings("shared-files")
    assert shared["place"] == "ice.gold.report" and "ice.bronze.copy" in shared["message"]
    assert api.migrate_lake(one).ok and lake.rows() == before
    assert lake.catalog.load_table("bronze.copy").metadata_location == pointer
    assert lake.catalog.load_table("bronze.copy").scan().to_arrow().num_rows == 5
    lake.close()
    with pytest.raises(RetireRefused, match=r"bronze\.copy"):
        api.retire_lake(one, confirm=TARGET, cooling="0")


def test_a_pattern_that_matches_nothing_is_an_error(lake: Lake) -> None:
    with pytest.raises(ConfigError, match=r"'gold\.reprot'.* matches no table") as caught:
        lake.plan("one", "silver.*", "gold.reprot")
    assert "ice.gold.report" in (caught.value.next_move or "") and not (lake.folder / "one.db").exists()


def test_part_of_a_namespace_keeps_its_location(lake: Lake) -> None:
    one = lake.plan("one", "gold.report")
    (kept,) = [f for f in lake.findings("later-namespace") if f["place"] == "ice.gold"]
    assert "s3://gold/wh" in kept["message"]
    assert api.migrate_lake(one).ok and lake.location_of("gold") == "s3://gold/wh"
    assert api.migrate_lake(lake.plan("two", "gold.*")).ok and lake.location_of("gold") == f"s3://{TARGET}/gold/wh"


def test_bucket_after_bucket(lake: Lake) -> None:
    """``gold.span`` spans the first two waves: it reads the rest of its files where they are, until they move."""
    before = lake.rows()
    first: dict[str, Any] = {"s3://gold/": "gold/", "s3://silver/": False, "s3://bronze/": False}
    lake.plan("refused", layout=first)
    (span,) = lake.findings("spanning-table")
    assert lake.described["blocked"] and span["place"] == "ice.gold.span"
    assert "2 files in s3://silver/" in span["message"] and "no file" in span["message"]
    one = lake.plan("one", layout=first, accept="spanning-table")
    assert not lake.described["blocked"], lake.described["findings"]
    assert api.migrate_lake(one).ok
    assert lake.pointers() == {"bronze.raw": "bronze", "silver.orders": "silver"} | dict.fromkeys(TABLES[2:], TARGET)
    lake.append("gold.span", range(980, 982))
    before["gold.span"] += [980, 981]
    assert lake.rows() == before and api.verify_lake(one, deep=True).ok
    retired = api.retire_lake(one, confirm=TARGET, cooling="0", remove_buckets=True)
    assert retired.ok and lake.keys("silver") and lake.rows() == before
    assert "gold" not in {bucket["Name"] for bucket in lake.client.list_buckets()["Buckets"]}

    second = {"s3://silver/": "silver/", "s3://bronze/": "bronze/"}
    two = lake.plan("two", layout=second)
    assert {f["code"] for f in lake.described["findings"] if f["severity"] == "block"} == {"half-moved"}
    assert "migrator relocate" in lake.findings("half-moved")[0]["next_move"]
    at = lake.catalog.load_table("gold.span").metadata_location
    location = f"s3://{TARGET}/gold/wh/span"
    moves = [("s3://silver/span-data", f"s3://{TARGET}/silver/span-data")]
    moved = api.relocate_table(at, location, also=moves, endpoint_url=lake.server.endpoint_url)
    lake.catalog.drop_table("gold.span")
    lake.catalog.register_table("gold.span", moved.metadata_location)
    two.unlink()
    two = lake.plan("two", layout=second)
    assert not lake.described["blocked"], lake.described["findings"]
    assert api.migrate_lake(two).ok
    lake.drop("silver", "bronze")
    assert lake.rows() == before and set(lake.pointers().values()) == {TARGET}
