"""Others use the target, too: an object that they write there between planning and cutover stays, and stops the
migration."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2e.world import World
from migrator import migration
from migrator.store import Conditional, Store
from migrator.target import guard, read_records

FOREIGN = b"written by somebody else"
ROLES = ("", "position-deletes", "manifest", "manifest-list", "metadata", "current-metadata", "version-hint")


def catalog(world: World) -> Any:
    """The SQL catalog's database, closed afterwards."""
    return closing(sqlite3.connect(world.lake.catalogs["iceberg"]["uri"].partition("///")[2], isolation_level=None))


def pointers(world: World) -> list[tuple[str, str]]:
    with catalog(world) as db:
        return db.execute("SELECT table_name, metadata_location FROM iceberg_tables ORDER BY 1").fetchall()


def targets(plan: Path, role: str) -> list[tuple[str, str, str]]:
    """(source bucket, source key, target key) of the objects that will be written in this role."""
    with sqlite3.connect(plan) as db:
        query = "SELECT bucket, key, target FROM objects WHERE role = ? AND action IN ('copy', 'rewrite') ORDER BY id"
        return db.execute(query, (role,)).fetchall()


def write(world: World, key: str, data: bytes = FOREIGN) -> None:
    world.client.put_object(Bucket="data-lake", Key=key, Body=data)


def read(world: World, key: str) -> bytes:
    data: bytes = world.client.get_object(Bucket="data-lake", Key=key)["Body"].read()
    return data


def one_of_each(world: World, plan: Path) -> list[str]:
    """A target key of each role that the lake has."""
    found = [targets(plan, role)[-1][2] for role in ROLES if targets(plan, role)]
    assert len(found) >= 6
    return found


def test_what_appeared_since_planning_stops_it_before_the_first_write(world: World) -> None:
    """A plain object, a data file, a manifest, a metadata file, a hint: none is overwritten, all are named."""
    plan, before = world.plan(), pointers(world)
    world.client.create_bucket(Bucket="data-lake")
    foreign = one_of_each(world, plan)
    for key in foreign:
        write(world, key)
    for options in ([], ["--no-cutover"]):
        said = world.run("migrate", plan, "--yes", *options, exit_code=4).stderr
        assert all(key in said for key in foreign), said
    assert set(world.listing("data-lake")) == {f"data-lake/{key}" for key in foreign}
    assert all(read(world, key) == FOREIGN for key in foreign) and pointers(world) == before


def test_the_same_bytes_do_not_stop_it(world: World) -> None:
    plan = world.plan()
    bucket, key, target = targets(plan, "")[0]
    world.client.create_bucket(Bucket="data-lake")
    world.client.copy_object(Bucket="data-lake", Key=target, CopySource={"Bucket": bucket, "Key": key})
    world.run("migrate", plan, "--yes")


def during(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], None]) -> None:
    """Let somebody change something just before a step of the migration begins."""
    original = getattr(migration, step)

    def stepped(*arguments: Any, **named: Any) -> Any:
        act()
        return original(*arguments, **named)

    monkeypatch.setattr(migration, step, stepped)


@pytest.mark.parametrize("honoured", [True, False], ids=["conditional writes", "none"])
def test_what_appears_while_copying_is_not_overwritten(
    world: World, monkeypatch: pytest.MonkeyPatch, honoured: bool
) -> None:
    """It appears after the comparison, before the write: the write itself is conditional, or checks first."""
    if not honoured:
        monkeypatch.setattr(guard, "probe_conditional", lambda *_: Conditional())
    plan, before = world.plan(), pointers(world)
    foreign = [targets(plan, role)[-1][2] for role in ("", "manifest", "current-metadata")]
    with monkeypatch.context() as patch:
        during(patch, "copy_current_objects", lambda: write(world, foreign[0]))
        said = world.run("migrate", plan, "--yes", exit_code=4).stderr
        assert foreign[0] in said and read(world, foreign[0]) == FOREIGN
    world.client.delete_object(Bucket="data-lake", Key=foreign[0])
    with monkeypatch.context() as patch:
        during(patch, "rewrite_tables", lambda: [write(world, key) for key in foreign[1:]] and None)
        said = world.run("migrate", plan, "--yes", exit_code=4).stderr
        assert foreign[1] in said and all(read(world, key) == FOREIGN for key in foreign[1:])
    assert pointers(world) == before
    for key in foreign[1:]:
        world.client.delete_object(Bucket="data-lake", Key=key)
    world.run("migrate", plan, "--yes")


def test_the_server_is_asked_what_it_honours(world: World) -> None:
    store = Store()
    store.create_bucket("data-lake")
    assert guard.probe_conditional(store, "data-lake") == Conditional(put=True, copy=True, complete=True)
    assert not list(store.list("data-lake"))


def test_what_changes_before_the_cutover_stops_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, before = world.plan(), pointers(world)
    (changed, vanished) = (targets(plan, "")[n][2] for n in (0, 1))
    with monkeypatch.context() as patch:
        during(patch, "check_target", lambda: write(world, changed))
        assert changed in world.run("migrate", plan, "--yes", exit_code=4).stderr
    assert changed in world.run("migrate", plan, "--yes", exit_code=4).stderr  # and it stays so
    assert read(world, changed) == FOREIGN and pointers(world) == before
    world.client.delete_object(Bucket="data-lake", Key=changed)
    with monkeypatch.context() as patch:
        during(patch, "check_target", lambda: world.client.delete_object(Bucket="data-lake", Key=vanished) and None)
        world.run("migrate", plan, "--yes", exit_code=3)
    assert pointers(world) == before
    world.run("migrate", plan, "--yes")  # both are copied again
    assert pointers(world) != before


