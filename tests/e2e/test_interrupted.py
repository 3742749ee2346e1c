"""A migration that is killed at any time and run again ends with the same target."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2e.warm import WarmProcesses
from e2e.world import Contents, World
from migrator.planfile import log
from migrator.store import LEASE_KEY

KILLS = 5
RANDOM_KILLS = 50
PART_KILLS = 6


def interruptible() -> None:
    """A shell's background job ignores Ctrl-C, and so would our child if the tests run in one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "migrator", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=interruptible,
    )


def written(world: World) -> int:
    """How many objects the target has, without the lease of a running migration."""
    return len(world.contents().keys() - {f"data-lake/{LEASE_KEY}"}) if "data-lake" in world.buckets() else 0


def kill_at(world: World, process: subprocess.Popen[bytes], objects: int) -> None:
    """Kill the process as soon as the target has this many objects."""
    while written(world) < objects and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("with_plan", [True, False], ids=["the same plan", "a new plan each time"])
def test_kill_9(world: World, expected: Contents, with_plan: bool) -> None:
    what: list[str | Path] = ["migrate", "--yes"]
    what += [world.plan()] if with_plan else ["--config", world.config]
    random_ = random.Random(11)
    seen = [0]
    for round_ in range(1, KILLS + 1):
        # From no object to all except the last files: copies, rewrites, the comparison, the cutover.
        objects = len(expected) * round_ // KILLS - random_.randrange(10)
        # So slow that even a slow machine notices the number of objects.
        kill_at(world, start(*what, "--tps", "100"), max(objects, seen[-1] + 1))
        seen.append(written(world))
    assert seen == sorted(seen) and len(set(seen)) > 3, f"the kills must come at different points: {seen}"
    process = start(*what)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert world.contents() == expected
    if with_plan:
        world.run("verify", what[2], "--deep")
        assert json.loads(world.run("status", what[2], "--json").stdout)["phase"] == "finished"
    assert "Nothing to do" in world.run("migrate", "--config", world.config, "--yes").stdout


@pytest.mark.timeout(900)
def test_fifty_kills_at_random_instants(world: World, expected: Contents) -> None:
    """Each kill comes at another time, and the migration is resumed. When a migration has ended, another one begins
    with an empty target."""
    dice = random.Random(50)
    pristine = world.catalog_file.read_bytes()
    phases, finished, kills, plan = Counter[str](), 0, 0, world.plan("0.db")
    processes = WarmProcesses(world.folder)
    while kills < RANDOM_KILLS:
        begun = runs(plan)
        process = processes.start("migrate", plan, "--yes")
        while runs(plan) == begun and process.is_alive():
            time.sleep(0.01)
        process.join(dice.uniform(0, 1.5) if dice.random() < 0.8 else dice.uniform(1.5, 6))
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0), processes.output()
        if process.exitcode == 0:
            finished += 1
            assert world.contents() == expected
            world.remove_target()
            world.catalog_file.write_bytes(pristine)
            plan = world.plan(f"{finished}.db")
            continue
        kills += 1
        phases[world.run("status", plan, "--json").stdout.split('"phase": "')[1].split('"')[0]] += 1
    world.run("migrate", plan, "--yes")
    assert world.contents() == expected
    assert not world.client.list_multipart_uploads(Bucket="data-lake").get("Uploads")
    world.run("verify", plan, "--deep")
    assert len(phases) >= 3, f"the kills must come at different points: {phases}"
    assert not left_behind(), "no process outlives its parent"


IN_PARTS = """
import sys
from migrator import migrate_lake
from migrator.copying.concurrency_limit import RequestLimits
from migrator.copying.options import Options
from migrator.copying.stage import CopySettings

limits = RequestLimits(concurrency=4, bandwidth=float(sys.argv[2]))
migrate_lake(sys.argv[1], copying=CopySettings(Options(limits, whole_limit=5 << 20, part_size=5 << 20)))
"""
"""Large objects are copied in parts, as those above 5 GiB are, and slowly, so that this takes a while."""


