"""Plans for tables put together by hand, and what becomes of them at the target."""

from __future__ import annotations

import json
from pathlib import Path

from iceberg.avro_files import records
from iceberg.tables import entry, position_deletes
from migrator.config import Settings
from migrator.plan.build import build_plan
from migrator.plan.file import PlanFile
from migrator.plan.summary import describe_plan
from migrator.progress import Progress
from migrator.store import Store
from plan.handmade import LAYOUT, LOCATION, blocks, data_file, delete_rows, migrated, planned, put, table

# -- schemes (pitfall 3, iceberg-rust#434, iceberg#4346) ---------------------------------------------------


def test_one_data_file_under_two_schemes_blocks_until_it_is_accepted(lake: Store, tmp_path: Path) -> None:
    data, deletes = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/d.parquet"
    size = delete_rows(lake, deletes, ["s3://bronze/t/data/a.parquet"])
    table(lake, data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size))
    described = planned(lake, tmp_path)
    assert blocks(described) == ["mixed-schemes"]
    (only,) = described["tables"]
    assert not only["migratable"] and only["problems"] == ["mixed-schemes"]
    (tmp_path / "plan.db").unlink()
    accepted = planned(lake, tmp_path, accept=("mixed-schemes",))
    assert not accepted["blocked"] and accepted["tables"][0]["migratable"]


def test_a_deletion_vector_that_names_its_file_under_another_scheme(lake: Store, tmp_path: Path) -> None:
    data, deletes = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/d.parquet"
    size = delete_rows(lake, deletes, [data])
    vector = position_deletes(deletes, file_size_in_bytes=size, referenced_data_file=data.replace("s3a", "s3"))
    table(lake, data_file(lake, data), vector)
    assert blocks(planned(lake, tmp_path)) == ["mixed-schemes"]


def test_metadata_and_data_may_have_different_schemes(lake: Store, tmp_path: Path) -> None:
    """Flink and Spark side by side: nothing matches one path against another there."""
    data, deletes = "s3://bronze/t/data/a.parquet", "s3n://bronze/t/data/d.parquet"
    size = delete_rows(lake, deletes, [data])
    table(lake, data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size))
    assert not planned(lake, tmp_path)["blocked"]


# -- // (pitfall 17, pyiceberg#606, trino#11998) -----------------------------------------------------------


def test_a_path_with_empty_levels_leads_where_s3a_looks(lake: Store, tmp_path: Path) -> None:
    literal = data_file(lake, f"{LOCATION}//data/kept.parquet")
    collapsed = data_file(lake, f"{LOCATION}//data//a.parquet", at=f"{LOCATION}/data/a.parquet")
    deletes = f"{LOCATION}//data/d.parquet"
    size = delete_rows(lake, f"{LOCATION}/data/d.parquet", [f"{LOCATION}//data//a.parquet"])
    table(lake, literal, collapsed, position_deletes(deletes, file_size_in_bytes=size))
    described = planned(lake, tmp_path)
    assert not described["blocked"]
    found = [f["place"] for f in described["findings"] if f["code"] == "collapsed-path"]
    assert sorted(set(found)) == [f"{LOCATION}//data//a.parquet", deletes]
    migrated(lake, tmp_path)
    there = {o.key: o.size for o in lake.list("data-lake")}
    assert {"bronze/t//data/kept.parquet", "bronze/t/data/a.parquet", "bronze/t/data/d.parquet"} <= set(there)
    (entry_of_deletes,) = records(lake.get("data-lake", "bronze/t/metadata/m1.avro").data)
    assert entry_of_deletes["data_file"]["file_path"] == "s3a://data-lake/bronze/t//data/d.parquet"
    assert entry_of_deletes["data_file"]["file_size_in_bytes"] == there["bronze/t/data/d.parquet"] != size


