"""Where the catalogs' pointers are, and which metadata file is to be verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.planfile.file import PlanFile
from migrator.store import Store
from migrator.verifying.checks import DIFFERENT, NOT_COMPARED, SAME, Check
from migrator.verifying.pointers import check_catalogs_point_to_target, registered_metadata
from plan.handmade import CURRENT, Named, document, planned, put, table

OTHER = "00000000-0000-4000-8000-000000000001"
NEW = CURRENT.replace("s3a://bronze/", "s3a://data-lake/bronze/")


def test_before_the_cutover_the_planned_metadata_is_read(lake: Store, plan_path: Path) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        check, pointers = check_catalogs_point_to_target(plan, lake, {"lake": Named(CURRENT)}, cut_over=False)
    assert check.result == NOT_COMPARED and list(pointers.values()) == [NEW]


def test_after_the_cutover_the_catalogs_metadata_is_read(lake: Store, plan_path: Path) -> None:
    later = NEW.replace("00000-a", "00001-b")
    put(lake, later, document(snapshots=[]))
    with PlanFile.open(plan_path, read_only=True) as plan:
        check, pointers = check_catalogs_point_to_target(plan, lake, {"lake": Named(later)}, cut_over=True)
    assert check.result == SAME and list(pointers.values()) == [later]


def test_a_pointer_that_is_elsewhere_or_gone(lake: Store, plan_path: Path) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        check, pointers = check_catalogs_point_to_target(plan, lake, {"lake": Named(CURRENT)}, cut_over=True)
        assert check.problems == [f"* lake.db.t0 points to {CURRENT}"] and list(pointers.values()) == [NEW]
        check, _ = check_catalogs_point_to_target(plan, lake, {"lake": Named()}, cut_over=True)
        assert (check.result, check.problems) == (DIFFERENT, ["- lake.db.t0 is gone from its catalog"])


LATER = NEW.replace("00000-a", "00001-b")


def pointing(plan_path: Path, store: Store, now: str, name: str = "t0", **others: str) -> Check:
    """The check of the pointers if the catalog names ``now``."""
    with PlanFile.open(plan_path, read_only=True) as plan:
        catalog = Named(**{name: now, **others})
        check, pointers = check_catalogs_point_to_target(plan, store, {"lake": catalog}, cut_over=True)
        assert now in pointers.values()
    return check


def test_a_commit_after_the_cutover_is_fine(lake: Store, plan_path: Path) -> None:
    put(lake, LATER, document(snapshots=[]))
    for now in (NEW, NEW.replace("s3a:", "s3:"), LATER):
        assert pointing(plan_path, lake, now).result == SAME


def test_another_table_has_its_name(lake: Store, plan_path: Path) -> None:
    put(lake, LATER, document(snapshots=[], **{"table-uuid": OTHER}))
    check = pointing(plan_path, lake, LATER)
    assert check.result == DIFFERENT and len(check.problems) == 1
    assert f"* lake.db.t0 points to {LATER}, which is another table: its uuid is {OTHER}" in check.problems[0]
    assert f"Expected is {NEW} or a later commit. Set it to that file again" in check.problems[0]


@pytest.fixture
def with_an_older_state(lake: Store, tmp_path: Path) -> Path:
    """A plan of a table with two metadata files: the catalog names the newer one, and the older one as ``before``."""
    table(lake, name="00001-b.metadata.json", **{"metadata-log": [{"metadata-file": CURRENT, "timestamp-ms": 1}]})
    (tmp_path / "older").mkdir()
    planned(lake, tmp_path / "older", Named(before=CURRENT, t0=CURRENT.replace("00000-a", "00001-b")))
    return tmp_path / "older" / "plan.db"


def copy(store: Store, *names: str) -> None:
    """Put these metadata files at the target."""
    for name in names:
        key = f"t/metadata/{name}.metadata.json"
        put(store, f"s3://data-lake/bronze/{key}", store.get("bronze", key).data)


def test_a_file_that_is_not_there(lake: Store, plan_path: Path) -> None:
    assert pointing(plan_path, lake, LATER).result == DIFFERENT


def test_an_older_file_that_the_plan_has_moved(lake: Store, with_an_older_state: Path) -> None:
    copy(lake, "00000-a", "00001-b")
    check = pointing(with_an_older_state, lake, NEW, before=NEW)
    assert check.result == DIFFERENT and check.failed == 1
    assert (
        f"* lake.db.t0 points to {NEW}, which is an older file, one of those that this plan has moved"
        in check.problems[0]
    )
    assert f"Expected is {LATER} or" in check.problems[0]


def test_a_table_that_was_planned_at_an_older_state(lake: Store, with_an_older_state: Path) -> None:
    """Each row of the plan has its own planned file."""
    copy(lake, "00000-a", "00001-b")
    assert pointing(with_an_older_state, lake, LATER, before=NEW).result == SAME
    check = pointing(with_an_older_state, lake, LATER, before=LATER)
    assert check.failed == 1 and "* lake.db.before points to" in check.problems[0]


def test_catalogs_are_only_asked_for_all_tables_if_a_table_was_in_none(
    lake: Store, plan_path: Path, tmp_path: Path
) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        assert registered_metadata(plan, {"lake": Named(NEW)}) == []
    (tmp_path / "other").mkdir()
    planned(lake, tmp_path / "other")
    with PlanFile.open(tmp_path / "other" / "plan.db", read_only=True) as plan:
        assert registered_metadata(plan, {"lake": Named(NEW)}) == [NEW]
