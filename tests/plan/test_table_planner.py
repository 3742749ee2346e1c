"""Plans for tables that are made by hand, and these tables at the target."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
import zstandard
from pyiceberg.table.puffin import PuffinFile
from pyiceberg.view.metadata import ViewMetadata

from iceberg.avro_files import avro, records
from iceberg.deletes.test_puffin import VECTOR, puffin_of
from iceberg.tables import FILE_PATH, entry, list_schema, listed, manifest_schema, position_deletes
from iceberg.test_views import PLAIN
from migrator.layout import Location
from migrator.store import Store, is_own
from migrator.target.ledger import Ledger, own
from plan.handmade import (
    CURRENT,
    LAYOUT,
    LOCATION,
    CopiedFrom,
    Named,
    at_target,
    blocks,
    checksum,
    data_file,
    delete_rows,
    document,
    entries_at_target,
    migrated,
    places,
    planned,
    put,
    table,
)
from plan.places import cut_over, replan

OLDER = "00000-a.metadata.json"

# -- schemes (pitfall 3, iceberg-rust#434, iceberg#4346) ---------------------------------------------------


def test_one_data_file_under_two_schemes_blocks_until_it_is_accepted(lake: Store, tmp_path: Path) -> None:
    data, deletes = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/d.parquet"
    size = delete_rows(lake, deletes, ["s3://bronze/t/data/a.parquet"])
    table(lake, data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size))
    described = planned(lake, tmp_path, Named(CURRENT))
    assert blocks(described) == ["mixed-schemes"]
    (only,) = described["tables"]
    assert not only["migratable"] and only["problems"] == ["mixed-schemes"]
    (tmp_path / "plan.db").unlink()
    accepted = planned(lake, tmp_path, Named(CURRENT), accept=("mixed-schemes",))
    assert not accepted["blocked"] and accepted["tables"][0]["migratable"]


@pytest.mark.parametrize("said", ["PARQUET", "parquet", "ORC", "AVRO", "PUFFIN"])
@pytest.mark.parametrize("status", [1, 2])
def test_a_file_of_deletes_of_another_format_than_its_manifest_says(
    lake: Store, tmp_path: Path, said: str, status: int
) -> None:
    """Readers trust the manifest, so they could not read the table at the target, either. It does not matter for a file
    that is only history."""
    data, deletes = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/d.parquet"
    size = delete_rows(lake, deletes, [data])
    entry = position_deletes(deletes, file_size_in_bytes=size, file_format=said)
    table(lake, data_file(lake, data), {**entry, "status": status})
    described = planned(lake, tmp_path, Named(CURRENT))
    wrong = said.upper() != "PARQUET"
    assert blocks(described) == (["unreadable"] if wrong and status == 1 else [])
    messages = [f["message"] for f in described["findings"] if f["code"] in ("unreadable", "missing-history")]
    assert len(messages) == wrong and all(f"it is PARQUET, and its manifest says {said}" in m for m in messages)


def test_two_schemes_in_a_table_in_no_catalog_do_not_block(lake: Store, tmp_path: Path) -> None:
    data, deletes = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/d.parquet"
    size = delete_rows(lake, deletes, ["s3://bronze/t/data/a.parquet"])
    table(lake, data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size))
    described = planned(lake, tmp_path)
    assert not described["blocked"] and described["tables"][0]["migratable"]
    (about,) = [f for f in described["findings"] if f["code"] == "uncatalogued-broken"]
    assert "[mixed-schemes]" in about["message"]
    migrated(lake, tmp_path)
    deleted = pq.read_table(io.BytesIO(at_target(lake, "bronze/t/data/d.parquet")))
    assert deleted["file_path"].to_pylist() == ["s3://data-lake/bronze/t/data/a.parquet"]


def test_a_deletion_vector_that_names_its_file_under_another_scheme(lake: Store, tmp_path: Path) -> None:
    data, deletes = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/d.parquet"
    size = delete_rows(lake, deletes, [data])
    vector = position_deletes(deletes, file_size_in_bytes=size, referenced_data_file=data.replace("s3a", "s3"))
    table(lake, data_file(lake, data), vector)
    assert blocks(planned(lake, tmp_path, Named(CURRENT))) == ["mixed-schemes"]


def test_metadata_and_data_may_have_different_schemes(lake: Store, tmp_path: Path) -> None:
    """Flink and Spark both write the table: no reader compares these paths with each other."""
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


@pytest.mark.parametrize("old", ["s3a://bronze//wh", "s3a://bronze/wh//db"])
def test_a_table_whose_pointer_has_empty_levels_is_one_table(lake: Store, tmp_path: Path, old: str) -> None:
    """Its files lie where S3A looks for them. Neither is a second table found there, nor once the first has moved."""
    plain = Location("s3a", "bronze", old.removeprefix("s3a://bronze/")).collapsed.uri
    copied = CopiedFrom(lake, old, plain)
    name = "00001-b.metadata.json"
    table(copied, location=f"{old}/t")
    log = [{"timestamp-ms": 1, "metadata-file": f"{old}/t/metadata/00000-a.metadata.json"}]
    table(copied, data_file(copied, f"{old}/t/data/a.parquet"), location=f"{old}/t", name=name, **{"metadata-log": log})
    catalog = Named(f"{old}/t/metadata/{name}")
    described = planned(lake, tmp_path, catalog)
    assert [t["catalog"] for t in described["tables"]] == ["lake"], described["tables"]
    assert not places(described, "uncatalogued-table") and not described["blocked"]
    cut_over(lake, tmp_path, catalog)
    again = replan(lake, tmp_path, catalog)
    assert not places(again, "uncatalogued-table") and not again["blocked"]
    assert again["actions"]["rewrite"]["objects"] == 0


def test_a_path_that_exists_at_neither_key_is_missing(lake: Store, tmp_path: Path) -> None:
    table(lake, entry(f"{LOCATION}//data//a.parquet"))
    described = planned(lake, tmp_path)
    missing = [f["code"] for f in described["findings"] if "does not exist" in f["message"]]
    assert missing == ["uncatalogued-broken"]


def test_both_spellings_must_lead_to_one_place(lake: Store, tmp_path: Path) -> None:
    """A rule for t/ covers t/x, and t//x too, but no rule for t/x covers t//x."""
    table(lake, data_file(lake, f"{LOCATION}//data/a.parquet", at=f"{LOCATION}/data/a.parquet"))
    layout: dict[str, str | bool] = {**LAYOUT, "s3://bronze/t/data/": "elsewhere/"}
    assert blocks(planned(lake, tmp_path, Named(CURRENT), layout=layout)) == ["unmapped-path"]


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
    for name in ("metadata/.snap-1.avro.crc", "data/.a.parquet.crc"):
        beside = lake.get("bronze", f"t/{name}".replace("/.", "/").removesuffix(".crc")).data
        put(lake, f"s3://bronze/t/{name}", checksum(beside))
    put(lake, f"{LOCATION}/metadata/.m0.avro.crc", b"somebody's data")
    described = planned(lake, tmp_path)
    assert [f["place"] for f in described["findings"] if f["code"] == "checksum-files"] == [
        "s3://bronze/t/metadata/.snap-1.avro.crc"
    ]
    migrated(lake, tmp_path)
    keys = {o.key for o in lake.list("data-lake")}
    assert "bronze/t/data/.a.parquet.crc" in keys and "bronze/t/metadata/.snap-1.avro.crc" not in keys
    assert lake.get("data-lake", "bronze/t/metadata/.m0.avro.crc").data == b"somebody's data"


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


