"""Jobs on all cores: child processes that each make one callable and then answer one item at a time.

Not ``multiprocessing``: its children import the caller's main module again (which starts a script that has no
``__main__`` guard a second time) or are forked from a process that has threads. A child of ours is a fresh
interpreter that reads pickles from a pipe, and ends when the pipe does: also when the parent is killed.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar

from migrator.errors import MigrationFailed, MigratorError, internal_error

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_processes() -> int:
    """One for each core, and half as many again: they also wait for the store."""
    return cores() + max(1, cores() // 2)


def start_child(program: str, *, quiet: bool = False) -> subprocess.Popen[bytes]:
    """A fresh interpreter that runs one line of Python, and can import what this one can. ``quiet``: what it writes to
    standard error is dropped."""
    child = subprocess.Popen(
        [sys.executable, "-c", f"import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); {program}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        start_new_session=True,  # Ctrl-C is for the parent, which lets them finish what they are at
    )
    with suppress(BrokenPipeError):  # it died at once: whoever talks to it will see
        pickle.dump(sys.path, pipe(child.stdin))
        pipe(child.stdin).flush()
    return child


class Workers(Generic[Item, Result]):
    """A pool of child processes. Use as a context manager, and call it from as many threads as there are
    processes: each call hands one item to a free child and waits for its answer.

    ``make(*arguments)`` runs once in each child and returns the job. All of it must be picklable, and ``make``
    must be importable by name. Our own errors come back as they are; any other, and a child that dies, raise
    MigrationFailed.
    """

    def __init__(self, make: Callable[..., Callable[[Item], Result]], *arguments: Any, processes: int) -> None:
        self._setup = pickle.dumps((make, arguments))
        self._processes = processes
        self._children: list[subprocess.Popen[bytes]] = []
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()

    def __enter__(self) -> Workers[Item, Result]:
        for _ in range(self._processes):
            child = start_child("from migrator.concurrency.processes import serve; serve()")
            self._children.append(child)
            self._free.put(child)
        for child in self._children:
            with suppress(BrokenPipeError):  # it died at once: the first call says so
                pipe(child.stdin).write(self._setup)
                pipe(child.stdin).flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            with suppress(BrokenPipeError):
                pipe(child.stdin).close()
        for child in self._children:
            child.wait()
            pipe(child.stdout).close()

    def __call__(self, item: Item) -> Result:
        child = self._free.get()
        try:
            pickle.dump(item, pipe(child.stdin))
            pipe(child.stdin).flush()
            error, result = pickle.load(pipe(child.stdout))
        except (EOFError, OSError, pickle.UnpicklingError) as fault:
            raise MigrationFailed(
                f"A worker process died (exit code {child.poll()}).", next_move="Run the same command again."
            ) from fault
        finally:
            self._free.put(child)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]


def serve() -> None:
    """The life of a child: set up, then answer items until the pipe ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever prints must not end up between the answers
    make, arguments = pickle.load(source)
    job = None
    while True:
        try:
            item = pickle.load(source)
        except EOFError:
            return
        answer: tuple[MigratorError | None, Any]
        try:
            if job is None:
                job = make(*arguments)
            answer = (None, job(item))
        except MigratorError as error:
            answer = (error, None)
        except MemoryError:
            answer = (
                MigrationFailed("A worker process has not enough memory.", next_move="Run it where there is."),
                None,
            )
        except Exception as error:
            answer = (MigrationFailed(internal_error(error)), None)
        pickle.dump(answer, sink)
        sink.flush()


def pipe(stream: Any) -> Any:
    """One of a child's pipes, which ``subprocess`` types as optional."""
    assert stream is not None
    return stream
