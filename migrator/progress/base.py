"""The base class of all progress, which reports nothing, and several of them at once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

OBJECTS = "objects"
"""The default unit of a stage."""


def _takes_unit(stage: Callable[..., Any]) -> bool:
    parameters = inspect.signature(stage).parameters.values()
    return any(one.name == "unit" or one.kind is one.VAR_KEYWORD for one in parameters)


def _without_unit(stage: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stage)
    def call(*arguments: Any, unit: str = OBJECTS, **named: Any) -> Any:
        return stage(*arguments, **named)

    return call


class Progress:
    """Reports nothing. Every function of :mod:`migrator.api` uses it like this, one stage after the other::

        with progress.stage("copying", objects=1000, size=5_000_000, unit="objects") as stage:
            stage.advance(1, 5000)

    To report progress elsewhere, write a subclass with :meth:`stage`, :meth:`advance` and ``__exit__``.
    All calls come from the thread that called migrator.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Supports subclasses that were written before stages had a unit: their ``stage`` is called without one."""
        super().__init_subclass__(**options)
        stage = vars(cls).get("stage")
        if stage is not None and not _takes_unit(stage):
            cls.stage = _without_unit(stage)  # type: ignore[method-assign]

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None, unit: str = OBJECTS) -> Progress:
        """Begin a stage that counts ``objects`` things and ``size`` bytes. None means that the number is not known.

        ``unit``: what is counted, in the plural, such as "tables"; "" for a stage that counts nothing."""
        return self

    def advance(self, objects: int = 1, size: int = 0) -> None:
        """Report that ``objects`` more with ``size`` more bytes are done."""

    def failed(self, objects: int = 1) -> None:
        """Report that ``objects`` more could not be done."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the stage."""


class Several(Progress):
    """Reports to several progress objects."""

    def __init__(self, *progress: Progress) -> None:
        self._all = progress

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None, unit: str = OBJECTS) -> Progress:
        """See :class:`Progress`."""
        return Several(*(one.stage(name, objects=objects, size=size, unit=unit) for one in self._all))

    def advance(self, objects: int = 1, size: int = 0) -> None:
        """See :class:`Progress`."""
        for one in self._all:
            one.advance(objects, size)

    def failed(self, objects: int = 1) -> None:
        """See :class:`Progress`."""
        for one in self._all:
            one.failed(objects)

    def __enter__(self) -> Progress:
        return Several(*(one.__enter__() for one in self._all))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:  # call all of them, even if one raises an error
            for one in self._all:
                stack.callback(one.__exit__, kind, error, trace)
