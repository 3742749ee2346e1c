"""What the catalogs and the tables name: pointers, namespaces, neighbours, and paths in the files of tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from checking.lake import Checked
from migrator.catalogs.base import Neighbour
from migrator.catalogs.two_catalogs import TwoCatalogs
from migrator.checking.tables import names_old
from migrator.errors import CatalogError
from migrator.layout import Layout
from plan.handmade import Named, data_file, delete_rows, put, table

PLACE = "s3a://data-lake/warehouse/bronze.db/t"
POINTER = f"{PLACE}/metadata/00000-a.metadata.json"
OLD_POINTER = "s3a://bronze/t/metadata/00000-a.metadata.json"


def late(lake: Checked) -> dict[str, Any]:
    """The entry of a data file in an old bucket, which is gone."""
    return data_file(lake.store, "s3a://bronze/late.parquet", at=f"{PLACE}/data/late.parquet")


@pytest.fixture
def moved(lake: Checked) -> Checked:
    """The lake has one table, in the target, without old paths."""
    table(lake.store, data_file(lake.store, f"{PLACE}/data/a.parquet"), location=PLACE)
    lake.catalogs.append(Named(POINTER))
    return lake


def test_a_moved_table_passes(moved: Checked) -> None:
    found = moved.check()
    assert found.ok and found.findings == [] and found.tables_read == 1 and found.catalogs == ["lake"]


# -- catalogs ------------------------------------------------------------------------------------------------


def set_back(lake: Checked) -> None:
    lake.catalogs[0].pointers["t0"] = OLD_POINTER  # type: ignore[attr-defined]


def namespace(lake: Checked) -> None:
    properties = [("db", "location", "s3a://bronze/db"), ("db", "owner", "x")]
    lake.catalogs[0].namespace_properties = lambda: properties  # type: ignore[method-assign]


def neighbour(lake: Checked) -> None:
    lake.catalogs[0]._neighbours = [Neighbour("", "dev", "db", "n", OLD_POINTER)]  # type: ignore[attr-defined]


CATALOGS: dict[str, tuple[Callable[[Checked], None], str, str]] = {
    "a pointer that was set back": (set_back, "old-pointer", "lake.db.t0"),
    "a namespace": (namespace, "old-namespace", "lake.db"),
    "another catalog in the same database": (neighbour, "old-pointer", "dev.db.n"),
}


@pytest.mark.parametrize("case", CATALOGS)
def test_a_catalog_that_names_an_old_bucket(moved: Checked, case: str) -> None:
    change, code, place = CATALOGS[case]
    change(moved)
    assert (code, place) in moved.failed()
    assert "s3a://bronze/" in moved.only(code).message and moved.only(code).next_move


def test_a_table_that_is_left_on_purpose(moved: Checked) -> None:
    set_back(moved)
    moved.settings["leave"] = ("db.t0",)
    assert moved.check().ok and "on purpose" in moved.only("old-pointer").message


def test_a_table_elsewhere_is_only_named(moved: Checked) -> None:
    moved.catalogs.append(Named("s3://other/t/metadata/v1.metadata.json", name="b"))
    found = moved.check()
    assert found.ok and [(f.code, f.place) for f in found.findings] == [("misplaced-table", "b.db.t0")]


def test_an_old_place_that_a_rule_leaves(moved: Checked) -> None:
    moved.settings["layout"] = {f"s3://{name}/": f"{name}/" for name in ("warehouse", "silver", "gold", "checkpoints")}
    moved.settings["layout"] |= {"s3://bronze/": "bronze/", "s3://bronze/t/": False}
    moved.settings["layout"] |= {"s3://logs/": "logs/", "s3://scripts/": "scripts/"}
    set_back(moved)
    assert moved.check().findings == []


def test_a_warehouse_in_pyicebergs_configuration(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WAREHOUSE", "s3a://bronze/iceberg-warehouse/")
    lake.settings["catalogs"] = {"lake": {}}
    assert lake.failed() == [("old-warehouse", "catalog lake")]
    assert lake.only("old-warehouse").next_move == "Set it to s3a://data-lake/warehouse/."
    lake.settings["catalogs"] = {"lake": {"warehouse": "s3a://bronze/iceberg-warehouse/"}}  # lake.toml may name it
    assert lake.check().ok
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WAREHOUSE", "s3a://data-lake/warehouse/")
    lake.settings["catalogs"] = {"lake": {}}
    assert lake.check().ok


class Silent(Named):
    def tables(self) -> list[object]:  # type: ignore[override]
        raise CatalogError("Catalog 'silent' does not answer.")


def test_a_catalog_that_does_not_answer_is_a_finding(moved: Checked) -> None:
    moved.catalogs.insert(0, Silent(name="silent"))
    assert moved.failed() == [("not-checked", "catalog silent")] and moved.check().tables_read == 1


def test_the_old_catalog_of_two(moved: Checked) -> None:
    (new,) = moved.catalogs
    old = Named(OLD_POINTER, late=OLD_POINTER, name="old")
    new.entries = lambda: type("E", (), {"together": True})  # type: ignore[method-assign]
    moved.catalogs[:] = [TwoCatalogs(old, new, "data-lake")]
    assert moved.failed() == [("old-pointer", "old.db.late")]
    severities = {f.place: f.severity for f in moved.check().findings}
    assert severities == {"old.db.late": "warn", "old.db.t0": "info"}


def test_what_a_moved_hadoop_table_has_left(moved: Checked) -> None:
    """The pointer of such a catalog is where its files are, so a moved table seems to be in both places."""
    at = "s3a://warehouse/bronze.db/t/metadata/v1.metadata.json"
    moved.catalogs[:] = [Named(at, name="hadoop", kind="hadoop")]
    assert moved.check().ok
    moved.catalogs[:] = [Named(at.replace("/t/", "/other/"), name="hadoop", kind="hadoop")]
    assert moved.failed() == [("old-pointer", "hadoop.db.t0")]


# -- files of tables -----------------------------------------------------------------------------------------


def data(lake: Checked) -> None:
    table(lake.store, late(lake), location=PLACE)


def deletes(lake: Checked) -> None:
    at = f"{PLACE}/data/d.parquet"
    entry = data_file(lake.store, at)
    entry["data_file"] |= {"content": 1, "file_size_in_bytes": delete_rows(lake.store, at, ["s3a://bronze/a.parquet"])}
    table(lake.store, data_file(lake.store, f"{PLACE}/data/a.parquet"), entry, location=PLACE)


def location(lake: Checked) -> None:
    table(lake.store, location=PLACE)
    text = lake.store.get("data-lake", POINTER.partition("data-lake/")[2]).data
    put(lake.store, POINTER, text.replace(f'"{PLACE}"'.encode(), b'"s3a://bronze/t"'))


def path_property(lake: Checked) -> None:
    table(lake.store, location=PLACE, properties={"write.data.path": "s3a://gold/t/data"})


FILES: dict[str, Callable[[Checked], None]] = {
    "a data file": data,
    "a position delete": deletes,
    "the location": location,
    "a property that is a path": path_property,
}


@pytest.mark.parametrize("case", FILES)
def test_a_table_in_the_target_with_an_old_path(moved: Checked, case: str) -> None:
    FILES[case](moved)
    finding = moved.only("old-path")
    assert finding.place == "lake.db.t0" and finding.severity == "warn" and "migrator repair" in finding.next_move
    assert "://bronze/" in finding.message or "://gold/" in finding.message
    assert ("old-path", "lake.db.t0") in moved.failed()


def test_a_property_that_mentions_an_old_path(moved: Checked) -> None:
    table(moved.store, location=PLACE, properties={"note": "made from s3://gold/x, and more"})
    assert moved.failed() == [("path-in-text", "lake.db.t0")]


def test_what_a_snapshot_did_is_history(moved: Checked) -> None:
    table(moved.store, location=PLACE)
    at = POINTER.partition("data-lake/")[2]
    text = moved.store.get("data-lake", at).data.replace(b'"summary": {}', b'"summary": {"from": "s3://gold/x"}')
    put(moved.store, POINTER, text)
    assert b"s3://gold/x" in moved.store.get("data-lake", at).data
    assert moved.check().ok


def test_a_table_that_no_catalog_names(lake: Checked) -> None:
    table(lake.store, late(lake), location=PLACE)
    table(lake.store, location=PLACE, name="00001-b.metadata.json", properties={"a": "b"})
    table(lake.store, late(lake), location=PLACE, name="00002-c.metadata.json")
    assert lake.failed() == [("old-path", f"{POINTER.replace('s3a:', 's3:').replace('00000-a', '00002-c')}")]
    assert lake.check().tables_read == 1


def test_one_unreadable_table_is_a_finding(moved: Checked) -> None:
    table(moved.store, late(moved), location=PLACE.replace("/t", "/u"))
    moved.catalogs[0].pointers |= {"gone": POINTER.replace("-a", "-x"), "u": POINTER.replace("/t/", "/u/")}  # type: ignore[attr-defined]
    put(moved.store, POINTER, b"{")
    assert moved.failed() == [
        ("not-checked", "lake.db.gone"),
        ("not-checked", "lake.db.t0"),
        ("old-path", "lake.db.u"),
    ]


def test_a_table_that_was_committed_to_or_dropped_since(moved: Checked) -> None:
    """In a lake in use, table maintenance removes old metadata while the check runs."""
    catalog = moved.catalogs[0]
    catalog.pointers |= {"dropped": POINTER.replace("-a", "-x"), "moved_on": POINTER.replace("-a", "-y")}  # type: ignore[attr-defined]
    catalog.current = lambda _, name: None if name == "dropped" else POINTER  # type: ignore[method-assign]
    found = moved.check()
    assert found.findings == [] and found.tables_read == 2


# -- where tables lie ----------------------------------------------------------------------------------------

WHERE = {
    # namespace of the catalog "lake" is "db"; in "gold" it is that of a layer
    ("db", "warehouse/bronze.db/t"): "",
    ("db", "gold/t"): "",
    ("gold", "gold/t"): "",
    ("gold", "warehouse/gold.db/t"): "",
    ("gold", "silver/t"): "in silver/, and its namespace is that of another layer",
    ("db", "logs/t"): "outside of warehouse/ and of every layer",
    ("db", "checkpoints/t"): "outside of warehouse/ and of every layer",
    ("db", "t"): "outside of warehouse/ and of every layer",
}


@pytest.mark.parametrize(("name", "folder"), WHERE)
def test_a_table_outside_of_the_warehouse_and_its_layer(lake: Checked, name: str, folder: str) -> None:
    place = f"s3://data-lake/{folder}"
    table(lake.store, location=place)

    class OfNamespace(Named):
        def tables(self) -> list[object]:  # type: ignore[override]
            return [replace(found, namespace=name) for found in super().tables()]

    lake.catalogs.append(OfNamespace(f"{place}/metadata/00000-a.metadata.json"))
    found = [finding for finding in lake.check().failed if finding.code == "misplaced-table"]
    said = WHERE[name, folder]
    assert [finding.message for finding in found] == ([f"has the location {place}, {said}"] if said else [])


def test_which_paths_are_old() -> None:
    layout = Layout.from_mapping(
        "data-lake", {"s3://bronze/": "bronze/", "s3://bronze/tmp/": False, "hdfs://nn:8020/wh/": "bronze/"}
    )
    yes = ("s3://bronze", "s3a://bronze/x", "hdfs://nn:8020/wh/t")
    no = ("s3://bronze/tmp/x", "s3://data-lake/bronze/x", "s3://other/x", "hdfs://nn:8020/else", "relative")
    assert all(names_old(layout, path) for path in yes) and not any(names_old(layout, path) for path in no)
