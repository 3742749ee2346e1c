from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from migrator.concurrency.threads import Done, Failed, run_in_threads
from migrator.errors import NotFound


def test_every_outcome_comes_out_once_failures_among_them() -> None:
    def half(number: int) -> int:
        if number % 2:
            raise NotFound(f"{number} is odd")
        return number // 2

    outcomes = list(run_in_threads(half, range(100), workers=4))
    assert sorted(o.result for o in outcomes if isinstance(o, Done)) == list(range(50))
    assert sorted(o.item for o in outcomes if isinstance(o, Failed)) == list(range(1, 100, 2))


def test_only_a_window_is_taken_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number

    outcomes = run_in_threads(lambda number: number, items(), workers=2)
    for _ in range(10):
        next(outcomes)
    assert taken <= 10 + 4 * 2
    outcomes.close()  # type: ignore[attr-defined]


def test_jobs_run_at_once() -> None:
    barrier = threading.Barrier(4, timeout=10)
    assert len(list(run_in_threads(lambda _: barrier.wait(), range(4), workers=4))) == 4


def test_a_bug_stops_everything_and_waits_for_what_runs() -> None:
    ended = []

    def job(number: int) -> None:
        if number == 0:
            raise ZeroDivisionError
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(ZeroDivisionError):
        list(run_in_threads(job, range(100), workers=3))
    count = len(ended)
    time.sleep(0.2)
    assert len(ended) == count < 100
