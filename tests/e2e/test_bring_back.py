"""A rollback that keeps the commits made at the target, on a real server. pyiceberg writes and reads."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.table import Table

from e2e.crashes import CATALOG, COPY, LOG, PUT, PUT_IF, UPLOAD, die_at
from e2e.small_lake import OLD, TARGET, HadoopTable, SmallLake, SqlTable
from e2e.test_rollback import back_to_the_old_warehouse, contents, plan_of, sql_state, state
from migrator import api
from migrator.config import load
from migrator.errors import AccessDenied, MigrationFailed, RollbackRefused
from migrator.store import Store


def lose_the_target(lake: SmallLake) -> None:
    lake.empty(TARGET)


def test_commits_at_the_target_exist_after_the_rollback_and_without_the_target(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    assert api.migrate_lake(plan).ok
    old = {bucket: lake.listing(bucket) for bucket in OLD}
    for number, table in enumerate(lake.tables):
        table.commit(range(7000 + number * 10, 7003 + number * 10))
        table.commit([8000 + number])
    used = {name: rows for name, (_, rows) in state(lake).items()}
    with pytest.raises(RollbackRefused, match="--bring-back"):
        api.rollback_lake(plan)
    at_target = lake.listing(TARGET)
    done = api.rollback_lake(plan, bring_back=True)
    assert sorted((b.table, b.commits, b.copied) for b in done.brought_back) == [
        ("local.ops.h", 2, 2),
        ("one.db.a", 2, 2),
        ("two.db.b", 2, 2),
    ]
    assert not done.discarded
    assert lake.listing(TARGET) == at_target, "nothing at the target was touched"
    hint = "hwh/ops/h/metadata/version-hint.text"
    for bucket in OLD:
        now = lake.listing(bucket)
        assert {key: now[key] for key in old[bucket] if key != hint} == {
            key: entry for key, entry in old[bucket].items() if key != hint
        }, "nothing in the old buckets was overwritten"
    back_to_the_old_warehouse(lake)
    lose_the_target(lake)
    assert {name: rows for name, (_, rows) in state(lake).items()} == used
    for table in lake.tables:
        table.commit([9999])
    assert all(rows == used[name] | {9999} for name, (_, rows) in state(lake).items())


def test_every_snapshot_can_be_read_in_the_old_place(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    for number in range(3):
        lake.tables[0].commit([7000 + number])
    snapshots = lake.snapshots(lake.tables[0].pointer)
    api.rollback_lake(plan, bring_back=True)
    lose_the_target(lake)
    assert lake.snapshots(lake.tables[0].pointer) == snapshots and len(snapshots) == 4


def test_the_lake_that_was_brought_back_is_migrated_anew_and_back_again(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    for table in lake.tables[:2]:
        table.commit([7000])
    api.rollback_lake(plan, bring_back=True)
    for table in lake.tables[:2]:
        table.commit([7001])
    used = {name: rows for name, (_, rows) in sql_state(lake).items()}
    again = plan_of(lake, tmp_path, "again")
    assert api.migrate_lake(again).ok
    assert {name: rows for name, (_, rows) in sql_state(lake).items()} == used
    for table in lake.tables[:2]:
        table.commit([7002])
    used = {name: rows | {7002} for name, rows in used.items()}
    api.rollback_lake(again, bring_back=True)
    lose_the_target(lake)
    assert {name: rows for name, (_, rows) in sql_state(lake).items()} == used
    third = plan_of(lake, tmp_path, "third")
    assert api.migrate_lake(third).ok
    for bucket in OLD:
        lake.empty(bucket)
    assert {name: rows for name, (_, rows) in sql_state(lake).items()} == used
    assert api.verify_lake(third).ok


def test_rows_that_were_deleted_at_the_target_stay_deleted(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    table = lake.tables[0]
    table.commit(range(7000, 7010))
    lake.catalog("one", lake.database("one")).load_table("db.a").delete("id >= 7004 or id = 0")
    used = lake.read(table.pointer)
    assert 0 not in used and 7003 in used and 7004 not in used
    api.rollback_lake(plan, bring_back=True)
    lose_the_target(lake)
    assert lake.read(table.pointer) == used


def test_an_earlier_state_is_kept_too(lake: SmallLake, tmp_path: Path) -> None:
    """Somebody has set the table, at the target, to a metadata file that the migration brought there."""
    plan = plan_of(lake, tmp_path)
    before = sql_state(lake)
    api.migrate_lake(plan)
    first = next(key for key in lake.listing(TARGET, "bronze/wh/a/metadata/") if "/00000-" in key)
    lake.tables[0].set_pointer(f"s3://{TARGET}/{first}")
    done = api.rollback_lake(plan, bring_back=True)
    assert [brought.metadata for brought in done.brought_back] == [f"s3://{first.replace('bronze/', 'bronze/', 1)}"]
    assert lake.read(lake.tables[0].pointer) == frozenset()
    assert lake.tables[0].pointer.startswith("s3://bronze/wh/a/metadata/00000-")
    assert sql_state(lake)["b"] == before["b"]


def test_a_dropped_table_needs_discard_newer_too(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    lake.catalog("one", lake.database("one")).drop_table("db.a")
    lake.tables[1].commit([7000])
    with pytest.raises(RollbackRefused, match=r"one\.db\.a: it was dropped or renamed") as caught:
        api.rollback_lake(plan)
    assert "Add --discard-newer" in str(caught.value) and "With --bring-back in addition" in str(caught.value)
    with pytest.raises(RollbackRefused, match=r"one\.db\.a: it was dropped or renamed") as caught:
        api.rollback_lake(plan, bring_back=True)
    assert "Add --bring-back" not in str(caught.value)
    done = api.rollback_lake(plan, bring_back=True, discard_newer=True)
    assert done.put_back == ["two.db.b"] and [b.table for b in done.brought_back] == ["two.db.b"]
    assert 7000 in lake.read(lake.tables[1].pointer)


def test_existing_objects_in_the_old_place_are_not_overwritten(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    table = lake.tables[0]
    before = set(lake.listing(TARGET))
    table.commit([7000])
    data = next(key for key in set(lake.listing(TARGET)) - before if key.endswith(".parquet"))
    lake.put("bronze", data.removeprefix("bronze/"), b"somebody's")
    now = state(lake)
    with pytest.raises(
        MigrationFailed, match=r"one\.db\.a: what was committed(?s:.)*exists already(?s:.)*No pointer"
    ) as way:
        api.rollback_lake(plan, bring_back=True)
    assert "Move that object away" in str(way.value) and "--also" not in str(way.value)
    assert state(lake) == now and lake.get("bronze", data.removeprefix("bronze/")) == b"somebody's"
    done = api.rollback_lake(plan, bring_back=True, discard_newer=True)
    assert [place.table.identifier for place in done.discarded] == ["one.db.a"]


def test_a_server_that_refuses_discards_nothing(
    lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both options, commits that cannot be brought back are discarded. Commits that only cannot be brought back at
    the moment are not."""
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    lake.tables[0].commit([7000])
    now = sql_state(lake)

    def refuse(*_: Any, **__: Any) -> None:
        raise AccessDenied("s3://bronze/: writing is not allowed.")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "copy", refuse)
        with pytest.raises(MigrationFailed, match=r"one\.db\.a(?s:.)*writing is not allowed(?s:.)*No pointer"):
            api.rollback_lake(plan, bring_back=True, discard_newer=True)
    assert sql_state(lake) == now
    assert not api.rollback_lake(plan, bring_back=True, discard_newer=True).discarded
    assert 7000 in lake.read(lake.tables[0].pointer)