# -- tombstones and what lies under no rule (pitfalls 10 and 19) -------------------------------------------


def test_a_tombstone_of_deletes_that_are_gone_stops_nothing(lake: Store, tmp_path: Path) -> None:
    """Pitfall 10, iceberg#17498, #16662, #12586: a manifest still says DELETED of a delete file that was compacted
    away and expired since. Its path and bounds are mapped like all others, and the object is not needed."""
    data, kept, gone = (f"{LOCATION}/data/{name}.parquet" for name in ("a", "kept", "gone"))
    size = delete_rows(lake, kept, [data])
    tombstone = position_deletes(gone, data, data, status=2, referenced_data_file=data, file_size_in_bytes=777)
    table(lake, data_file(lake, data), position_deletes(kept, file_size_in_bytes=size), tombstone)
    described = planned(lake, tmp_path)
    assert not described["blocked"] and not places(described, "uncatalogued-broken")
    migrated(lake, tmp_path)
    _, found = entries_at_target(lake, "bronze/t/metadata/m1.avro")
    new = "s3a://data-lake/bronze/t/data"
    assert (found["status"], found["data_file"]["file_path"]) == (2, f"{new}/gone.parquet")
    assert found["data_file"]["referenced_data_file"] == f"{new}/a.parquet"
    assert found["data_file"]["file_size_in_bytes"] == 777  # what it had: there is nothing to measure
    bounds = {pair["key"]: pair["value"] for pair in found["data_file"]["lower_bounds"]}
    assert bounds[FILE_PATH] == f"{new}/a.parquet".encode()


