"""Where the catalogs' pointers are, and which metadata file is to be verified."""

from __future__ import annotations

from pathlib import Path

from migrator.planfile.file import PlanFile
from migrator.store import Store
from migrator.verifying.checks import DIFFERENT, NOT_COMPARED, SAME
from migrator.verifying.pointers import check_catalogs_point_to_target, registered_metadata
from plan.handmade import CURRENT, Named, planned

NEW = CURRENT.replace("s3a://bronze/", "s3a://data-lake/bronze/")


def test_before_the_cutover_the_planned_metadata_is_read(plan_path: Path) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        check, pointers = check_catalogs_point_to_target(plan, {"lake": Named(CURRENT)}, cut_over=False)
    assert check.result == NOT_COMPARED and list(pointers.values()) == [NEW]


def test_after_the_cutover_the_catalogs_metadata_is_read(plan_path: Path) -> None:
    later = NEW.replace("00000-a", "00001-b")
    with PlanFile.open(plan_path, read_only=True) as plan:
        check, pointers = check_catalogs_point_to_target(plan, {"lake": Named(later)}, cut_over=True)
    assert check.result == SAME and list(pointers.values()) == [later]


def test_a_pointer_that_is_elsewhere_or_gone(plan_path: Path) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        check, pointers = check_catalogs_point_to_target(plan, {"lake": Named(CURRENT)}, cut_over=True)
        assert check.problems == [f"* lake.db.t0 points to {CURRENT}"] and list(pointers.values()) == [NEW]
        check, _ = check_catalogs_point_to_target(plan, {"lake": Named()}, cut_over=True)
        assert (check.result, check.problems) == (DIFFERENT, ["- lake.db.t0 is gone from its catalog"])


def test_catalogs_are_only_asked_for_all_tables_if_a_table_was_in_none(
    lake: Store, plan_path: Path, tmp_path: Path
) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        assert registered_metadata(plan, {"lake": Named(NEW)}) == []
    (tmp_path / "other").mkdir()
    planned(lake, tmp_path / "other")
    with PlanFile.open(tmp_path / "other" / "plan.db", read_only=True) as plan:
        assert registered_metadata(plan, {"lake": Named(NEW)}) == [NEW]
