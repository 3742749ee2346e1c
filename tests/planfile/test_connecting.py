"""Rows are inserted many at a time, for any number of rows. Further connections read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrator.planfile.connecting import MOST_VALUES, Readers, insert_rows

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


def test_readers_change_to_another_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with closing(sqlite3.connect(tmp_path / name)) as db, db:
            db.execute("CREATE TABLE t AS SELECT ? AS name", (name,))
    readers = Readers(tmp_path / "a", "ro")
    assert readers.first_row("SELECT name FROM t", ()) == ("a",)
    readers.change_to(tmp_path / "b", "ro")
    assert readers.first_row("SELECT name FROM t WHERE name = ?", ("b",)) == ("b",)
    with closing(readers.connect()) as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM t")
    readers.close()
