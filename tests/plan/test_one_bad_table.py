"""One table or file never stops the lake: it becomes a finding about that table, and the plan names a way to
continue."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc as orc
import pytest

from iceberg.tables import entry, position_deletes
from migrator.catalogs.base import Neighbour
from migrator.cutover.source_changes import find_source_changes
from migrator.errors import ConfigError
from migrator.planfile.file import PlanFile
from migrator.progress import Progress
from migrator.store import Content, Store
from plan.handmade import CURRENT, LAYOUT, LOCATION, Named, at_target, blocks, data_file, migrated, places, put, table
from plan.places import advised, append, cut_over, make, replan, rows


def found(described: dict[str, Any], code: str) -> dict[str, Any]:
    (only,) = [f for f in described["findings"] if f["code"] == code]
    return dict(only)


# -- rows of a catalog that lead elsewhere -----------------------------------------------------------------


@pytest.mark.parametrize(
    "pointer",
    [
        "file:///home/me/wh/db/t0/metadata/00000-a.metadata.json",
        "hdfs://nn:8020/wh/db/t0/metadata/v1.metadata.json",
        "/wh/db/t0",
        "",
        "s3a://retired/db/t0/metadata/00000-a.metadata.json",
        "s3a://not a bucket/db/t0/metadata/00000-a.metadata.json",
    ],
)
def test_a_row_outside_of_the_lake_stays_and_is_named(lake: Store, tmp_path: Path, pointer: str) -> None:
    catalog = Named(pointer, live=make(lake, "s3a://bronze/db/t").metadata_location)
    described = replan(lake, tmp_path, catalog)
    assert not described["blocked"]
    assert "lake.db.t0" in found(described, "outside-table")["place"]
    assert [t["identifier"] for t in described["tables"]] == ["lake.db.live"]


def test_a_row_in_a_bucket_without_a_rule_blocks_until_somebody_decides(lake: Store, tmp_path: Path) -> None:
    """Its data may lie in the old buckets."""
    lake.create_bucket("landing")
    catalog = Named(make(lake, "s3a://landing/db/t").metadata_location)
    described = replan(lake, tmp_path, catalog)
    assert blocks(described) == ["unmapped-path"]
    assert "--leave lake.db.t0" in found(described, "unmapped-path")["next_move"]
    assert not replan(lake, tmp_path, catalog, leave=("lake.db.t0",))["blocked"]
    layout = {**LAYOUT, "s3://landing/db/t/": False}
    assert not replan(lake, tmp_path, catalog, layout=layout)["blocked"]


# -- left out on purpose -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["db.t0", "lake.db.t0"])
@pytest.mark.parametrize("damage", [None, b"", b"PAR1"])
def test_a_table_is_left_where_it_is(lake: Store, tmp_path: Path, name: str, damage: bytes | None) -> None:
    """This holds for damaged and valid tables: nothing of it is copied, and it may change until the cutover."""
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    if damage is not None:
        put(lake, CURRENT, damage)
    catalog = Named(CURRENT, live=make(lake, "s3a://warehouse/db/t").metadata_location)
    described = replan(lake, tmp_path, catalog, leave=(name,))
    assert not described["blocked"]
    assert found(described, "left-table")["place"] == "lake.db.t0"
    assert {t["identifier"].removeprefix("lake.db."): t["state"] for t in described["tables"]} == {
        "t0": "left",
        "live": "rewrite",
    }
    put(lake, f"{LOCATION}/data/late.parquet", b"late")
    put(lake, f"{LOCATION}/data/a.parquet", b"ROWS")
    with PlanFile.open(tmp_path / "plan.db") as plan:
        assert not find_source_changes(plan, lake, Progress())
    migrated(lake, tmp_path)
    assert not [o.key for o in lake.list("data-lake", "bronze/")]
    assert len([*lake.list("data-lake", "warehouse/db/t/")]) > 5
    later = replan(lake, tmp_path, catalog)  # and back again
    assert later["blocked"] == (damage is not None)


def test_a_file_that_another_table_needs_moves_with_that_one(lake: Store, tmp_path: Path) -> None:
    shared = data_file(lake, f"{LOCATION}/data/shared.parquet")
    table(lake, shared, data_file(lake, f"{LOCATION}/data/own.parquet"))
    table(lake, shared, location="s3a://warehouse/copy")
    catalog = Named(CURRENT, live="s3a://warehouse/copy/metadata/00000-a.metadata.json")
    assert not replan(lake, tmp_path, catalog, leave=("db.t0",))["blocked"]
    migrated(lake, tmp_path)
    assert [o.key for o in lake.list("data-lake", "bronze/")] == ["bronze/t/data/shared.parquet"]


def test_a_name_that_no_table_has_is_reported_at_once(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    with pytest.raises(ConfigError, match=r"'db\.t9' is to be left .* Did you mean 'lake\.db\.t0'") as caught:
        replan(lake, tmp_path, Named(CURRENT), leave=("db.t9",))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format-version": 7}', None])
def test_a_broken_table_of_a_catalog_blocks_and_both_next_moves_work(
    lake: Store, tmp_path: Path, damage: bytes | None
) -> None:
    live = make(lake, "s3a://warehouse/db/t").metadata_location
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    catalog = Named(CURRENT, live=live)
    if damage is None:
        lake.client.delete_object(Bucket="bronze", Key="t/metadata/00000-a.metadata.json")
    else:
        put(lake, CURRENT, damage)
    described = replan(lake, tmp_path, catalog)
    (code,) = blocks(described)
    assert code in ("unreadable", "missing-object")
    assert "--leave lake.db.t0" in found(described, code)["next_move"]
    rules = advised(described, code)
    assert rules == {"s3://bronze/t/": False}
    assert not replan(lake, tmp_path, catalog, layout={**LAYOUT, **rules})["blocked"]
    assert not replan(lake, tmp_path, catalog, leave=("lake.db.t0",))["blocked"]


def test_a_name_with_spaces_is_quoted_where_a_command_has_it(lake: Store, tmp_path: Path) -> None:
    catalog = Named(live=make(lake, "s3a://warehouse/db/t").metadata_location, **{"my t": CURRENT})
    described = replan(lake, tmp_path, catalog)
    move = found(described, *blocks(described))["next_move"]
    words = shlex.split(move[move.index("--leave ") :])
    assert words[:3] == ["--leave", "lake.db.my t", "leaves"]
    assert not replan(lake, tmp_path, catalog, leave=(words[1],))["blocked"]


STALE = "metadata/00000-stale.metadata.json"


@pytest.mark.parametrize(
    "pointer", [f"s3a://bronze/db/t/{STALE}", "s3a://bronze/db/t", "s3a://bronze/db/t/data/x.avro"]
)
def test_leaving_a_bad_row_never_leaves_a_table_or_an_object_of_the_same_folder(
    lake: Store, tmp_path: Path, pointer: str
) -> None:
    """It names an expired metadata file of a live table, or that table's folder, say."""
    catalog = Named(pointer, live=make(lake, "s3a://bronze/db/t").metadata_location)
    put(lake, "s3a://bronze/db/t/data/in-flight.parquet", b"not committed yet")
    described = replan(lake, tmp_path, catalog)
    assert advised(described, blocks(described)[0]) == {}
    assert "--leave lake.db.t0" in described["findings"][0]["next_move"]
    described = replan(lake, tmp_path, catalog, leave=("lake.db.t0",))
    assert not described["blocked"]
    old = {o.key for o in lake.list("bronze", "db/t/")}
    migrated(lake, tmp_path)
    copied = {o.key.removeprefix("bronze/") for o in lake.list("data-lake", "bronze/db/t/")}
    assert copied == old - {"db/t/data/x.avro"}


