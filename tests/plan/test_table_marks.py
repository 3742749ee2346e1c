"""What becomes of the objects of one table in a plan, and that a table takes back the files that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.inventory.listing import Listing
from migrator.inventory.references import References
from migrator.layout import Location
from migrator.plan.table_marks import AT_TARGET, STAYS, TableMarks, prepare_marks
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import MIGRATED, REWRITTEN, ROLE_MANIFEST, TO_REWRITE


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[PlanFile]:
    with PlanFile.create(tmp_path / "p.db") as plan:
        prepare_marks(plan)
        References(plan.db, "lake")
        Listing(plan.db)
        for key, size in (("t/data/a", 1), ("t/m", 1), ("t/.m.crc", 12), ("t0", 1)):
            plan.db.execute(
                "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action)"
                " VALUES ('b', ?, ?, 'e', 0, 'STANDARD', ?, 'copy')",
                (key, size, f"new/{key}"),
            )
        yield plan


def state_of(plan: PlanFile, key: str) -> tuple[str, str, int | None]:
    row = plan.db.execute("SELECT action, role, table_id FROM objects WHERE key = ?", (key,)).fetchone()
    return row[0], row[1], row[2]


@pytest.mark.parametrize(
    ("state", "at_target", "action"),
    [
        (TO_REWRITE, False, "rewrite"),
        (TO_REWRITE, True, "rewrite"),
        (REWRITTEN, False, "rewrite"),
        (REWRITTEN, True, "same"),
        (MIGRATED, False, "skip"),
        (MIGRATED, True, "same"),
    ],
)
def test_a_role_and_the_state_of_the_table_decide_the_action(
    plan: PlanFile, state: str, at_target: bool, action: str
) -> None:
    if at_target:
        plan.db.execute("INSERT INTO present VALUES ('new/t/m', 1, 'e', 0)")
    TableMarks(plan, 7).give_role(Location("s3", "b", "t/m"), ROLE_MANIFEST, state)
    assert state_of(plan, "t/m") == (action, "manifest", 7)
    assert state_of(plan, "t/.m.crc")[:2] == ("skip", "checksum")
    assert state_of(plan, "t/data/a") == ("copy", "", None)


def test_what_cannot_be_hadoops_checksum_is_copied(plan: PlanFile) -> None:
    plan.db.execute("UPDATE objects SET size = 13 WHERE key = 't/.m.crc'")
    TableMarks(plan, 7).give_role(Location("s3", "b", "t/m"), ROLE_MANIFEST, TO_REWRITE)
    assert state_of(plan, "t/.m.crc") == ("copy", "", None)


@pytest.mark.parametrize(("update", "role"), [(STAYS, "left"), (AT_TARGET, "")])
def test_a_folder_stays_with_all_that_lies_in_it(plan: PlanFile, update: str, role: str) -> None:
    TableMarks(plan, 7).keep_folder(update, "b", "t/")
    assert state_of(plan, "t/data/a") == ("skip", role, 7)
    assert state_of(plan, "t0") == ("copy", "", None)


def test_a_table_that_moves_takes_back_the_files_that_it_names(plan: PlanFile) -> None:
    TableMarks(plan, 7).keep_folder(STAYS, "b", "t/")
    columns = len(plan.db.execute("PRAGMA table_info(refs)").fetchall())
    names = [row[1] for row in plan.db.execute("PRAGMA table_info(refs)")]
    values = {"bucket": "b", "key": "t/data/a"}
    row = [values.get(name, 0) for name in names]
    plan.db.execute(f"INSERT INTO refs VALUES ({', '.join('?' * columns)})", row)
    TableMarks(plan, 8).take_back()
    assert state_of(plan, "t/data/a") == ("copy", "", None)
    assert state_of(plan, "t/m") == ("skip", "left", 7)
