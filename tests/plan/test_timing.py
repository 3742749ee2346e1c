from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from migrator.plan.timing import TimedProgress
from migrator.progress import Progress


class Noted(Progress):
    """Records what is reported to it."""

    def __init__(self) -> None:
        self.noted: list[Any] = []

    def stage(self, name: str, **known: Any) -> Progress:
        self.noted.append((name, known))
        return self

    def advance(self, objects: int = 1, size: int = 0) -> None:
        self.noted.append((objects, size))


def test_stages_are_passed_on_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 14.0, 20.0, 20.0, 21.0])
    monkeypatch.setattr("migrator.plan.timing.time.monotonic", lambda: next(clock))
    noted = Noted()
    timed = TimedProgress(noted)
    with timed.stage("listing", objects=7, unit="tables") as stage:
        stage.advance(3, 100)
        stage.advance(5)
    with timed.stage("listing") as stage:
        stage.advance(2)
    known, unknown = (
        {"objects": count, "size": None, "unit": unit} for count, unit in ((7, "tables"), (None, "objects"))
    )
    assert noted.noted == [("listing", known), (3, 100), (5, 0), ("listing", unknown), (2, 0)]
    assert timed.seconds["listing"] == 5.0 and timed.objects["listing"] == 10
    assert timed.rate("listing") == 2.0 and timed.rate("copying") is None


def test_a_stage_that_fails_is_timed_too() -> None:
    timed = TimedProgress(Progress())
    with pytest.raises(KeyError), timed.stage("reading"):
        raise KeyError
    assert timed.seconds["reading"] > 0 and timed.rate("reading") is None


def test_a_stage_may_be_any_context_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may write its own ``stage`` with ``contextmanager``, and yield another object than the manager."""
    noted = Noted()

    class Own(Progress):
        @contextmanager
        def stage(self, name: str, **known: Any) -> Iterator[Progress]:  # type: ignore[override]
            noted.noted.append(f"begins: {name}")
            try:
                yield noted
            finally:
                noted.noted.append(f"ends: {name}")

    timed = TimedProgress(Own())
    with pytest.raises(ZeroDivisionError), timed.stage("listing") as stage:
        stage.advance(3, 100)
        stage.failed()
        raise ZeroDivisionError
    assert noted.noted == ["begins: listing", (3, 100), "ends: listing"]
    assert timed.objects["listing"] == 3