def test_leaving_a_row_that_leads_into_a_folder_of_other_objects_leaves_none_of_them(
    lake: Store, tmp_path: Path
) -> None:
    put(lake, "s3a://bronze/raw/day/a.json", b"{}")
    catalog = Named("s3a://bronze/raw/00000-a.metadata.json")
    described = replan(lake, tmp_path, catalog)
    assert advised(described, blocks(described)[0]) == {}
    assert not replan(lake, tmp_path, catalog, leave=("lake.db.t0",))["blocked"]
    migrated(lake, tmp_path)
    assert [o.key for o in lake.list("data-lake", "bronze/")] == ["bronze/raw/day/a.json"]


def test_a_broken_table_with_older_metadata_is_still_left_by_a_rule(lake: Store, tmp_path: Path) -> None:
    """The older files are its own, though the listing shows them as a table that no catalog names."""
    current = make(lake, "s3a://bronze/db/t").metadata_location
    put(lake, current, b"{")
    described = replan(lake, tmp_path, Named(current))
    rules = advised(described, blocks(described)[0])
    assert rules == {"s3://bronze/db/t/": False}
    assert not replan(lake, tmp_path, Named(current), layout={**LAYOUT, **rules})["blocked"]


def test_a_table_of_a_catalog_that_a_rule_leaves_is_a_warning(lake: Store, tmp_path: Path) -> None:
    current = make(lake, "s3a://bronze/db/t").metadata_location
    described = replan(lake, tmp_path, Named(current), layout={**LAYOUT, "s3://bronze/db/t/": False})
    (about,) = [f for f in described["findings"] if f["code"] == "left-out" and f["place"] == "lake.db.t0"]
    assert about["severity"] == "warn" and current in about["message"]


