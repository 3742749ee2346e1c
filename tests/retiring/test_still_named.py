"""What still names an old place stops everything: pointers, namespaces, neighbours, files of tables, texts, logs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from migrator.catalogs.base import Neighbour
from migrator.checking.old_names import Mention
from migrator.planfile.file import PlanFile
from migrator.progress import Progress
from migrator.retiring.proof import note_proven
from migrator.retiring.still_named import StillNamed
from migrator.store import Store
from migrator.target.compare import list_target
from plan.handmade import CURRENT, Named, data_file, migrated, planned, put, table

NEW = CURRENT.replace("s3a://bronze/", "s3a://data-lake/bronze/")
OTHER = "s3a://bronze/other/metadata/00000-a.metadata.json"
MENTIONS = {"location": "s3://data-lake/v", "format-version": 1, "view-uuid": "u", "current-version-id": 1}


@dataclass
class Looking:
    """A lake whose only table was moved, and the present state of its catalog."""

    store: Store
    folder: Path
    catalog: Named = field(default_factory=lambda: Named(NEW))
    properties: list[tuple[str, str, str]] = field(default_factory=list)

    def found(self) -> list[Mention]:
        self.catalog.namespace_properties = lambda: self.properties  # type: ignore[method-assign]
        with PlanFile.open(self.folder / "plan.db", read_only=True) as plan:
            list_target(plan, self.store, Progress())
            note_proven(plan)
            return list(StillNamed(plan, self.store, {"lake": self.catalog}).everything())


@pytest.fixture
def store(mock_store: Store) -> Store:
    for bucket in ("bronze", "warehouse", "data-lake", "elsewhere"):
        mock_store.create_bucket(bucket)
    table(mock_store, data_file(mock_store, "s3a://bronze/t/data/a.parquet"))
    return mock_store


@pytest.fixture
def lake(store: Store, tmp_path: Path) -> Looking:
    planned(store, tmp_path, Named(CURRENT))
    migrated(store, tmp_path)
    return Looking(store, tmp_path)


def test_nothing_names_an_old_place_after_a_migration(lake: Looking) -> None:
    assert lake.found() == []


def view(lake: Looking, uri: str, sql: str) -> None:
    representations = [{"type": "sql", "sql": sql, "dialect": "spark"}]
    versions = [{"version-id": 1, "representations": representations}]
    put(lake.store, uri, json.dumps({**MENTIONS, "versions": versions}).encode())


def outside_table(lake: Looking) -> None:
    """A table of another bucket that took over a file of the lake."""
    table(lake.store, data_file(lake.store, "s3a://bronze/t/data/a.parquet"), location="s3a://elsewhere/x")
    lake.catalog.pointers["x"] = "s3a://elsewhere/x/metadata/00000-a.metadata.json"


def table_at_target(lake: Looking) -> None:
    """A table that was made at the target since, of files that were written to an old bucket too late."""
    table(lake.store, data_file(lake.store, "s3a://bronze/late.parquet"), location="s3a://data-lake/new")
    lake.catalog.pointers["new"] = "s3a://data-lake/new/metadata/00000-a.metadata.json"


def neighbour(uri: str, reason: str = "") -> Callable[[Looking], None]:
    def add(lake: Looking) -> None:
        lake.catalog._neighbours = [Neighbour("", "dev", "db", "n", uri, reason)]

    return add


STOPS: dict[str, Callable[[Looking], None]] = {
    "a planned table set back": lambda lake: lake.catalog.pointers.update(t0=CURRENT),
    "a table that the plan does not know": lambda lake: lake.catalog.pointers.update(late=OTHER),
    "a view that the plan does not know": lambda lake: lake.catalog.pointers.update(v="s3://warehouse/v/v1.json"),
    "a namespace": lambda lake: lake.properties.append(("db", "location", "s3a://bronze/db")),
    "a namespace with the root of a bucket": lambda lake: lake.properties.append(("db", "location", "s3://bronze")),
    "a namespace in a longer text": lambda lake: lake.properties.append(("db", "note", "see s3://warehouse/db/x.")),
    "another catalog's row": neighbour(OTHER),
    "a table that is not Iceberg's": neighbour("s3://bronze/raw", "not an Iceberg table"),
    "a table of another bucket": outside_table,
    "a table made at the target": table_at_target,
}


@pytest.mark.parametrize("stop", STOPS)
def test_what_stops_it_for_good(lake: Looking, stop: str) -> None:
    STOPS[stop](lake)
    found = lake.found()
    assert found and all(mention.code == "" for mention in found), found
    assert any("s3" in mention.message and mention.place for mention in found)


GOES_ON: dict[str, Callable[[Looking], None]] = {
    "a namespace elsewhere": lambda lake: lake.properties.append(("db", "location", "s3://elsewhere/db")),
    "a bucket with a longer name": lambda lake: lake.properties.append(("db", "location", "s3://bronze2/db")),
    "a row elsewhere": neighbour("s3://elsewhere/n.metadata.json"),
    "a table at the target that is not Iceberg's": neighbour("s3://data-lake/bronze/raw", "not an Iceberg table"),
    "a table that was dropped": lambda lake: lake.catalog.pointers.pop("t0") and None,
}


@pytest.mark.parametrize("case", GOES_ON)
def test_what_does_not_matter(lake: Looking, case: str) -> None:
    GOES_ON[case](lake)
    assert lake.found() == []


def test_a_property_of_a_table_that_mentions_an_old_place(store: Store, tmp_path: Path) -> None:
    table(
        store,
        data_file(store, "s3a://bronze/t/data/a.parquet"),
        properties={"note": "made from s3://warehouse/x and s3://elsewhere/y"},
    )
    planned(store, tmp_path, Named(CURRENT))
    migrated(store, tmp_path)
    (found,) = Looking(store, tmp_path).found()
    assert found.code == "path-in-text" and "s3://warehouse/x" in found.message


FILES: dict[str, tuple[str, bytes, str]] = {
    "a script": ("scripts/load.py", b"df = spark.read.parquet('s3a://bronze/t/')", "scripts-unchanged"),
    "a query": ("jobs/daily.sql", b"SELECT * FROM parquet.`s3a://bronze/x`", "scripts-unchanged"),
    "a Delta log": ("d/_delta_log/00.json", b'{"add":{"path":"s3://bronze/d/x.parquet"}}\n', "delta-log"),
    "a sink's log": ("s/_spark_metadata/0", b'v2\n{"path":"s3a://bronze/s/x.json","size":1}\n', "sink-log"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_beside_tables(store: Store, tmp_path: Path, kind: str) -> None:
    key, data, code = FILES[kind]
    put(store, f"s3://warehouse/{key}", data)
    planned(store, tmp_path, Named(CURRENT), accept=("delta-log", "sink-log"))
    migrated(store, tmp_path)
    found = Looking(store, tmp_path).found()
    assert {mention.code for mention in found} == {code}
    assert any(key in mention.place for mention in found)


def test_files_beside_tables_that_an_earlier_plan_copied(store: Store, tmp_path: Path) -> None:
    """For the second plan they are at the target already, so it has no finding about them."""
    put(store, "s3://warehouse/d/_delta_log/00.json", FILES["a Delta log"][1])
    planned(store, tmp_path, Named(CURRENT), accept=("delta-log",))
    migrated(store, tmp_path)
    (tmp_path / "plan.db").unlink()
    planned(store, tmp_path, Named(CURRENT), accept=("delta-log",))
    migrated(store, tmp_path)
    assert "delta-log" in {mention.code for mention in Looking(store, tmp_path).found()}


@pytest.fixture
def left(store: Store, tmp_path: Path) -> Iterator[Looking]:
    """A second table in the old bucket is left there. It shares no file with the other one."""
    table(store, data_file(store, "s3a://bronze/other/data/b.parquet"), location="s3a://bronze/other")
    planned(store, tmp_path, Named(CURRENT, left=OTHER), leave=("db.left",))
    migrated(store, tmp_path)
    yield Looking(store, tmp_path, Named(NEW, left=OTHER))


def test_a_table_that_was_left_may_stay(left: Looking) -> None:
    assert left.found() == []


def test_a_table_that_was_left_and_needs_a_file_that_would_be_deleted(left: Looking) -> None:
    table(left.store, data_file(left.store, "s3a://bronze/t/data/a.parquet"), location="s3a://bronze/other")
    (found,) = left.found()
    assert found.code == "" and "s3a://bronze/t/data/a.parquet" in found.message and found.place == "lake.db.left"


def test_a_table_that_was_left_and_cannot_be_read(left: Looking) -> None:
    put(left.store, OTHER, b"{")
    (found,) = left.found()
    assert found.code == "not-compared" and found.place == "lake.db.left"
