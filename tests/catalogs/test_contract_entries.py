"""Every catalog that stores pointers makes and removes entries for tables that move from another catalog, on real
servers. pyiceberg reads them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from catalogs.contract import Place, S3Reader
from catalogs.test_contract import KINDS, fixture, made_place, nessie
from migrator.catalogs import Repoint
from migrator.catalogs.base import VIEW
from migrator.demo.server import Server
from migrator.errors import CannotRepoint, CatalogError, PlanStale

__all__ = ["fixture", "nessie"]  # fixtures that made_place asks for

pytestmark = pytest.mark.slow


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, s3: Server, tmp_path: Path) -> Place:
    made = made_place(request.param, request, s3, tmp_path)
    made.reader = S3Reader(s3)
    return made


def entry(place: Place, name: str = "t", *, namespace: str | None = None, rows: int = 1) -> Repoint:
    """A table that the catalog has no entry for, in a namespace that it does not have; its metadata is in both
    buckets."""
    table = place.make(f"source_{name}", rows=rows)
    moved = place.moved(table)
    return Repoint(namespace or place.inside("new"), name, moved.expected, moved.new)


def location(place: Place, namespace: str) -> dict[str, dict[str, str]]:
    return {namespace: {"location": f"s3://new/{namespace}"}}


def load(place: Place, asked: Repoint) -> tuple[str, list[int]]:
    table = place.theirs.load_table((*asked.namespace.split("."), asked.name))
    return table.metadata_location, sorted(table.scan().to_arrow()["id"].to_pylist())


def can_remove(place: Place) -> bool:
    return place.kind != "REST by rename"


def test_makes_entries_and_removes_them(place: Place) -> None:
    asked = entry(place, rows=2)
    with place.opened() as catalog:
        before = catalog.tables()
        catalog.entries().check([asked], location(place, asked.namespace))
        assert catalog.tables() == before and asked.namespace not in place.theirs.list_namespaces()
        catalog.entries().add([asked], location(place, asked.namespace))
        assert catalog.current(asked.namespace, "t") == asked.new
        catalog.entries().add([asked], {})  # nothing is left to do
    assert load(place, asked) == (asked.new, [0, 1])
    found = place.theirs.load_namespace_properties(tuple(asked.namespace.split(".")))
    assert found["location"].rstrip("/") == f"s3://new/{asked.namespace}"
    place.theirs.load_table((*asked.namespace.split("."), "t")).append(pa.table({"id": [7]}))
    written = load(place, asked)
    assert written[1] == [0, 1, 7]

    with place.opened() as catalog:
        with pytest.raises(PlanStale, match="points to"):
            catalog.entries().remove([asked_back(asked)])
        assert load(place, asked) == written
        back = Repoint(asked.namespace, "t", written[0], asked.expected)
        if can_remove(place):
            catalog.entries().remove([back])
            catalog.entries().remove([back])
            assert catalog.current(asked.namespace, "t") is None
            again = Repoint(asked.namespace, "t", asked.expected, written[0])
            catalog.entries().add([again], {})  # no file was deleted
        else:
            with pytest.raises(CannotRepoint, match="allow-drop"):
                catalog.entries().remove([back])
    assert load(place, asked) == written


def asked_back(asked: Repoint) -> Repoint:
    return Repoint(asked.namespace, asked.name, asked.new, asked.expected)


def test_an_entry_of_somebody_elses_is_never_changed(place: Place) -> None:
    theirs = place.make("t", rows=3)
    asked = entry(place, namespace=place.namespace)
    other = entry(place, "other", namespace=place.namespace)
    before = place.seen(theirs)
    with place.opened() as catalog:
        with pytest.raises(PlanStale, match="has an entry"):
            catalog.entries().add([other, asked], {})
        assert catalog.current(place.namespace, "other") == (None if catalog.entries().together else other.new)
        with pytest.raises(PlanStale):
            catalog.entries().remove([asked_back(asked)])
    assert place.seen(theirs) == before


def test_an_interrupted_run_is_finished_by_another(place: Place) -> None:
    first, second = entry(place, "a"), entry(place, "b")
    properties = location(place, first.namespace)
    with place.opened() as catalog:
        catalog.entries().add([first], properties)
    with place.opened() as catalog:
        catalog.entries().add([first, second], properties)
    assert [load(place, asked)[0] for asked in (first, second)] == [first.new, second.new]


def test_a_namespace_that_exists_is_not_changed(place: Place) -> None:
    asked = entry(place, namespace=place.namespace)
    levels = tuple(place.namespace.split("."))
    before = place.theirs.load_namespace_properties(levels)
    with place.opened() as catalog:
        catalog.entries().add([asked], location(place, asked.namespace))
    assert place.theirs.load_namespace_properties(levels) == before
    assert load(place, asked)[0] == asked.new


def test_what_a_kind_cannot_have_blocks_while_planning(place: Place) -> None:
    view = Repoint(place.namespace, "v", "s3://old/v.json", "s3://new/v.json", VIEW)
    nested = entry(place, namespace=f"{place.namespace}.deep")
    with place.opened() as catalog:
        if not place.kind.startswith("SQL"):
            with pytest.raises(CannotRepoint, match="view"):
                catalog.entries().check([view], {})
        if not place.levels:
            with pytest.raises(CannotRepoint, match="one level"):
                catalog.entries().check([nested], {})
        if place.kind in ("Glue", "Hive"):
            with pytest.raises(CannotRepoint, match="lower case"):
                catalog.entries().check([Repoint(place.namespace, "Upper", nested.expected, nested.new)], {})


def test_metadata_that_cannot_be_read_is_no_success(place: Place) -> None:
    if place.kind.startswith("SQL"):
        pytest.skip("a SQL catalog stores the pointer only")
    broken = Repoint(place.inside("new"), "t", "s3://old/no.metadata.json", "s3://new/no.metadata.json")
    with place.opened() as catalog:
        with pytest.raises((CatalogError, ClientError)):  # a store of migrator raises StoreError
            catalog.entries().add([broken], {})
        assert catalog.current(broken.namespace, "t") is None