def test_a_tombstone_of_deletes_that_are_damaged_stops_nothing(lake: Store, tmp_path: Path) -> None:
    data, broken = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/broken.parquet"
    put(lake, broken, b"PAR1 and no more")
    table(lake, data_file(lake, data), position_deletes(broken, status=2))
    assert not planned(lake, tmp_path)["blocked"]
    migrated(lake, tmp_path)
    assert at_target(lake, "bronze/t/data/broken.parquet") == b"PAR1 and no more"


def test_a_live_file_under_no_rule_blocks_and_a_tombstone_does_not(lake: Store, tmp_path: Path) -> None:
    """Pitfall 19."""
    far = "s3a://elsewhere/x.parquet"
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), entry(far, status=2))
    assert not planned(lake, tmp_path)["blocked"]
    migrated(lake, tmp_path)
    assert entries_at_target(lake, "bronze/t/metadata/m0.avro")[1]["data_file"]["file_path"] == far
    (tmp_path / "plan.db").unlink()
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), entry(far))
    assert blocks(planned(lake, tmp_path, Named(CURRENT))) == ["unmapped-path"]


@pytest.mark.parametrize("moves", [True, False])
def test_the_rule_that_is_proposed_for_a_bucket_outside_of_the_lake(lake: Store, tmp_path: Path, moves: bool) -> None:
    """Either way that the finding names leads to a plan that is carried out."""
    lake.create_bucket("elsewhere")
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), data_file(lake, "s3a://elsewhere/x.parquet"))
    described = planned(lake, tmp_path, Named(CURRENT))
    (move,) = (found["next_move"] for found in described["findings"] if found["code"] == "unmapped-path")
    rule = re.search(r'such as ("s3://elsewhere/" = "elsewhere/")\. A rule = false leaves', move)
    assert rule is not None, move
    (tmp_path / "plan.db").unlink()
    layout: dict[str, str | bool] = {**LAYOUT, **json.loads(f"{{{rule[1].replace(' = ', ': ')}}}")}
    if not moves:
        layout["s3://elsewhere/"] = False
    again = planned(lake, tmp_path, Named(CURRENT), layout=layout, accept=[] if moves else ["spanning-table"])
    assert not again["blocked"], again["findings"]


def test_dangling_delete_rows_are_a_warning_and_stay(lake: Store, tmp_path: Path) -> None:
    """Pitfall 19: they delete from a file that the table no longer has."""
    data, far, deletes = f"{LOCATION}/data/a.parquet", "s3a://elsewhere/x.parquet", f"{LOCATION}/data/d.parquet"
    size = delete_rows(lake, deletes, [data, far])
    table(lake, data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size))
    described = planned(lake, tmp_path)
    assert not described["blocked"] and places(described, "dangling-deletes") == [deletes.replace("s3a", "s3")]
    migrated(lake, tmp_path)
    rows = pq.read_table(io.BytesIO(at_target(lake, "bronze/t/data/d.parquet")))
    assert rows["file_path"].to_pylist() == ["s3a://data-lake/bronze/t/data/a.parquet", far]


# -- prefixes ----------------------------------------------------------------------------------------------


def test_delete_files_of_one_name_in_two_folders_stay_two(lake: Store, tmp_path: Path) -> None:
    """iceberg#13630: staged flat, one overwrites the other."""
    data = [f"{LOCATION}/data/p={n}/a.parquet" for n in (0, 1)]
    deletes = [f"{LOCATION}/data/p={n}/same-deletes.parquet" for n in (0, 1)]
    sizes = [delete_rows(lake, at, [path]) for at, path in zip(deletes, data, strict=True)]
    entries = [position_deletes(at, file_size_in_bytes=size) for at, size in zip(deletes, sizes, strict=True)]
    table(lake, *(data_file(lake, path) for path in data), *entries)
    assert not planned(lake, tmp_path)["blocked"]
    migrated(lake, tmp_path)
    for number, found in enumerate(entries_at_target(lake, "bronze/t/metadata/m1.avro")):
        key = f"bronze/t/data/p={number}/same-deletes.parquet"
        assert found["data_file"]["file_path"] == f"s3a://data-lake/{key}"
        rows = pq.read_table(io.BytesIO(at_target(lake, key)))["file_path"].to_pylist()
        assert rows == [f"s3a://data-lake/bronze/t/data/p={number}/a.parquet"]