def test_a_path_that_exists_at_neither_key_is_missing(lake: Store, tmp_path: Path) -> None:
    table(lake, entry(f"{LOCATION}//data//a.parquet"))
    described = planned(lake, tmp_path)
    missing = [f["code"] for f in described["findings"] if "does not exist" in f["message"]]
    assert missing == ["uncatalogued-broken"]


def test_both_spellings_must_lead_to_one_place(lake: Store, tmp_path: Path) -> None:
    """A rule for t/ covers t/x, and t//x too, but no rule for t/x covers t//x."""
    table(lake, data_file(lake, f"{LOCATION}//data/a.parquet", at=f"{LOCATION}/data/a.parquet"))
    settings = Settings(layout={**LAYOUT, "s3://bronze/t/data/": "elsewhere/"})
    build_plan(tmp_path / "plan.db", settings, lake, {}, Progress())
    with PlanFile.open(tmp_path / "plan.db") as plan:
        assert blocks(describe_plan(plan)) == ["unmapped-path"]


# -- format version 1 with manifests in the metadata file (row 3) ------------------------------------------


def test_inline_manifests_move(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), version=1, inline=True)
    described = planned(lake, tmp_path)
    assert not described["blocked"] and described["tables"][0]["features"] == ["inline manifests"]
    migrated(lake, tmp_path)
    document = json.loads(lake.get("data-lake", "bronze/t/metadata/00000-a.metadata.json").data)
    assert document["snapshots"][0]["manifests"] == ["s3a://data-lake/bronze/t/metadata/m0.avro"]
    (moved,) = records(lake.get("data-lake", "bronze/t/metadata/m0.avro").data)
    assert moved["data_file"]["file_path"] == "s3a://data-lake/bronze/t/data/a.parquet"


# -- Hadoop's checksum files (pitfall 23) ------------------------------------------------------------------


def test_checksum_files_of_rewritten_metadata_are_dropped_and_others_copied(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    put(lake, f"{LOCATION}/metadata/.snap-1.avro.crc", b"crc")
    put(lake, f"{LOCATION}/data/.a.parquet.crc", b"crc")
    described = planned(lake, tmp_path)
    assert [f["place"] for f in described["findings"] if f["code"] == "checksum-files"] == [
        "s3://bronze/t/metadata/.snap-1.avro.crc"
    ]
    migrated(lake, tmp_path)
    keys = {o.key for o in lake.list("data-lake")}
    assert "bronze/t/data/.a.parquet.crc" in keys and "bronze/t/metadata/.snap-1.avro.crc" not in keys


# -- what the report says of a table -----------------------------------------------------------------------


def test_facts(lake: Store, tmp_path: Path) -> None:
    deletes = f"{LOCATION}/data/d.parquet"
    outside = data_file(lake, "s3a://warehouse/imported/b.parquet")
    size = delete_rows(lake, deletes, [f"{LOCATION}/data/a.parquet"])
    table(
        lake,
        data_file(lake, f"{LOCATION}/data/a.parquet"),
        outside,
        position_deletes(deletes, file_size_in_bytes=size),
        entry(f"{LOCATION}/data/e.avro", file_format="AVRO", content=2, file_size_in_bytes=4),
        properties={"write.object-storage.enabled": "true"},
        refs={"main": {"type": "branch", "snapshot-id": 1}, "v1": {"type": "tag", "snapshot-id": 1}},
    )
    put(lake, f"{LOCATION}/data/e.avro", b"rows")
    (only,) = planned(lake, tmp_path)["tables"]
    assert only["data_bytes"] == 8 and only["delete_bytes"] == size + 4 and only["data_files"] == 2
    assert only["deletes"] == [
        {"kind": "position deletes", "format": "PARQUET", "files": 1},
        {"kind": "equality deletes", "format": "AVRO", "files": 1},
    ]
    assert only["features"] == [
        "tags",
        "object-store layout",
        "equality deletes",
        "position deletes",
        "files outside the location",
    ]
