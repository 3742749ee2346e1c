"""A lake in use: copied while writers write, again and again, and cut over once they have stopped. No row is lost or
exists twice."""

from __future__ import annotations

import re
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2e.small_lake import OLD, TARGET, HadoopTable, SmallLake, SqlTable
from migrator import api
from migrator.config import load
from migrator.errors import MigrationFailed, MigratorError, PlanBlocked, PlanStale, PlanUnusable
from migrator.planfile.log import RENEWED
from migrator.store import Store


@pytest.fixture
def plan(lake: SmallLake, tmp_path: Path) -> Path:
    path = tmp_path / "p.db"
    assert not api.plan_lake(load(lake.config), path)["blocked"]
    return path


def rows(lake: SmallLake) -> dict[str, frozenset[int]]:
    return {table.name: lake.read(table.pointer) for table in lake.tables}


def check_moved(lake: SmallLake, plan: Path, expected: dict[str, frozenset[int]], *plain: str) -> None:
    """Without the old buckets, every row is at the target."""
    for bucket in OLD:
        lake.empty(bucket)
    assert all(table.pointer.startswith(f"s3://{TARGET}/") for table in lake.tables)
    assert rows(lake) == expected
    assert set(plain) <= set(lake.listing(TARGET))
    assert api.verify_lake(plan).ok


def test_each_pass_takes_only_what_is_new_and_the_cutover_the_present_tables(lake: SmallLake, plan: Path) -> None:
    before = [table.pointer for table in lake.tables]
    approved = api.show_plan(plan)
    assert approved["digest"] == approved["first_digest"]
    first = api.copy_lake(plan)
    assert first.outcome.copied == 8 and first.outcome.rewritten > 0 and first.verification is None
    assert not first.not_prepared and not any(check.failed for check in first.compared)
    assert [table.pointer for table in lake.tables] == before
    for number, table in enumerate(lake.tables):
        table.commit([5000 + number])
    lake.put("bronze", "plain/new", b"new")
    lake.put("gold", "plain/a", b"changed")
    second = api.copy_lake(plan)
    assert second.outcome.copied == 5  # a data file for each table, and two plain objects
    assert second.outcome.rewritten == 9  # a manifest, a manifest list and metadata for each table
    third = api.copy_lake(plan)
    assert third.outcome.copied == 0 and third.outcome.rewritten == 0
    renewed = api.show_plan(plan)
    assert renewed["first_digest"] == approved["digest"] != renewed["digest"]
    assert any("3 tables compared in an earlier pass" in note for check in third.compared for note in check.notes)
    for number, table in enumerate(lake.tables):
        table.commit([6000 + number])
    expected = rows(lake)
    done = api.cutover_lake(plan, quiet_for=0)
    assert done.migration.ok and done.migration.outcome.copied == 3 and done.migration.outcome.rewritten == 9
    assert set(done.held_up) == {"one.db.a", "two.db.b", "local.ops.h"} and min(done.held_up.values()) > 0
    log = api.plan_log(plan)
    assert log.intact and [entry.event for entry in log.entries].count(RENEWED) >= 3
    check_moved(lake, plan, expected, "bronze/plain/new", "gold/plain/a")
    assert lake.get(TARGET, "gold/plain/a") == b"changed"


def test_snapshots_that_were_expired_between_two_passes(lake: SmallLake, plan: Path) -> None:
    lake.tables[0].commit([5000])
    api.copy_lake(plan)
    table = lake.catalog("one", lake.database("one")).load_table("db.a")
    table.maintenance.expire_snapshots().by_id(table.metadata.snapshots[0].snapshot_id).commit()
    second = api.copy_lake(plan)
    assert not second.not_prepared and not any(check.failed for check in second.compared)
    expected = rows(lake)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    check_moved(lake, plan, expected)


