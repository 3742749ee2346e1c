"""Finds how many tasks the executors of a Spark application run at once."""

from __future__ import annotations

import re
import time
from typing import Any

from migrator.errors import ConfigError, MigrationFailed

Context = Any
"""A pyspark.SparkContext: PySpark is not always installed."""

START_SECONDS = 120.0
"""How long to wait for the first executor."""
MORE_SECONDS = 30.0
"""How long to wait for the other requested executors. Executors that start later get work, too."""
SETTLE_SECONDS = 2.0
"""If the number of executors is not known: how long to wait after the last one has started."""
MANY = 100_000
"""From this number on, Spark's own setting means that there is no limit."""


def slots_of(context: Context, executors: int | None) -> int:
    """How many tasks run at once when all executors have started. Waits for them. ``executors``: how many the user
    requests.

    The number must not be too small, because all limits are divided by it: an application with dynamic allocation must
    have a maximum. Raises ConfigError if it has none, MigrationFailed if no executor starts.
    """
    expected = _expected(context, executors)
    began = changed = time.monotonic()
    found: list[int] = []
    while True:
        now, before = time.monotonic(), found
        found = executor_slots(context)
        if found != before:
            changed = now
        if found and expected is None and now - changed >= (0 if _is_local(context) else SETTLE_SECONDS):
            return sum(found)
        if found and expected is not None and (len(found) >= expected or now - began >= MORE_SECONDS):
            return max(sum(found), expected * max(found))
        if not found and now - began >= START_SECONDS:
            raise MigrationFailed(
                f"No Spark executor started within {START_SECONDS:.0f} seconds.",
                next_move="Check that the Spark master has workers with enough cores and memory.",
            )
        time.sleep(0.1)


def executor_slots(context: Context) -> list[int]:
    """For each running executor, how many tasks it runs at once. In ``local`` mode the driver is the executor."""
    per_task = int(context.getConf().get("spark.task.cpus", "1") or 1)
    summaries: Any = context._jsc.sc().statusStore().executorList(True)
    found = [summaries.apply(number) for number in range(summaries.size())]
    local = _is_local(context)
    return [one.totalCores() // per_task for one in found if (one.id() == "driver") == local and one.totalCores()]


def grows(context: Context) -> bool:
    """True if Spark may add executors, so that more tasks run at once than :func:`slots_of` has counted."""
    return bool(context.getConf().get("spark.dynamicAllocation.enabled", "false") == "true")


def _is_local(context: Context) -> bool:
    master = str(context.master)
    return master == "local" or master.startswith("local[")


def _expected(context: Context, executors: int | None) -> int | None:
    """How many executors there will be; None if that is not known. Raises ConfigError."""
    conf = context.getConf()
    if _is_local(context):
        return None
    if executors is not None:
        return executors
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        most = int(conf.get("spark.dynamicAllocation.maxExecutors", str(MANY)) or MANY)
        if most >= MANY:
            raise ConfigError(
                "Spark adds executors as it needs them, without a limit.",
                next_move="Give lake.toml [engine] executors: --tps and --bandwidth are divided by their number.",
            )
        return most
    if match := re.match(r"local-cluster\[\s*([0-9]+)", str(context.master)):
        return int(match[1])
    given = conf.get("spark.executor.instances")
    return int(given) if given else None
