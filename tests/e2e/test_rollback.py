"""A rollback of a cutover, on a real server: independent readers see the old lake again, and nothing was deleted."""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from e2e.crashes import CATALOG, LOG, PUT, die_at
from e2e.small_lake import OLD, TARGET, HadoopTable, SmallLake
from migrator import api
from migrator.config import load
from migrator.errors import PLAN_AGAIN, MigrationFailed, MigratorError, PlanStale, RollbackRefused
from migrator.planfile.journal import Journal
from migrator.reporting.description import ROLLING_BACK
from migrator.reporting.plan import plan_report
from migrator.reporting.rendering import render
from migrator.reporting.status import status_report
from migrator.store import Store
from migrator.target import TargetGuard, read_records


def plan_of(lake: SmallLake, tmp_path: Path, name: str = "p") -> Path:
    path = tmp_path / f"{name}.db"
    described = api.plan_lake(load(lake.config), path)
    assert not described["blocked"], described["findings"]
    return path


def state(lake: SmallLake) -> dict[str, tuple[str, frozenset[int]]]:
    return {table.name: (table.pointer, lake.read(table.pointer)) for table in lake.tables}


def sql_state(lake: SmallLake) -> dict[str, tuple[str, frozenset[int]]]:
    tables = [table for table in lake.tables if not isinstance(table, HadoopTable)]
    return {table.name: (table.pointer, lake.read(table.pointer)) for table in tables}


def back_to_the_old_warehouse(lake: SmallLake) -> None:
    """Do what the user of a Hadoop catalog does: let engines read the old warehouse again."""
    for table in lake.tables:
        if isinstance(table, HadoopTable):
            table.set_pointer(f"{table.location}/")


def contents(lake: SmallLake) -> dict[str, dict[str, str]]:
    return {bucket: {key: etag for key, (_, etag, _) in lake.listing(bucket).items()} for bucket in (*OLD, TARGET)}


def test_after_a_rollback_the_old_lake_is_as_before_and_nothing_was_deleted(lake: SmallLake, tmp_path: Path) -> None:
    before, plan = state(lake), plan_of(lake, tmp_path)
    assert api.migrate_lake(plan).ok
    assert all(pointer.startswith(f"s3://{TARGET}/") for pointer, _ in state(lake).values())
    everything = contents(lake)
    done = api.rollback_lake(plan)
    back_to_the_old_warehouse(lake)
    assert state(lake) == before
    assert contents(lake) == everything
    assert sorted(done.put_back) == ["one.db.a", "two.db.b"]
    assert done.by_hint == ["local.ops.h"]
    assert api.plan_status(plan).phase == "rolled back"
    again = api.rollback_lake(plan)
    assert again.nothing_to_do and state(lake) == before
    log = api.plan_log(plan)
    assert log.intact and [entry.event for entry in log.entries][-1] == "rolled-back"
    pointers = next(e.detail["pointers"] for e in log.entries if e.event == "rollback-begun")
    assert pointers["one.db.a"]["to"] == before["a"][0]


def test_a_plan_that_changed_nothing_has_nothing_to_roll_back(lake: SmallLake, tmp_path: Path) -> None:
    before, plan = state(lake), plan_of(lake, tmp_path)
    assert api.rollback_lake(plan).nothing_to_do
    api.migrate_lake(plan, cutover=False)
    assert api.rollback_lake(plan).nothing_to_do and state(lake) == before