@pytest.mark.parametrize("folder", ["a+b(c", "[x]*", "100%_", "a.b^$|{2}\\d", "%2F"])
def test_a_prefix_is_text_and_no_pattern(lake: Store, tmp_path: Path, folder: str) -> None:
    """iceberg PR #17521: a prefix taken for a regular expression. Ours must be no pattern of SQL either."""
    location = f"s3a://bronze/{folder}/t"
    data, deletes = f"{location}/data/a.parquet", f"{location}/data/d.parquet"
    size = delete_rows(lake, deletes, [data])
    table(lake, data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size), location=location)
    rules: dict[str, str | bool] = {**LAYOUT, f"s3://bronze/{folder}/": "odd/"}
    described = planned(lake, tmp_path, layout=rules)
    (only,) = described["tables"]
    assert not described["blocked"] and only["new_location"] == "s3a://data-lake/odd/t"
    assert (only["data_files"], only["delete_files"], only["features"]) == (1, 1, ["position deletes"])
    migrated(lake, tmp_path)
    (found,) = entries_at_target(lake, "odd/t/metadata/m0.avro")
    assert found["data_file"]["file_path"] == "s3a://data-lake/odd/t/data/a.parquet"
    assert {o.key for o in lake.list("data-lake") if not is_own(o.key)} == {
        o.key for o in lake.list("data-lake", "odd/t/")
    }


@pytest.mark.parametrize("location", ["s3a://bronze", "s3a://bronze/wh", "s3a://bronze/wh/"])
def test_a_location_equal_to_the_prefix(lake: Store, tmp_path: Path, location: str) -> None:
    """iceberg#15172; trino#11998: with and without a slash at its end."""
    bare = location.rstrip("/")
    data, deletes = f"{bare}/data/a.parquet", f"{bare}/data/d.parquet"
    size = delete_rows(lake, deletes, [data])
    table(lake, data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size), location=bare)
    (name,) = (o.key for o in lake.list("bronze") if o.key.endswith(".metadata.json"))
    text = lake.get("bronze", name).data.replace(f'"{bare}"'.encode(), f'"{location}"'.encode())
    put(lake, f"s3://bronze/{name}", text)
    rules: dict[str, str | bool] = {"s3://bronze/": "bronze/", "s3://bronze/wh/": "warehouse/"}
    described = planned(lake, tmp_path, layout=rules)
    assert not described["blocked"] and "files outside the location" not in described["tables"][0]["features"]
    migrated(lake, tmp_path)
    folder = "bronze" if bare == "s3a://bronze" else "warehouse"
    moved = json.loads(at_target(lake, f"{folder}/metadata/00000-a.metadata.json"))
    assert moved["location"] == f"s3a://data-lake/{folder}" + ("/" if location.endswith("/") else "")
    (found,) = entries_at_target(lake, f"{folder}/metadata/m0.avro")
    assert found["data_file"]["file_path"] == f"s3a://data-lake/{folder}/data/a.parquet"


def test_a_bucket_whose_name_begins_like_another_is_no_part_of_it(lake: Store, tmp_path: Path) -> None:
    """Pitfall 2: a prefix ends where a name ends."""
    lake.create_bucket("bronze-archive")
    table(lake, data_file(lake, "s3a://bronze-archive/x.parquet"))
    described = planned(lake, tmp_path, Named(CURRENT))
    assert blocks(described) == ["unmapped-path"]
    assert "bronze-archive" in str(described["findings"])


def test_two_files_of_a_table_for_one_target_block(lake: Store, tmp_path: Path) -> None:
    """Pitfall 2: the mapping must be one to one over all that is referred to, or a file is lost."""
    table(lake, data_file(lake, f"{LOCATION}/a.parquet"), data_file(lake, "s3a://warehouse/t/a.parquet"))
    described = planned(lake, tmp_path, layout={"s3://bronze/": "one/", "s3://warehouse/": "one/"})
    assert blocks(described) == ["key-collision"]


def test_a_live_file_at_the_target_is_not_overwritten(lake: Store, tmp_path: Path) -> None:
    """Pitfall 2: one file of a table is in the target already, where another one would go."""
    there = data_file(lake, "s3a://data-lake/bronze/t/data/a.parquet")
    put(lake, "s3a://data-lake/bronze/t/data/a.parquet", b"ROWS")
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), there)
    described = planned(lake, tmp_path)
    assert described["actions"]["conflict"]["objects"] == 1 and blocks(described) == ["target-differs"]
    # Nor if migrator itself wrote it: the table needs both.
    old = lake.head("data-lake", "bronze/t/data/a.parquet").etag
    Ledger(lake, "data-lake").write("earlier", [own("bronze/t/data/a.parquet", old)])
    (tmp_path / "plan.db").unlink()
    described = planned(lake, tmp_path)
    assert described["actions"]["overwrite"]["objects"] == 1 and blocks(described) == ["key-collision"]
    assert places(described, "key-collision") == [f"{LOCATION}/metadata/m0.avro"]


