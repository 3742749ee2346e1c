"""The parts of "what still names an old place" that check and retire share."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from checking.lake import Checked
from migrator.catalogs.base import Neighbour
from migrator.checking.old_names import (
    has_script_name,
    in_neighbours,
    in_texts,
    is_script,
    moved,
    moved_in_text,
    read_scripts,
    tables_of,
)
from migrator.concurrency.threads import Failed
from migrator.errors import NotFound
from migrator.layout import Layout
from plan.handmade import LAYOUT, Named, document

RULES = Layout.from_mapping("data-lake", {**LAYOUT, "s3://logs/old/": "logs/", "s3://bronze/tmp/": False})


def test_which_places_count() -> None:
    assert set(LAYOUT) == {"s3://bronze/", "s3://warehouse/"}
    yes = ("s3://bronze", "s3a://bronze/", "s3n://warehouse/x", "s3://bronze/a b", "s3://logs", "s3://logs/old/x")
    no = ("s3://data-lake/bronze/x", "s3://bronze2/x", "gs://bronze/x", "bronze/x", "", "s3://", "s3://bronze/tmp/x")
    assert all(moved(RULES, uri) for uri in yes)
    assert not any(moved(RULES, uri) for uri in (*no, "s3://logs/new/x"))
    assert moved_in_text(RULES, "x='s3://elsewhere/', y=\"s3a://bronze/t\"") == "s3a://bronze/t"


def test_texts_of_a_table_and_of_a_view() -> None:
    table = document(location="s3://data-lake/t", snapshots=[], properties={"a": "x s3://bronze/y", "b": "c"})
    (said,) = in_texts(RULES, "db.t", table, "m.json")
    assert (said.code, said.place) == ("path-in-text", "db.t") and "s3://bronze/y in property 'a'" in said.message
    sql = {"type": "sql", "sql": "SELECT * FROM parquet.`s3://warehouse/x`", "dialect": "spark"}
    view = {"format-version": 1, "view-uuid": "u", "location": "s3://data-lake/v", "current-version-id": 1}
    view["versions"] = [{"version-id": 1, "representations": [sql]}]
    (said,) = in_texts(RULES, "db.v", json.dumps(view).encode(), "v.json")
    assert "s3://warehouse/x" in said.message


def test_neighbours() -> None:
    neighbours = [Neighbour("s", "dev", "db", "n", "s3://bronze/x"), Neighbour("", "dev", "db", "m", "s3://other/x")]
    (said,) = in_neighbours(RULES, Named(), neighbours)
    assert str(said) == "s.dev.db.n points to s3://bronze/x (in the database of lake)"


def test_a_catalog_whose_warehouse_is_gone_has_no_tables() -> None:
    class Gone(Named):
        def tables(self) -> list[object]:  # type: ignore[override]
            raise NotFound("s3://warehouse/ does not exist.")

    assert tables_of(Gone()) == []


@pytest.mark.parametrize(
    "key", ["a/b.py", "a/B.SQL", "x.properties", "x.r", "x.ipynb", "x.jar", "py", "x.pyc", "a.py/b"]
)
def test_names_of_scripts_are_the_same_in_sql_and_in_python(key: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        (in_sql,) = db.execute(f"SELECT {is_script('key')} FROM (SELECT ? AS key)", (key,)).fetchone()
    assert bool(in_sql) == has_script_name(key)


def test_reading_scripts(lake: Checked) -> None:
    found = {
        outcome.item[1]: outcome
        for outcome in read_scripts(
            lake.store,
            [("data-lake", "scripts/etl/load.py"), ("data-lake", "gone")],
            lambda script, data: (script, data),
        )
    }
    assert found["scripts/etl/load.py"].result == (("data-lake", "scripts/etl/load.py"), b"x")  # type: ignore[union-attr]
    assert isinstance(found["gone"], Failed)
