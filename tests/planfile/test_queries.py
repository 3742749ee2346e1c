from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from migrator.planfile import queries
from migrator.planfile.schema import SCHEMA
from plan.handmade import checksum


def selected(condition: str, *rows: tuple[str, int, str | None, str]) -> list[str]:
    """The keys of those of the rows (key, size, target, action) that the condition selects."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        db.executemany(
            "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action)"
            " VALUES ('b', ?, ?, 'e', 0, 'STANDARD', ?, ?)",
            rows,
        )
        db.execute("INSERT INTO done VALUES (1, 1, 'e', 'etag')")
        return [key for (key,) in db.execute(f"SELECT key FROM objects WHERE {condition} ORDER BY id")]


ONE_OF_EACH = [(action, 1, action, action) for action in ("copy", "overwrite", "same", "rewrite", "conflict", "skip")]


@pytest.mark.parametrize(
    "condition, keys",
    [
        (queries.MOVES, ["copy", "overwrite", "same", "rewrite", "conflict"]),
        (queries.COPIED, ["copy", "overwrite"]),
        (queries.TO_WRITE, ["copy", "overwrite", "rewrite"]),
        (queries.PENDING, ["overwrite", "same", "rewrite", "conflict", "skip"]),
        (queries.PENDING_COPIES, ["overwrite"]),
    ],
)
def test_conditions_select_by_action_and_journal(condition: str, keys: list[str]) -> None:
    assert selected(condition, *ONE_OF_EACH) == keys


def test_a_key_is_a_folder_if_another_one_lies_below_it() -> None:
    rows = [(key, 1, key, "copy") for key in ("a", "a/b", "a0", "c/", "c/d", "e/", "f")]
    assert selected(queries.IS_FOLDER, *rows) == ["a", "c/"]


@pytest.mark.parametrize(
    "prefix, key, below", [("a", "a/b", True), ("a", "a", False), ("a", "a0", False), ("", "a", True)]
)
def test_the_range_of_the_keys_under_a_prefix(prefix: str, key: str, below: bool) -> None:
    low, high = queries.keys_under(prefix)
    assert (low <= key < high) is below


@pytest.mark.parametrize(
    "key, size",
    [
        ("a_$folder$", 0),
        ("_$folder$", 0),
        ("a_$folder$", 1),
        ("a_$FOLDER$", 0),
        ("a$folder$", 0),
        ("a_$folder$/b", 0),
    ],
)
def test_hadoops_folder_markers_are_the_same_in_sql_and_python(key: str, size: int) -> None:
    rows = selected(queries.HADOOP_MARKER, (key, size, None, "skip"))
    assert bool(rows) is queries.is_hadoop_marker(key, size)


@pytest.mark.parametrize("chunk", [16, 512, 1024, 1 << 20])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 5_000_000])
def test_hadoops_checksum_file_has_four_bytes_for_each_chunk(size: int, chunk: int) -> None:
    right = len(checksum(bytes(size), chunk))
    with closing(sqlite3.connect("")) as db:
        query = f"SELECT {queries.is_checksum('?', str(size))}"
        assert [db.execute(query, (given,)).fetchone()[0] for given in (right, right + 1)] == [1, 0]


@pytest.mark.parametrize(("key", "expected"), [("a", ".a.crc"), ("x/a", "x/.a.crc"), ("/a", "/.a.crc")])
def test_the_key_of_a_checksum_file(key: str, expected: str) -> None:
    assert queries.checksum_key(key) == expected