def test_kills_amid_parts(world: World) -> None:
    """Parts that a killed run has left are deleted, and never become part of an object of the next run."""
    dice, client = random.Random(7), world.client
    large = {f"page_views/large-{number}.bin": dice.randbytes(30 << 20) for number in range(2)}
    seen = []
    with contextlib.ExitStack() as stack:
        for key, data in large.items():
            stack.enter_context(world.added("bronze", key, data))
        plan = world.plan()
        command = [sys.executable, "-c", IN_PARTS, str(plan)]
        for _ in range(PART_KILLS):
            begun = runs(plan)
            process = subprocess.Popen([*command, str(8 << 20)], stderr=subprocess.PIPE)
            # When it says that it began, it has deleted the parts of the previous run.
            while process.poll() is None and (runs(plan) == begun or not open_parts(client)):
                time.sleep(0.02)
            time.sleep(dice.uniform(0, 1.5))
            process.kill()
            _, errors = process.communicate()
            assert process.returncode == -signal.SIGKILL, errors.decode()
            seen.append(open_parts(client))
        assert sum(map(bool, seen)) >= PART_KILLS // 2, f"the kills must come amid parts: {seen}"
        subprocess.run([*command, str(1 << 30)], check=True)
        world.run("verify", plan, "--deep")
    assert not open_parts(client)
    for key, data in large.items():
        there = client.get_object(Bucket="data-lake", Key=f"bronze/{key}")
        assert hashlib.sha256(there["Body"].read()).digest() == hashlib.sha256(data).digest()
        assert there["ETag"].strip('"').endswith("-6")


def open_parts(client: Any) -> int:
    """How many parts there are of uploads to the target that are not finished."""
    try:
        uploads = client.list_multipart_uploads(Bucket="data-lake").get("Uploads", [])
        names = ({"Bucket": "data-lake", "Key": one["Key"], "UploadId": one["UploadId"]} for one in uploads)
        return sum(len(client.list_parts(**name).get("Parts", [])) for name in names)
    except (client.exceptions.NoSuchBucket, client.exceptions.NoSuchUpload):
        return 0


def runs(plan: Path) -> int:
    """How often a migration of the plan began. The incomplete last transaction of a killed run must be undone first, so
    the permission to read is not enough."""
    with closing(sqlite3.connect(f"file:{plan}?mode=rw", uri=True, timeout=60)) as db:
        return int(db.execute("SELECT count(*) FROM events WHERE event = 'started'").fetchone()[0])


def left_behind() -> list[str]:
    """The command lines of workers whose parent is gone; one that has just lost it may still be ending."""
    for _ in range(50):
        found = subprocess.run(["pgrep", "-a", "-P", "1", "-f", "migrator\\.(concurrency|copying)"], **CAPTURE).stdout
        if not found:
            break
        time.sleep(0.1)
    return str(found).splitlines()


CAPTURE: dict[str, Any] = {"capture_output": True, "text": True, "check": False}


def test_uploads_that_a_killed_run_left_are_dropped(world: World, expected: Contents) -> None:
    plan = world.plan()
    client = world.client
    client.create_bucket(Bucket="data-lake")
    ours = next(place for place in expected if "page_views" in place).removeprefix("data-lake/")
    client.create_multipart_upload(Bucket="data-lake", Key=ours)
    client.create_multipart_upload(Bucket="data-lake", Key="somebody/elses")
    with closing(sqlite3.connect(plan)) as db:
        log.append(db, "started", {})
        db.commit()
    world.run("migrate", plan, "--yes")
    left = [upload["Key"] for upload in client.list_multipart_uploads(Bucket="data-lake")["Uploads"]]
    assert left == ["somebody/elses"]
    assert world.contents() == expected


