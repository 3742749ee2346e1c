"""One JSON object for each line, also for the output of libraries."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from migrator.progress.json_lines import JsonProgress, speak_json, speaks_json, write_line
from progress.clock import Clock, Pipe

NOW = datetime(2026, 11, 27, 3, 0, 0, 250_000, tzinfo=timezone.utc)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture
def progress(clock: Clock, pipe: Pipe) -> JsonProgress:
    progress = JsonProgress(pipe, clock=clock, now=lambda: NOW)
    progress.ticking = False
    return progress


def test_a_stage_begins_goes_on_and_ends(progress: JsonProgress, clock: Clock, pipe: Pipe) -> None:
    with progress.stage("rewriting manifest", objects=100, size=1000, unit="manifests") as stage:
        for _ in range(25):
            clock.now += 1
            stage.advance(4, 40)
    started, ten, twenty, finished = lines(pipe.getvalue())
    assert started == {
        "time": "2026-11-27T03:00:00.250Z",
        "level": "info",
        "event": "stage_started",
        "stage": "rewriting manifest",
        "unit": "manifests",
        "done": 0,
        "total": 100,
        "bytes": 0,
        "bytes_total": 1000,
        "rate": None,
        "seconds": 0.0,
        "seconds_left": None,
    }
    assert ten == {**started, "event": "progress", "done": 40, "bytes": 400, "rate": 4.0, "seconds": 10.0} | {
        "seconds_left": 15.0
    }
    assert (twenty["event"], twenty["done"], twenty["seconds_left"]) == ("progress", 80, 5.0)
    assert finished["event"] == "stage_finished" and finished["seconds_left"] is None
    assert (finished["done"], finished["rate"], finished["seconds"]) == (100, 4.0, 25.0)


def test_a_stage_that_fails_says_by_what(progress: JsonProgress, pipe: Pipe) -> None:
    with pytest.raises(KeyError), progress.stage("trying what is allowed", unit=""):
        raise KeyError("x")
    failed = lines(pipe.getvalue())[-1]
    assert (failed["level"], failed["event"], failed["error"]) == ("error", "stage_failed", "KeyError")
    assert failed["unit"] is None and failed["total"] is None


def test_a_line_is_one_line_and_shows_no_password(pipe: Pipe) -> None:
    write_line("error", "error", file=pipe, message="postgresql://u:Marker@h\n\x1b[2J ünï", count=3)
    (found,) = lines(pipe.getvalue())
    assert found["message"] == "postgresql://***@h\n\x1b[2J ünï" and found["count"] == 3
    assert pipe.getvalue().count("\n") == 1 and "\x1b" not in pipe.getvalue() and pipe.getvalue().isascii()


@pytest.fixture
def spoken() -> Iterator[None]:
    undo = speak_json()
    yield
    undo()


def test_libraries_speak_json(spoken: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert speaks_json()
    logging.getLogger("pyiceberg.io").warning("retry %s", "now")
    logging.getLogger("boto3").error("no")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # catch_warnings has put its own in place
        warnings.warn("old", UserWarning, stacklevel=1)
    found = lines(capsys.readouterr().err)
    assert [(one["level"], one["event"]) for one in found] == [("warning", "log"), ("error", "log"), ("warning", "log")]
    assert found[0]["logger"] == "pyiceberg.io" and found[0]["message"] == "retry now"
    assert "UserWarning: old" in found[2]["message"]


def test_what_nobody_catches_is_json_too(spoken: None, capsys: pytest.CaptureFixture[str]) -> None:
    thread = threading.Thread(target=lambda: 1 // 0)
    thread.start()
    thread.join()
    sys.excepthook(KeyError, KeyError("x"), None)
    in_thread, in_main = lines(capsys.readouterr().err)
    assert in_thread["error"] == "ZeroDivisionError" and "1 // 0" in in_thread["traceback"]
    assert in_main["error"] == "KeyError" and in_main["level"] == "error"


def test_it_can_be_undone() -> None:
    hooks, handlers = (sys.excepthook, threading.excepthook), logging.getLogger().handlers[:]
    speak_json()()
    assert (sys.excepthook, threading.excepthook) == hooks and logging.getLogger().handlers == handlers
    assert not speaks_json()


def test_a_stage_that_an_error_left_open_has_not_finished(progress: JsonProgress, pipe: Pipe) -> None:
    progress.stage("listing the target")
    progress.close(KeyboardInterrupt)
    assert [(one["event"], one.get("error")) for one in lines(pipe.getvalue())] == [
        ("stage_started", None),
        ("stage_failed", "KeyboardInterrupt"),
    ]
