"""Child processes: answers, errors, child processes that end, and a parent that is a plain script."""

from __future__ import annotations

import json
import logging
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator.concurrency.processes import Channel, Child, Disconnected, Workers, answer_requests, default_processes
from migrator.concurrency.threads import Done, run_in_threads
from migrator.errors import MigrationFailed, UnmappedPath, Unreadable
from migrator.progress.counts import RETRIES
from migrator.progress.json_lines import speak_json


class Job:
    """The job of the child processes. ``by`` is its only argument."""

    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, item: int) -> tuple[int, int]:
        if item == -1:
            raise UnmappedPath("s3://b/m.avro", "s3://elsewhere/x")
        if item == -2:
            raise Unreadable("s3://b/m.avro", "it is damaged", next_move="Mend it.")
        if item == -3:
            raise KeyError("a bug")
        if item == -4:
            os.kill(os.getpid(), signal.SIGKILL)
        print("noise, which must not end up between the answers")
        return item * self.by, os.getpid()


def test_every_item_is_answered_and_all_children_work() -> None:
    with Workers(Job, 7, processes=2) as workers:
        outcomes = list(run_in_threads(workers, range(200), workers=2))
    assert {o.item: o.result[0] for o in outcomes if isinstance(o, Done)} == {n: 7 * n for n in range(200)}
    pids = {o.result[1] for o in outcomes if isinstance(o, Done)}
    assert len(pids) == 2 and os.getpid() not in pids


class Retrying:
    """Retries something as often as the item says."""

    def __call__(self, times: int) -> int:
        RETRIES.add(times)
        return times


def test_what_children_try_again_is_counted_here() -> None:
    before = RETRIES.total
    with Workers(Retrying, processes=2) as workers:
        list(run_in_threads(workers, [1, 0, 2, 3, 0, 4], workers=2))
    assert RETRIES.total - before == 10


def unhappy(parent: Channel) -> None:
    """A child process that warns, logs, and ends with an error."""
    parent.receive()
    logging.getLogger("library").warning("from the child")
    raise KeyError("x")


def test_what_children_say_is_json_where_this_process_speaks_json(capfd: pytest.CaptureFixture[str]) -> None:
    undo = speak_json()
    try:
        child = Child(unhappy)
        child.send("go")
        with pytest.raises(Disconnected):
            child.receive()
        child.close()
    finally:
        undo()
    logged, error = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert (logged["event"], logged["message"]) == ("log", "from the child")
    assert (error["event"], error["error"]) == ("error", "KeyError") and "unhappy" in error["traceback"]


def test_our_errors_are_raised_unchanged_and_the_child_continues() -> None:
    with Workers(Job, 7, processes=1) as workers:
        with pytest.raises(UnmappedPath) as unmapped:
            workers(-1)
        assert (unmapped.value.place, unmapped.value.path) == ("s3://b/m.avro", "s3://elsewhere/x")
        with pytest.raises(Unreadable, match=r"it is damaged\. Mend it\."):
            workers(-2)
        with pytest.raises(MigrationFailed, match="KeyError: 'a bug'"):
            workers(-3)
        assert workers(1)[0] == 7


def test_a_child_that_dies_is_an_error_not_a_hang() -> None:
    with Workers(Job, 7, processes=1) as workers:
        for item in (-4, 1):
            with pytest.raises(MigrationFailed, match="worker process died"):
                workers(item)


def test_a_script_without_a_main_guard_may_use_them(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        "from migrator.concurrency.processes import Workers\n"
        "from migrator.layout import Location\n"
        "print('once')\n"
        "with Workers(Location, 's3', 'b', processes=2) as workers: pass\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "once\n" and done.stderr == ""


def test_children_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path[:0] = {[str(Path(__file__).parents[1])]!r}\n"
        "from migrator.concurrency.processes import Workers\n"
        "from concurrency.test_processes import Job\n"
        "with Workers(Job, 7, processes=1) as workers:\n"
        "    print(workers(1)[1], flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split(")")[1][:3]:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the child lives on")


