"""Progress that is written to a logger."""

from __future__ import annotations

import logging

import pytest

from migrator.progress import LoggingProgress, Progress
from progress.clock import Clock

LOGGER = logging.getLogger("somebody's job")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock, caplog: pytest.LogCaptureFixture) -> Progress:
    caplog.set_level(logging.INFO, logger=LOGGER.name)
    return LoggingProgress(LOGGER, every=10, clock=clock)


def test_a_stage_is_logged_at_its_begin_now_and_then_and_at_its_end(
    progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with progress.stage("copying", objects=2000, size=3 * 1024**2) as stage:
        for _ in range(20):
            clock.now += 2
            stage.advance(100, 100 * 1024)
    assert caplog.messages == [
        "copying: begins (2,000 objects, 3.0 MiB)",
        "copying: 25%, 500 of 2,000 objects, 500.0 KiB, 50 objects/s, 30 s left",
        "copying: 50%, 1,000 of 2,000 objects, 1,000.0 KiB, 50 objects/s, 20 s left",
        "copying: 75%, 1,500 of 2,000 objects, 1.5 MiB, 50 objects/s, 10 s left",
        "copying: 100%, 2,000 of 2,000 objects, 2.0 MiB, 50 objects/s, 0 s left",
        "copying: finished after 40 s, 2,000 objects, 2.0 MiB, 50 objects/s",
    ]
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_a_stage_without_numbers(progress: Progress, caplog: pytest.LogCaptureFixture) -> None:
    with progress.stage("listing the target") as stage:
        stage.advance(7)
    assert caplog.messages == ["listing the target: begins", "listing the target: finished after 0 s, 7 objects"]


def test_a_stage_counts_in_its_unit(progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with progress.stage("rewriting manifest", objects=2, unit="manifests") as stage:
        clock.now = 10
        stage.advance(1)
    with progress.stage("trying what is allowed", unit=""):
        clock.now = 12
    assert caplog.messages == [
        "rewriting manifest: begins (2 manifests)",
        "rewriting manifest: 50%, 1 of 2 manifests, 0.1 manifests/s, 10 s left",
        "rewriting manifest: finished after 10 s, 1 of 2 manifests, 0.1 manifests/s",
        "trying what is allowed: begins",
        "trying what is allowed: finished after 2 s",
    ]


def test_the_next_stage_counts_from_zero(progress: Progress, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("one", "two"):
        with progress.stage(name) as stage:
            stage.advance(3)
    assert caplog.messages[-1] == "two: finished after 0 s, 3 objects"


def test_a_stage_that_fails_is_logged_and_the_error_is_raised(
    progress: Progress, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyError), progress.stage("copying", objects=2) as stage:
        stage.advance(1)
        raise KeyError("x")
    assert caplog.messages[-1] == "copying: stopped by KeyError after 0 s, 1 of 2 objects"


def test_the_level_is_the_callers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=LOGGER.name)
    with LoggingProgress(LOGGER, level=logging.DEBUG).stage("copying"):
        pass
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
