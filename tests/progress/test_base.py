"""The base class for users' subclasses, and several progresses at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from migrator.progress import Progress, Several


class Noted(Progress):
    """Records everything that is reported to it."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def stage(
        self, name: str, *, objects: int | None = None, size: int | None = None, unit: str = "objects"
    ) -> Progress:
        self.calls.append((name, objects, size, unit))
        return self

    def advance(self, objects: int = 1, size: int = 0) -> None:
        self.calls.append((objects, size))

    def failed(self, objects: int = 1) -> None:
        self.calls.append(f"{objects} failed")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.calls.append(kind)


class OfBefore(Progress):
    """A subclass that was written before stages had a unit."""

    def __init__(self) -> None:
        self.names: list[Any] = []

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None) -> Progress:  # type: ignore[override]
        self.names.append((name, objects, size))
        return self


class AsAGenerator(Progress):
    @contextmanager
    def stage(self, name: str, *, objects: int | None = None, size: int | None = None) -> Iterator[Progress]:  # type: ignore[override]
        yield self


class Deeper(OfBefore):
    """It inherits the adapted method."""


@pytest.mark.parametrize("kind", [OfBefore, Deeper])
def test_a_subclass_without_units_still_works(kind: type[OfBefore]) -> None:
    progress = kind()
    with progress.stage("reading tables", objects=3, size=None, unit="tables") as stage:
        stage.advance(1)
        stage.failed()
    assert progress.names == [("reading tables", 3, None)]


def test_a_stage_that_is_a_generator_still_works() -> None:
    with AsAGenerator().stage("reading tables", objects=3, unit="tables") as stage:
        stage.advance()


def test_each_of_several_gets_everything() -> None:
    one, two = Noted(), Noted()
    with pytest.raises(KeyError), Several(one, two).stage("copying", objects=2, size=9, unit="files") as stage:
        stage.advance(1, 5)
        stage.failed(2)
        raise KeyError("x")
    assert one.calls == two.calls == [("copying", 2, 9, "files"), (1, 5), "2 failed", KeyError]


def test_each_of_several_ends_whatever_another_one_raises() -> None:
    class Faulty(Progress):
        def __exit__(self, *_: Any) -> None:
            raise OSError("no")

    noted = Noted()
    with pytest.raises(OSError, match="no"), Several(noted, Faulty(), noted).stage("copying"):
        pass
    assert noted.calls.count(None) == 2
