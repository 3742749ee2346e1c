"""``plan --rule``: a plan carries out some rules of the layout; the others stay for other plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iceberg.tables import position_deletes
from migrator.errors import ConfigError
from migrator.planfile.file import PlanFile
from migrator.store import Store
from plan.handmade import LOCATION, Named, blocks, data_file, delete_rows, migrated, places, put, table
from plan.places import replan

LAYOUT: dict[str, str | bool] = {"s3://bronze/": "bronze/", "s3://warehouse/": "wh/", "s3://bronze/in/": "in/"}
BRONZE, WAREHOUSE, IN = ("s3://bronze/",), ("s3://warehouse/",), ("s3://bronze/in/",)
NAME = "00000-a.metadata.json"


def made(lake: Store, location: str, *files: str, **more: Any) -> str:
    """A table at this location with these data files, and its pointer."""
    table(lake, *(data_file(lake, file) for file in files), location=location, **more)
    return f"{location}/metadata/{NAME}"


def states(described: dict[str, Any]) -> dict[str, str]:
    return {t["name"]: t["state"] for t in described["tables"] if t["catalog"]}


def part(lake: Store, folder: Path, *catalogs: Any, **settings: Any) -> dict[str, Any]:
    return replan(lake, folder, *catalogs, layout=LAYOUT, **settings)


def finding(described: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = [f for f in described["findings"] if f["code"] == code]
    return dict(found)


def test_only_the_objects_of_the_chosen_rule_are_in_the_plan(lake: Store, tmp_path: Path) -> None:
    here = made(lake, LOCATION, f"{LOCATION}/data/a")
    there = made(lake, "s3a://warehouse/t", "s3a://warehouse/t/data/a", **{"table-uuid": "other"})
    for uri in ("s3://bronze/loose", "s3://bronze/in/loose", "s3://warehouse/loose"):
        put(lake, uri, b"x")
    described = part(lake, tmp_path, Named(here=here, there=there), rules=BRONZE)
    assert not described["blocked"] and states(described) == {"here": "rewrite", "there": "later"}
    assert described["rules"] == [*BRONZE] and described["later_rules"] == {WAREHOUSE[0]: "wh/", IN[0]: "in/"}
    assert places(described, "later-wave") == ["--rule"] and not places(described, "left-out")
    with PlanFile.open(tmp_path / "plan.db") as plan:
        assert {row[0] for row in plan.db.execute("SELECT DISTINCT bucket FROM objects")} == {"bronze"}
        assert plan.db.execute("SELECT count(*) FROM objects WHERE key LIKE 'in/%'").fetchone() == (0,)
        assert plan.layout.whole.to_mapping() == LAYOUT and [rule.source for rule in plan.layout.chosen] == [*BRONZE]


def test_a_rule_inside_of_another_one_has_its_own_plan(lake: Store, tmp_path: Path) -> None:
    for uri in ("s3://bronze/loose", "s3://bronze/in/loose"):
        put(lake, uri, b"x")
    described = part(lake, tmp_path, rules=IN)
    assert described["actions"]["copy"]["objects"] == 1 and described["layout"]["s3://bronze/"] is False
    migrated(lake, tmp_path)
    assert lake.find("data-lake", "in/loose") and not lake.find("data-lake", "bronze/loose")


def test_a_bucket_of_another_plan_may_be_gone(lake: Store, tmp_path: Path) -> None:
    put(lake, "s3://bronze/loose", b"x")
    layout = {**LAYOUT, "s3://gone/": "gone/"}
    assert not replan(lake, tmp_path, layout=layout, rules=BRONZE)["blocked"]


def test_a_table_below_rules_of_two_plans_blocks_both(lake: Store, tmp_path: Path) -> None:
    catalog = Named(made(lake, LOCATION, f"{LOCATION}/data/a", "s3://warehouse/far/b"))
    described = part(lake, tmp_path, catalog, rules=BRONZE)
    assert blocks(described) == ["spanning-table"] and states(described) == {"t0": "rewrite"}
    assert "--rule s3://warehouse/" in finding(described, "spanning-table")["next_move"]

    described = part(lake, tmp_path, catalog, rules=WAREHOUSE)
    assert blocks(described) == ["spanning-table"] and states(described) == {"t0": "later"}
    found = finding(described, "spanning-table")
    assert found["place"] == "lake.db.t0" and "s3://warehouse/far/b" in found["message"]
    assert "--rule s3://bronze/" in found["next_move"]

    described = part(lake, tmp_path, catalog, rules=(*BRONZE, *WAREHOUSE))
    assert not described["blocked"] and states(described) == {"t0": "rewrite"}


def test_deletes_below_a_rule_of_another_plan_block_and_cannot_be_accepted(lake: Store, tmp_path: Path) -> None:
    deletes = "s3a://warehouse/x/d.parquet"
    size = delete_rows(lake, deletes, [f"{LOCATION}/data/a"])
    data = data_file(lake, f"{LOCATION}/data/a")
    table(lake, data, position_deletes(deletes, file_size_in_bytes=size), location=LOCATION)
    catalog = Named(f"{LOCATION}/metadata/{NAME}")
    described = part(lake, tmp_path, catalog, rules=BRONZE, accept=("spanning-table",))
    assert blocks(described) == ["unmapped-path"]
    found = finding(described, "unmapped-path")
    assert "which another plan moves" in found["message"] and "--rule s3://warehouse/" in found["next_move"]


def test_a_table_that_another_plan_has_moved(lake: Store, tmp_path: Path) -> None:
    catalog = Named(made(lake, LOCATION, f"{LOCATION}/data/a"))
    put(lake, "s3://warehouse/loose", b"x")
    part(lake, tmp_path, catalog, rules=BRONZE)
    migrated(lake, tmp_path)
    catalog.pointers["t0"] = f"s3a://data-lake/bronze/t/metadata/{NAME}"
    described = part(lake, tmp_path, catalog, rules=WAREHOUSE)
    assert not described["blocked"] and states(described) == {"t0": "earlier"}
    assert not places(described, "extra-at-target")


def test_a_moved_table_that_still_names_files_of_this_plan_is_half_moved(lake: Store, tmp_path: Path) -> None:
    catalog = Named(made(lake, LOCATION, f"{LOCATION}/data/a", "s3://warehouse/far/b"))
    part(lake, tmp_path, catalog, rules=BRONZE, accept=("spanning-table",))
    migrated(lake, tmp_path)
    catalog.pointers["t0"] = f"s3a://data-lake/bronze/t/metadata/{NAME}"
    described = part(lake, tmp_path, catalog, rules=WAREHOUSE)
    assert blocks(described) == ["half-moved"]
    assert "migrator relocate s3a://data-lake/bronze/t/" in finding(described, "half-moved")["next_move"]


@pytest.mark.parametrize("accept", [(), ("file-source-log",)])
def test_a_log_that_names_what_another_plan_moves_blocks(lake: Store, tmp_path: Path, accept: tuple[str, ...]) -> None:
    log = b'v1\n{"path":"s3a://bronze/data/a","timestamp":1,"batchId":0}'
    put(lake, "s3://warehouse/cp/sources/0/0", log)
    put(lake, "s3://bronze/data/a", b"x")
    described = part(lake, tmp_path, rules=WAREHOUSE, accept=accept)
    assert described["blocked"] == (not accept)
    message = finding(described, "file-source-log")["message"]
    assert "another plan moves s3a://bronze/data/a" in message and "--rule s3://bronze/" in message
    described = part(lake, tmp_path, rules=(*BRONZE, *WAREHOUSE))
    assert not described["blocked"]


def test_scripts_get_the_new_paths_of_all_rules(lake: Store, tmp_path: Path) -> None:
    put(lake, "s3://warehouse/job.py", b'read("s3://bronze/x/")\n')
    layout: dict[str, str | bool] = {"s3://warehouse/": "scripts/", "s3://bronze/": "bronze/"}
    described = replan(lake, tmp_path, layout=layout, rules=WAREHOUSE)
    assert "carry out the other plans, too" in finding(described, "scripts-rewritten")["next_move"]


def test_a_rule_that_does_not_exist_is_a_usage_error_before_the_plan_is_made(lake: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no rule of the layout") as caught:
        part(lake, tmp_path, rules=("s3://silver/",))
    assert "s3://bronze/, s3://warehouse/, s3://bronze/in/" in caught.value.next_move
    assert not (tmp_path / "plan.db").exists()