@pytest.mark.parametrize("name", ["a b+c", "a%20b%2Fc", "a?b#c", "ü/😀", "a=b/c:d&e", "'; --"])
def test_paths_are_any_text(lake: Store, tmp_path: Path, name: str) -> None:
    """Pitfall 17: nothing is decoded, cut or normalised."""
    data, deletes = f"{LOCATION}/data/{name}.parquet", f"{LOCATION}/data/{name}-deletes.parquet"
    size = delete_rows(lake, deletes, [data])
    table(lake, data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size))
    assert not planned(lake, tmp_path)["blocked"]
    migrated(lake, tmp_path)
    (found,) = entries_at_target(lake, "bronze/t/metadata/m0.avro")
    assert found["data_file"]["file_path"] == f"s3a://data-lake/bronze/t/data/{name}.parquet"
    assert at_target(lake, f"bronze/t/data/{name}.parquet") == b"rows"
    rows = pq.read_table(io.BytesIO(at_target(lake, f"bronze/t/data/{name}-deletes.parquet")))
    assert rows["file_path"].to_pylist() == [f"s3a://data-lake/bronze/t/data/{name}.parquet"]


def test_two_tables_may_share_files(lake: Store, tmp_path: Path) -> None:
    """Pitfall 18: the tables that Spark's ``snapshot`` makes name the files of another one."""
    data, deletes = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/d.parquet"
    size = delete_rows(lake, deletes, [data])
    entries = data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size)
    table(lake, *entries)
    table(lake, *entries, location="s3a://warehouse/copy", properties={"gc.enabled": "false"})
    described = planned(lake, tmp_path)
    assert not described["blocked"] and described["actions"]["copy"]["objects"] == 1
    migrated(lake, tmp_path)
    new_size = len(at_target(lake, "bronze/t/data/d.parquet"))
    for folder in ("bronze/t", "warehouse/copy"):
        (moved,) = entries_at_target(lake, f"{folder}/metadata/m0.avro")
        (moved_deletes,) = entries_at_target(lake, f"{folder}/metadata/m1.avro")
        assert moved["data_file"]["file_path"] == "s3a://data-lake/bronze/t/data/a.parquet"
        assert moved_deletes["data_file"]["file_size_in_bytes"] == new_size != size


def test_a_hadoop_table_must_stay_in_one_folder(lake: Store, tmp_path: Path) -> None:
    """Row 1: it is found by its folder, which its location must be."""
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), name="v1.metadata.json")
    put(lake, f"{LOCATION}/metadata/version-hint.text", b"1")
    files = Named(f"{LOCATION}/metadata/v1.metadata.json", kind="hadoop")
    described = planned(lake, tmp_path, files, layout={**LAYOUT, "s3://bronze/t/metadata/": "elsewhere/"})
    assert blocks(described) == ["unmapped-path"]
    (found,) = [f for f in described["findings"] if f["code"] == "unmapped-path"]
    assert "a Hadoop table must lie at its location" in found["message"]


# -- history and statistics (rows 4 and 5) -----------------------------------------------------------------


def test_old_metadata_and_statistics_move_as_far_as_they_are_there(lake: Store, tmp_path: Path) -> None:
    """The log may name metadata that was deleted long ago, and readers do not need statistics. Their files hold no
    path; a table's statistics are Puffin, as deletion vectors are."""
    metadata = f"{LOCATION}/metadata"
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    log = [{"timestamp-ms": n, "metadata-file": f"{metadata}/{name}"} for n, name in enumerate(("gone.json", OLDER))]
    statistics = [{"snapshot-id": 1, "statistics-path": f"{metadata}/{name}.stats"} for name in ("a", "gone")]
    more = {"metadata-log": log, "statistics": statistics, "partition-statistics": statistics[:1]}
    put(lake, f"{metadata}/a.stats", b"PFA1 s3a://bronze/t/data/a.parquet")
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), name="00001-b.metadata.json", **more)
    described = planned(lake, tmp_path)
    assert not described["blocked"] and places(described, "missing-history") == [f"{metadata}/gone.stats"]
    migrated(lake, tmp_path)
    new = json.loads(at_target(lake, "bronze/t/metadata/00001-b.metadata.json"))
    there = "s3a://data-lake/bronze/t/metadata"
    assert [e["metadata-file"] for e in new["metadata-log"]] == [f"{there}/gone.json", f"{there}/{OLDER}"]
    assert [e["statistics-path"] for e in new["statistics"]] == [f"{there}/a.stats", f"{there}/gone.stats"]
    assert [e["statistics-path"] for e in new["partition-statistics"]] == [f"{there}/a.stats"]
    assert json.loads(at_target(lake, f"bronze/t/metadata/{OLDER}"))["location"] == "s3a://data-lake/bronze/t"
    assert at_target(lake, "bronze/t/metadata/a.stats") == b"PFA1 s3a://bronze/t/data/a.parquet"