def test_there_is_a_process_for_each_core_at_least() -> None:
    assert default_processes() > len(os.sched_getaffinity(0))


# -- the protocol ----------------------------------------------------------------------------------------


class Unpicklable(MigrationFailed):
    """An error of migrator's that pickle cannot carry."""

    def __init__(self) -> None:
        super().__init__("It holds a lock.", next_move="Let go.")
        self.lock = threading.Lock()


class Unloadable(MigrationFailed):
    """An error of migrator's that can be pickled but not be read again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Unloadable, ()


def answer(request: Any) -> Any:
    if request == "lock":
        return threading.Lock()
    if request == "unpicklable":
        raise Unpicklable
    if request == "unloadable":
        raise Unloadable("It is lost on the way.")
    if request == "memory":
        raise MemoryError
    return request


def serve_answers(parent: Channel) -> None:
    answer_requests(parent, answer)


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(serve_answers)
    yield child
    child.close()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("lock", "Internal error: TypeError"),
        ("unpicklable", r"^It holds a lock\. Let go\.$"),
        ("unloadable", r"^It is lost on the way\.$"),
        ("memory", "has not enough memory"),
    ],
)
def test_what_cannot_be_sent_is_an_error_and_the_child_continues(child: Child, request_: str, message: str) -> None:
    for _ in range(2):
        with pytest.raises(MigrationFailed, match=message):
            child.call(request_)
        assert child.call(1) == 1


def test_a_request_that_cannot_be_pickled_is_not_sent(child: Child) -> None:
    with pytest.raises((TypeError, pickle.PicklingError)):
        child.call(["a", threading.Lock()])
    assert child.call(["a"]) == ["a"]


def test_large_messages_arrive_as_they_are(child: Child) -> None:
    data = random.Random(0).randbytes(3 << 20)
    assert child.call({"data": data, "more": [data[:5], data]}) == {"data": data, "more": [data[:5], data]}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_after_an_interrupted_call_no_answer_is_taken_for_another_ones(
    child: Child, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    def interrupted(_: object) -> None:
        raise interruption

    with monkeypatch.context() as patched:
        patched.setattr(Channel, "receive", interrupted)
        with pytest.raises(interruption):
            child.call(1)
    with pytest.raises(Disconnected):
        child.call(2)
    assert child.wait() == -signal.SIGKILL


def test_a_call_to_a_child_that_died_fails_each_time() -> None:
    child = Child(serve_answers)
    assert child.call(1) == 1
    child.kill()
    for _ in range(2):
        with pytest.raises(Disconnected):
            child.call(2)
    assert child.close() == -signal.SIGKILL
    with pytest.raises(Disconnected):
        child.send(3)


def test_a_child_that_does_not_end_is_killed() -> None:
    child = Child(serve_sleeping)
    assert child.receive() == "asleep"
    assert child.wait(0.01) == -signal.SIGKILL
    child.close()


def serve_sleeping(parent: Channel) -> None:
    parent.send("asleep")
    time.sleep(600)


def test_both_sides_may_send_messages_at_any_time() -> None:
    child = Child(serve_counting)
    child.send(3)
    assert [child.receive() for _ in range(3)] == [0, 1, 2]
    child.send(1)
    assert child.receive() == 0
    child.hang_up()
    assert child.receive() == "the parent hung up"
    with pytest.raises(Disconnected):
        child.receive()
    assert child.close() == 0


def serve_counting(parent: Channel) -> None:
    try:
        while True:
            for number in range(parent.receive()):
                parent.send(number)
    except Disconnected:
        parent.send("the parent hung up")


def test_a_process_list_shows_what_a_child_is_for(child: Child) -> None:
    child.call(1)
    listed = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "serve_answers"], capture_output=True, check=False)
    assert len(listed.stdout.split()) == 1
