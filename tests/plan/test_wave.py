"""[tables] only: some tables move now, with all objects under their locations, and everything else moves later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.cutover.source_changes import find_source_changes
from migrator.errors import ConfigError
from migrator.planfile.file import PlanFile
from migrator.planfile.wave import is_wave
from migrator.progress import Progress
from migrator.store import Store, is_own
from plan.handmade import LAYOUT, LOCATION, Named, blocks, data_file, entries_at_target, migrated, places, put, table
from plan.places import append, cut_over, make, replan

NAME = "00000-a.metadata.json"


def at(location: str) -> str:
    return f"{location}/metadata/{NAME}"


def simple(lake: Store, location: str, **more: Any) -> str:
    """A table with one data file, and its pointer."""
    table(lake, data_file(lake, f"{location}/data/a.parquet"), location=location, **more)
    return at(location)


def keys(lake: Store) -> list[str]:
    return sorted(found.key for found in lake.list("data-lake") if not is_own(found.key))


def states(described: dict[str, Any]) -> dict[str, str]:
    return {t["name"]: t["state"] for t in described["tables"] if t["catalog"]}


def test_only_the_chosen_table_moves_with_all_that_lies_under_its_location(lake: Store, tmp_path: Path) -> None:
    catalog = Named(now=simple(lake, LOCATION), later=simple(lake, "s3a://bronze/u", **{"table-uuid": "u"}))
    for uri in (f"{LOCATION}/data/orphan", f"{LOCATION}/extra/x", "s3a://bronze/t2/x", "s3a://warehouse/x"):
        put(lake, uri, b"x")
    described = replan(lake, tmp_path, catalog, only=("db.now",))
    assert not described["blocked"] and states(described) == {"now": "rewrite", "later": "later"}
    assert described["later"] == {"tables": 1, "objects": 6, "bytes": described["actions"]["skip"]["bytes"]}
    migrated(lake, tmp_path)
    parts = ("data/a.parquet", "data/orphan", "extra/x", f"metadata/{NAME}", "metadata/m0.avro", "metadata/snap-1.avro")
    assert keys(lake) == [f"bronze/t/{part}" for part in parts]


def test_without_patterns_a_plan_is_no_wave(lake: Store, tmp_path: Path) -> None:
    described = replan(lake, tmp_path, Named(simple(lake, LOCATION)))
    assert described["later"] is None and not places(described, "later-wave")
    with PlanFile.open(tmp_path / "plan.db") as plan:
        assert not is_wave(plan)


@pytest.mark.parametrize("pattern", ["db.t?", "t0", "lake.t0", "LAKE.db.t0", ""])
def test_a_pattern_that_matches_no_table(lake: Store, tmp_path: Path, pattern: str) -> None:
    catalog = Named(simple(lake, LOCATION))
    if pattern == "db.t?":
        assert states(replan(lake, tmp_path, catalog, only=(pattern,))) == {"t0": "rewrite"}
        return
    with pytest.raises(ConfigError, match="matches no table"):
        replan(lake, tmp_path, catalog, only=("db.*", pattern))


def test_leave_goes_before_only(lake: Store, tmp_path: Path) -> None:
    catalog = Named(simple(lake, LOCATION), simple(lake, "s3a://bronze/u", **{"table-uuid": "u"}))
    described = replan(lake, tmp_path, catalog, only=("db.*",), leave=("db.t1",))
    assert states(described) == {"t0": "rewrite", "t1": "left"} and described["later"]["objects"] == 0


def test_files_that_another_table_names_too_are_copied_and_reported(lake: Store, tmp_path: Path) -> None:
    shared = data_file(lake, "s3a://bronze/shared/s.parquet")
    table(lake, shared, data_file(lake, f"{LOCATION}/data/a.parquet"))
    table(lake, shared, location="s3a://bronze/u", **{"table-uuid": "u"})
    catalog = Named(now=at(LOCATION), later=at("s3a://bronze/u"))
    described = replan(lake, tmp_path, catalog, only=("db.now",))
    (found,) = [f for f in described["findings"] if f["code"] == "shared-files"]
    assert found["place"] == "lake.db.now" and "1 file with lake.db.later" in found["message"]
    assert "s3://bronze/shared/s.parquet" in found["message"] and found["severity"] == "warn"
    migrated(lake, tmp_path)
    assert "bronze/shared/s.parquet" in keys(lake) and not [k for k in keys(lake) if k.startswith("bronze/u")]


def test_two_tables_in_one_place(lake: Store, tmp_path: Path) -> None:
    """A file that only the other table names stays with that table. Each table has its own metadata."""
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    manifest = {"name": "00000-b.metadata.json", "table-uuid": "u"}
    other = "s3a://bronze/t/sub"
    table(lake, data_file(lake, f"{LOCATION}/data/b.parquet"), location=other, **manifest)
    catalog = Named(now=at(LOCATION), later=f"{other}/metadata/00000-b.metadata.json")
    described = replan(lake, tmp_path, catalog, only=("db.now",))
    assert not blocks(described) and states(described) == {"now": "rewrite", "later": "later"}
    migrated(lake, tmp_path)
    assert not [key for key in keys(lake) if "/sub/" in key or key.endswith("b.parquet")]
    assert "bronze/t/data/a.parquet" in keys(lake)


def test_a_table_that_lies_inside_of_another_one_moves_alone(lake: Store, tmp_path: Path) -> None:
    inner = "s3a://bronze/t/nested"
    catalog = Named(outer=simple(lake, LOCATION), inner=simple(lake, inner, **{"table-uuid": "u"}))
    replan(lake, tmp_path, catalog, only=("db.inner",))
    migrated(lake, tmp_path)
    assert {key.rpartition("/")[0] for key in keys(lake)} == {"bronze/t/nested/data", "bronze/t/nested/metadata"}


def test_one_metadata_file_under_two_names(lake: Store, tmp_path: Path) -> None:
    catalog = Named(simple(lake, LOCATION), simple(lake, LOCATION))
    described = replan(lake, tmp_path, catalog, only=("db.t0",))
    assert states(described) == {"t0": "rewrite", "t1": "later"} and places(described, "shared-files") == ["lake.db.t0"]
    migrated(lake, tmp_path)
    (entry,) = entries_at_target(lake, "bronze/t/metadata/m0.avro")
    assert entry["data_file"]["file_path"] == "s3a://data-lake/bronze/t/data/a.parquet"


def test_what_no_catalog_names_stays(lake: Store, tmp_path: Path) -> None:
    simple(lake, "s3a://bronze/dropped", **{"table-uuid": "u"})
    put(lake, "s3a://bronze/u/metadata/00001-x.metadata.json", b"cut off")
    described = replan(lake, tmp_path, Named(simple(lake, LOCATION)), only=("db.*",))
    assert not places(described, "uncatalogued-table") and not places(described, "stray-metadata")
    assert not described["unregistered"]
    migrated(lake, tmp_path)
    assert not [key for key in keys(lake) if not key.startswith("bronze/t/")]


def test_a_broken_table_of_another_wave_blocks_nothing(lake: Store, tmp_path: Path) -> None:
    catalog = Named(simple(lake, LOCATION), broken="s3a://bronze/gone/metadata/00000-a.metadata.json")
    assert blocks(replan(lake, tmp_path, catalog)) == ["missing-object"]
    described = replan(lake, tmp_path, catalog, only=("db.t0",))
    assert not described["blocked"] and states(described)["broken"] == "later"


def test_overlaps_matter_to_the_tables_that_move(lake: Store, tmp_path: Path) -> None:
    layout: dict[str, str | bool] = {"s3://bronze/": "all/", "s3://warehouse/": "all/"}
    first = simple(lake, "s3a://bronze/x")
    catalog = Named(first, simple(lake, "s3a://warehouse/x", **{"table-uuid": "u"}), alone=simple(lake, LOCATION))
    assert "tables-overlap" in blocks(replan(lake, tmp_path, catalog, layout=layout, only=("db.t0",)))
    assert not blocks(replan(lake, tmp_path, catalog, layout=layout, only=("db.alone",)))


def test_the_next_wave_takes_the_rest_and_leaves_the_first_alone(lake: Store, tmp_path: Path) -> None:
    one, two = make(lake, "s3a://bronze/db/one"), make(lake, "s3a://bronze/db/two")
    catalog = Named(one=one.metadata_location, two=two.metadata_location)
    described = replan(lake, tmp_path, catalog, only=("db.one",))
    migrated(lake, tmp_path)
    (moved,) = [t["new_metadata"] for t in described["tables"] if t["state"] == "rewrite"]
    catalog.pointers["one"] = append(lake, moved, "data-lake")
    before = {found.key: found.etag for found in lake.list("data-lake", "bronze/db/one/")}
    described = replan(lake, tmp_path, catalog, only=("db.two",))
    assert not described["blocked"] and states(described) == {"one": "earlier", "two": "rewrite"}
    assert described["later"]["tables"] == 0
    migrated(lake, tmp_path)
    assert {found.key: found.etag for found in lake.list("data-lake", "bronze/db/one/")} == before
    cut_over(lake, tmp_path, catalog)
    assert states(replan(lake, tmp_path, catalog)) == {"one": "migrated", "two": "migrated"}


def test_only_writes_to_the_tables_of_the_wave_are_changes(lake: Store, tmp_path: Path) -> None:
    catalog = Named(now=simple(lake, LOCATION), later=simple(lake, "s3a://bronze/u", **{"table-uuid": "u"}))
    replan(lake, tmp_path, catalog, only=("db.now",))
    for uri in ("s3a://bronze/u/data/new", "s3a://bronze/u/data/a.parquet", "s3a://bronze/loose", "s3a://warehouse/x"):
        put(lake, uri, b"somebody writes")
    with PlanFile.open(tmp_path / "plan.db") as plan:
        assert not find_source_changes(plan, lake, Progress())
        put(lake, f"{LOCATION}/data/late", b"late")
        put(lake, f"{LOCATION}/data/a.parquet", b"changed")
        changes = find_source_changes(plan, lake, Progress())
    assert (changes.added, changes.changed, changes.removed) == (1, 1, 0)


def test_older_versions_of_what_stays_stay(lake: Store, tmp_path: Path) -> None:
    for bucket in ("bronze", "data-lake"):
        lake.keep_versions(bucket)
    catalog = Named(now=simple(lake, LOCATION))
    for uri in (f"{LOCATION}/data/a.parquet", "s3a://bronze/loose", "s3a://bronze/loose"):
        put(lake, uri, b"rows")
    described = replan(lake, tmp_path, catalog, only=("db.now",), all_versions=True, layout=LAYOUT)
    assert described["versions"]["copy"]["keys"] == 1
