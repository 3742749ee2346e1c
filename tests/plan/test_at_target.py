"""A table that was written to at the target is never set back to an older state, neither by a restored catalog nor by a
version hint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.store import Store
from plan.handmade import LAYOUT, LOCATION, Named, at_target, blocks, data_file, migrated, places, put, table
from plan.places import advised, append, cut_over, make, replan, rows

pytestmark = pytest.mark.slow

HINT = f"{LOCATION}/metadata/version-hint.text"


def restored(lake: Store, folder: Path) -> tuple[Named, str, str]:
    """A table that was cut over and written to, and its catalog set back: (catalog, old pointer, newest pointer)."""
    old = make(lake, "s3a://bronze/db/t").metadata_location
    catalog = Named(t=old)
    cut_over(lake, folder, catalog)
    newest = append(lake, append(lake, catalog.pointers["t"], "data-lake"), "data-lake")
    catalog.pointers["t"] = old
    return catalog, old, newest


def test_a_pointer_that_was_set_back_blocks_and_names_both_places(lake: Store, tmp_path: Path) -> None:
    catalog, old, newest = restored(lake, tmp_path)
    described = replan(lake, tmp_path, catalog)
    assert blocks(described) == ["target-ahead"]
    (found,) = [f for f in described["findings"] if f["code"] == "target-ahead"]
    assert found["place"] == newest and old in found["message"] and newest in found["message"]
    assert "lake.db.t" in found["message"]


def test_the_catalog_can_be_pointed_at_what_was_written(lake: Store, tmp_path: Path) -> None:
    catalog, _, newest = restored(lake, tmp_path)
    described = replan(lake, tmp_path, catalog)
    (move,) = [f["next_move"] for f in described["findings"] if f["code"] == "target-ahead"]
    assert f"To keep what was written at the target, set t to {newest}." in move
    catalog.pointers["t"] = newest
    described = replan(lake, tmp_path, catalog)
    assert not described["blocked"] and [t["state"] for t in described["tables"]] == ["migrated"]
    assert rows(lake, newest) == 12


def test_the_old_state_can_get_its_own_place(lake: Store, tmp_path: Path) -> None:
    catalog, _, newest = restored(lake, tmp_path)
    rules = advised(replan(lake, tmp_path, catalog), "target-ahead")
    assert rules == {"s3://bronze/db/t/": "bronze/db/t-2/"}
    cut_over(lake, tmp_path, catalog, {**LAYOUT, **rules})
    assert (rows(lake, catalog.pointers["t"]), rows(lake, newest)) == (6, 12)


def test_two_histories_block(lake: Store, tmp_path: Path) -> None:
    """Both places were written to after the cutover, and the old one has more versions now."""
    catalog, *_ = restored(lake, tmp_path)
    for _ in range(4):
        catalog.pointers["t"] = append(lake, catalog.pointers["t"], "bronze")
    assert blocks(replan(lake, tmp_path, catalog)) == ["target-ahead"]


def test_metadata_that_the_old_place_has_dropped_are_its_past(lake: Store, tmp_path: Path) -> None:
    """Copied early with --no-cutover; then the writers continue in the old place, and delete their oldest metadata."""
    catalog = Named(t=make(lake, "s3a://bronze/db/t").metadata_location)
    assert not replan(lake, tmp_path, catalog)["blocked"]
    migrated(lake, tmp_path)
    catalog.pointers["t"] = append(lake, catalog.pointers["t"], "bronze")
    oldest = min(o.key for o in lake.list("bronze", "db/t/metadata/0"))
    lake.client.delete_object(Bucket="bronze", Key=oldest)
    cut_over(lake, tmp_path, catalog)
    assert rows(lake, catalog.pointers["t"]) == 9


def test_a_table_that_no_given_catalog_names_lives_on_at_the_target(lake: Store, tmp_path: Path) -> None:
    """The catalog is just not given this time."""
    restored(lake, tmp_path)
    described = replan(lake, tmp_path)
    assert not described["blocked"] and not described["changes_pending"]
    assert [t["state"] for t in described["tables"]] == ["migrated"]


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format-version": 2, "table-uuid": "'])
def test_what_cannot_be_read_at_the_target_is_a_warning(lake: Store, tmp_path: Path, damage: bytes) -> None:
    catalog = Named(t=make(lake, "s3a://bronze/db/t").metadata_location)
    stray = "s3a://data-lake/bronze/db/t/metadata/00009-x.metadata.json"
    put(lake, stray, damage)
    described = replan(lake, tmp_path, catalog)
    assert not described["blocked"] and places(described, "target-unreadable") == [stray]


def test_another_table_at_the_target_that_no_catalog_names_is_a_warning(lake: Store, tmp_path: Path) -> None:
    there = make(lake, "s3a://data-lake/bronze/db/t").metadata_location
    described = replan(lake, tmp_path, Named(t=make(lake, "s3a://bronze/db/t").metadata_location))
    assert not described["blocked"] and places(described, "tables-overlap") == [there]


# -- Hadoop tables -----------------------------------------------------------------------------------------


def commit(store: Store, location: str, version: int, snapshot: int) -> None:
    """The next version of a Hadoop table: its last one, with one more snapshot."""
    name = f"{location}/metadata/v{version - 1}.metadata.json"
    bucket, _, key = name.partition("://")[2].partition("/")
    document: dict[str, Any] = json.loads(store.get(bucket, key).data)
    last = document["snapshots"][-1]
    document["snapshots"].append({**last, "snapshot-id": snapshot, "timestamp-ms": version})
    document |= {"current-snapshot-id": snapshot, "last-updated-ms": version}
    document["metadata-log"] = [*document.get("metadata-log", []), {"timestamp-ms": version - 1, "metadata-file": name}]
    put(store, f"{location}/metadata/v{version}.metadata.json", json.dumps(document).encode())
    put(store, f"{location}/metadata/version-hint.text", str(version).encode())


THERE = "s3a://data-lake/bronze/t"


@pytest.fixture
def cut_over_hadoop(lake: Store, tmp_path: Path) -> Named:
    """A Hadoop table at version 2 in both places."""
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), name="v1.metadata.json")
    commit(lake, LOCATION, 2, 2)
    catalog = Named(f"{LOCATION}/metadata/v2.metadata.json", kind="hadoop")
    assert not replan(lake, tmp_path, catalog)["blocked"]
    migrated(lake, tmp_path)
    put(lake, f"{THERE}/metadata/version-hint.text", b"2")
    return catalog


def test_a_hadoop_table_that_went_on_at_the_target_lives_there(
    lake: Store, tmp_path: Path, cut_over_hadoop: Named
) -> None:
    commit(lake, THERE, 3, 3)
    described = replan(lake, tmp_path, cut_over_hadoop)
    assert not described["blocked"] and not described["changes_pending"]
    assert [(t["state"], t["new_metadata"]) for t in described["tables"]] == [
        ("migrated", f"{THERE}/metadata/v3.metadata.json")
    ]


@pytest.mark.parametrize("ahead", [3, 4])
def test_a_hadoop_table_with_two_histories_blocks(
    lake: Store, tmp_path: Path, cut_over_hadoop: Named, ahead: int
) -> None:
    """Both places have new commits: the same version with other contents, or more versions in one place."""
    for version in range(3, ahead + 1):
        commit(lake, THERE, version, version)
    commit(lake, LOCATION, 3, 33)
    cut_over_hadoop.pointers["t0"] = f"{LOCATION}/metadata/v3.metadata.json"
    described = replan(lake, tmp_path, cut_over_hadoop)
    assert "target-ahead" in blocks(described)
    rules = advised(described, "target-ahead")
    assert rules == {"s3://bronze/t/": "bronze/t-2/"}
    assert not replan(lake, tmp_path, cut_over_hadoop, layout={**LAYOUT, **rules})["blocked"]
    migrated(lake, tmp_path)
    assert at_target(lake, "bronze/t/metadata/version-hint.text") == str(ahead).encode()


def test_a_hadoop_table_with_new_commits_in_the_old_place_blocks_and_the_next_move_works(
    lake: Store, tmp_path: Path, cut_over_hadoop: Named
) -> None:
    commit(lake, LOCATION, 3, 3)
    cut_over_hadoop.pointers["t0"] = f"{LOCATION}/metadata/v3.metadata.json"
    described = replan(lake, tmp_path, cut_over_hadoop)
    assert blocks(described) == ["target-behind"]
    rules = advised(described, "target-behind")
    assert not replan(lake, tmp_path, cut_over_hadoop, layout={**LAYOUT, **rules})["blocked"]


def test_a_hint_at_the_target_that_leads_to_damage_is_no_crash(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), name="v1.metadata.json")
    put(lake, HINT, b"1")
    put(lake, f"{THERE}/metadata/v0.metadata.json", b"{")
    put(lake, f"{THERE}/metadata/version-hint.text", b"0")
    described = replan(lake, tmp_path, Named(f"{LOCATION}/metadata/v1.metadata.json", kind="hadoop"))
    assert not described["blocked"]
    assert set(places(described, "target-unreadable")) == {f"{THERE}/metadata/v0.metadata.json"}