def test_what_was_written_meanwhile_stops_the_cutover(world: World) -> None:
    plan = world.plan()
    changed, removed = (f"bronze/{key}" for key in keys_of(world)[:2])
    with world.added("logs", "late.log", b"late"), world.replaced(*changed.split("/", 1), b"other"):
        world.run("migrate", plan, "--yes", "--no-cutover", exit_code=4)  # what changed cannot be copied
    world.run("migrate", plan, "--yes", "--no-cutover")
    with (
        world.added("logs", "late.log", b"late"),
        world.replaced(*changed.split("/", 1), b"other"),
        world.replaced(*removed.split("/", 1), None),
    ):
        refused = world.run("migrate", plan, "--yes", exit_code=4).stderr
        assert "1 added, 1 changed, 1 removed" in refused and "Nothing was cut over" in refused
        for sign, place in (("+", "logs/late.log"), ("*", changed), ("-", removed)):
            assert f"{sign} s3://{place}" in refused
        done = world.run("migrate", plan, "--yes", "--accept-late")
    assert "Left behind in the old buckets: 1 added, 1 changed, 1 removed" in done.stdout
    assert "Everything" not in done.stdout


def keys_of(world: World) -> list[str]:
    """Plain objects in the bucket bronze."""
    return sorted(place.removeprefix("bronze/") for place in world.listing("bronze") if "page_views" in place)


def test_two_plans_at_once(world: World) -> None:
    from migrator.store import Store
    from migrator.target.lease import lease

    plan = world.plan()
    world.client.create_bucket(Bucket="data-lake")
    with lease(Store(), "data-lake", world.folder / "another.db"):
        result = world.run("migrate", plan, "--yes", exit_code=1)
    assert "s3://data-lake is being migrated to by" in result.stderr and "another.db" in result.stderr
    assert not world.listing("data-lake")
    world.run("migrate", plan, "--yes")


def test_ctrl_c(world: World, expected: Contents) -> None:
    plan = world.plan()
    process = start("migrate", plan, "--yes")
    while "data-lake" not in world.buckets() or not world.listing("data-lake"):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"run the same command again" in errors and b"Traceback" not in errors
    assert len(world.contents()) < len(expected)
    world.run("migrate", plan, "--yes")
    assert world.contents() == expected


def test_killed_between_the_swap_and_the_journal(
    world: World, expected: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst time: the catalog has the new pointers, but the journal and the version hint do not record it."""
    from migrator.cutover import swap as module

    plan = world.plan()
    repoint = module.repoint

    def swap_and_die(*arguments: object) -> None:
        repoint(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "repoint", swap_and_die)
        world.run("migrate", plan, "--yes", exit_code=130)
    hint = "data-lake/warehouse/ops/audit_log/metadata/version-hint.text"
    assert hint not in world.contents()
    assert json.loads(world.run("status", plan, "--json").stdout)["events"][-1]["event"] == "cutover-begun"
    world.run("migrate", plan, "--yes")
    assert world.contents() == expected
    world.run("verify", plan)


def test_killed_before_the_last_verification(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from migrator.verifying.verifier import Verifier

    def die(self: Verifier, **options: object) -> None:
        raise KeyboardInterrupt

    plan = world.plan()
    with monkeypatch.context() as patched:
        patched.setattr(Verifier, "verify", die)
        world.run("migrate", plan, "--yes", exit_code=130)
    assert json.loads(world.run("status", plan, "--json").stdout)["phase"] == "cut over"
    assert "No difference was found" in world.run("migrate", plan, "--yes").stdout
    assert json.loads(world.run("status", plan, "--json").stdout)["phase"] == "finished"


def test_two_at_once(world: World) -> None:
    plan = world.plan()
    from migrator.planfile.file import PlanFile

    with PlanFile.open(plan) as held, held.lock():
        result = world.run("migrate", plan, "--yes", exit_code=1)
    assert "is being carried out by another process" in result.stderr
    assert "data-lake" not in world.buckets()