@pytest.mark.parametrize("place", ["hdfs://nn:8020/stats/a.stats", "s3://elsewhere/a.stats"])
def test_statistics_outside_of_the_lake_are_not_called_missing(lake: Store, tmp_path: Path, place: str) -> None:
    statistics = [{"snapshot-id": 1, "statistics-path": place}]
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), statistics=statistics)
    described = planned(lake, tmp_path)
    (found,) = (finding for finding in described["findings"] if finding["code"] == "missing-history")
    assert found["place"] == place and "is not in the lake; its path stays as it is" in found["message"]
    migrated(lake, tmp_path)
    assert json.loads(at_target(lake, "bronze/t/metadata/00000-a.metadata.json"))["statistics"] == statistics


@pytest.mark.parametrize("gone", ["snap-2.avro", "00001-b.metadata.json", "m2.avro"])
def test_what_a_writer_removes_while_it_is_planned_stops_nothing_if_only_history_names_it(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """A commit that succeeds at the second attempt removes the files of the first one."""
    metadata = f"{LOCATION}/metadata"
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    length = put(lake, f"{metadata}/m2.avro", avro(manifest_schema(2), [data_file(lake, f"{LOCATION}/data/b.parquet")]))
    put(lake, f"{metadata}/snap-2.avro", avro(list_schema(2), [listed(f"{metadata}/m2.avro", length, 0)]))
    attempt = {"snapshot-id": 2, "sequence-number": 2, "timestamp-ms": 2, "summary": {}}
    attempt["manifest-list"] = f"{metadata}/snap-2.avro"
    put(lake, f"{metadata}/00001-b.metadata.json", document(snapshots=[attempt]))
    for name in ("get", "download"):
        monkeypatch.setattr(Store, name, _after_removing(getattr(Store, name), gone))
    described = planned(lake, tmp_path, Named(CURRENT))
    assert not described["blocked"] and not places(described, "missing-object")
    assert gone not in str(list(lake.list("bronze", "t/")))


def _after_removing(read: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method of a store, before which somebody removes the object that it is about to read."""

    def read_too_late(self: Store, bucket: str, key: str, *more: Any, **named: Any) -> Any:
        if key.endswith(name):
            boto3.client("s3").delete_object(Bucket=bucket, Key=key)
        return read(self, bucket, key, *more, **named)

    return read_too_late


# -- format versions ---------------------------------------------------------------------------------------


def test_manifests_of_version_1_in_a_later_table_stay_that(lake: Store, tmp_path: Path) -> None:
    """Pitfall 13: an upgrade rewrites the metadata file only."""
    data = data_file(lake, f"{LOCATION}/data/a.parquet")
    table(lake, data, version=2, manifest_version=1)
    assert not planned(lake, tmp_path)["blocked"]
    before = records(lake.get("bronze", "t/metadata/m0.avro").data)
    migrated(lake, tmp_path)
    before[0]["data_file"]["file_path"] = "s3a://data-lake/bronze/t/data/a.parquet"
    assert entries_at_target(lake, "bronze/t/metadata/m0.avro") == before
    assert before[0]["data_file"]["block_size_in_bytes"] == 67108864


@pytest.mark.parametrize("manifest_version", [2, 3])
def test_a_table_upgraded_to_version_3_has_rows_without_ids(lake: Store, tmp_path: Path, manifest_version: int) -> None:
    """Measured: rewrite_table_path throws "firstRowId is null". Pitfall 25: what is null stays null, and the
    table's counters stay."""
    data = data_file(lake, f"{LOCATION}/data/a.parquet")
    table(lake, data, version=3, manifest_version=manifest_version, **{"next-row-id": 0})
    assert not planned(lake, tmp_path)["blocked"]
    migrated(lake, tmp_path)
    (found,) = entries_at_target(lake, "bronze/t/metadata/m0.avro")
    assert found["data_file"].get("first_row_id") is None
    assert found["data_file"]["file_path"] == "s3a://data-lake/bronze/t/data/a.parquet"
    assert json.loads(at_target(lake, "bronze/t/metadata/00000-a.metadata.json"))["next-row-id"] == 0


def test_deletion_vectors_of_one_puffin_file(lake: Store, tmp_path: Path) -> None:
    """iceberg PR #14351, duckdb-iceberg#1382, pitfall 9: the entry's path, size and referenced file change, the
    place of the vector in the file does not; the footer names the new data files."""
    data = [f"{LOCATION}/data/{name}.parquet" for name in "ab"]
    puffin = f"{LOCATION}/data/v.puffin"
    size = put(lake, puffin, puffin_of(*data))
    vectors = [
        position_deletes(
            puffin,
            file_format="PUFFIN",
            file_size_in_bytes=size,
            referenced_data_file=path,
            content_offset=4 + number * len(VECTOR),
            content_size_in_bytes=len(VECTOR),
            split_offsets=None,
        )
        for number, path in enumerate(data)
    ]
    table(lake, *(data_file(lake, path) for path in data), *vectors, version=3)
    described = planned(lake, tmp_path)
    assert not described["blocked"] and described["tables"][0]["delete_files"] == 1
    migrated(lake, tmp_path)
    new = at_target(lake, "bronze/t/data/v.puffin")
    paths = [f"s3a://data-lake/bronze/t/data/{name}.parquet" for name in "ab"]
    assert [blob.properties["referenced-data-file"] for blob in PuffinFile(new).footer.blobs] == paths
    for found, path in zip(entries_at_target(lake, "bronze/t/metadata/m1.avro"), paths, strict=True):
        entry_of = found["data_file"]
        assert (entry_of["file_path"], entry_of["referenced_data_file"]) == (
            "s3a://data-lake/bronze/t/data/v.puffin",
            path,
        )
        assert entry_of["file_size_in_bytes"] == len(new) != size
        at = entry_of["content_offset"]
        assert new[at : at + entry_of["content_size_in_bytes"]] == VECTOR


# -- encryption (pitfall 21, iceberg#17992) ----------------------------------------------------------------


def encrypted_entry(lake: Store) -> None:
    table(lake, {**(e := data_file(lake, f"{LOCATION}/a"))} | {"data_file": e["data_file"] | {"key_metadata": b"k"}})


def encrypted_list(lake: Store) -> None:
    table(lake, data_file(lake, f"{LOCATION}/a"))
    uri = f"{LOCATION}/metadata/m0.avro"
    length = len(lake.get("bronze", "t/metadata/m0.avro").data)
    put(lake, f"{LOCATION}/metadata/snap-1.avro", avro(list_schema(2), [listed(uri, length, key_metadata=b"k")]))


def encryption_keys(lake: Store) -> None:
    table(lake, data_file(lake, f"{LOCATION}/a"), **{"encryption-keys": [{"key-id": "k"}]})


@pytest.mark.parametrize("make", [encrypted_entry, encrypted_list, encryption_keys])
def test_an_encrypted_table_blocks(lake: Store, tmp_path: Path, make: Callable[[Store], None]) -> None:
    """Key metadata holds the length of the file that it is for: copied, the table could not be read."""
    make(lake)
    assert blocks(planned(lake, tmp_path, Named(CURRENT))) == ["encrypted-table"]


# -- what cannot be read (pitfall 20) ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["snap-1.avro", "m0.avro", "m1.avro"])
@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-1], lambda data: data[:40]])
def test_a_list_or_manifest_that_cannot_be_read_blocks(
    lake: Store, tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    """rewrite_table_path logs it, and writes a list with nothing in it."""
    data, deletes = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/d.parquet"
    size = delete_rows(lake, deletes, [data])
    table(lake, data_file(lake, data), position_deletes(deletes, file_size_in_bytes=size))
    put(lake, f"{LOCATION}/metadata/{name}", damage(lake.get("bronze", f"t/metadata/{name}").data))
    described = planned(lake, tmp_path, Named(CURRENT))
    assert "unreadable" in blocks(described)
    assert f"{LOCATION}/metadata/{name}" in places(described, "unreadable")


# -- names of metadata files (pitfall 23) ------------------------------------------------------------------

PACKED = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}
UNPACKED = {"plain": bytes, "gzip": gzip.decompress, "zstd": zstandard.decompress}


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize(
    "name",
    [
        "v7.metadata.json",
        "v7.gz.metadata.json",
        "v7.metadata.json.gz",
        "00007-5f6b.metadata.json",
        "00007-5f6b.gz.metadata.json",
        "00007-5f6b.metadata.json.gz",
        "00007-5f6b.zstd.metadata.json",
        "5f6b.metadata.json",
    ],
)
def test_every_name_of_a_metadata_file(lake: Store, tmp_path: Path, name: str, codec: str) -> None:
    """Name and compression do not change. The first bytes show the compression, not the name."""
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), name=name)
    put(lake, f"{LOCATION}/metadata/{name}", PACKED[codec](lake.get("bronze", f"t/metadata/{name}").data))
    described = planned(lake, tmp_path)
    (only,) = described["tables"]
    assert not described["blocked"] and only["new_metadata"] == f"s3a://data-lake/bronze/t/metadata/{name}"
    migrated(lake, tmp_path)
    moved = json.loads(UNPACKED[codec](at_target(lake, f"bronze/t/metadata/{name}")))
    assert moved["location"] == "s3a://data-lake/bronze/t"