# -- tables and files that no catalog names ----------------------------------------------------------------


def test_a_broken_table_that_nobody_names_is_copied_as_it_is(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), entry("s3a://retired/b.parquet"))
    put(lake, f"{LOCATION}/metadata/version-hint.text", b"")
    old = {o.key: lake.get("bronze", o.key).data for o in lake.list("bronze", "t/")}
    described = replan(lake, tmp_path)
    assert not described["blocked"]
    assert "[unmapped-path]" in found(described, "uncatalogued-broken")["message"]
    assert [t["new_metadata"] for t in described["tables"]] == [None]
    migrated(lake, tmp_path)
    assert {key: at_target(lake, f"bronze/{key}") for key in old} == old


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("t/metadata/00009-x.metadata.json", "stray-metadata"),  # a commit that died
        ("models/churn.metadata.json", None),  # a file of another program
        ("models/metadata/run-7.metadata.json", "stray-metadata"),
    ],
)
@pytest.mark.parametrize("body", [b"", b'{"format-version": 2, "table-', b'{"name": "churn"}', b"[1]", b"\x1f\x8b\x00"])
def test_metadata_that_is_none_is_copied(lake: Store, tmp_path: Path, key: str, code: str | None, body: bytes) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    put(lake, f"s3://bronze/{key}", body)
    described = replan(lake, tmp_path, Named(CURRENT))
    assert not described["blocked"]
    assert places(described, "stray-metadata") == ([f"s3://bronze/{key}"] if code else [])
    migrated(lake, tmp_path)
    assert at_target(lake, f"bronze/{key}") == body


def test_an_odd_hint_is_named(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), name="v1.metadata.json")
    put(lake, f"{LOCATION}/metadata/version-hint.text", b"seven")
    described = replan(lake, tmp_path)
    assert not described["blocked"]
    assert "b'seven'" in found(described, "odd-hint")["message"]


# -- what rewriting would refuse ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [1, 2])
def test_deletes_that_cannot_be_written_back_are_found_while_planning(lake: Store, tmp_path: Path, status: int) -> None:
    data, deletes = f"{LOCATION}/data/a.parquet", f"{LOCATION}/data/d.orc"
    sink = io.BytesIO()
    at = pa.array([{"at": 10**17}], pa.struct([("at", pa.timestamp("us"))]))  # in the year 5138
    orc.write_table(pa.table({"file_path": [data], "pos": pa.array([0], pa.int64()), "row": at}), sink)
    size = put(lake, deletes, sink.getvalue())
    deleted = position_deletes(deletes, file_format="ORC", file_size_in_bytes=size, status=status)
    table(lake, data_file(lake, data), deleted)
    described = replan(lake, tmp_path, Named(CURRENT))
    if status == 1:
        assert blocks(described) == ["unreadable"]
        assert found(described, "unreadable")["place"].endswith("/t/data/d.orc")
        assert "lake.db.t0" in found(described, "unreadable")["message"]
        return
    assert not described["blocked"] and places(described, "missing-history") == [deletes.replace("s3a", "s3")]
    migrated(lake, tmp_path)
    assert at_target(lake, "bronze/t/data/d.orc") == sink.getvalue()


