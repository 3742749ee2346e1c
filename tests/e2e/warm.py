"""Runs the command line in processes that need not import anything first: each is a fork of a process that has imported
everything.

It is for tests that start and kill dozens of them. The processes share nothing: a fork has no thread and no connection.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_PRELOADED = ["e2e.warm", "migrator.api", "migrator.verifying.pyiceberg_io", "pyiceberg.table", "s3fs"]


class WarmProcesses:
    """Starts the processes. Their output goes to a file in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "warm.log"
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)

    def start(self, *arguments: str | Path) -> ForkServerProcess:
        """Run the command line with these arguments, and with the environment of this process."""
        self._log.touch()
        what = [str(argument) for argument in arguments], dict(os.environ), str(self._log)
        process = self._context.Process(target=_run, args=what)
        process.start()
        return process

    def output(self) -> str:
        """The output so far."""
        return self._log.read_text()


def _run(arguments: list[str], environ: dict[str, str], log: str) -> None:
    from migrator.cli import main

    os.environ.clear()
    os.environ.update(environ)
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    sys.exit(main(arguments))