def test_a_commit_at_the_target_since_planning_stops_it(world: World) -> None:
    """Somebody's table lives in the new place of a table: no object has the same key, but the table must not go
    there."""
    plan, before = world.plan(), pointers(world)
    key = targets(plan, "current-metadata")[0][2].rpartition("/")[0] + "/00099-somebody.metadata.json"
    world.client.create_bucket(Bucket="data-lake")
    write(world, key)
    assert key in world.run("migrate", plan, "--yes", exit_code=4).stderr and pointers(world) == before


def test_an_object_that_blocks_a_rewritten_file_is_named_with_the_next_move(world: World) -> None:
    """Planning again would not help: where a rewritten file goes lies something that migrator did not write."""
    first, before = world.plan("first.db"), pointers(world)
    world.client.create_bucket(Bucket="data-lake")
    foreign = [targets(first, role)[-1][2] for role in ("position-deletes", "manifest", "manifest-list", "metadata")]
    for number, key in enumerate(foreign):
        write(world, key)
        plan = world.plan(f"{number}.db")
        said = world.run("migrate", plan, "--yes", exit_code=3).stderr
        assert f"s3://data-lake/{key} existed already while planning" in said and "plan again" not in said
        assert read(world, key) == FOREIGN and pointers(world) == before
        world.client.delete_object(Bucket="data-lake", Key=key)
    world.run("migrate", plan, "--yes")  # as it says: the same command, now that it is away


def test_verify_compares_what_was_there_already_with_what_was_planned(world: World) -> None:
    """This is about objects that the plan found at the target, and did not copy. Such an object may change later, also
    to one of the same size. Or it was another object from the beginning, so that the plan is blocked."""
    copied = world.plan("copied.db")
    target = next(target for bucket, _, target in targets(copied, "") if bucket == "logs")
    world.run("migrate", copied, "--yes")
    later, content = world.plan("later.db"), read(world, target)
    world.run("verify", later)
    write(world, target, content[::-1] + b"!" * (content == content[::-1]))
    assert f"s3://data-lake/{target}: differs" in world.run("verify", later, exit_code=3).stdout.replace("\n", "")
    blocked = world.plan("blocked.db", exit_code=3)
    said = world.run("verify", blocked, exit_code=3).stdout.replace("\n", "")
    assert f"s3://data-lake/{target}" in said and "blocked" in said


def test_an_older_plan_is_refused_and_a_newer_one_knows_what_is_ours(world: World) -> None:
    """The record in the target shows this: the newer plan is made in a place where the older one cannot be read."""
    old = world.plan("old.db")
    bucket, key, target = next(place for place in targets(old, "") if place[0] == "logs")  # of no table
    world.run("migrate", old, "--yes", "--no-cutover")
    with world.replaced(bucket, key, b"newer"):
        new = world.plan("new.db")
        old.rename(world.folder / "away.db")
        described = json.loads(world.run("plan", "--config", world.config, "-o", "x.db", "--json").stdout)
        assert described["actions"]["overwrite"]["objects"] == 1 and not described["blocked"]
        world.run("migrate", new, "--yes", "--no-cutover")
        assert read(world, target) == b"newer"
    (world.folder / "away.db").rename(old)
    for options in ([], ["--no-cutover"]):
        assert "new.db" in world.run("migrate", old, "--yes", *options, exit_code=4).stderr
    assert read(world, target) == b"newer"
    assert "new.db" in world.run("status", old).stdout and "new.db" in world.run("verify", old, exit_code=3).stdout
    assert "uperseded" not in world.run("status", new).stdout
    records = read_records(Store(), "data-lake")
    assert [record.plan for record in records] == ["old.db", "new.db"]
    assert "minioadmin" not in json.dumps([vars(record) for record in records])


def test_plans_for_other_parts_of_the_lake_do_not_supersede(world: World) -> None:
    plans = []
    for name in ("logs", "scripts"):
        config = world.config.read_text()
        head = re.split(r"^\[(?:layout|catalogs)", config, flags=re.MULTILINE)[0]
        config = head + f'[layout]\n"s3://{name}/" = "{name}/"\n'
        path = world.folder / f"{name}.toml"
        path.write_text(config)
        plans.append(world.folder / f"{name}.db")
        world.run("plan", "--config", path, "-o", plans[-1])
    for plan in reversed(plans):
        world.run("migrate", plan, "--yes")


def test_a_finished_plan_looks_before_it_says_that_nothing_is_to_do(own_world: World) -> None:
    world = own_world
    before = pointers(world)
    plan = world.plan()
    world.run("migrate", plan, "--yes")
    after = pointers(world)
    assert "Nothing to do" in world.run("migrate", plan, "--yes").stdout
    with world.added("logs", "late.log", b"late"):
        assert "late.log" in world.run("migrate", plan, "--yes", exit_code=4).stderr
    with catalog(world) as db:
        db.execute("UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = ?", before[0][::-1])
    assert before[0][0] in world.run("migrate", plan, "--yes", exit_code=3).stderr
    again = world.plan("again.db")  # which is what the message says
    world.run("migrate", again, "--yes")
    assert pointers(world) == after
    nothing_left = world.plan("nothing_left.db")  # in which no pointer is to be changed
    with catalog(world) as db:
        db.execute("UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = ?", before[0][::-1])
    assert before[0][0] in world.run("migrate", nothing_left, "--yes", exit_code=3).stderr
    with catalog(world) as db:
        db.execute("UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = ?", after[0][::-1])
    for bucket in world.buckets() - {"data-lake"}:
        world.server.client()
        for key in [name.partition("/")[2] for name in world.listing(bucket)]:
            world.client.delete_object(Bucket=bucket, Key=key)
        world.client.delete_bucket(Bucket=bucket)
    assert "Nothing to do" in world.run("migrate", again, "--yes").stdout