def test_a_later_version_at_the_target_blocks(lake: Store, tmp_path: Path) -> None:
    """A reader of a Hadoop table continues from the hint to the next version, and would read that as the table."""
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), name="v7.metadata.json")
    put(lake, f"{LOCATION}/metadata/version-hint.text", b"7")
    for later in ("v8.metadata.json", "v9.gz.metadata.json", "v10.metadata.json.gz"):
        put(lake, f"s3://data-lake/bronze/t/metadata/{later}", b"{}")
        described = planned(lake, tmp_path)
        assert blocks(described) == ["target-not-empty"], later
        assert places(described, "target-not-empty") == [f"s3://data-lake/bronze/t/metadata/{later}"]
        (tmp_path / "plan.db").unlink()
        lake.client.delete_object(Bucket="data-lake", Key=f"bronze/t/metadata/{later}")
    assert not planned(lake, tmp_path)["blocked"]


def test_the_version_hint_waits_for_the_cutover(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), name="v7.metadata.json")
    put(lake, f"{LOCATION}/metadata/version-hint.text", b"7")
    planned(lake, tmp_path)
    migrated(lake, tmp_path)
    names = {o.key.rpartition("/")[2] for o in lake.list("data-lake")}
    assert "v7.metadata.json" in names and "version-hint.text" not in names


