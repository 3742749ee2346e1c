"""Rows are counted ahead in threads: in order, for small snapshots only, and not any more once nobody wants them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from migrator.verifying import row_counts
from migrator.verifying.row_counts import MOST_FILES, OPEN, Job, count_ahead
from migrator.verifying.unreadable import MISSING, TRANSIENT, Read, Reader, Trouble

WAIT = 60.0
"""Seconds after which an event that does not come fails a test."""
IN_TIME = Reader(delays=())


def summary(**numbers: str) -> Summary:
    return Summary(Operation.APPEND, **{name.replace("_", "-"): number for name, number in numbers.items()})


SMALL = summary(total_data_files="1")


def opened(*snapshots: int, about: Summary | None = SMALL) -> Any:
    """What is needed of an open table of pyiceberg."""
    made = [
        Snapshot(snapshot_id=number, timestamp_ms=1, manifest_list="s3://b/l", summary=about) for number in snapshots
    ]
    return SimpleNamespace(metadata=SimpleNamespace(snapshots=made))


def job(name: str, *snapshots: int, open_it: Callable[[], None] = lambda: None, **more: Any) -> Job:
    """``open_it`` is called when the table is opened."""

    def open_table() -> Read[Any]:
        open_it()
        return Read(opened(*snapshots), None)

    return Job(name, open_table, **more)  # type: ignore[arg-type]


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """Snapshot → the thread that counted it. Each snapshot has ten times its number in rows."""
    threads: dict[int, str] = {}

    def count(table: object, snapshot: int) -> int:
        threads[snapshot] = threading.current_thread().name
        return snapshot * 10

    monkeypatch.setattr(row_counts, "count_rows", count)
    return threads


def test_tables_come_in_order_with_all_their_snapshots(counters: dict[int, str]) -> None:
    jobs = [job(f"t{n}", *range(n * 100, n * 100 + n)) for n in range(3 * OPEN)]
    with closing(count_ahead(jobs, IN_TIME)) as counted:
        for n, table in enumerate(counted):
            assert table.table == f"t{n}"  # type: ignore[comparison-overlap]
            assert table.opened.result is not None
            for snapshot in range(n * 100, n * 100 + n):
                assert table.rows(snapshot).result == snapshot * 10
    assert n == 3 * OPEN - 1
    assert len(counters) == sum(range(3 * OPEN))


def test_later_tables_are_counted_before_they_are_wanted(counters: dict[int, str]) -> None:
    began = [threading.Event() for _ in range(OPEN + 2)]
    jobs = [job(f"t{n}", n, open_it=event.set) for n, event in enumerate(began)]
    with closing(count_ahead(jobs, IN_TIME)) as counted:
        next(counted), next(counted)
        assert all(event.wait(WAIT) for event in began[: OPEN + 1])
        assert not began[-1].is_set(), "so many tables would need too much memory"


def test_a_table_that_cannot_be_opened_stops_no_other(counters: dict[int, str]) -> None:
    missing: Read[Any] = Read(None, Trouble(MISSING, "a file is missing", "FileNotFoundError: s3://b/m"))
    jobs = [job("a", 1), Job("b", lambda: missing), job("c", 2)]  # type: ignore[arg-type]
    with closing(count_ahead(jobs, IN_TIME)) as counted:
        a, b, c = counted
    assert b.opened is missing
    assert (a.rows(1).result, c.rows(2).result) == (10, 20)


@pytest.mark.parametrize(
    "about",
    [
        summary(total_data_files=str(MOST_FILES), total_delete_files="1"),
        summary(total_data_files=str(MOST_FILES + 1)),
        summary(total_delete_files="1"),
        summary(total_data_files="-1"),
        summary(total_data_files="many"),
        None,
    ],
    ids=["with deletes", "large", "no number", "negative", "no decimal", "no summary"],
)
def test_a_snapshot_that_may_be_large_is_counted_alone(counters: dict[int, str], about: Summary | None) -> None:
    large = Job("t", lambda: Read(opened(7, about=about), None))  # type: ignore[arg-type]
    with closing(count_ahead([large], IN_TIME)) as counted:
        table = next(counted)
        assert counters == {}
        assert table.rows(7).result == 70
    assert counters == {7: threading.current_thread().name}


def test_a_snapshot_that_is_known_is_not_counted(counters: dict[int, str]) -> None:
    with closing(count_ahead([job("t", 1, 2, 3, known={2})], IN_TIME)) as counted:
        (table,) = counted
        assert [table.rows(n).result for n in (1, 3)] == [10, 30]
    assert sorted(counters) == [1, 3]


def test_nothing_is_counted_without_tables() -> None:
    assert list(count_ahead([], IN_TIME)) == []


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A server that never answers; the event is set at the first request."""
    asked = threading.Event()

    def count(table: object, snapshot: int) -> int:
        asked.set()
        raise ConnectionError("no answer")

    monkeypatch.setattr(row_counts, "count_rows", count)
    yield asked


def test_closing_ends_the_retries(silent: threading.Event) -> None:
    """Ctrl-C and the error of another table must not wait for the backoff of every count. Here it takes a day."""
    counted = count_ahead([job("t", *range(20))], Reader(delays=(86_400.0,)))
    table = next(counted)
    assert silent.wait(WAIT)
    counted.close()
    read = table.rows(0)
    assert read.trouble is not None and read.trouble.kind == TRANSIENT


def test_a_stopped_reader_tries_once() -> None:
    stopped, tried = threading.Event(), []
    stopped.set()

    def fail() -> None:
        tried.append(1)
        raise ConnectionError

    read = Reader(delays=(86_400.0,)).read(partial(fail), stopped)
    assert read.trouble is not None and read.trouble.kind == TRANSIENT
    assert tried == [1]
