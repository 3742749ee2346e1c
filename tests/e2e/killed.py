"""Migrations in processes of their own, which can be killed (SIGKILL) at a chosen moment.

A moment is a step that changes something: a request that writes, or a commit of the journal. They are counted, so a
kill comes at the same step on any machine. Run as a script, this module is a server that forks one process per job.
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
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

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
    steps: int = 0
    """How many changing steps there were; 0 if it was killed."""

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
        self, plan: Path, *, cutover: bool = True, accept_late: bool = False, kill_at: int = 0, before: bool = True
    ) -> Ended:
        """Migrate a plan. ``kill_at``: the changing step at which the process dies, ``before`` or after it; it lives
        if there are fewer steps, or for 0."""
        job = {"plan": str(plan), "cutover": cutover, "accept_late": accept_late, "kill_at": kill_at, "before": before}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))


# -- in the other process ----------------------------------------------------------------------------------


def serve() -> None:
    """Answer every line of the standard input, a job, with a line that says how it ended."""
    import pyiceberg.io.fsspec
    import pyiceberg.table  # noqa: F401 - so that no job has to import it

    import migrator.api  # noqa: F401
    from migrator.store import Store

    Store(endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])  # fills the caches of boto3

    for line in sys.stdin:
        print(json.dumps(in_child(json.loads(line))), flush=True)


def in_child(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job in a fork: nothing runs here that a fork would break, no thread and no connection."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writing, "w") as answer:
                json.dump(migrate(**job), answer)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return {"killed": True, "exit_code": -signal.SIGKILL}
    return dict(json.loads(text)) if text else {"exit_code": -1, "message": f"no answer; status {status}"}


def migrate(plan: str, cutover: bool, accept_late: bool, kill_at: int, before: bool) -> dict[str, Any]:
    """Carry out a plan in this process."""
    from migrator.api import migrate_lake
    from migrator.errors import MigratorError

    count = count_steps(kill_at, before=before)
    try:
        done = migrate_lake(plan, cutover=cutover, accept_late=accept_late)
    except MigratorError as error:
        return {"exit_code": error.exit_code, "error": type(error).__name__, "message": str(error)}
    except BaseException:
        return {"exit_code": -1, "message": traceback.format_exc()}
    said = (
        "" if done.verification is None else "\n".join(p for check in done.verification.checks for p in check.problems)
    )
    return {
        "ok": done.ok,
        "exit_code": 0 if done.ok else 3,
        "message": said,
        "nothing_to_do": done.nothing_to_do,
        "cut_over": done.nothing_to_do or done.verification is not None,
        "steps": count(),
    }


def count_steps(kill_at: int, *, before: bool) -> Callable[[], int]:
    """Count the steps that change something from now on, and kill this process at one of them."""
    from botocore.httpsession import URLLib3Session

    from migrator.journal import Journal
    from migrator.store.wire import Wire

    lock, steps = threading.Lock(), 0

    @contextlib.contextmanager
    def step() -> Any:
        nonlocal steps
        with lock:
            steps += 1
            fatal = steps == kill_at
        if fatal and before:
            os.kill(os.getpid(), signal.SIGKILL)
        yield
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)

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
    return lambda: steps


def _counted(method: Any, step: Any) -> Any:
    def counted(journal: Any, *arguments: Any, **options: Any) -> Any:
        if not arguments and not journal._db.in_transaction:  # a commit of nothing
            return method(journal)
        with step():
            return method(journal, *arguments, **options)

    return counted


if __name__ == "__main__":
    serve()
