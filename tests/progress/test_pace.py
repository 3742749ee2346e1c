"""Rates and times left: they depend only on the last half minute."""

from __future__ import annotations

import pytest

from migrator.progress.pace import WINDOW, Stage


def run(stage: Stage, begin: int, end: int, *, each: int = 1, size: int = 0) -> None:
    """This many objects per second, from second ``begin`` to second ``end``."""
    for now in range(begin + 1, end + 1):
        stage.done += each
        stage.size += size
        stage.sample(now)


def test_nothing_is_guessed_at_the_beginning() -> None:
    stage = Stage("copying", "objects", 100, None, 0)
    stage.done = 50
    stage.sample(1)
    pace = stage.pace(1)
    assert (pace.rate, pace.left, pace.share) == (None, None, 0.5)


def test_a_steady_stage() -> None:
    stage = Stage("copying", "objects", 1000, 1_000_000, 0)
    run(stage, 0, 40, each=10, size=10_000)
    pace = stage.pace(40)
    assert pace.rate == pytest.approx(10) and pace.size_rate == pytest.approx(10_000)
    assert pace.left == pytest.approx(60) and pace.share == pytest.approx(0.4)


def test_a_slow_start_is_forgotten() -> None:
    stage = Stage("copying", "objects", 10_000, None, 0)
    run(stage, 0, 600, each=1)
    run(stage, 600, 600 + int(WINDOW), each=100)
    pace = stage.pace(600 + WINDOW)
    assert pace.rate == pytest.approx(100, rel=0.05)
    assert pace.left == pytest.approx((10_000 - 3600) / 100, rel=0.05)
    assert stage.mean_pace(600 + WINDOW).rate == pytest.approx(3600 / 630)


def test_while_nothing_is_done_the_rate_falls_and_the_time_grows() -> None:
    stage = Stage("copying", "objects", 1000, None, 0)
    run(stage, 0, 60, each=10)
    before = stage.pace(60)
    for now in range(61, 601):
        stage.sample(now)
    later = stage.pace(600)
    assert before.left and later.left and before.rate and later.rate
    assert later.rate < before.rate / 10 and later.left > before.left * 10
    run(stage, 600, 600 + int(WINDOW) + 1, each=10)
    assert stage.pace(601 + WINDOW).rate == pytest.approx(10, rel=0.05)


def test_the_time_left_depends_on_bytes_where_objects_are_large() -> None:
    gib = 1024**3
    stage = Stage("copying", "objects", 1000, 100 * gib, 0)
    stage.done, stage.size = 900, 10 * gib  # the small ones came first
    stage.sample(10)
    pace = stage.pace(10)
    assert stage.by_size and pace.share == pytest.approx(0.1) and pace.left == pytest.approx(90)


def test_more_than_was_known_is_not_more_than_everything() -> None:
    stage = Stage("listing", "objects", 10, None, 0)
    stage.done = 12
    stage.sample(5)
    pace = stage.pace(5)
    assert (pace.share, pace.left) == (1.0, 0.0)


def test_no_total_no_time_left_and_nothing_to_do() -> None:
    stage = Stage("listing", "objects", None, None, 0)
    run(stage, 0, 5)
    assert stage.pace(5).left is None and stage.pace(5).rate == pytest.approx(1)
    assert Stage("reading", "tables", 0, 0, 0).pace(9).share is None


def test_memory_stays_flat() -> None:
    stage = Stage("copying", "objects", None, None, 0)
    run(stage, 0, 5000)
    for now in range(5000, 9000):
        stage.sample(now)
    assert len(stage._samples) < 2 * WINDOW
