"""Checks that an executor has the Python of the driver, the same migrator, and the packages that it imports. The
function that checks this is sent to the executor as code, because the executor may lack migrator.

So it imports everything itself, and uses no name of this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from migrator._version import __version__
from migrator.errors import MigrationFailed

PACKED = "migrator_packed"
"""The module in the file of ``migrator pack`` that makes the rest of it importable."""
NEEDED = ("migrator", "boto3", "botocore", "migrator.copying.batch_copier")
"""In this order: the first that is missing is named."""

Task = Callable[[bytes], Any]
"""Runs an item on an executor: pickled item → the answer of :func:`migrator.workers.task.do`, or a text that says what
the executor lacks."""


def python_version() -> str:
    """The version of this Python that must be the same on executors, such as "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def task_of(setup: Any) -> Task:
    """The function that executors call. ``setup``: its ``value`` is the result of
    :func:`migrator.workers.task.packed`."""
    python, version, packed, needed = python_version(), __version__, PACKED, NEEDED

    def run(item: bytes) -> Any:
        import contextlib
        import importlib
        import socket
        import sys

        host = socket.gethostname()
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if here != python:
            return f"The executor on {host} has Python {here}, and the driver {python}."
        with contextlib.suppress(ImportError):  # without the packed file, the packages must be installed
            importlib.import_module(packed)
        for name in needed:
            try:
                importlib.import_module(name)
            except ImportError as error:
                return f"The executor on {host} cannot import {name}: {error}."
        there = sys.modules["migrator"].__version__
        if there != version:
            return f"The executor on {host} has migrator {there}, and the driver {version}."
        from migrator.workers.task import do

        return do(setup.value, item)

    run.__module__ = "__main__"  # so that it is sent as code instead of by its name
    return run


def lacking(answer: str) -> MigrationFailed:
    """The error for an executor that answered with a text. ``answer``: that text."""
    return MigrationFailed(
        answer,
        next_move='Pack what executors need: "migrator pack -o migrator-executors.zip", and name the file in lake.toml '
        "([engine] pack) or in spark-submit --py-files.",
    )


class Nothing:
    """A job that does nothing, to see whether executors can work."""

    def __call__(self, item: Any) -> Any:
        """Return the item."""
        return item