def test_a_table_that_was_set_back_between_two_passes(lake: SmallLake, plan: Path) -> None:
    """It has the metadata file of the first pass again, and not the snapshot that the second one has counted."""
    earlier = lake.tables[0].pointer
    api.copy_lake(plan)
    lake.tables[0].commit([5000])
    api.copy_lake(plan)
    lake.tables[0].forget()
    lake.tables[0].set_pointer(earlier)
    third = api.copy_lake(plan)
    assert not third.not_prepared and not any(check.failed for check in third.compared)
    lake.tables[0].commit([5001])
    expected = rows(lake)
    assert 5000 not in expected["a"] and 5001 in expected["a"]
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    check_moved(lake, plan, expected)


def test_a_cutover_without_any_copy_before(lake: SmallLake, plan: Path) -> None:
    expected = rows(lake)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    check_moved(lake, plan, expected)


def test_what_changed_since_planning_is_taken_in_by_the_first_pass(lake: SmallLake, plan: Path) -> None:
    lake.put("gold", "d", b"changed before the first pass")
    lake.tables[0].commit([5000])
    expected = rows(lake)
    api.copy_lake(plan)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    check_moved(lake, plan, expected)
    assert lake.get(TARGET, "gold/d") == b"changed before the first pass"


def test_writers_write_all_through_the_copies(lake: SmallLake, plan: Path) -> None:
    written: list[int] = []
    stop = threading.Event()

    def write() -> None:
        number = 8000
        while not stop.is_set():
            lake.tables[0].commit([number])
            lake.put("bronze", f"plain/{number}", b"x")
            written.append(number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            before = len(written)
            api.copy_lake(plan)
            while len(written) == before:  # it writes between the passes, too
                stop.wait(0.05)
    finally:
        stop.set()
        writer.join()
    expected = rows(lake)
    assert set(written) <= expected["a"]
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    check_moved(lake, plan, expected, *(f"bronze/plain/{number}" for number in written))


@pytest.mark.parametrize("when", ["first pass", "second pass", "cutover"])
def test_files_that_table_maintenance_removes_while_a_pass_is_planned(
    lake: SmallLake, plan: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planner has listed them, but cannot find them any more. The table is valid, and the pass is made again."""
    table = lake.tables[0]
    assert isinstance(table, SqlTable)
    table.commit([5000])
    if when != "first pass":
        api.copy_lake(plan)
        table.commit([5001])
    download, expired, first = Store.download, list[str](), threading.Lock()

    def expire_first(store: Store, bucket: str, key: str, **more: Any) -> Any:
        # No thread waits for the one that does this: threads that wait for each other may wait for ever.
        if (bucket, key[:5]) == ("bronze", "wh/a/") and "/snap-" in key and first.acquire(blocking=False):
            expire()
        return download(store, bucket, key, **more)

    def expire() -> None:
        old = {snapshot.manifest_list for snapshot in table.load().metadata.snapshots}
        table.commit([5002])
        loaded = table.load()
        ids = [snapshot.snapshot_id for snapshot in loaded.metadata.snapshots[:-1]]
        loaded.maintenance.expire_snapshots().by_ids(ids).commit()
        expired.extend(uri.removeprefix("s3://bronze/") for uri in old)
        lake.client.delete_objects(Bucket="bronze", Delete={"Objects": [{"Key": name} for name in expired]})

    monkeypatch.setattr(Store, "download", expire_first)
    if when == "cutover":
        assert api.cutover_lake(plan, quiet_for=0).migration.ok
    else:
        api.copy_lake(plan)
    assert expired and not set(expired) & set(lake.listing("bronze"))
    monkeypatch.setattr(Store, "download", download)
    expected = rows(lake)
    assert 5002 in expected["a"]
    if when != "cutover":
        assert api.cutover_lake(plan, quiet_for=0).migration.ok
    check_moved(lake, plan, expected)


@pytest.mark.parametrize("what", ["commit", "object"])
def test_a_write_between_the_stillness_and_the_swap_is_taken_in(
    lake: SmallLake, plan: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer commits right before the last listing: the pass is made again, and nothing is lost."""
    from migrator import migration

    check, done = migration.check_target, []

    def write_once(run: Any) -> None:
        check(run)
        if not done:
            done.append(True)
            lake.tables[0].commit([9000]) if what == "commit" else lake.put("gold", "late", b"late")

    monkeypatch.setattr(migration, "check_target", write_once)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    assert done
    expected = rows(lake)
    assert (9000 in expected["a"]) == (what == "commit")
    check_moved(lake, plan, expected, *([] if what == "commit" else ["gold/late"]))


def test_a_lake_with_constant_writes_is_not_cut_over(lake: SmallLake, plan: Path) -> None:
    from migrator import api as module

    look, number = module.look, iter(range(9000, 9999))

    def look_and_write(*arguments: Any) -> Any:
        lake.put("gold", "busy", str(next(number)).encode())
        return look(*arguments)

    before = [table.pointer for table in lake.tables]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "look", look_and_write)
        with pytest.raises(PlanStale, match=r"still written to, .*s3://gold/"):
            api.cutover_lake(plan, quiet_for=0.2, wait=0)
    assert [table.pointer for table in lake.tables] == before


@pytest.mark.parametrize("change", ["new", "gone"])
def test_tables_that_come_or_go_need_a_new_approval(lake: SmallLake, plan: Path, change: str) -> None:
    api.copy_lake(plan)
    catalog = lake.catalog("one", lake.database("one"))
    if change == "new":
        catalog.create_table("db.more", schema=catalog.load_table("db.a").schema(), location="s3://bronze/wh/more")
    else:
        catalog.drop_table("db.a")
    before = plan.read_bytes()
    for command in (api.copy_lake, api.cutover_lake):
        options = {"quiet_for": 0} if command is api.cutover_lake else {}
        with pytest.raises(PlanStale, match=rf"{change}: one\.db\.(more|a)\."):
            command(plan, **options)  # type: ignore[operator]
    assert plan.read_bytes() == before


@pytest.mark.parametrize("step", ["migrator.plan.build._build", "migrator.live.generation.carry_over"])
def test_a_full_disk_while_the_plan_is_made_anew_names_the_plan(
    lake: SmallLake, plan: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The user knows the plan, not the file that is to replace it, and ``copy`` has no -o."""

    def full(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    api.copy_lake(plan)
    before = plan.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(step, full)
        for command in (api.copy_lake, partial(api.cutover_lake, quiet_for=0)):
            with pytest.raises(PlanUnusable, match=rf"^{re.escape(str(plan))} cannot be written: .*full") as raised:
                command(plan)
            assert "-o" not in raised.value.next_move and "again" in raised.value.next_move
    assert plan.read_bytes() == before and list(plan.parent.iterdir()) == [plan]
    assert api.cutover_lake(plan, quiet_for=0).migration.ok


def test_another_catalog_needs_a_new_approval(lake: SmallLake, plan: Path) -> None:
    """The same names in another database are not what was approved."""
    api.copy_lake(plan)
    config, other = lake.config.read_text(), lake.folder / "other.sqlite"
    other.write_bytes((lake.folder / "one.sqlite").read_bytes())
    before = plan.read_bytes()
    lake.config.write_text(config.replace("/one.sqlite", "/other.sqlite"))
    try:
        for command in (api.copy_lake, api.cutover_lake):
            with pytest.raises(PlanStale, match=r"other\.sqlite"):
                command(plan)
    finally:
        lake.config.write_text(config)
        other.unlink()
    assert plan.read_bytes() == before


def test_what_blocks_now_stops_it(lake: SmallLake, plan: Path) -> None:
    api.copy_lake(plan)
    lake.put(TARGET, "gold/x", b"somebody's")
    lake.put("gold", "x", b"ours")
    with pytest.raises(PlanBlocked, match="gold/x"):
        api.copy_lake(plan)
    assert lake.get(TARGET, "gold/x") == b"somebody's"


def test_killed_while_the_plan_is_made_anew_the_old_generation_is_there(lake: SmallLake, plan: Path) -> None:
    from migrator.planfile import log

    api.copy_lake(plan)
    lake.put("gold", "more", b"more")
    for name in ("take_over", "append"):
        before = plan.read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(log, name, _dies)
            with pytest.raises(KeyboardInterrupt):
                api.copy_lake(plan)
        assert plan.read_bytes() == before
        assert [file.name for file in plan.parent.iterdir() if "generation" in file.name] == []
    assert api.copy_lake(plan).outcome.copied == 1


def _dies(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_after_the_cutover_both_commands_have_nothing_to_do(lake: SmallLake, plan: Path) -> None:
    api.cutover_lake(plan, quiet_for=0)
    lake.tables[0].commit([5000])  # at the target: it is in use there
    assert api.copy_lake(plan).nothing_to_do
    again = api.cutover_lake(plan, quiet_for=0)
    assert again.migration.nothing_to_do and again.quiet_since is None and again.held_up == {}


def test_rolled_back_used_and_cut_over_again_with_the_same_plan(lake: SmallLake, plan: Path) -> None:
    api.cutover_lake(plan, quiet_for=0)
    api.rollback_lake(plan)
    for number, table in enumerate(lake.tables):
        if isinstance(table, HadoopTable):
            table.set_pointer(f"{table.location}/")
        table.commit([5000 + number])
    expected = rows(lake)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    for table in lake.tables:
        if isinstance(table, HadoopTable):
            table.set_pointer(f"s3://{TARGET}/")
    log = api.plan_log(plan)
    assert log.intact and {"rolled-back", RENEWED} <= {entry.event for entry in log.entries}
    check_moved(lake, plan, expected)


@pytest.mark.parametrize("what", ["removed", "changed"])
def test_what_happens_at_the_target_between_the_passes_is_found(lake: SmallLake, plan: Path, what: str) -> None:
    """A file that was rewritten and compared is not trusted because an earlier pass has written it."""
    api.copy_lake(plan)
    key = next(key for key in lake.listing(TARGET, "bronze/wh/a/metadata/") if "-m0.avro" in key)
    expected = rows(lake)
    if what == "removed":
        lake.delete(TARGET, key)
        assert api.cutover_lake(plan, quiet_for=0).migration.ok
        check_moved(lake, plan, expected)
        return
    lake.put(TARGET, key, b"somebody's")
    with pytest.raises(MigratorError):
        api.cutover_lake(plan, quiet_for=0)
    assert rows(lake) == expected and lake.get(TARGET, key) == b"somebody's"


def test_a_table_that_is_set_back_or_made_anew_between_the_passes(lake: SmallLake, plan: Path) -> None:
    first = lake.tables[0].pointer
    lake.tables[0].commit([5000])
    api.copy_lake(plan)
    lake.tables[0].set_pointer(first)
    lake.tables[0].commit([6000])
    expected = rows(lake)
    assert 5000 not in expected["a"] and 6000 in expected["a"]
    api.copy_lake(plan)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    check_moved(lake, plan, expected)


def test_files_that_vanish_while_a_pass_reads_are_left_to_the_cutover(
    lake: SmallLake, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from migrator import migration

    def vanished(run: Any) -> None:
        raise MigrationFailed("a manifest vanished")

    with monkeypatch.context() as patch:
        patch.setattr(migration, "rewrite_tables", vanished)
        done = api.copy_lake(plan)
    assert done.not_prepared == "a manifest vanished" and done.outcome.copied == 8
    assert "not-prepared" in [entry.event for entry in api.plan_log(plan).entries]
    expected = rows(lake)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    check_moved(lake, plan, expected)
