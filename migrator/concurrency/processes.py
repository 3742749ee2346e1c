"""Child processes, and the one protocol that they speak: pickles over two pipes.

Not ``multiprocessing``: its children import the caller's main module again (which starts a script that has no
``__main__`` guard a second time), or are forked from a process that has threads. A :class:`Child` is a fresh
interpreter that runs one function. The function gets a :class:`Channel` to its parent. The channel ends when the
other process does, also when that is killed, so no child outlives its parent.

Two ways to use it. A child that answers requests one by one runs :func:`answer_requests`, and its parent calls
:meth:`Child.call`; :class:`Workers` is a pool of such children. Or both sides send messages whenever they like.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Any, Generic, TypeVar

from migrator.errors import MigrationFailed, MigratorError, internal_error
from migrator.progress.counts import RETRIES
from migrator.progress.json_lines import speak_json, speaks_json

DYING_SECONDS = 10.0
"""How long to wait for a child whose pipe has ended, before it is killed."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_processes() -> int:
    """One and a half processes for each core, because they also wait for the store."""
    return cores() + max(1, cores() // 2)


# -- the protocol ----------------------------------------------------------------------------------------


class Disconnected(Exception):
    """The other process has ended, or closed its pipe."""


class Channel:
    """Sends messages to another process and receives messages from it. One thread may send while another receives."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def send(self, message: Any) -> None:
        """Send one message. Raises Disconnected. A message that cannot be pickled raises what pickle raises, and sends
        nothing, so the channel stays usable."""
        pickled = _Chunks()
        pickle.dump(message, pickled)
        try:
            for chunk in pickled.chunks:
                self._outgoing.write(chunk)
            self._outgoing.flush()
        except (OSError, ValueError) as error:  # ValueError: the pipe is closed on this side
            raise Disconnected from error

    def receive(self) -> Any:
        """Wait for the next message. Raises Disconnected."""
        try:
            return pickle.load(self._incoming)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise Disconnected from error


class _Chunks:
    """A file in memory that keeps what is written as it is: pickle hands large bytes over without a copy."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write(self, chunk: bytes) -> None:
        self.chunks.append(chunk)


class Child:
    """A fresh interpreter that runs ``main(channel to this process)``, and ends when that returns.

    ``main`` must be importable by name; the child can import what this process can. ``quiet``: what the child writes
    to standard error is dropped.
    """

    def __init__(self, main: Callable[[Channel], None], *, quiet: bool = False) -> None:
        # The imports are in the command line, so that a list of processes shows what each one does.
        program = (
            "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
            f"from {main.__module__} import {main.__name__}; "
            f"from {__name__} import run_in_child; run_in_child({main.__name__}, json={speaks_json()})"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            start_new_session=True,  # only the parent gets Ctrl-C, and lets children finish their work
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._channel = Channel(self._stdout, self._stdin)
        self._retries = 0
        with suppress(Disconnected):  # the child died at once: the next message shows that
            self._channel.send(sys.path)

    def send(self, message: Any) -> None:
        """See :meth:`Channel.send`."""
        self._channel.send(message)

    def receive(self) -> Any:
        """See :meth:`Channel.receive`."""
        retries, message = self._channel.receive()
        RETRIES.add(retries - self._retries)
        self._retries = retries
        return message

    def call(self, request: Any) -> Any:
        """Send a request to a child that runs :func:`answer_requests`, and return its answer.

        Raises Disconnected if the child dies, and the child's error, a MigratorError, if it answers with one. If
        anything else interrupts the call, such as Ctrl-C, the child is killed: its next answer would be the answer to
        this request.
        """
        sent = False
        try:
            self.send(request)
            sent = True
            error, result = self.receive()
        except Disconnected:
            raise
        except BaseException as interruption:
            if sent or not isinstance(interruption, Exception):
                self.kill()
            raise
        if error is not None:
            raise error
        return result

    def hang_up(self) -> None:
        """Close the pipe to the child, which tells it to end."""
        with suppress(OSError):
            self._stdin.close()

    def kill(self) -> None:
        """End the child at once."""
        self._process.kill()

    def wait(self, seconds: float | None = None) -> int:
        """Hang up, wait until the child has ended, and return its exit code. After ``seconds`` it is killed."""
        self.hang_up()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def close(self) -> int:
        """Wait for the end of the child, and free its pipes. No thread may still wait in :meth:`receive`."""
        code = self.wait()
        self._stdout.close()
        return code


class _ToParent(Channel):
    """The channel of a child: each message has the number of the child's retries."""

    def send(self, message: Any) -> None:
        super().send((RETRIES.total, message))


def run_in_child(main: Callable[[Channel], None], *, json: bool = False) -> None:
    """Run ``main`` as the whole work of a child process; :class:`Child` starts it. ``json``: messages of libraries on
    standard error are JSON lines, as in the parent."""
    channel = _ToParent(sys.stdin.buffer, sys.stdout.buffer)
    sys.stdout = sys.stderr  # output of a library must not get between the messages
    if json:
        speak_json()
    main(channel)


def as_migrator_error(error: Exception) -> MigratorError:
    """The error to send to the parent: ``error`` itself if it is a MigratorError that survives pickling; else one with
    its message, or one that reports a fault of migrator."""
    if isinstance(error, MemoryError):
        return MigrationFailed("A worker process has not enough memory.", next_move="Run it where there is.")
    if not isinstance(error, MigratorError):
        return MigrationFailed(internal_error(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return MigrationFailed(error.message, next_move=error.next_move)
    return error


def answer_requests(
    parent: Channel,
    answer: Callable[[Any], Any],
    failure: Callable[[Any, Exception], MigratorError] = lambda request, error: as_migrator_error(error),
) -> None:
    """Answer each request of the parent with ``answer(request)``, until the parent hangs up or ends.

    If that raises an error, or returns what cannot be pickled, the answer is the error ``failure(request, error)``, and
    the child continues.
    """
    with suppress(Disconnected):
        while True:
            request = parent.receive()
            try:
                parent.send((None, answer(request)))
            except Disconnected:
                raise
            except Exception as error:
                parent.send((failure(request, error), None))


# -- a pool ----------------------------------------------------------------------------------------------


class Workers(Generic[Item, Result]):
    """A pool of child processes. Use it as a context manager, and call it from as many threads as there are
    processes: each call sends one item to a free child and waits for its answer. Or :meth:`submit` items.

    ``make(*arguments)`` runs once in each child and returns the job, a function of one item. ``make`` must be
    importable by name; its arguments, the items and the results must be picklable. A call raises the MigratorError
    that the job raised. It raises MigrationFailed for any other error, and if the child dies.
    """

    def __init__(self, make: Callable[..., Callable[[Item], Result]], *arguments: Any, processes: int) -> None:
        self._setup = (make, arguments)
        self._processes = processes
        self._children: list[Child] = []
        self._free: SimpleQueue[Child] = SimpleQueue()
        self._callers = ThreadPoolExecutor(processes, thread_name_prefix="migrator-caller")

    def __enter__(self) -> Workers[Item, Result]:
        for _ in range(self._processes):
            child = Child(serve_worker)
            self._children.append(child)
            self._free.put(child)
        for child in self._children:
            with suppress(Disconnected):  # the child died at once: the first call shows that
                child.send(self._setup)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._callers.shutdown(cancel_futures=True)
        for child in self._children:
            child.hang_up()
        for child in self._children:
            child.close()

    def submit(self, item: Item) -> Future[Result]:
        """Call the pool from another thread; at most as many calls run at a time as there are processes."""
        return self._callers.submit(self, item)

    @property
    def parallel(self) -> int:
        """The number of processes: how many items are done at once."""
        return self._processes

    @property
    def callers(self) -> int:
        """How many threads may call the pool."""
        return self._processes

    def cancel(self) -> None:
        """Kill the processes. Running calls raise MigrationFailed."""
        for child in self._children:
            child.kill()

    def __call__(self, item: Item) -> Result:
        child = self._free.get()
        try:
            result: Result = child.call(item)
        except Disconnected as error:
            raise MigrationFailed(
                f"A worker process died (exit code {child.wait(DYING_SECONDS)}).",
                next_move="Run the same command again.",
            ) from error
        finally:
            self._free.put(child)
        return result


def serve_worker(parent: Channel) -> None:
    """The work of a child of :class:`Workers`: make the job at the first item, then do it on each item."""
    try:
        make, arguments = parent.receive()
    except Disconnected:
        return
    job: Callable[[Any], Any] | None = None

    def answer(item: Any) -> Any:
        nonlocal job
        if job is None:
            job = make(*arguments)
        return job(item)

    answer_requests(parent, answer)
