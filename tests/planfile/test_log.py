from __future__ import annotations

import getpass
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from migrator._version import __version__
from migrator.planfile import log
from migrator.planfile.connecting import connect
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CATALOG_SWAPPED, CUTOVER_DONE, ROLLED_BACK, STARTED, TABLE_SWAPPED, Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "p.db"
    with PlanFile.create(path) as plan:
        plan.seal({"target_bucket": "data-lake", "layout": "{}"})
    return path


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path, "rw")) as connection:
        yield connection


def test_an_entry_says_who_did_what_when_and_with_which_version(db: sqlite3.Connection) -> None:
    log.append(db, "started", {})
    log.append(db, "cutover-begun", {"pointers": {"lake.db.t": {"old": "s3://a/x", "new": "s3://b/x"}}})
    first, second = log.entries(db)
    assert (first.number, second.number, second.event) == (1, 2, "cutover-begun")
    assert second.detail["pointers"]["lake.db.t"]["old"] == "s3://a/x"
    assert second.who == f"{getpass.getuser()}@{socket.gethostname()}" and second.version == __version__
    assert first.at <= second.at and first.at.endswith("Z")
    assert log.first_changed(db) is None


@pytest.mark.parametrize("statement", ["UPDATE events SET event = 'x'", "DELETE FROM events WHERE id = 2"])
def test_entries_are_only_appended(db: sqlite3.Connection, statement: str) -> None:
    for name in "abc":
        log.append(db, name, {})
    with pytest.raises(sqlite3.IntegrityError, match="entries of the log are never"):
        db.execute(statement)
    assert [entry.event for entry in log.entries(db)] == ["a", "b", "c"]


@pytest.mark.parametrize("column", ["at", "event", "detail", "who", "version", "digest"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_entry_shows(db: sqlite3.Connection, column: str, number: int) -> None:
    for name in "abc":
        log.append(db, name, {"n": 1})
    db.execute("DROP TRIGGER events_stay")
    value = '{"n": 2}' if column == "detail" else "2026-01-01"
    db.execute(f"UPDATE events SET {column} = ? WHERE id = ?", (value, number))
    assert log.first_changed(db) == number


@pytest.mark.parametrize("number", [1, 2])
def test_a_removed_entry_shows(db: sqlite3.Connection, number: int) -> None:
    for name in "abc":
        log.append(db, name, {})
    db.execute("DROP TRIGGER events_last")
    db.execute("DELETE FROM events WHERE id = ?", (number,))
    assert log.first_changed(db) == number


def test_an_entry_of_another_plan_shows(db: sqlite3.Connection) -> None:
    log.append(db, "a", {})
    db.execute("UPDATE header SET value = 'another' WHERE key = 'digest'")
    assert log.first_changed(db) == 1


def test_what_is_removed_from_the_end_shows_in_the_number_and_digest_noted_before(db: sqlite3.Connection) -> None:
    assert log.digest_at(db, 0) == log.head(db)[1]
    for name in "abc":
        log.append(db, name, {})
    number, digest = log.head(db)
    assert (number, log.digest_at(db, number)) == (3, digest)
    db.execute("DROP TRIGGER events_last")
    db.execute("DELETE FROM events WHERE id = 3")
    assert log.first_changed(db) is None
    assert log.digest_at(db, number) is None
    log.append(db, "d", {})
    assert log.digest_at(db, number) != digest


def test_two_writers_at_once_keep_one_chain(path: Path) -> None:
    def write(name: str) -> None:
        with closing(connect(path, "rw")) as db:
            for _ in range(20):
                log.append(db, name, {})

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(connect(path, "ro")) as db:
        assert len(log.entries(db)) == 40 and log.first_changed(db) is None


def test_a_rollback_ends_what_counts_as_cut_over_but_not_that_the_plan_was_begun(path: Path) -> None:
    with PlanFile.open(path) as plan, Journal(plan) as journal:
        for event, detail in (
            (STARTED, {}),
            (CATALOG_SWAPPED, {"catalog": "lake"}),
            (TABLE_SWAPPED, {"catalog": "rest", "namespace": "db", "table": "t"}),
            (CUTOVER_DONE, {"tables": 2}),
        ):
            journal.event(event, **detail)
        assert journal.has(CUTOVER_DONE) and journal.swapped() == {"lake"}
        assert journal.swapped_tables() == {("rest", "db", "t")}
        journal.event(ROLLED_BACK)
        assert not journal.has(CUTOVER_DONE) and journal.swapped() == set() == journal.swapped_tables()
        assert journal.last(CUTOVER_DONE) == {}
        assert journal.first(STARTED) is not None
        journal.event(CATALOG_SWAPPED, catalog="lake")
        assert journal.swapped() == {"lake"}


@pytest.fixture
def renewed(path: Path, db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A new generation of a plan with two entries."""
    for name in "ab":
        log.append(db, name, {})
    new = path.with_name("q.db")
    with PlanFile.create(new) as plan:
        plan.seal({"target_bucket": "data-lake", "layout": "{}", "made": "later"})
    with closing(connect(new, "rw")) as connection:
        log.take_over(db, connection)
        yield connection


def test_a_new_generation_continues_the_log_of_the_old_one(db: sqlite3.Connection, renewed: sqlite3.Connection) -> None:
    log.append(renewed, "c", {})
    assert [entry.event for entry in log.entries(renewed)] == ["a", "b", log.RENEWED, "c"]
    assert log.first_changed(renewed) is None
    assert log.entries(renewed)[:2] == log.entries(db)
    number, digest = log.head(db)
    assert log.digest_at(renewed, number) == digest and log.base(renewed) == log.base(db)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_entry_shows_in_a_new_generation_too(renewed: sqlite3.Connection, number: int) -> None:
    renewed.execute("DROP TRIGGER events_stay")
    renewed.execute("UPDATE events SET who = 'another' WHERE id = ?", (number,))
    assert log.first_changed(renewed) == number


def test_another_plan_under_the_same_log_shows(renewed: sqlite3.Connection) -> None:
    renewed.execute("UPDATE header SET value = 'another' WHERE key = 'digest'")
    assert log.first_changed(renewed) == 3
