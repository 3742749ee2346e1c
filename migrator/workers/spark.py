"""The engine of many machines: the executors of a Spark application. The only module that imports PySpark.

Each call of a pool is one Spark job with one task. Spark repeats the task of an executor that was lost, and gives up
after ``spark.task.maxFailures`` attempts. Errors of a job are returned as values, because Spark would repeat a task
that raises an error.

A session that is active already, in a notebook or below ``spark-submit``, is used and not stopped. Otherwise a Spark
application is started, and stopped at the end.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from migrator.errors import ConfigError, MigrationFailed, redacted
from migrator.workers.requirements import Nothing, lacking, task_of
from migrator.workers.settings import SPARK, EngineSettings
from migrator.workers.slots import Context, grows, slots_of
from migrator.workers.task import answered, packed

PYTHON = "spark.pyspark.python"
"""The Python of executors. Only spark-submit sets it for the executors by itself."""
GATEWAY = "PYSPARK_GATEWAY_PORT"
"""Is set if spark-submit has started this process."""
SUBMITTED = {GATEWAY, "PYSPARK_SUBMIT_ARGS"}
"""One of these is set if the Spark master is configured elsewhere."""
_OR_LOCAL = "Or let this machine do the work: --engine local."
QUIET = {"spark.ui.showConsoleProgress": "false"}
"""Settings of an application that migrator starts, unless the user sets them."""


class SparkEngine:
    """Implements :class:`migrator.workers.engine.Engine`. Raises ConfigError at once if PySpark or Java is missing."""

    name = SPARK
    remote = True
    takes_batches = True

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._context: Any = None
        self._own = False
        self._parallel = 0
        self._starting = threading.Lock()
        _check_installed()
        if settings.pack is not None and not Path(settings.pack).is_file():
            raise ConfigError(
                f"[engine] pack: {settings.pack} does not exist.", next_move=f"Run: migrator pack -o {settings.pack}"
            )

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._own:
            with suppress(Exception):  # it may have ended already; the journal has everything that was done
                self._context.stop()
        self._context, self._own, self._parallel = None, False, 0

    def parallel(self) -> int:
        """How many tasks the executors run at once. Starts the application, waits for executors, and checks that they
        have what they need. Raises ConfigError or MigrationFailed."""
        with self._starting:
            if self._parallel == 0:
                context = self._connect()
                self._parallel = slots_of(context, self._settings.executors)
                self._check_executors(context, self._parallel)
            return self._parallel

    @contextmanager
    def pool(self, make: Callable[..., Callable[[Any], Any]], *arguments: Any) -> Iterator[SparkPool]:
        """See :meth:`migrator.workers.engine.Engine.pool`."""
        parallel = self.parallel()
        # A job takes a quarter of a second to start. Meanwhile the executor works on the job before.
        callers = parallel if grows(self._context) else 2 * parallel
        with _pool(self._context, parallel, packed(make, *arguments)) as pool:
            pool.callers = callers
            yield pool

    def _connect(self) -> Context:
        if self._context is None:
            from pyspark import SparkContext

            active = SparkContext._active_spark_context
            if active is not None:
                _check_agrees(active, self._settings)
                self._context = active
            else:
                self._context, self._own = _start(self._settings), True
            if self._settings.pack is not None:
                self._context.addPyFile(self._settings.pack)
        return self._context

    def _check_executors(self, context: Context, parallel: int) -> None:
        """Check that each executor can import its packages. Raises MigrationFailed for the first that cannot. (Each
        task checks executors that start later.)"""
        with _pool(context, parallel, packed(Nothing)) as pool, ThreadPoolExecutor(parallel) as threads:
            list(threads.map(pool, range(parallel)))


class SparkPool:
    """Implements :class:`migrator.workers.engine.Pool`: one task for each item."""

    def __init__(self, context: Context, parallel: int, setup: Any) -> None:
        self.parallel = self.callers = parallel
        self._context = context
        self._group = f"migrator-{uuid.uuid4().hex}"
        self._task = task_of(setup)
        self._cancelled = False

    def __call__(self, item: Any) -> Any:
        """See :meth:`migrator.workers.engine.Pool.__call__`."""
        if self._cancelled:
            raise MigrationFailed("Cancelled.", next_move="Run the same command again.")
        try:
            # The thread belongs to migrator, so no other jobs belong to this group.
            self._context.setJobGroup(self._group, "migrator", interruptOnCancel=True)
            (answer,) = self._context.parallelize([pickle.dumps(item)], 1).map(self._task).collect()
        except Exception as error:
            raise _failure(error) from error
        if isinstance(answer, str):
            raise lacking(answer)
        return answered(answer)

    def cancel(self) -> None:
        """Cancel all tasks of this pool. Spark ends the Python processes that work on them."""
        self._cancelled = True
        with suppress(Exception):
            self._context.cancelJobGroup(self._group)


@contextmanager
def _pool(context: Context, parallel: int, setup: bytes) -> Iterator[SparkPool]:
    sent = context.broadcast(setup)
    try:
        yield SparkPool(context, parallel, sent)
    finally:
        with suppress(Exception):
            sent.unpersist()


# -- the application -------------------------------------------------------------------------------------


def _check_installed() -> None:
    """Raises ConfigError if PySpark or Java is missing."""
    if importlib.util.find_spec("pyspark") is None:
        raise ConfigError(
            "--engine spark needs PySpark.", next_move=f"Run: pip install 'lake-migrator[spark]'. {_OR_LOCAL}"
        )
    home = os.environ.get("JAVA_HOME")
    # With spark-submit there is a JVM already.
    if GATEWAY not in os.environ and not (home or shutil.which("java")):
        raise ConfigError(
            "--engine spark needs Java, which was not found.",
            next_move=f"Install Java 17, or set JAVA_HOME. {_OR_LOCAL}",
        )


def _start(settings: EngineSettings) -> Context:
    """Start a Spark application. Raises ConfigError or MigrationFailed."""
    from pyspark import SparkConf, SparkContext

    if not (settings.master or SUBMITTED & os.environ.keys()):  # otherwise Spark would run on this machine only
        raise ConfigError(
            "--engine spark: no Spark master is set.",
            next_move='Give lake.toml [engine] master, such as "spark://host:7077", or use spark-submit. ' + _OR_LOCAL,
        )
    in_main = threading.current_thread() is threading.main_thread()
    ctrl_c = signal.getsignal(signal.SIGINT)
    try:
        context = SparkContext(conf=SparkConf().setAll(list(_conf(settings).items())))
    except Exception as error:
        raise _failure(error, "Spark could not be started") from error
    finally:
        if in_main:  # Spark's handler would stay after the application has ended
            signal.signal(signal.SIGINT, ctrl_c)
    context.setLogLevel("ERROR")
    if "PYSPARK_PYTHON" not in os.environ:
        here = sys.executable if str(context.master).startswith("local") else context.pythonExec
        context.pythonExec = settings.conf.get(PYTHON, here)
    return context


def _conf(settings: EngineSettings) -> dict[str, str]:
    """The configuration of an application that migrator starts, in addition to that of spark-submit or
    spark-defaults.conf."""
    conf = dict(QUIET)
    if settings.master is not None:
        conf["spark.master"] = settings.master
    if GATEWAY not in os.environ:  # spark-submit names the application
        conf["spark.app.name"] = "migrator"
    if settings.executors is not None:
        conf["spark.executor.instances"] = str(settings.executors)
    return conf | dict(settings.conf)


def _check_agrees(context: Context, settings: EngineSettings) -> None:
    """Raises ConfigError if lake.toml asks for something that the active session does not have."""
    wanted = dict(settings.conf)
    if settings.master is not None:
        wanted["spark.master"] = settings.master
    for name, value in wanted.items():
        there = context.getConf().get(name)
        if there != value:
            raise ConfigError(
                f"A Spark session is active, with {name} = {there}; lake.toml asks for {value}.",
                next_move="Stop the session, or remove that from [engine].",
            )


def _failure(error: Exception, what: str = "Spark gave up") -> MigrationFailed:
    """An error of Spark in one message."""
    said = str(error)
    java = getattr(error, "java_exception", None)
    if java is not None:
        with suppress(Exception):
            said = str(java.getMessage())
    if "PYTHON_VERSION_MISMATCH" in said or "different version" in said:
        return MigrationFailed(
            "The executors have another Python than the driver.",
            next_move="Set PYSPARK_PYTHON to a Python of the same version on all machines.",
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if line.startswith("ModuleNotFoundError")), lines[0] if lines else "")
    return MigrationFailed(
        f"{what}: {redacted(told)[:500]}",
        next_move="Read the log of the Spark application, and run the same command again: it does what is left.",
    )
