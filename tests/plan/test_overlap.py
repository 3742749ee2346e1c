"""Two tables must not get one place: tables with separate places in the old buckets have separate places at the
target."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.store import Store
from plan.handmade import LAYOUT, Named, blocks, migrated, places, planned, put
from plan.places import Layout, advised, append, cut_over, make, new_locations, replan, rows

MERGED: Layout = {"s3://bronze/": "one/", "s3://warehouse/": "one/"}


@pytest.mark.parametrize(
    ("here", "there", "layout"),
    [
        ("s3a://bronze/db/t", "s3://warehouse/db/t", MERGED),
        ("s3a://bronze/db/t", "s3a://warehouse/db/t/inner", MERGED),
        ("s3a://bronze/db/t/inner", "s3a://warehouse/db/t/", MERGED),
        # one rule leads into the prefix of another
        ("s3a://bronze/t", "s3a://warehouse/db/t", {"s3://bronze/": "one/db/", "s3://warehouse/": "one/"}),
        # nested before, and one place then
        ("s3a://bronze/db", "s3a://bronze/db/t", {"s3://bronze/": "one/", "s3://bronze/db/t/": "one/db/"}),
        # a rule for a folder of the table leads into another table
        ("s3a://bronze/t", "s3a://warehouse/u", {**LAYOUT, "s3://bronze/t/data/": "warehouse/u/data/"}),
    ],
)
def test_two_tables_that_become_one_place_block_and_the_rule_that_is_proposed_parts_them(
    lake: Store, tmp_path: Path, here: str, there: str, layout: Layout
) -> None:
    one, other = make(lake, here), make(lake, there, appends=3)
    catalog = Named(one=one.metadata_location, other=other.metadata_location)
    described = planned(lake, tmp_path, catalog, layout=layout)
    assert set(blocks(described)) == {"tables-overlap"}
    (found,) = [f for f in described["findings"] if f["code"] == "tables-overlap"]
    assert "lake.db.one" in found["message"] and "lake.db.other" in found["message"]
    rules = advised(described, "tables-overlap")
    assert len(rules) == 1
    cut_over(lake, tmp_path, catalog, {**layout, **rules})
    assert [rows(lake, catalog.pointers[name]) for name in ("one", "other")] == [6, 9]


def test_a_folder_of_data_inside_of_another_table_counts(lake: Store, tmp_path: Path) -> None:
    one = make(lake, "s3a://bronze/db/t")
    other = make(lake, "s3a://warehouse/u", **{"write.data.path": "s3a://warehouse/db/t/data"})
    catalog = Named(one=one.metadata_location, other=other.metadata_location)
    described = planned(lake, tmp_path, catalog, layout=MERGED)
    assert blocks(described) == ["tables-overlap"]
    rules = advised(described, "tables-overlap")
    cut_over(lake, tmp_path, catalog, {**MERGED, **rules})
    assert [rows(lake, catalog.pointers[name]) for name in ("one", "other")] == [6, 6]


def test_the_folders_of_a_table_are_merged_only_if_files_lie_in_the_same_one(lake: Store, tmp_path: Path) -> None:
    """Its readers list no folder: files of another bucket in other partitions are not reported, nor are files around
    it."""
    catalog = Named(t=make(lake, "s3a://bronze/db/t").metadata_location)
    for key in ("db/readme.txt", "db/t/loose", "db/t/data/day=1/a", "db/t/data/day=1/b"):
        put(lake, f"s3a://warehouse/{key}", b"x")
    put(lake, "s3a://bronze/db/t/data/day=2/a", b"x")
    assert not places(replan(lake, tmp_path, catalog, layout=MERGED), "merged-folders")
    put(lake, "s3a://warehouse/db/t/data/a", b"x")
    described = replan(lake, tmp_path, catalog, layout=MERGED)
    assert places(described, "merged-folders") == ["s3://data-lake/one/db/t/data/"]
    put(lake, "s3a://bronze/db/2024/readme.txt", b"x")
    described = replan(lake, tmp_path, catalog, layout=MERGED)
    assert places(described, "merged-folders") == ["s3://data-lake/one/db/", "s3://data-lake/one/db/t/data/"]


def test_many_tables_for_one_place_get_a_place_each(lake: Store, tmp_path: Path) -> None:
    lake.create_bucket("gold")
    layout: Layout = {**MERGED, "s3://gold/": "one/"}
    tables = {bucket: make(lake, f"s3a://{bucket}/db/t") for bucket in ("bronze", "warehouse", "gold")}
    catalog = Named(**{name: table.metadata_location for name, table in tables.items()})
    for _ in range(3):
        described = replan(lake, tmp_path, catalog, layout=layout)
        layout |= advised(described, "tables-overlap")
    assert not described["blocked"]
    assert len(set(new_locations(described).values())) == 3


def test_what_was_one_place_before_may_stay_one(lake: Store, tmp_path: Path) -> None:
    """A table that was dropped and created again, one inside the other, data folders that are shared."""
    shared = {"write.data.path": "s3a://warehouse/shared"}
    tables = [
        make(lake, "s3a://bronze/db/t", **shared),
        make(lake, "s3a://bronze/db/t", **shared),
        make(lake, "s3://bronze/db/t/inner", **shared),
        make(lake, "s3a://bronze/db/tt"),  # a neighbour whose name begins alike
    ]
    catalog = Named(*(table.metadata_location for table in tables))
    assert not planned(lake, tmp_path, catalog)["blocked"]
    cut_over(lake, tmp_path, catalog)
    described = replan(lake, tmp_path, catalog)
    assert not described["blocked"] and {t["state"] for t in described["tables"]} == {"migrated"}


def test_one_table_in_two_catalogs_is_one_table(lake: Store, tmp_path: Path) -> None:
    pointer = make(lake, "s3a://bronze/db/t").metadata_location
    spark, trino = Named(t=pointer, name="spark"), Named(t=pointer, name="trino")
    described = planned(lake, tmp_path, spark, trino)
    assert not described["blocked"]
    assert {t["identifier"] for t in described["tables"]} == {"spark.db.t", "trino.db.t"}
    assert len({t["new_metadata"] for t in described["tables"]}) == 1
    cut_over(lake, tmp_path, spark)  # only one of the two, and the other one later
    described = replan(lake, tmp_path, spark, trino)
    assert not described["blocked"]
    assert {t["identifier"]: t["state"] for t in described["tables"]} == {
        "spark.db.t": "migrated",
        "trino.db.t": "rewritten",
    }


def test_a_table_that_was_renamed_and_a_new_one_at_its_old_place(lake: Store, tmp_path: Path) -> None:
    location = "s3a://bronze/db/t"
    catalog = Named(t=make(lake, location).metadata_location)
    cut_over(lake, tmp_path, catalog)
    catalog.pointers["t_2024"] = catalog.pointers.pop("t")
    catalog.pointers["t"] = make(lake, location, appends=3).metadata_location
    described = replan(lake, tmp_path, catalog)
    assert blocks(described) == ["tables-overlap"]
    rules = advised(described, "tables-overlap")
    assert rules == {"s3://bronze/db/t/": "bronze/db/t-2/"}
    cut_over(lake, tmp_path, catalog, {**LAYOUT, **rules})
    assert (rows(lake, catalog.pointers["t_2024"]), rows(lake, catalog.pointers["t"])) == (6, 9)
    described = replan(lake, tmp_path, catalog, layout={**LAYOUT, **rules})
    assert {t["identifier"]: t["state"] for t in described["tables"]} == {
        "lake.db.t": "migrated",
        "lake.db.t_2024": "migrated",
    }
    assert not described["changes_pending"] and not described["blocked"]


def test_a_dropped_table_beside_one_that_has_moved(lake: Store, tmp_path: Path) -> None:
    """Its metadata are in the same folder. They do not belong to the live table, and never block it."""
    location = "s3a://bronze/db/t"
    dropped = make(lake, location, appends=1)
    catalog = Named(t=make(lake, location).metadata_location)
    cut_over(lake, tmp_path, catalog)
    catalog.pointers["t"] = append(lake, catalog.pointers["t"], "data-lake")
    described = replan(lake, tmp_path, catalog)
    assert not described["blocked"] and not described["changes_pending"]
    assert places(described, "uncatalogued-table") == [dropped.metadata_location]
    assert rows(lake, catalog.pointers["t"]) == 9


def test_a_copy_by_hand_of_a_table_that_has_moved_moves_as_well(lake: Store, tmp_path: Path) -> None:
    """It has the table's uuid, but it was never the table's place: `aws s3 cp --recursive` as a backup."""
    pointer = make(lake, "s3a://bronze/db/t").metadata_location
    for found in [*lake.list("bronze", "db/t/")]:
        lake.put("warehouse", f"backup/{found.key}", lake.get("bronze", found.key))
    catalog = Named(t=pointer)
    cut_over(lake, tmp_path, catalog)
    described = replan(lake, tmp_path, catalog)
    assert not described["blocked"]
    backup = {o.key for o in lake.list("warehouse")}
    assert {f"warehouse/{key}" for key in backup} <= {o.key for o in lake.list("data-lake")}


def test_two_tables_share_files_and_only_one_has_moved(lake: Store, tmp_path: Path) -> None:
    """The one that lives at the target has dropped a file there; the other one still needs it."""
    one = make(lake, "s3a://bronze/db/t", appends=1)
    (shared,) = [o.key for o in lake.list("bronze", "db/t/data/")]
    catalog = Named(one=one.metadata_location)
    cut_over(lake, tmp_path, catalog)
    lake.client.delete_object(Bucket="data-lake", Key=f"bronze/{shared}")

    # A table elsewhere that names the files of the first, as Spark's procedure "snapshot" makes one.
    text = lake.get("bronze", one.metadata_location.partition("bronze/")[2]).data.decode()
    copied = text.replace('"location":"s3a://bronze/db/t"', '"location":"s3a://warehouse/u"')
    copied = copied.replace(str(one.metadata.table_uuid), "9c12d441-03fe-4693-9a96-a0705ddf69c1")
    put(lake, "s3a://warehouse/u/metadata/00000-u.metadata.json", copied.encode())
    catalog.pointers["other"] = "s3a://warehouse/u/metadata/00000-u.metadata.json"
    described = replan(lake, tmp_path, catalog)
    assert not [f for f in described["findings"] if f["severity"] == "block" and "other" in f["message"]]
    migrated(lake, tmp_path)
    assert f"bronze/{shared}" in {o.key for o in lake.list("data-lake")}