def test_a_table_that_pyiceberg_cannot_read_is_brought_back_and_the_report_says_so(
    lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flink writes equality deletes, for example."""
    from migrator.verifying import same_rows

    def cannot(*_: Any) -> None:
        raise ValueError("PyIceberg does not yet support equality deletes: https://github.com/apache/iceberg")

    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    lake.tables[0].commit([7000])
    with monkeypatch.context() as patched:
        patched.setattr(same_rows, "count_rows", cannot)
        done = api.rollback_lake(plan, bring_back=True)
    assert "does not yet support equality deletes" in done.brought_back[0].not_compared
    lose_the_target(lake)
    assert 7000 in lake.read(lake.tables[0].pointer)


@pytest.mark.parametrize("how", ["other rows", "server away", "killed", "other table"])
def test_readers_of_the_old_hadoop_table_see_no_commit_before_all_tables_are_ready(
    lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """They follow any later version in its folder, so that its file must not exist before the rows were counted."""
    from migrator.verifying import same_rows

    plan, count = plan_of(lake, tmp_path), same_rows.count_rows
    assert api.migrate_lake(plan).ok
    for number in (7000, 7001):
        lake.tables[2].commit([number])
    if how == "other table":
        lake.tables[1].commit([7002])
    versions = set(lake.listing("bronze", "hwh/ops/h/metadata/v"))

    def counted(table: Table, snapshot: int) -> int:
        if how == "server away":
            raise ConnectionError("away")
        if how == "killed":
            raise KeyboardInterrupt
        is_the_one = ("/hwh/" in table.metadata_location) == (how == "other rows")
        return count(table, snapshot) - (is_the_one and not table.metadata_location.startswith(f"s3://{TARGET}/"))

    with monkeypatch.context() as patched, pytest.raises((MigrationFailed, KeyboardInterrupt)):
        patched.setattr(same_rows, "count_rows", counted)
        api.rollback_lake(plan, bring_back=True)
    assert set(lake.listing("bronze", "hwh/ops/h/metadata/v")) == versions
    assert api.rollback_lake(plan, bring_back=True).by_hint == ["local.ops.h"]
    assert len(set(lake.listing("bronze", "hwh/ops/h/metadata/v")) - versions) == 2
    assert not any(lake.listing(bucket, ".migrator/", own=True) for bucket in OLD)
    back_to_the_old_warehouse(lake)
    lose_the_target(lake)
    assert {7000, 7001} <= lake.read(lake.tables[2].pointer)


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_version_that_a_writer_has_made_in_the_old_hadoop_table_stays(
    lake: SmallLake, tmp_path: Path, which: str
) -> None:
    """Each of the versions that were committed at the target needs its own number there."""
    plan = plan_of(lake, tmp_path)
    assert api.migrate_lake(plan).ok
    for number in (7000, 7001):
        lake.tables[2].commit([number])
    made = sorted(lake.listing(TARGET, "bronze/hwh/ops/h/metadata/v"), key=len)
    version = [key for key in made if key.endswith(".metadata.json")][-2 if which == "first" else -1]
    key = version.removeprefix("bronze/")
    lake.put("bronze", key, b"{}")
    versions = lake.listing("bronze", "hwh/ops/h/metadata/v")
    with pytest.raises(MigrationFailed, match=r"local\.ops\.h(?s:.)*exists already(?s:.)*No pointer"):
        api.rollback_lake(plan, bring_back=True)
    assert lake.listing("bronze", "hwh/ops/h/metadata/v") == versions and lake.get("bronze", key) == b"{}"


def test_killed_at_any_step_no_row_is_lost_and_the_same_command_finishes(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    assert api.migrate_lake(plan).ok
    for table in lake.tables[1:]:
        table.commit([7000])
    used = {name: rows for name, (_, rows) in state(lake).items()}
    saved, planned = lake.saved(), plan.read_bytes()
    step = 1
    while True:
        with pytest.MonkeyPatch.context() as patch:
            count = die_at(patch, step, LOG, CATALOG, PUT, UPLOAD, COPY, PUT_IF)
            with suppress(KeyboardInterrupt):
                api.rollback_lake(plan, bring_back=True)
            finished = count[0] < step
        assert {name: rows for name, (_, rows) in sql_state(lake).items()} == {
            name: used[name] for name in sql_state(lake)
        }
        done = api.rollback_lake(plan, bring_back=True)
        assert done.nothing_to_do == finished
        assert all(pointer.startswith(("s3://bronze/", "s3://gold/")) for pointer, _ in sql_state(lake).values())
        back_to_the_old_warehouse(lake)
        lose_the_target(lake)
        assert {name: rows for name, (_, rows) in state(lake).items()} == used
        if finished:
            break
        lake.restore(saved)
        plan.write_bytes(planned)
        step += 1
    assert step > 15, "it has at least so many steps"


def test_a_plan_after_it_knows_the_target(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    lake.tables[0].commit([7000])
    everything = contents(lake)[TARGET]
    api.rollback_lake(plan, bring_back=True)
    described = api.plan_lake(load(lake.config), tmp_path / "q.db")
    assert not described["blocked"], described["findings"]
    assert api.plan_status(plan).phase == "rolled back"
    log = api.plan_log(plan)
    assert log.intact and "brought-back" in [entry.event for entry in log.entries]
    assert contents(lake)[TARGET] == everything
    assert isinstance(lake.tables[2], HadoopTable)


def test_two_old_places_of_one_prefix_are_distinguished(lake: SmallLake, tmp_path: Path) -> None:
    """Both rules map to ``m/``. The table is under one of them, and its property says that data goes under the
    other."""
    table = lake.tables[0]
    assert isinstance(table, SqlTable)
    with table.load().transaction() as transaction:
        transaction.set_properties({"write.data.path": "s3://gold/data/a2"})
    table.forget()
    table.commit([6000])
    rules = '[layout]\n"s3://bronze/wh/" = "m/"\n"s3://gold/data/" = "m/"'
    lake.config.write_text(lake.config.read_text().replace("[layout]", rules))
    try:
        plan = plan_of(lake, tmp_path)
        assert api.migrate_lake(plan).ok
        table.forget()
        table.commit([7000])
        assert any(key.startswith("m/a2/") for key in lake.listing(TARGET))
        used = lake.read(table.pointer)
        api.rollback_lake(plan, bring_back=True)
    finally:
        lake.config.write_text(lake.config.read_text().replace(rules, "[layout]"))
    lose_the_target(lake)
    table.forget()
    assert lake.read(table.pointer) == used
    loaded = table.load()
    assert loaded.properties["write.data.path"] == "s3://gold/data/a2" and loaded.location() == "s3://bronze/wh/a"
    files = loaded.inspect.files()["file_path"].to_pylist()
    assert sorted(path.rpartition("/")[0] for path in files) == ["s3://bronze/wh/a/data", *["s3://gold/data/a2"] * 2]
