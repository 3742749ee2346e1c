"""Child processes: answers, errors, deaths, and a parent that is a plain script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from migrator.concurrency.processes import Workers, default_processes
from migrator.concurrency.threads import Done, each
from migrator.errors import MigrationFailed, UnmappedPath, Unreadable


class Job:
    """What the children make. ``by`` is the one argument."""

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
        outcomes = list(each(workers, range(200), workers=2))
    assert {o.item: o.result[0] for o in outcomes if isinstance(o, Done)} == {n: 7 * n for n in range(200)}
    pids = {o.result[1] for o in outcomes if isinstance(o, Done)}
    assert len(pids) == 2 and os.getpid() not in pids


def test_our_errors_come_back_as_they_are_and_the_child_goes_on() -> None:
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