# -- texts that mention a path (row 7) ---------------------------------------------------------------------


def test_what_only_mentions_a_path_is_reported_and_stays(lake: Store, tmp_path: Path) -> None:
    """Rows 6 and 7: a property that is a path is changed; a person must change a property that only mentions one."""
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    key = "t/metadata/00000-a.metadata.json"
    old: dict[str, Any] = json.loads(lake.get("bronze", key).data)
    old["properties"] = {
        "write.data.path": f"{LOCATION}/data",
        "paths": "s3a://bronze/x,s3a://bronze/y",
        "comment": "loaded from s3a://bronze/in",
        "far": "s3a://elsewhere/x",
    }
    old["snapshots"][0]["summary"] = {
        "operation": "append",
        "snapshot-property.from": "s3a://bronze/in",
        "snapshot-property.note": "see s3a://bronze/in/x",
        "queryId": "0c7e",
    }
    put(lake, f"s3://bronze/{key}", json.dumps(old).encode())
    described = planned(lake, tmp_path)
    assert not described["blocked"]
    said = [f["message"] for f in described["findings"] if f["code"] == "path-in-text"]
    named = ("'paths'", "'comment'", "'snapshot-property.from'", "'snapshot-property.note'")
    assert len(said) == len(named) and all(any(name in text for text in said) for name in named)
    migrated(lake, tmp_path)
    new = json.loads(at_target(lake, f"bronze/{key}"))
    assert new["snapshots"][0]["summary"] == old["snapshots"][0]["summary"]
    assert new["properties"] == old["properties"] | {"write.data.path": "s3a://data-lake/bronze/t/data"}


def test_a_view_moves_and_its_sql_is_reported(lake: Store, tmp_path: Path) -> None:
    """Row 14: paths in SQL cannot be distinguished from other text with certainty."""
    put(lake, "s3://bronze/v/metadata/00001-x.metadata.json", PLAIN)
    lake.create_bucket("silver")
    rules: dict[str, str | bool] = {"s3://bronze/": "bronze/", "s3://silver/wh/": "warehouse/"}
    described = planned(lake, tmp_path, layout=rules)
    (only,) = described["tables"]
    assert not described["blocked"] and (only["kind"], only["new_location"]) == ("view", "s3://data-lake/bronze/v")
    said = [f["message"] for f in described["findings"] if f["code"] == "path-in-text"]
    assert any("select * from parquet.`s3a://bronze/raw`" in text for text in said)
    migrated(lake, tmp_path)
    view = ViewMetadata.model_validate_json(at_target(lake, "bronze/v/metadata/00001-x.metadata.json"))
    assert view.location == "s3://data-lake/bronze/v"
    assert view.properties["write.metadata.path"] == "s3://data-lake/warehouse/v"
    assert view.versions[0].representations[0].root.sql == "select * from parquet.`s3a://bronze/raw`"