def test_the_same_plan_is_carried_out_again_after_a_rollback(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    cut_over = state(lake)
    api.rollback_lake(plan)
    migration = api.migrate_lake(plan)
    assert migration.ok and not migration.nothing_to_do
    assert state(lake) == cut_over
    assert migration.outcome.copied == 0
    api.rollback_lake(plan)
    assert sql_state(lake)["a"][0].startswith("s3://bronze/")


def test_the_old_lake_is_used_after_a_rollback_and_migrated_anew(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    api.rollback_lake(plan)
    back_to_the_old_warehouse(lake)
    for number, table in enumerate(lake.tables):
        table.commit(range(5000 + number * 10, 5003 + number * 10))
    used = {name: rows for name, (_, rows) in state(lake).items()}
    with pytest.raises(PlanStale):
        api.migrate_lake(plan)
    assert {name: rows for name, (_, rows) in state(lake).items()} == used
    new = plan_of(lake, tmp_path, "q")
    assert api.migrate_lake(new).ok
    for table in lake.tables:
        if isinstance(table, HadoopTable):
            table.set_pointer(f"s3://{TARGET}/")
    for bucket in OLD:
        lake.empty(bucket)
    assert {name: rows for name, (_, rows) in state(lake).items()} == used
    assert api.verify_lake(new).ok


@pytest.mark.parametrize("number", [0, 1, 2])
def test_commits_since_the_cutover_are_named_and_never_lost_silently(
    lake: SmallLake, tmp_path: Path, number: int
) -> None:
    before, plan = state(lake), plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    table = lake.tables[number]
    table.commit(range(7000, 7004))
    now = state(lake)
    with pytest.raises(RollbackRefused) as caught:
        api.rollback_lake(plan)
    said = str(caught.value)
    assert f".{table.name}: snapshot" in said and "4 rows added" in said and "--discard-newer" in said
    assert state(lake) == now
    everything = contents(lake)
    done = api.rollback_lake(plan, discard_newer=True)
    assert [place.table.name for place in done.discarded] == [table.name]
    back_to_the_old_warehouse(lake)
    assert state(lake) == before and contents(lake) == everything
    if isinstance(table, HadoopTable):  # a reader at the target would follow the later version that is still there
        described = api.plan_lake(load(lake.config), tmp_path / "q.db")
        assert described["blocked"] and any(f["code"] == "target-not-empty" for f in described["findings"])
    else:
        new = plan_of(lake, tmp_path, "q")
        assert api.migrate_lake(new).ok
        assert {name: rows for name, (_, rows) in sql_state(lake).items()} == {
            name: rows for name, (_, rows) in before.items() if name in sql_state(lake)
        }


def test_a_plan_without_changes_names_a_table_that_is_gone(lake: SmallLake, tmp_path: Path) -> None:
    api.migrate_lake(plan_of(lake, tmp_path))
    plan = plan_of(lake, tmp_path, "q")
    assert api.migrate_lake(plan).nothing_to_do
    catalog = lake.catalog("one", lake.database("one"))
    catalog.drop_table("db.a")
    with pytest.raises(MigrationFailed, match=r"one\.db\.a was at .* and is gone from its catalog") as caught:
        api.migrate_lake(plan)
    # What is advised brings it back: there is no row that could be updated.
    command = re.search(r"catalog\.register_table\((.*)\)$", caught.value.next_move)
    assert command is not None and "UPDATE" not in caught.value.next_move
    catalog.register_table(*ast.literal_eval(f"({command[1]})"))
    assert api.migrate_lake(plan).nothing_to_do


def test_a_table_that_was_renamed_is_not_called_gone(lake: SmallLake, tmp_path: Path) -> None:
    """If it were registered again under its old name, two entries of one table would overwrite each other's commits."""
    api.migrate_lake(plan_of(lake, tmp_path))
    plan = plan_of(lake, tmp_path, "q")
    lake.catalog("one", lake.database("one")).rename_table("db.a", "db.renamed")
    with pytest.raises(MigrationFailed, match=r"In its catalog, one\.db\.renamed is there now\.") as caught:
        api.migrate_lake(plan)
    assert "Do not register it again" in caught.value.next_move and "register_table" not in caught.value.next_move


def test_a_table_that_was_set_elsewhere_in_the_old_place_stays_there(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    before = lake.tables[0].pointer
    api.migrate_lake(plan)
    lake.tables[0].set_pointer(other := before.replace("/wh/a/", "/wh/another/"))
    done = api.rollback_lake(plan)
    assert done.already == [] and done.kept_pointers == [f"one.db.a: {other}"]
    assert done.put_back == ["two.db.b"]


def test_a_dropped_table_is_named_and_stays_dropped(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    lake.catalog("one", lake.database("one")).drop_table("db.a")
    with pytest.raises(MigrationFailed, match=r"one\.db\.a was at .* and is gone from its catalog.*To get it back"):
        api.migrate_lake(plan)  # which must not say that every pointer leads to the target
    with pytest.raises(RollbackRefused, match=r"one\.db\.a: it was dropped or renamed") as caught:
        api.rollback_lake(plan)
    assert "--bring-back" not in str(caught.value)  # it would be refused in the same way
    done = api.rollback_lake(plan, discard_newer=True)
    assert done.put_back == ["two.db.b"]


@pytest.mark.parametrize("which", ["data", "manifest", "metadata"])
@pytest.mark.parametrize("how", ["removed", "changed"])
def test_a_table_whose_old_files_are_gone_stays_at_the_target(
    lake: SmallLake, tmp_path: Path, which: str, how: str
) -> None:
    plan = plan_of(lake, tmp_path)
    old = lake.tables[0].pointer.removeprefix("s3://bronze/")
    keys = list(lake.listing("bronze", "wh/a/"))
    key = {
        "data": next(key for key in keys if key.endswith(".parquet")),
        "manifest": next(key for key in keys if key.endswith(".avro") and "snap-" not in key),
        "metadata": old,
    }[which]
    api.migrate_lake(plan)
    now = state(lake)
    if how == "removed":
        lake.delete("bronze", key)
    else:
        lake.put("bronze", key, b"something else")
    with pytest.raises(MigrationFailed, match=r"1 of 3 tables cannot go back(?s:.)*one\.db\.a"):
        api.rollback_lake(plan)
    assert state(lake) == now


def test_what_no_table_needs_may_be_gone(lake: SmallLake, tmp_path: Path) -> None:
    before, plan = sql_state(lake), plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    lake.delete("bronze", "plain/b")
    lake.put("gold", "d", b"changed")
    api.rollback_lake(plan)
    assert sql_state(lake) == before


def test_a_lost_target_is_all_the_more_reason_to_go_back(lake: SmallLake, tmp_path: Path) -> None:
    before, plan = sql_state(lake), plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    lake.empty(TARGET)
    lake.client.delete_bucket(Bucket=TARGET)
    try:
        api.rollback_lake(plan)
        assert sql_state(lake) == before
    finally:
        lake.client.create_bucket(Bucket=TARGET)


def test_killed_at_any_step_each_table_is_old_or_new_and_the_same_command_goes_on(
    lake: SmallLake, tmp_path: Path
) -> None:
    before, plan = sql_state(lake), plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    after = sql_state(lake)
    step, steps = 1, 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            count = die_at(patch, step, LOG, (Journal, "forget"), CATALOG, PUT)
            with suppress(KeyboardInterrupt):
                api.rollback_lake(plan)
            steps = max(steps, count[0])
        now = sql_state(lake)
        assert all(at in (before[name], after[name]) for name, at in now.items())
        if count[0] < step:
            break
        _check_it_is_said_where_tables_are(plan, {name: at == after[name] for name, at in now.items()})
        api.rollback_lake(plan)
        assert sql_state(lake) == before
        assert api.plan_status(plan).phase == "rolled back"
        assert api.migrate_lake(plan).ok
        assert sql_state(lake) == after
        step += 1
    assert step > 6, "a rollback has at least so many steps"


def _check_it_is_said_where_tables_are(plan: Path, at_target: dict[str, bool]) -> None:
    """Check the reports after a rollback that was killed. ``at_target``: whether each table is at the target."""
    status = api.plan_status(plan)
    if not all(at_target.values()) and status.phase != "rolled back":
        assert status.phase in ROLLING_BACK
        assert f"migrator rollback {plan}" in render(status_report(status))
        assert f"migrator rollback {plan}" in render(plan_report(api.show_plan(plan)))
        with pytest.raises(MigrationFailed, match=r"a rollback of this plan has begun.*migrator rollback"):
            api.migrate_lake(plan)
    if status.phase == "rolled back in part":
        back = [table["table"].split(".")[-1] for table in status.tables if not table["cut_over"]]
        assert back and not any(at_target[name] for name in back)
        assert status.pointers_changed < status.pointers


def test_what_was_given_up_is_known_after_a_kill_too(lake: SmallLake, tmp_path: Path) -> None:
    """Killed after the old pointers were restored, and before the target's record says which commits were given up."""
    before, plan = sql_state(lake), plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    lake.tables[0].commit([7000])
    given_up = lake.tables[0].pointer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TargetGuard, "note_rollback", _dies)
        with pytest.raises(KeyboardInterrupt):
            api.rollback_lake(plan, discard_newer=True)
    assert sql_state(lake) == before
    api.rollback_lake(plan)
    record = next(record for record in read_records(Store(endpoint_url=lake.server.endpoint_url), TARGET))
    assert list(record.discarded) == [given_up]
    back_to_the_old_warehouse(lake)
    assert api.migrate_lake(plan_of(lake, tmp_path, "q")).ok


def _dies(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_pointer_that_moves_meanwhile_asks_for_no_new_plan(lake: SmallLake, tmp_path: Path) -> None:
    """A new plan would not undo the cutover; the same command does."""
    before, plan = sql_state(lake), plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migrator.rollback.stage.repoint_all", _moved)
        with pytest.raises(PlanStale, match="Run the same command again") as caught:
            api.rollback_lake(plan)
    assert "migrator plan" not in str(caught.value)
    api.rollback_lake(plan)
    assert sql_state(lake) == before


def _moved(*_: Any) -> None:
    raise PlanStale("The pointer moved on.", next_move=PLAN_AGAIN)


def test_if_one_catalog_fails_the_report_distinguishes_it_from_the_other(
    lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, plan = sql_state(lake), plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    from migrator.catalogs.sql import SqlCatalog
    from migrator.errors import CatalogError

    repoint = SqlCatalog.repoint

    def refuse(self: SqlCatalog, *arguments: Any) -> None:
        if self.name == "two":
            raise CatalogError("Catalog 'two' refuses.")
        repoint(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SqlCatalog, "repoint", refuse)
        with pytest.raises(MigratorError, match=r"incomplete\. .*: 1 table .*one\.db\.a.*two\.db\.b.*refuses"):
            api.rollback_lake(plan)
    done = api.rollback_lake(plan)
    assert done.already == ["one.db.a"] and done.put_back == ["two.db.b"]
    assert sql_state(lake) == before
