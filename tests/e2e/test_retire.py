"""A lake is migrated and its old buckets are retired: everything can be read, and objects of others still exist."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from e2e.small_lake import OLD, TARGET, SmallLake
from migrator.cli import main

ROWS = [frozenset({0, 1}), frozenset({1000, 1001}), frozenset({2000, 2001})]


def run(*arguments: str | Path, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
    return result


@pytest.fixture
def plan(lake: SmallLake, tmp_path: Path) -> Path:
    """A plan that was carried out."""
    path = tmp_path / "plan.db"
    run("plan", "--config", lake.config, "-o", path)
    run("migrate", path, "--yes")
    return path


def left(lake: SmallLake) -> set[str]:
    """The objects of the old buckets that still exist."""
    there = {bucket["Name"] for bucket in lake.client.list_buckets()["Buckets"]}
    return {f"{bucket}/{key}" for bucket in OLD if bucket in there for key in lake.listing(bucket)}


def test_a_lake_lives_on_without_its_old_buckets(lake: SmallLake, plan: Path) -> None:
    lake.put("gold", "unknown", b"somebody's")
    before, target = left(lake), lake.listing(TARGET)
    assert "are kept until" in run("retire", plan, exit_code=3).stderr
    shown = run("retire", plan, "--cooling", "0", "--remove-buckets").stdout
    command = f"migrator retire {plan} --cooling 0 --remove-buckets --yes --confirm {TARGET}"
    assert command in shown and left(lake) == before
    assert f"--confirm {TARGET}" in run("retire", plan, "--cooling", "0", "--yes", exit_code=2).stderr
    assert left(lake) == before

    done = json.loads(run(*command.split()[1:], "--json").stdout)
    assert left(lake) == {"gold/unknown"} and lake.listing(TARGET) == target
    assert [bucket["removed"] for bucket in done["buckets"]] == [True, False]
    assert [lake.read(table.pointer) for table in lake.tables] == ROWS
    assert "Everything is as expected" in run("verify", plan).stdout
    assert "Nothing to do" in run("migrate", plan, "--yes").stdout
    assert json.loads(run("status", plan, "--json").stdout)["phase"] == "retired"
    assert run("log", plan).stdout.count("retire") == 2


def test_a_live_lake_can_be_retired(lake: SmallLake, plan: Path) -> None:
    """Tables of SQL catalogs were written to since; then the target has more than the plan says."""
    for table in lake.tables[:2]:
        table.commit([7])
    run("retire", plan, "--cooling", "0", "--yes", "--confirm", TARGET)
    assert left(lake) == set()
    assert [lake.read(table.pointer) for table in lake.tables] == [ROWS[0] | {7}, ROWS[1] | {7}, ROWS[2]]


def test_a_pointer_that_was_set_back_stops_it(lake: SmallLake, plan: Path) -> None:
    before, table = left(lake), lake.tables[0]
    with closing(sqlite3.connect(plan)) as db:
        (old,) = db.execute("SELECT old_metadata FROM tables WHERE name = 'a'").fetchone()
    table.set_pointer(old)
    said = run("retire", plan, "--cooling", "0", "--yes", "--confirm", TARGET, exit_code=3).stderr
    assert f"one.db.a points to {old}" in said and left(lake) == before


@pytest.mark.parametrize("which", ["older", "other"])
def test_a_pointer_to_an_older_file_or_another_table_at_the_target(lake: SmallLake, plan: Path, which: str) -> None:
    """Snapshots are lost, or the rows are another table's: no report says that all is well, and nothing is deleted."""
    before, table, other = left(lake), lake.tables[0], lake.tables[1]
    expected, now = table.pointer, other.pointer
    if which == "older":
        keys = [key for key in lake.listing(TARGET) if key.startswith("bronze/wh/a/metadata/00000-")]
        now = f"s3://{TARGET}/{keys[0]}"
    table.set_pointer(now)
    said = run("verify", plan, exit_code=3).stdout
    assert f"one.db.a points to {now}" in said and f"Expected is {expected}" in said
    for command in (("migrate", plan, "--yes"), ("retire", plan, "--cooling", "0", "--yes", "--confirm", TARGET)):
        refused = run(*command, exit_code=3)
        assert f"one.db.a points to {now}" in refused.stderr and "Nothing to do" not in refused.stdout
    assert left(lake) == before
    table.set_pointer(expected)
    run("verify", plan)
    table.commit([7])
    assert "Nothing to do" in run("migrate", plan, "--yes").stdout
    run("verify", plan)


def test_a_commit_to_the_old_hadoop_table_stops_it(lake: SmallLake, plan: Path) -> None:
    table = lake.tables[2]
    table.set_pointer("s3://bronze/")
    table.commit([9])
    before = left(lake)
    said = run("retire", plan, "--cooling", "0", "--yes", "--confirm", TARGET, exit_code=3).stderr
    assert "local.ops.h points to s3" in said and left(lake) == before


ONE_BY_ONE = """
import sys, time
from migrator import retire_lake
from migrator.retiring import deleting

real = deleting.delete_objects

def slowly(store, bucket, deletions):
    done = real(store, bucket, deletions)
    print(len(deletions), flush=True)
    time.sleep(60)
    return done

deleting.MOST_DELETIONS, deleting.delete_objects = 4, slowly
retire_lake(sys.argv[1], confirm="lake", cooling="0")
"""


def test_killed_while_deleting(lake: SmallLake, plan: Path) -> None:
    before = left(lake)
    for number in (1, 2):
        process: Any = subprocess.Popen([sys.executable, "-c", ONE_BY_ONE, str(plan)], stdout=subprocess.PIPE)
        assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert 0 < len(left(lake)) <= len(before) - number
    assert json.loads(run("status", plan, "--json").stdout)["phase"] == "retiring"
    run("retire", plan, "--cooling", "0", "--yes", "--confirm", TARGET)
    assert left(lake) == set()
    assert [lake.read(table.pointer) for table in lake.tables] == ROWS
    run("verify", plan)
