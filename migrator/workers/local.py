"""The engine of this machine: child processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from migrator.concurrency.processes import Workers, default_processes
from migrator.workers.settings import LOCAL


class LocalEngine:
    """Implements :class:`migrator.workers.engine.Engine` with child processes. ``processes``: how many; None: a number
    that suits the machine, and copies are not made in batches."""

    name = LOCAL
    remote = False

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes

    @property
    def takes_batches(self) -> bool:
        """True if a number of processes was given."""
        return self._processes is not None

    def parallel(self) -> int:
        """The number of processes."""
        return self._processes or default_processes()

    @contextmanager
    def pool(self, make: Callable[..., Callable[[Any], Any]], *arguments: Any) -> Iterator[Workers[Any, Any]]:
        """See :meth:`migrator.workers.engine.Engine.pool`."""
        with Workers(make, *arguments, processes=self.parallel()) as workers:
            yield workers

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *error: Any) -> None:
        """Does nothing: no process is left running."""