# -- the same database -------------------------------------------------------------------------------------


def test_other_catalogs_of_the_database_are_named_with_their_counts(lake: Store, tmp_path: Path) -> None:
    pointer = make(lake, "s3a://bronze/db/t").metadata_location
    rows_beside = [
        *(Neighbour("", "trino", "db", f"t{n}", pointer) for n in range(5)),
        Neighbour("", "spark", "db", "t", pointer),  # given below
        Neighbour("archive", "spark", "db", "t", pointer),  # not given: it is another schema's
        Neighbour("", "elsewhere", "db", "t", "s3://other/x.metadata.json"),
        Neighbour("", "moved", "db", "t", "s3://data-lake/x.metadata.json"),
    ]
    lakes = Named(t=pointer, neighbours=rows_beside), Named(t=pointer, name="spark", neighbours=rows_beside)
    described = replan(lake, tmp_path, *lakes)
    assert not described["blocked"]
    named = {f["place"]: (f["count"], f["severity"]) for f in described["findings"] if f["code"] == "other-catalog"}
    assert named == {
        "trino in sql memory": (5, "warn"),
        "spark in schema archive of sql memory": (1, "warn"),
    }


def test_tables_that_cannot_be_re_pointed_are_named_even_if_their_catalog_is_given(lake: Store, tmp_path: Path) -> None:
    pointer = make(lake, "s3a://bronze/db/t").metadata_location
    places = ("s3://bronze/raw/", "s3://bronze/raw2/day=1", "s3://other/raw")
    rows_beside = [Neighbour("", "lake", "db", "raw", place, "not an Iceberg table") for place in places]
    described = replan(lake, tmp_path, Named(t=pointer, neighbours=rows_beside))
    assert not described["blocked"]
    (finding,) = [f for f in described["findings"] if f["code"] == "other-tables"]
    assert (finding["place"], finding["count"], finding["severity"]) == ("lake in sql memory", 2, "warn")
    assert "such as that of db.raw (not an Iceberg table)" in finding["message"]
    assert not [f for f in described["findings"] if f["code"] == "other-catalog"]


def test_a_rule_that_leaves_a_bucket_out_needs_no_bucket(lake: Store, tmp_path: Path) -> None:
    lake.put("bronze", "x", Content(b"x", ""))
    layout = {**LAYOUT, "s3://retired/": False, "s3://gone/a/": False}
    assert not replan(lake, tmp_path, layout=layout)["blocked"]
    migrated(lake, tmp_path)
    with PlanFile.open(tmp_path / "plan.db") as plan:
        assert not find_source_changes(plan, lake, Progress())


def test_all_of_it_at_once(lake: Store, tmp_path: Path) -> None:
    """The live table moves, although everything around it is damaged."""
    pointer = make(lake, "s3a://warehouse/db/t").metadata_location
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"), entry("s3a://retired/b.parquet"))
    for key in ("db/t/metadata/00009-x.metadata.json", "m.metadata.json"):
        put(lake, f"s3://warehouse/{key}", b"{")
    catalog = Named("file:///x/metadata/v1.metadata.json", "s3://retired/x/metadata/v1.metadata.json", live=pointer)
    cut_over(lake, tmp_path, catalog)
    assert rows(lake, catalog.pointers["live"]) == 6
    catalog.pointers["live"] = append(lake, catalog.pointers["live"], "data-lake")
    assert not replan(lake, tmp_path, catalog)["blocked"]
