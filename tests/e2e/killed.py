"""Migrations in separate processes, which can be killed (SIGKILL) or made to wait at a chosen step.

A step changes something: it is a request that writes, or a commit of the journal. The steps are counted, so a kill
comes at the same step on any machine. Run as a script, this module is a server that forks one process per job.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

READ_ONLY = ("GET", "HEAD")


@dataclass(frozen=True)
class Ended:
    """How a migration ended. ``exit_code`` is the command line's; ``error`` names the exception's class."""

    killed: bool = False
    exit_code: int = 0
    error: str = ""
    message: str = ""
    ok: bool = False
    nothing_to_do: bool = False
    cut_over: bool = False
    marks: dict[str, int] = field(default_factory=dict)
    """Event of the journal → the step at which it was recorded; empty if the process was killed."""
    waited: bool = False
    """It reached the step at which it had to wait."""

    @property
    def crashed(self) -> bool:
        """It ended with an exception that is not one of migrator's own."""
        return self.exit_code < 0 and not self.killed


class Migrations:
    """Use as a context manager. ``environ``: how the processes find the server."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    def __enter__(self) -> Migrations:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "e2e.killed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._environ, "PYTHONPATH": path},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def run(
        self,
        plan: Path,
        *,
        cutover: bool = True,
        accept_late: bool = False,
        stop_at: int = 0,
        before: bool = True,
        meanwhile: Callable[[], None] | None = None,
    ) -> Ended:
        """Migrate a plan. ``stop_at``: the changing step at which the process ends, ``before`` or after it. With
        ``meanwhile``, the process waits there until that was called. If there are fewer steps, or for 0, the process
        does neither."""
        job = {"plan": str(plan), "cutover": cutover, "accept_late": accept_late}
        job |= {"stop_at": stop_at, "before": before, "waits": meanwhile is not None}
        answer = self._ask(json.dumps(job))
        waited = answer == {"waiting": True}
        if waited:
            assert meanwhile is not None
            meanwhile()
            answer = self._ask("go on")
        return Ended(**answer, waited=waited)

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))


# -- in the other process ----------------------------------------------------------------------------------


def serve() -> None:
    """Answer every line of the standard input, a job, with a line that says how it ended."""
    import pyiceberg.io.fsspec
    import pyiceberg.table  # noqa: F401 - so that no job has to import it

    import migrator.api  # noqa: F401
    from migrator.store import Store

    Store(endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])  # fills the caches of boto3

    for line in iter(sys.stdin.readline, ""):
        say(in_child(json.loads(line)))


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def in_child(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job in a fork. This process has no thread and no connection, which a fork would break."""
    answers, answer = os.pipe()
    wait, go_on = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(answer, "w", buffering=1) as file:
                print(json.dumps(migrate(job, file, wait)), file=file)
        finally:
            os._exit(0)
    os.close(answer)
    last: dict[str, Any] = {}
    with os.fdopen(answers) as file:
        for line in file:
            last = json.loads(line)
            if "waiting" in last:
                say(last)
                sys.stdin.readline()
                os.write(go_on, b"!")
    for descriptor in (wait, go_on):
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return {"killed": True, "exit_code": -signal.SIGKILL}
    return last if "exit_code" in last else {"exit_code": -1, "message": f"no answer; status {status}"}


def migrate(job: dict[str, Any], file: TextIO, wait: int) -> dict[str, Any]:
    """Carry out a plan in this process. ``file``: the file in which it reports that it waits; ``wait``: what it waits
    for."""
    from migrator.api import migrate_lake
    from migrator.errors import MigratorError

    def stop() -> None:
        if not job["waits"]:
            os.kill(os.getpid(), signal.SIGKILL)
        print(json.dumps({"waiting": True}), file=file)
        os.read(wait, 1)

    marks = count_steps(job["stop_at"], stop, before=job["before"])
    try:
        done = migrate_lake(job["plan"], cutover=job["cutover"], accept_late=job["accept_late"])
    except MigratorError as error:
        return {"exit_code": error.exit_code, "error": type(error).__name__, "message": str(error), "marks": marks}
    except BaseException:
        return {"exit_code": -1, "message": traceback.format_exc()}
    checks = done.verification.checks if done.verification else []
    return {
        "ok": done.ok,
        "exit_code": 0 if done.ok else 3,
        "message": "\n".join(problem for check in checks for problem in check.problems),
        "nothing_to_do": done.nothing_to_do,
        "cut_over": done.nothing_to_do or done.verification is not None,
        "marks": marks,
    }


def count_steps(stop_at: int, stop: Callable[[], None], *, before: bool) -> dict[str, int]:
    """Count the steps that change something from now on, and call ``stop`` at one of them. Returns what will be
    :attr:`Ended.marks`. The lease is renewed at fixed times, which is no step."""
    from botocore.httpsession import URLLib3Session

    from migrator.planfile.journal import Journal
    from migrator.store.wire import Wire

    marks: dict[str, int] = {}
    lock, steps = threading.Lock(), 0

    @contextlib.contextmanager
    def step(event: str = "") -> Any:
        nonlocal steps
        with lock:
            steps += threading.current_thread().name != "migrator-lease"
            stops = steps == stop_at and threading.current_thread().name != "migrator-lease"
            if event:
                marks[event] = steps
        if stops and before:
            stop()
        yield
        if stops and not before:
            stop()

    send, request = URLLib3Session.send, Wire.request

    def counted_send(self: Any, prepared: Any) -> Any:
        if prepared.method in READ_ONLY:
            return send(self, prepared)
        with step():
            return send(self, prepared)

    async def counted_request(self: Any, method: str, *arguments: Any, **options: Any) -> Any:
        if method in READ_ONLY:
            return await request(self, method, *arguments, **options)
        with step():
            return await request(self, method, *arguments, **options)

    URLLib3Session.send = counted_send
    Wire.request = counted_request
    for name in ("commit", "event", "baseline"):
        setattr(Journal, name, _counted(getattr(Journal, name), step))
    return marks


def _counted(method: Any, step: Any) -> Any:
    def counted(journal: Any, *arguments: Any, **options: Any) -> Any:
        if not arguments and not journal._db.in_transaction:  # a commit without changes
            return method(journal)
        with step(arguments[0] if method.__name__ == "event" else ""):
            return method(journal, *arguments, **options)

    return counted


if __name__ == "__main__":
    serve()
