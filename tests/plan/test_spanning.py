"""A table some of whose data files move, and others do not, because a rule leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iceberg.tables import entry, position_deletes
from migrator.store import Store
from plan.handmade import CURRENT, LAYOUT, LOCATION, Named, blocks, data_file, delete_rows, entries_at_target, migrated
from plan.handmade import table as make_table
from plan.places import replan

STAYING = "s3a://landing/x/b.parquet"
LEAVES: dict[str, str | bool] = {**LAYOUT, "s3://landing/": False}
ACCEPT = ("spanning-table",)


@pytest.fixture
def spanning(lake: Store) -> Store:
    lake.create_bucket("landing")
    make_table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), data_file(lake, STAYING))
    return lake


def finding(described: dict[str, Any]) -> dict[str, Any]:
    (only,) = [f for f in described["findings"] if f["code"] == "spanning-table"]
    return dict(only)


def test_a_spanning_table_blocks_until_it_is_accepted(spanning: Store, tmp_path: Path) -> None:
    described = replan(spanning, tmp_path, Named(CURRENT), layout=LEAVES)
    assert blocks(described) == ["spanning-table"] and described["tables"][0]["data_files"] == 2
    found = finding(described)
    assert found["place"] == "lake.db.t0"
    assert "1 file in s3://bronze/" in found["message"] and "1 file in s3://landing/" in found["message"]
    assert not replan(spanning, tmp_path, Named(CURRENT), layout=LEAVES, accept=ACCEPT)["blocked"]
    migrated(spanning, tmp_path)
    paths = [e["data_file"]["file_path"] for e in entries_at_target(spanning, "bronze/t/metadata/m0.avro")]
    assert paths == ["s3a://data-lake/bronze/t/data/a.parquet", STAYING]
    assert [found.key for found in spanning.list("data-lake", "landing/")] == []


def test_without_a_rule_nobody_has_decided(spanning: Store, tmp_path: Path) -> None:
    assert blocks(replan(spanning, tmp_path, Named(CURRENT), accept=ACCEPT)) == ["unmapped-path"]


@pytest.mark.parametrize(("change", "code"), [("delete", "missing-object"), ("resize", "size-differs")])
def test_what_stays_must_be_there(spanning: Store, tmp_path: Path, change: str, code: str) -> None:
    if change == "delete":
        spanning.delete("landing", "x/b.parquet")
    else:
        data_file(spanning, f"{LOCATION}/data/a.parquet")
        make_table(spanning, entry(STAYING, file_size_in_bytes=999))
    assert blocks(replan(spanning, tmp_path, Named(CURRENT), layout=LEAVES, accept=ACCEPT)) == [code]


def test_deletes_of_a_file_that_stays_keep_its_path(spanning: Store, tmp_path: Path) -> None:
    deletes = f"{LOCATION}/data/d.parquet"
    size = delete_rows(spanning, deletes, [STAYING])
    make_table(spanning, data_file(spanning, STAYING), position_deletes(deletes, file_size_in_bytes=size))
    described = replan(spanning, tmp_path, Named(CURRENT), layout=LEAVES, accept=ACCEPT)
    assert not described["blocked"] and "dangling-deletes" not in {f["code"] for f in described["findings"]}
    migrated(spanning, tmp_path)
    (moved,) = entries_at_target(spanning, "bronze/t/metadata/m0.avro")
    assert moved["data_file"]["file_path"] == STAYING
    (moved,) = entries_at_target(spanning, "bronze/t/metadata/m1.avro")
    assert moved["data_file"]["file_path"] == "s3a://data-lake/bronze/t/data/d.parquet"


def test_deletes_and_metadata_may_not_stay(spanning: Store, tmp_path: Path) -> None:
    """They hold paths that change."""
    deletes = "s3a://landing/x/d.parquet"
    size = delete_rows(spanning, deletes, [f"{LOCATION}/data/a.parquet"])
    data = data_file(spanning, f"{LOCATION}/data/a.parquet")
    make_table(spanning, data, position_deletes(deletes, file_size_in_bytes=size))
    assert blocks(replan(spanning, tmp_path, Named(CURRENT), layout=LEAVES, accept=ACCEPT)) == ["unmapped-path"]
    make_table(spanning, data)
    layout: dict[str, str | bool] = {**LAYOUT, "s3://bronze/t/metadata/snap-1.avro": False}
    assert blocks(replan(spanning, tmp_path, Named(CURRENT), layout=layout, accept=ACCEPT)) == ["unmapped-path"]
