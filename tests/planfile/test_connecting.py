"""Rows are inserted many at a time, in whatever number they come."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from migrator.planfile.connecting import MOST_VALUES, insert_rows

WIDTH = 3
FULL = MOST_VALUES // WIDTH


@pytest.mark.parametrize("count", [0, 1, FULL - 1, FULL, FULL + 1, 3 * FULL + 7])
def test_every_row_arrives_once(count: int) -> None:
    rows = [(n, f"key '{n}'; --", None if n % 2 else b"\x00") for n in range(count)]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b, c)")
        insert_rows(db, "INSERT INTO t", iter(rows))
        assert db.execute("SELECT a, b, c FROM t ORDER BY a").fetchall() == rows
        insert_rows(db, "INSERT OR REPLACE INTO t (a, b)", [(n, "new") for n in range(count)])
        assert db.execute("SELECT count(*), count(c) FROM t").fetchone() == (count, 0)


def test_a_row_that_is_refused_is_an_error() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
        with pytest.raises(sqlite3.IntegrityError):
            insert_rows(db, "INSERT INTO t", [(1,), (2,), (1,)])
