"""What is counted: objects, tables, orphans, old paths. What cannot be read never counts as 0."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from checking.lake import Checked, tidy
from iceberg.tables import entry
from migrator.checking.look import Checking
from migrator.config import Settings
from migrator.errors import CatalogError
from migrator.layout import MEDALLION, Layout
from migrator.monitoring import measuring
from migrator.monitoring.collect import collect
from migrator.monitoring.measures import CountLimits, LakeMeasures, LayerMeasures, TableMeasures
from migrator.progress import Progress
from migrator.store import Store
from plan.handmade import Named, data_file, delete_rows, document, put, table

PLACE = "s3a://data-lake/warehouse/bronze.db/t"
POINTER = f"{PLACE}/metadata/00000-a.metadata.json"
NOW = CountLimits(orphan_age=-3600)
"""Objects of any age count as orphans."""


@pytest.fixture
def lake(mock_store: Store) -> Checked:
    """A lake with all of its structure, one table with two data files, and no old bucket."""
    made = tidy(mock_store)
    files = [data_file(mock_store, f"{PLACE}/data/{name}.parquet") for name in "ab"]
    table(mock_store, *files, location=PLACE)
    made.catalogs.append(Named(POINTER))
    return made


def measure(lake: Checked, limits: CountLimits = NOW) -> LakeMeasures:
    layout = Layout.medallion("data-lake", MEDALLION)
    catalogs = {catalog.name: catalog for catalog in lake.catalogs}
    return collect(Checking(Settings(**lake.settings), layout, lake.store, catalogs, Progress()), limits)


def layers(found: LakeMeasures) -> dict[str, LayerMeasures]:
    return {layer.layer: layer for layer in found.layers}


def only(found: LakeMeasures) -> TableMeasures:
    (one,) = found.tables
    return one


# -- folders -------------------------------------------------------------------------------------------------


def test_every_object_is_in_one_layer(lake: Checked) -> None:
    lake.put("tmp/stray", b"12345")
    lake.put("warehouse/loose", b"12")
    found = layers(measure(lake))
    counted = {name: (layer.kind, layer.objects, layer.bytes) for name, layer in found.items() if layer.objects}
    assert counted == {
        "": ("outside", 1, 5),
        "warehouse": ("warehouse", 1, 2),
        "warehouse/bronze.db": ("warehouse", 6, found["warehouse/bronze.db"].bytes),
        "bronze": ("layer", 1, 1),
        "silver": ("layer", 1, 1),
        "gold": ("layer", 1, 1),
        "checkpoints": ("checkpoints", 3, 3),
        "logs": ("logs", 1, 1),
        "scripts": ("scripts", 1, 1),
    }
    listed = list(lake.store.list("data-lake"))
    assert sum(layer.objects for layer in found.values()) == len(listed)
    assert sum(layer.bytes for layer in found.values()) == sum(one.size for one in listed)
    assert found["bronze"].newest == max(one.modified for one in listed if one.key.startswith("bronze/"))


def test_an_empty_folder_is_there_without_a_time(lake: Checked) -> None:
    lake.store.delete("data-lake", "gold/x/a")
    gold = layers(measure(lake))["gold"]
    assert (gold.objects, gold.newest) == (0, None)


def test_namespaces_beyond_the_limit_count_as_the_warehouse(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MOST_NAMESPACES", 1)
    for name in "xyz":
        lake.put(f"warehouse/{name}.db/t/a")
    found = layers(measure(lake))
    assert {name for name in found if name.startswith("warehouse/")} == {"warehouse/bronze.db"}
    assert found["warehouse"].objects == 3


def test_small_files_are_data_by_their_names(lake: Checked) -> None:
    for key in ("bronze/raw_events/a.parquet", "bronze/raw_events/B.ORC", "bronze/raw_events/c.avro"):
        lake.put(key, b"123")
    for key in ("bronze/raw_events/x.json", "bronze/t/metadata/m.avro"):
        lake.put(key, b"1")
    lake.put("bronze/raw_events/large.parquet", b"1234")
    assert layers(measure(lake, CountLimits(small_file=4)))["bronze"].small_files == 3


# -- tables --------------------------------------------------------------------------------------------------


def test_a_table(lake: Checked) -> None:
    found = measure(lake)
    one = only(found)
    assert (one.catalog, one.namespace, one.name, one.layer) == ("lake", "db", "t0", "warehouse/bronze.db")
    assert (one.readable, one.format_version, one.snapshots, one.current) == (True, 2, 1, 1)
    assert (one.data_files, one.data_bytes, one.small_files, one.orphans, one.old_paths) == (2, 8, 2, 0, 0)
    assert sum(one.deletes.values()) == 0
    assert found.complete and found.target_exists and found.unreadable == 0 and found.catalogs == {"lake": True}


def test_the_size_below_which_a_file_is_small(lake: Checked) -> None:
    assert only(measure(lake, CountLimits(small_file=4))).small_files == 0
    assert only(measure(lake, CountLimits(small_file=5))).small_files == 2


def kinds_of_deletes(store: Store) -> list[dict[str, Any]]:
    uri = f"{PLACE}/data/deletes.parquet"
    size = delete_rows(store, uri, [f"{PLACE}/data/a.parquet"])
    files = [entry(uri, content=1, file_size_in_bytes=size)]
    for name, more in (
        ("eq.parquet", {"content": 2}),
        ("eq2.parquet", {"content": 2}),
    ):
        files.append(entry(f"{PLACE}/data/{name}", file_size_in_bytes=put(store, f"{PLACE}/data/{name}", b"d"), **more))
    return files


def test_kinds_of_deletes(lake: Checked) -> None:
    table(lake.store, data_file(lake.store, f"{PLACE}/data/a.parquet"), *kinds_of_deletes(lake.store), location=PLACE)
    lake.store.delete("data-lake", "warehouse/bronze.db/t/data/b.parquet")
    found = measure(lake)
    assert only(found).deletes == {"position": 1, "equality": 2, "deletion-vector": 0}
    assert only(found).data_files == 1
    layer = layers(found)["warehouse/bronze.db"]
    assert (layer.small_files, layer.orphans) == (1, 0), "files of deletes are no small files of data, and no orphans"


def test_only_the_current_snapshot_counts_and_every_snapshot_names(lake: Checked) -> None:
    """A second snapshot, current, has one file; the file of the first one is no orphan."""
    first = json.loads(lake.store.get("data-lake", "warehouse/bronze.db/t/metadata/00000-a.metadata.json").data)
    other = "s3a://data-lake/warehouse/bronze.db/other"
    table(lake.store, data_file(lake.store, f"{PLACE}/data/c.parquet"), location=other)
    snapshot = {
        **first["snapshots"][0],
        "snapshot-id": 2,
        "timestamp-ms": 2,
        "manifest-list": f"{other}/metadata/snap-1.avro",
    }
    now = document(location=PLACE, snapshots=[*first["snapshots"], snapshot], **{"current-snapshot-id": 2})
    put(lake.store, POINTER, now)
    lake.store.delete("data-lake", "warehouse/bronze.db/other/metadata/00000-a.metadata.json")
    one = only(measure(lake))
    assert (one.snapshots, one.current, one.data_files, one.orphans) == (2, 2, 1, 0)


def test_a_view_is_no_table(lake: Checked) -> None:
    view = {"view-uuid": "x", "format-version": 1, "location": f"{PLACE}v", "versions": [], "current-version-id": 1}
    put(lake.store, f"{PLACE}v/metadata/00000-v.metadata.json", json.dumps(view).encode())
    assert len(measure(lake).tables) == 1


def test_a_table_in_no_catalog_has_the_uri_of_its_folder_for_a_name(lake: Checked) -> None:
    lake.catalogs.clear()
    one = only(measure(lake))
    assert (one.catalog, one.namespace, one.name) == ("", "", "s3://data-lake/warehouse/bronze.db/t")
    assert one.data_files == 2


# -- orphans -------------------------------------------------------------------------------------------------


def test_orphans_are_what_no_snapshot_names(lake: Checked) -> None:
    lake.put("warehouse/bronze.db/t/data/lost.parquet", b"12345")
    lake.put("warehouse/bronze.db/t/metadata/old.avro", b"1")
    lake.put("warehouse/bronze.db/t/metadata/version-hint.text")
    lake.put("warehouse/bronze.db/t/data_$folder$", b"")
    lake.put("warehouse/bronze.db/t2/beside")
    found = measure(lake)
    assert (only(found).orphans, only(found).orphan_bytes) == (2, 6)
    layer = layers(found)["warehouse/bronze.db"]
    assert (layer.orphans, layer.orphan_bytes) == (2, 6)


def test_what_is_young_may_belong_to_a_commit(lake: Checked) -> None:
    lake.put("warehouse/bronze.db/t/data/lost.parquet")
    assert only(measure(lake, CountLimits())).orphans == 0
    assert only(measure(lake)).orphans == 1


def test_a_table_inside_of_another_keeps_its_files(lake: Checked) -> None:
    inner = f"{PLACE}/inner"
    table(lake.store, data_file(lake.store, f"{inner}/data/a.parquet"), location=inner)
    lake.catalogs.append(Named(f"{inner}/metadata/00000-a.metadata.json", name="two"))
    lake.put("warehouse/bronze.db/t/inner/data/lost", b"1")
    found = {one.catalog: one.orphans for one in measure(lake).tables}
    assert found == {"lake": 0, "two": 1}


def test_two_entries_of_one_table_count_its_orphans_once_in_the_layer(lake: Checked) -> None:
    lake.catalogs.append(Named(POINTER, name="two"))
    lake.put("warehouse/bronze.db/t/data/lost", b"1")
    found = measure(lake)
    assert [one.orphans for one in found.tables] == [1, 1]
    assert layers(found)["warehouse/bronze.db"].orphans == 1


def test_a_path_with_empty_levels_names_what_hadoop_makes_of_it(lake: Checked) -> None:
    table(
        lake.store,
        data_file(lake.store, f"{PLACE}//data/a.parquet", at=f"{PLACE}/data/a.parquet"),
        data_file(lake.store, f"{PLACE}/data/b.parquet"),
        location=PLACE,
    )
    assert only(measure(lake)).orphans == 0


# -- what names an old bucket -----------------------------------------------------------------------------------


def test_old_paths_are_counted_once_each(lake: Checked) -> None:
    files = [
        data_file(lake.store, f"s3a://bronze/{name}.parquet", at=f"{PLACE}/data/{name}.parquet") for name in "aabc"
    ]
    table(lake.store, *files, location=PLACE)
    found = measure(lake)
    assert only(found).old_paths == 3
    assert layers(found)["warehouse/bronze.db"].old_paths == 1
    assert found.findings["old-path", "warn"] == 1


def test_the_layer_of_a_log_a_script_and_a_catalog(lake: Checked) -> None:
    lake.put("scripts/a.py", b"'s3://gold/x'")
    lake.catalogs[0].namespace_properties = lambda: [("db", "location", "s3a://bronze/db")]  # type: ignore[method-assign]
    found = measure(lake)
    counted = {name: layer.old_paths for name, layer in layers(found).items() if layer.old_paths}
    assert counted == {"scripts": 1, "": 1}


def test_what_is_accepted_is_no_alert_and_what_cannot_be_read_is_missing_all_the_same(lake: Checked) -> None:
    lake.settings["check_accept"] = ("old-path-in-script", "not-checked")
    lake.put("scripts/a.py", b"'s3://gold/x'")
    put(lake.store, POINTER, b"{")
    found = measure(lake)
    assert layers(found)["scripts"].old_paths == 0 and found.findings["old-path-in-script", "info"] == 1
    assert not found.complete and found.findings["not-checked", "info"] == 1


# -- what cannot be read -------------------------------------------------------------------------------------------


def damaged_metadata(lake: Checked) -> None:
    put(lake.store, POINTER, b"{")


def damaged_manifest(lake: Checked) -> None:
    put(lake.store, f"{PLACE}/metadata/m0.avro", b"Obj")


def missing_manifest(lake: Checked) -> None:
    lake.store.delete("data-lake", "warehouse/bronze.db/t/metadata/m0.avro")


def missing_list(lake: Checked) -> None:
    lake.store.delete("data-lake", "warehouse/bronze.db/t/metadata/snap-1.avro")


def missing_metadata(lake: Checked) -> None:
    lake.store.delete("data-lake", "warehouse/bronze.db/t/metadata/00000-a.metadata.json")


BROKEN = (damaged_metadata, damaged_manifest, missing_manifest, missing_list, missing_metadata)


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda case: case.__name__)
def test_a_table_that_cannot_be_read_is_there_and_said_to_be_incomplete(lake: Checked, break_it: Any) -> None:
    break_it(lake)
    lake.put("warehouse/bronze.db/t/data/lost")
    found = measure(lake)
    one = only(found)
    assert (one.catalog, one.namespace, one.name, one.layer) == ("lake", "db", "t0", "warehouse/bronze.db")
    assert not one.readable and found.unreadable == 1 and not found.complete
    layer = layers(found)["warehouse/bronze.db"]
    assert (layer.tables, layer.unreadable, layer.orphans) == (1, 1, 0)


@pytest.mark.parametrize("break_it", BROKEN[:-1], ids=lambda case: case.__name__)
def test_the_same_of_one_in_no_catalog(lake: Checked, break_it: Any) -> None:
    break_it(lake)
    lake.catalogs.clear()
    found = measure(lake)
    assert found.unreadable == 1 and not found.complete


def test_a_table_that_was_committed_to_meanwhile_is_read_where_it_is_now(lake: Checked) -> None:
    (gone,) = lake.catalogs
    named = gone.tables
    new = f"{PLACE}/metadata/00001-b.metadata.json"
    table(lake.store, data_file(lake.store, f"{PLACE}/data/a.parquet"), location=PLACE, name="00001-b.metadata.json")
    lake.store.delete("data-lake", "warehouse/bronze.db/t/metadata/00000-a.metadata.json")
    stale = named()
    gone.pointers["t0"] = new  # type: ignore[attr-defined]
    gone.tables = lambda: stale  # type: ignore[method-assign]
    found = measure(lake)
    assert found.complete and only(found).readable and only(found).data_files == 1


def test_a_table_that_was_dropped_meanwhile_is_not_there(lake: Checked) -> None:
    (gone,) = lake.catalogs
    stale = gone.tables()
    gone.pointers.clear()  # type: ignore[attr-defined]
    gone.tables = lambda: stale  # type: ignore[method-assign]
    missing_metadata(lake)
    found = measure(lake)
    assert found.complete and found.tables == []


def test_a_catalog_that_cannot_be_read(lake: Checked) -> None:
    def fails() -> Any:
        raise CatalogError("The database is down.")

    lake.catalogs[0].tables = fails  # type: ignore[method-assign]
    found = measure(lake)
    assert found.catalogs == {"lake": False} and not found.complete


def test_many_files_are_noted_page_by_page(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PAGE", 2)
    files = [data_file(lake.store, f"{PLACE}/data/{number}.parquet") for number in range(9)]
    old = [data_file(lake.store, f"s3a://bronze/{n}.parquet", at=f"{PLACE}/data/old{n}.parquet") for n in range(5)]
    table(lake.store, *files, *old, location=PLACE)
    one = only(measure(lake))
    assert (one.data_files, one.old_paths) == (14, 5)
    assert one.orphans == 2 + 5, "a and b of before, and what only has the old names"


def test_rows_are_those_of_the_files(lake: Checked) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2, 3]}), sink)
    uri = f"{PLACE}/data/rows.parquet"
    size = put(lake.store, uri, sink.getvalue())
    table(lake.store, entry(uri, file_size_in_bytes=size, record_count=3), location=PLACE)
    assert only(measure(lake)).records == 3
