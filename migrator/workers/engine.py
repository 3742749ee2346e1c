"""The protocol of all engines, and the choice of one. A third engine is one more module, and one more line in
:func:`engine_of`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from migrator.errors import ConfigError
from migrator.workers.local import LocalEngine
from migrator.workers.settings import KINDS, LOCAL, SPARK, EngineSettings


class Pool(Protocol):
    """Workers that do one kind of job. Safe to call from several threads; use it as a context manager."""

    @property
    def parallel(self) -> int:
        """How many items are done at once."""

    @property
    def callers(self) -> int:
        """How many threads may call the pool: at least ``parallel``. It is higher if items can wait in the pool, so
        that no worker is idle. No more than ``parallel`` may be done at once, because limits are divided by that
        number."""

    def __call__(self, item: Any) -> Any:
        """Do the job on ``item`` in some worker, and return the result. Raises the MigratorError that the job raised,
        and MigrationFailed if the worker died and the engine cannot use another one."""

    def cancel(self) -> None:
        """End running items, as far as possible; their calls raise MigrationFailed soon. Multipart uploads
        may be left behind: the next run aborts them."""


class Engine(Protocol):
    """Where work is done. Use it as a context manager; nothing is started before it is needed."""

    @property
    def name(self) -> str:
        """For messages: one of :data:`~migrator.workers.settings.KINDS`."""

    @property
    def remote(self) -> bool:
        """True if workers are on other machines: they have no files of this machine, and other settings."""

    @property
    def takes_batches(self) -> bool:
        """True if pools copy objects; otherwise this process copies, and starts others while all are busy."""

    def parallel(self) -> int:
        """How many items are done at once. May start the engine. Raises ConfigError or MigrationFailed."""

    def pool(self, make: Callable[..., Callable[[Any], Any]], *arguments: Any) -> AbstractContextManager[Pool]:
        """Workers each of which calls ``make(*arguments)`` once for its job, a function of one item.

        ``make`` must be importable by name; its arguments, the items and the results must be picklable. They must hold
        no secret. A job may have a method ``close``, which is called before the worker makes another one."""

    def __enter__(self) -> Engine: ...

    def __exit__(self, *error: Any) -> None: ...


def engine_of(settings: EngineSettings) -> Engine:
    """The engine that a user has chosen. Raises ConfigError if it cannot run here: a package or program is missing."""
    if settings.kind == LOCAL:
        return LocalEngine(settings.executors)
    if settings.kind == SPARK:
        from migrator.workers.spark import SparkEngine

        return SparkEngine(settings)
    raise ConfigError(f"There is no engine {settings.kind!r}.", next_move=f"Choose one of: {', '.join(KINDS)}.")
