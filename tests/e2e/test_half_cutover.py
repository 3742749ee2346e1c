"""A cutover, or a rollback, that stops halfway: the message says where each table is, and which command continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from e2e.small_lake import TARGET, SmallLake
from e2e.test_rollback import plan_of, sql_state
from migrator import api
from migrator.catalogs.sql import SqlCatalog
from migrator.cutover import swap
from migrator.errors import (
    EXIT_STALE,
    AccessDenied,
    CatalogError,
    CutoverIncomplete,
    MigrationFailed,
    MigratorError,
    PlanStale,
    Unreachable,
)
from migrator.reporting.migration import migration_report
from migrator.rollback import stage
from migrator.target import TargetGuard

HALF = r"The cutover is incomplete: 1 of 3 tables are cut over and live at the target \(one\.db\.a\); 2 are not"
NOTHING = "othing was cut over"


def refuse(patch: pytest.MonkeyPatch, catalog: str) -> None:
    """Make one of the SQL catalogs refuse to change its pointers."""
    repoint = SqlCatalog.repoint

    def refused(self: SqlCatalog, *arguments: Any) -> None:
        if self.name == catalog:
            raise CatalogError(f"Catalog {catalog!r} refuses.", next_move="Ask it, then run the same command again.")
        repoint(self, *arguments)

    patch.setattr(SqlCatalog, "repoint", refused)


def denied(*_: Any) -> Any:
    raise AccessDenied("A request was denied.")


@pytest.fixture
def half(lake: SmallLake, tmp_path: Path) -> Path:
    """A plan whose cutover has swapped the first of the catalogs."""
    plan = plan_of(lake, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, "two")
        with pytest.raises(CutoverIncomplete, match=HALF) as caught:
            api.migrate_lake(plan)
    assert str(caught.value).count("same command again") == 1
    return plan


def test_what_came_since_half_a_cutover_does_not_hide_what_is_live(lake: SmallLake, half: Path) -> None:
    lake.put("bronze", "plain/late", b"late")
    with pytest.raises(CutoverIncomplete, match=rf"{HALF}.*1 added") as caught:
        api.migrate_lake(half)
    assert NOTHING not in str(caught.value) and "plan again" in caught.value.next_move
    assert "same command" not in caught.value.next_move and caught.value.exit_code == EXIT_STALE
    assert api.migrate_lake(half, accept_late=True).ok


def test_a_table_that_moved_on_after_half_a_cutover(lake: SmallLake, half: Path) -> None:
    lake.tables[1].commit([7000])
    with pytest.raises(CutoverIncomplete, match=rf"{HALF}.*two\.db\.b moved on since planning"):
        api.migrate_lake(half)


def test_a_step_that_fails_after_half_a_cutover(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("migrator.migration.rewrite_tables", denied)
        with pytest.raises(CutoverIncomplete, match=rf"{HALF}.*denied\. Then run the same command again"):
            api.migrate_lake(half)
    assert api.migrate_lake(half).ok


def test_a_version_hint_that_is_refused(lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(lake, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(swap, "_copy_hint", denied)
        with pytest.raises(CutoverIncomplete, match=r"incomplete: 2 of 3 tables .* 1 is not") as caught:
            api.migrate_lake(plan)
    said = str(caught.value)
    assert NOTHING not in said and "1 object(s) failed while writing version hints:" in said
    assert said.count("same command again") == 1
    assert api.migrate_lake(plan).ok


def test_before_the_first_swap_nothing_was_cut_over(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migrator.migration.check_target", _failed)
        with pytest.raises(MigrationFailed, match=r"Copies vanished\. Nothing was cut over\. Run the same"):
            api.migrate_lake(plan)
    lake.put("bronze", "plain/late", b"late")
    with pytest.raises(PlanStale, match="Nothing was cut over") as caught:
        api.migrate_lake(plan)
    assert str(caught.value).count(NOTHING) == 1


def _failed(*_: Any) -> None:
    raise MigrationFailed("Copies vanished.", next_move="Run the same command again.")


def test_an_older_plan_is_only_told_of_the_newer_one(lake: SmallLake, half: Path, tmp_path: Path) -> None:
    assert api.migrate_lake(plan_of(lake, tmp_path, "q")).ok
    with pytest.raises(MigratorError) as caught:
        api.migrate_lake(half)
    assert "superseded" in str(caught.value) and "incomplete" not in str(caught.value)


# -- and then the server, or the database, stays away ----------------------------------------------------


def unreachable(*_: Any, **__: Any) -> Any:
    raise Unreachable("The server does not answer.")


def test_the_server_stops_during_the_cutover(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, "two")
        patch.setattr(TargetGuard, "note_cutover", unreachable)
        with pytest.raises(CutoverIncomplete, match=rf"{HALF}.*'two' refuses"):
            api.migrate_lake(plan)
    assert api.migrate_lake(plan).ok


def test_the_server_stops_right_after_the_cutover(
    lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(lake, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(TargetGuard, "note_cutover", unreachable)
        with pytest.raises(Unreachable, match="All tables of this plan are cut over, and live at the target") as caught:
            api.migrate_lake(plan)
    assert "Then run the same command again: it verifies them." in str(caught.value)
    assert all(f"://{TARGET}/" in pointer for pointer, _ in sql_state(lake).values())
    assert api.migrate_lake(plan).ok


def test_a_database_stops_during_the_rollback(lake: SmallLake, tmp_path: Path) -> None:
    """It can neither be written nor read: the log has the pointers that were restored."""
    plan = plan_of(lake, tmp_path)
    assert api.migrate_lake(plan).ok
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, "two")
        places = [stage.find_places]
        patch.setattr(stage, "find_places", lambda run: places.pop()(run) if places else unreachable())
        with pytest.raises(MigrationFailed, match=r"incomplete\. In the old place: 1 table \(one\.db\.a\)\.") as caught:
            api.rollback_lake(plan)
    said = str(caught.value)
    assert "Not known now: 1 table (two.db.b)" in said and "'two' refuses" in said
    assert said.count("same command again") == 1
    done = api.rollback_lake(plan)
    assert done.already == ["one.db.a"] and done.put_back == ["two.db.b"]


def test_a_database_that_cannot_be_read_during_the_rollback(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    assert api.migrate_lake(plan).ok
    with pytest.MonkeyPatch.context() as patch:
        namespaces = stage._namespaces
        of = {"one": namespaces, "two": unreachable}
        patch.setattr(stage, "_namespaces", lambda run, catalog, result: of[catalog.name](run, catalog, result))
        with pytest.raises(
            MigrationFailed, match=r"incomplete\. In the old place: 1 table \(one\.db\.a\)\. Not yet: 1"
        ):
            api.rollback_lake(plan)
    assert api.rollback_lake(plan).put_back == ["two.db.b"]


def test_the_server_stops_when_all_pointers_are_restored(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    assert api.migrate_lake(plan).ok
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TargetGuard, "note_rollback", unreachable)
        with pytest.raises(MigrationFailed, match=r"In the old place: 2 tables \(one\.db\.a, two\.db\.b\)\. The ser"):
            api.rollback_lake(plan)
    assert sorted(api.rollback_lake(plan).already) == ["one.db.a", "two.db.b"]


def test_a_resumed_cutover_counts_what_it_changed_itself(lake: SmallLake, half: Path) -> None:
    done = api.migrate_lake(half)
    assert (done.outcome.pointers, done.outcome.pointers_now) == (3, 2)
    text = "\n".join(str(part) for part in migration_report(done, api.show_plan(half)))
    assert "changed 2 pointers. Now 3 pointers point to the target: an earlier run changed the others." in text
    (ended,) = (event for event in api.plan_status(half).events if event["event"] == "cutover-done")
    assert ended["pointers_changed"] == 2


def test_a_rollback_that_is_killed_between_two_tables_of_a_catalog(
    lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a catalog that swaps table by table, status names the tables that are in the old place again."""
    plan = plan_of(lake, tmp_path)
    monkeypatch.setattr(SqlCatalog, "swaps_together", False)
    assert api.migrate_lake(plan).ok
    repoint = SqlCatalog.repoint

    def killed(self: SqlCatalog, tables: Any, namespaces: Any) -> None:
        if not tables:
            raise KeyboardInterrupt
        repoint(self, tables, namespaces)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SqlCatalog, "repoint", killed)
        api.rollback_lake(plan)
    states = {table["table"]: table["cut_over"] for table in api.plan_status(plan).tables}
    assert states["one.db.a"] is False and states["two.db.b"] is True
    api.rollback_lake(plan)
