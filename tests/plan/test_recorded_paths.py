"""Tables that were copied into a bucket from elsewhere: their paths name HDFS, a local disk or another cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iceberg.tables import entry, position_deletes
from migrator.iceberg.deletes import delete_paths
from migrator.store import Store
from plan.handmade import (
    CopiedFrom,
    Named,
    at_target,
    blocks,
    data_file,
    delete_rows,
    entries_at_target,
    migrated,
    places,
    put,
    table,
)
from plan.places import advised, replan

pytestmark = pytest.mark.slow

OLDS = [
    "hdfs://nn:8020/wh",
    "hdfs:///wh",
    "file:/tmp/wh",
    "file:///tmp/wh",
    "gs://other-bucket/wh",
    "abfss://box@account.dfs.core.windows.net/wh",
    "wasb://box@account.blob.core.windows.net/wh",
    "/user/hive/wh",
    "some/wh",
]
NEW = "s3a://bronze/copied"
BUCKETS: dict[str, str | bool] = {"s3://bronze/": "bronze/", "s3://warehouse/": "warehouse/"}


def make(lake: Store, old: str, *, name: str = "00000-a.metadata.json", **more: Any) -> str:
    """A table recorded at OLD/t, with position deletes, copied to NEW/t; returns the pointer that a catalog had."""
    copied = CopiedFrom(lake, old, NEW)
    data, deletes = f"{old}/t/data/a.parquet", f"{old}/t/data/d.parquet"
    size = delete_rows(copied, deletes, [data])
    deleted = position_deletes(deletes, file_size_in_bytes=size)
    table(copied, data_file(copied, data), deleted, location=f"{old}/t", name=name, **more)
    return f"{old}/t/metadata/{name}"


def check_moved(lake: Store, scheme: str = "s3") -> None:
    """Everything in the table names its place at the target."""
    there = f"{scheme}://data-lake/bronze/copied/t"
    metadata = json.loads(at_target(lake, "bronze/copied/t/metadata/00000-a.metadata.json"))
    assert metadata["location"] == there
    assert metadata["snapshots"][0]["manifest-list"] == f"{there}/metadata/snap-1.avro"
    lists = entries_at_target(lake, "bronze/copied/t/metadata/snap-1.avro")
    assert [m["manifest_path"] for m in lists] == [f"{there}/metadata/m{n}.avro" for n in (0, 1)]
    for listed in lists:
        body = at_target(lake, listed["manifest_path"].partition("data-lake/")[2])
        assert listed["manifest_length"] == len(body)
    (deleted,) = entries_at_target(lake, "bronze/copied/t/metadata/m1.avro")
    assert deleted["data_file"]["file_path"] == f"{there}/data/d.parquet"
    body = at_target(lake, "bronze/copied/t/data/d.parquet")
    assert deleted["data_file"]["file_size_in_bytes"] == len(body)
    assert delete_paths(body, "d") == {f"{there}/data/a.parquet"}
    assert at_target(lake, "bronze/copied/t/data/a.parquet") == b"rows"


@pytest.mark.parametrize("named", [True, False], ids=["pointer elsewhere", "no catalog"])
@pytest.mark.parametrize("old", OLDS)
def test_a_rule_says_what_recorded_paths_stand_for(lake: Store, tmp_path: Path, old: str, named: bool) -> None:
    catalogs = [Named(make(lake, old))] if named else []
    make(lake, old)
    described = replan(lake, tmp_path, *catalogs, layout={**BUCKETS, f"{old}/": "bronze/copied/"})
    assert not described["blocked"], described["findings"]
    (only,) = described["tables"]
    assert only["new_location"] == "s3://data-lake/bronze/copied/t"
    if named:
        assert only["old_metadata"] == catalogs[0].pointers["t0"]
        assert only["new_metadata"] == "s3://data-lake/bronze/copied/t/metadata/00000-a.metadata.json"
    assert not {f["code"] for f in described["findings"]} & {"uncatalogued-broken", "missing-history", "missing-object"}
    migrated(lake, tmp_path)
    check_moved(lake)
    again = replan(lake, tmp_path, *catalogs, layout={**BUCKETS, f"{old}/": "bronze/copied/"})
    assert not again["blocked"], again["findings"]


@pytest.mark.parametrize("old", OLDS)
@pytest.mark.parametrize("named", [True, False], ids=["pointer in s3", "no catalog"])
def test_without_a_rule_the_plan_names_the_place_and_a_rule_that_works(
    lake: Store, tmp_path: Path, old: str, named: bool
) -> None:
    make(lake, old)
    catalogs = [Named(f"{NEW}/t/metadata/00000-a.metadata.json")] if named else []
    described = replan(lake, tmp_path, *catalogs, layout=BUCKETS)
    assert described["blocked"] == named
    code = "unmapped-path" if named else "uncatalogued-broken"
    (finding,) = [f for f in described["findings"] if f["code"] == code]
    assert "bronze/copied/t/metadata/00000-a.metadata.json" in finding["place"] and f"{old}/t" in finding["message"]
    assert "migrator relocate s3" in finding["next_move"] and "[layout]" in finding["next_move"]
    rule = json.dumps(f"{old}/t/".replace("file:/tmp", "file:///tmp"))
    assert f'{rule} = "bronze/copied/t/"' in finding["next_move"]
    layout = {**BUCKETS, json.loads(rule): "bronze/copied/t/"}
    described = replan(lake, tmp_path, *catalogs, layout=layout)
    assert not described["blocked"] and not places(described, code), described["findings"]
    migrated(lake, tmp_path)
    check_moved(lake)


def test_a_row_whose_metadata_was_copied_is_told_the_rule(lake: Store, tmp_path: Path) -> None:
    pointer = make(lake, "hdfs://nn:8020/wh", name="00000-9c12d441.metadata.json")
    described = replan(lake, tmp_path, Named(pointer), layout=BUCKETS)
    (finding,) = [f for f in described["findings"] if f["code"] == "outside-table"]
    assert '"hdfs://nn:8020/wh/" = "bronze/copied/"' in finding["next_move"]


def test_spark_gets_the_scheme_that_the_rule_names(lake: Store, tmp_path: Path) -> None:
    pointer = make(lake, "hdfs://nn:8020/wh")
    layout = {**BUCKETS, "hdfs://nn:8020/wh/": "s3a://data-lake/bronze/copied/"}
    (only,) = replan(lake, tmp_path, Named(pointer), layout=layout)["tables"]
    assert only["new_metadata"].startswith("s3a://data-lake/bronze/copied/t/metadata/")
    migrated(lake, tmp_path)
    check_moved(lake, "s3a")


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_hadoop_table_that_was_copied(lake: Store, tmp_path: Path, scheme: str) -> None:
    make(lake, "hdfs://nn:8020/wh", name="v1.metadata.json")
    put(lake, f"{NEW}/t/metadata/version-hint.text", b"1")
    files = Named(f"{scheme}://bronze/copied/t/metadata/v1.metadata.json", kind="hadoop")
    described = replan(lake, tmp_path, files, layout={**BUCKETS, "hdfs://nn:8020/": "bronze/"})
    assert "unmapped-path" in blocks(described) or "missing-object" in blocks(described)  # another place than its own
    described = replan(lake, tmp_path, files, layout={**BUCKETS, "hdfs://nn:8020/wh/": "bronze/copied/"})
    assert not described["blocked"], described["findings"]


def test_what_was_not_copied_is_missing(lake: Store, tmp_path: Path) -> None:
    old = "hdfs://nn:8020/wh"
    copied = CopiedFrom(lake, old, NEW)
    gone = entry(f"{old}/t/data/gone.parquet", file_size_in_bytes=4)
    table(copied, data_file(copied, f"{old}/t/data/a.parquet"), gone, location=f"{old}/t")
    pointer = f"{old}/t/metadata/00000-a.metadata.json"
    described = replan(lake, tmp_path, Named(pointer), layout={**BUCKETS, f"{old}/": "bronze/copied/"})
    assert blocks(described) == ["missing-object"]
    (finding,) = [f for f in described["findings"] if f["code"] == "missing-object"]
    assert f"{old}/t/data/gone.parquet" in finding["message"]
    assert f'"{old}/t/" = false' in finding["next_move"]
    left = {**BUCKETS, f"{old}/": "bronze/copied/", f"{old}/t/": False}
    described = replan(lake, tmp_path, Named(pointer), layout=left)
    assert not described["blocked"] and "lake.db.t0" in places(described, "left-out"), described["findings"]


def test_files_outside_of_the_location_are_found_by_their_names(lake: Store, tmp_path: Path) -> None:
    old = "hdfs://nn:8020/wh"
    copied, data = CopiedFrom(lake, old, NEW), CopiedFrom(lake, "hdfs://nn:8020/data", "s3://warehouse/raw")
    table(copied, data_file(data, "hdfs://nn:8020/data/t/a.parquet"), location=f"{old}/t")
    pointer = f"{old}/t/metadata/00000-a.metadata.json"
    layout = {**BUCKETS, f"{old}/": "bronze/copied/"}
    described = replan(lake, tmp_path, Named(pointer), layout=layout)
    assert blocks(described) == ["unmapped-path"]
    layout |= advised(described, "unmapped-path")
    assert layout["hdfs://nn:8020/data/"] == "warehouse/raw/"
    described = replan(lake, tmp_path, Named(pointer), layout=layout)
    assert not described["blocked"], described["findings"]


def test_a_mix_of_spellings_that_would_let_deletes_apply_is_asked(lake: Store, tmp_path: Path) -> None:
    """Java compares paths as texts: a delete for file:///x does not apply to file:/x, but at the target it would."""
    copied = CopiedFrom(lake, "file:/wh", NEW)
    data = data_file(copied, "file:/wh/t/data/a.parquet")
    size = delete_rows(copied, "file:/wh/t/data/d.parquet", ["file:///wh/t/data/a.parquet"])
    deleted = position_deletes("file:/wh/t/data/d.parquet", file_size_in_bytes=size)
    table(copied, data, deleted, location="file:/wh/t")
    pointer = "file:/wh/t/metadata/00000-a.metadata.json"
    described = replan(lake, tmp_path, Named(pointer), layout={**BUCKETS, "file:///wh/": "bronze/copied/"})
    assert blocks(described) == ["mixed-schemes"]


def test_two_tables_of_one_old_place_stay_nested_as_they_were(lake: Store, tmp_path: Path) -> None:
    old = "hdfs://nn:8020/wh"
    make(lake, old)
    inner = CopiedFrom(lake, old, NEW)
    table(inner, location=f"{old}/t/inner", **{"table-uuid": "11111111-03fe-4693-9a96-a0705ddf69c1"})
    catalog = Named(*(f"{old}/{name}/metadata/00000-a.metadata.json" for name in ("t", "t/inner")))
    described = replan(lake, tmp_path, catalog, layout={**BUCKETS, f"{old}/": "bronze/copied/"})
    assert not described["blocked"], described["findings"]
    assert len(described["tables"]) == 2
