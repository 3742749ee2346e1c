"""Killed at any instant and run again, a migration ends in the same target."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.world import World

KILLS = 5


@pytest.fixture
def expected(world: World) -> Iterator[dict[str, tuple[int, str]]]:
    """The target of a migration that nobody interrupted."""
    catalog = Path(world.lake.catalogs["iceberg"]["uri"].removeprefix("sqlite:///"))
    pristine = catalog.read_bytes()
    world.run("migrate", world.plan("whole.db"), "--yes")
    target = contents(world)
    world.remove_target()
    catalog.write_bytes(pristine)
    yield target


def contents(world: World) -> dict[str, tuple[int, str]]:
    return {place: (size, etag) for place, (size, etag, _) in world.listing("data-lake").items()}


def interruptible() -> None:
    """A shell's background job ignores Ctrl-C, and so would our child if the tests run in one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "migrator.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=interruptible,
    )


def written(world: World) -> int:
    """How many objects the target has."""
    return len(contents(world)) if "data-lake" in world.buckets() else 0


def kill_at(world: World, process: subprocess.Popen[bytes], objects: int) -> None:
    """Kill the process as soon as the target has so many objects."""
    while written(world) < objects and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("with_plan", [True, False], ids=["the same plan", "a new plan each time"])
def test_kill_9(world: World, expected: dict[str, tuple[int, str]], with_plan: bool) -> None:
    what: list[str | Path] = ["migrate", "--yes"]
    what += [world.plan()] if with_plan else ["--config", world.config]
    random_ = random.Random(11)
    seen = [0]
    for round_ in range(1, KILLS + 1):
        # From nothing to everything but the last files: copies, rewrites, the comparison, the cutover.
        objects = len(expected) * round_ // KILLS - random_.randrange(10)
        kill_at(world, start(*what), max(objects, seen[-1] + 1))
        seen.append(written(world))
    assert seen == sorted(seen) and len(set(seen)) > 3, f"the kills must come at different points: {seen}"
    process = start(*what)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert len(seen) > 1, "every kill came at the same point: the test proves nothing"
    assert contents(world) == expected
    if with_plan:
        world.run("verify", what[2], "--deep")
        assert json.loads(world.run("status", what[2], "--json").stdout)["phase"] == "finished"
    assert "Nothing to do" in world.run("migrate", "--config", world.config, "--yes").stdout


def test_ctrl_c(world: World, expected: dict[str, tuple[int, str]]) -> None:
    plan = world.plan()
    process = start("migrate", plan, "--yes")
    while "data-lake" not in world.buckets() or not world.listing("data-lake"):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"run the same command again" in errors and b"Traceback" not in errors
    assert len(contents(world)) < len(expected)
    world.run("migrate", plan, "--yes")
    assert contents(world) == expected


def test_killed_between_the_swap_and_the_journal(
    world: World, expected: dict[str, tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst instant: the catalog has the new pointers, the journal and the version hint do not say so."""
    from migrator.execute import Executor

    plan = world.plan()
    swap = Executor._repoint

    def swap_and_die(self: Executor, *arguments: object) -> None:
        swap(self, *arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Executor, "_repoint", swap_and_die)
        world.run("migrate", plan, "--yes", exit_code=130)
    hint = "data-lake/warehouse/ops/audit_log/metadata/version-hint.text"
    assert hint not in contents(world)
    assert json.loads(world.run("status", plan, "--json").stdout)["events"][-1]["event"] == "cutover-begun"
    world.run("migrate", plan, "--yes")
    assert contents(world) == expected
    world.run("verify", plan)


def test_killed_before_the_last_verification(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from migrator.verify import Verifier

    def die(self: Verifier, **options: object) -> None:
        raise KeyboardInterrupt

    plan = world.plan()
    with monkeypatch.context() as patched:
        patched.setattr(Verifier, "verify", die)
        world.run("migrate", plan, "--yes", exit_code=130)
    assert json.loads(world.run("status", plan, "--json").stdout)["phase"] == "cut over"
    assert "Everything is as it must be" in world.run("migrate", plan, "--yes").stdout
    assert json.loads(world.run("status", plan, "--json").stdout)["phase"] == "finished"


def test_two_at_once(world: World) -> None:
    plan = world.plan()
    from migrator.plan.file import PlanFile

    with PlanFile.open(plan) as held, held.lock():
        result = world.run("migrate", plan, "--yes", exit_code=1)
    assert "is being carried out by another process" in result.stderr
    assert "data-lake" not in world.buckets()
