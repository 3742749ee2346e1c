"""A small Spark application with real executors, and a list of its processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXECUTORS = 2
MASTER = f"local-cluster[{EXECUTORS},1,1024]"
"""Executors in separate processes, with one core and 1 GiB each."""
SMALL = {
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
PYTHON = {"spark.pyspark.python": sys.executable}


@contextmanager
def application(folder: Path, **conf: str) -> Iterator[Any]:
    """A SparkContext on two executors, which import from this checkout. ``folder``: for its files."""
    import pytest
    from pyspark import SparkConf, SparkContext

    from engines.spark import end_jvm

    assert SparkContext._active_spark_context is None, "another application of this process would be taken"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "tests"))))
        patch.setenv("SPARK_WORKER_DIR", str(folder / "work"))
        patch.chdir(folder)
        settings = {**SMALL, "spark.local.dir": str(folder / "local"), **conf}
        context = SparkContext(conf=SparkConf().setMaster(MASTER).setAppName("tests").setAll(list(settings.items())))
        context.setLogLevel("ERROR")
        try:
            yield context
        finally:
            context.stop()
            end_jvm()


def toml(**engine: str) -> str:
    """[engine] for an application that migrator starts itself."""
    conf = {**SMALL, **PYTHON}
    lines = ["[engine]", f'master = "{MASTER}"', *(f'{key} = "{value}"' for key, value in engine.items())]
    return "\n".join(["", *lines, "[engine.conf]", *(f'"{key}" = "{value}"' for key, value in conf.items())]) + "\n"


def descendants(pid: int) -> dict[int, str]:
    """The processes below one, with their command lines."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            lines[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found: dict[int, str] = {}
    below = {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below and child not in found}
        found |= {child: lines[child] for child in below}
    return found


def executors(pid: int) -> list[int]:
    """The executors of the application whose driver is this process. Each is a JVM."""
    return [child for child, line in descendants(pid).items() if "CoarseGrainedExecutorBackend" in line]


def python_workers(pid: int) -> list[int]:
    """The Python processes of the executors of that application."""
    return [child for child, line in descendants(pid).items() if "pyspark.daemon" in line]
