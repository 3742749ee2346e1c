"""A plan file was copied, and one of the two was carried out: the other one does not say that nothing happened."""

from __future__ import annotations

import shutil
import socket
from functools import partial
from pathlib import Path

import pytest

from e2e.small_lake import SmallLake
from e2e.test_rollback import plan_of, sql_state
from migrator import api
from migrator.errors import MigrationFailed, PlanStale, RollbackRefused


@pytest.fixture
def copied(lake: SmallLake, tmp_path: Path) -> tuple[Path, Path]:
    """A plan and a copy of it."""
    plan = plan_of(lake, tmp_path)
    return plan, Path(shutil.copy(plan, tmp_path / "copy.db"))


def test_the_original_of_a_copy_that_was_carried_out(lake: SmallLake, copied: tuple[Path, Path]) -> None:
    before, (plan, copy) = sql_state(lake), copied
    assert api.plan_status(plan).copy_carried_out is None
    api.migrate_lake(plan, cutover=False)  # the record names the plan, until the copy is carried out
    assert api.migrate_lake(copy).ok
    after = sql_state(lake)
    with pytest.raises(RollbackRefused, match=rf"copy of it was carried out on {socket.gethostname()}: copy\.db .*cut"):
        api.rollback_lake(plan)
    assert "copy.db" in (api.plan_status(plan).copy_carried_out or "") and sql_state(lake) == after
    assert api.plan_status(copy).copy_carried_out is None
    assert api.migrate_lake(plan).ok and api.plan_status(plan).copy_carried_out is None
    assert sorted(api.rollback_lake(plan).put_back) == ["one.db.a", "two.db.b"]
    assert sql_state(lake) == before


def test_a_copy_that_was_rolled_back_too(lake: SmallLake, copied: tuple[Path, Path]) -> None:
    plan, copy = copied
    assert api.migrate_lake(copy).ok
    shutil.copy(copy, last := copy.with_name("last.db"))
    api.rollback_lake(copy)
    assert "rolled back" in (api.plan_status(last).copy_carried_out or "")  # its own log says that it is cut over
    assert api.plan_status(copy).copy_carried_out is None
    with pytest.raises(MigrationFailed, match=r"a copy of this plan file was rolled back \(copy\.db"):
        api.migrate_lake(last)
    assert api.rollback_lake(copy).nothing_to_do and api.rollback_lake(plan).nothing_to_do


def test_no_message_says_to_carry_out_an_older_plan_after_a_newer_one(lake: SmallLake, tmp_path: Path) -> None:
    """That would be refused."""
    older = plan_of(lake, tmp_path)
    assert api.migrate_lake(plan_of(lake, tmp_path, "newer")).ok
    for command in (partial(api.repair_lake, change=False), api.retire_lake):
        with pytest.raises(PlanStale, match=r"superseded.*newer\.db"):
            command(older)
