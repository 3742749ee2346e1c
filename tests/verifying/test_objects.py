"""The plan's objects, compared with a listing of the target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import boto3

from migrator.planfile.file import PlanFile
from migrator.store import Store
from migrator.verifying.checks import DIFFERENT, SAME
from migrator.verifying.objects import check_objects, prefix_totals
from plan.handmade import put

Listed = Callable[[Path], PlanFile]


def test_before_the_migration_nothing_is_there(plan_path: Path, listed: Listed) -> None:
    check = check_objects(listed(plan_path), cut_over=False)
    assert check.result == DIFFERENT and check.failed == check.checked
    assert "- s3://data-lake/bronze/plain/f.csv: not migrated yet (from s3://bronze/plain/f.csv)" in check.problems


def test_after_the_migration_all_is_there(migrated_plan: Path, listed: Listed) -> None:
    plan = listed(migrated_plan)
    assert check_objects(plan, cut_over=False).result == SAME
    bronze = next(total for total in prefix_totals(plan) if total.prefix == "bronze/")
    assert bronze.planned_objects == bronze.present_objects > 0
    assert bronze.planned_bytes == bronze.present_bytes > 0


def test_what_is_missing_or_was_changed_since(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    boto3.client("s3").delete_object(Bucket="data-lake", Key="bronze/plain/f.csv")
    put(lake, "s3://data-lake/bronze/t/data/a.parquet", b"ROWS")
    check = check_objects(listed(migrated_plan), cut_over=False)
    assert sorted(check.problems) == [
        "* s3://data-lake/bronze/t/data/a.parquet: differs from what was written (from s3://bronze/t/data/a.parquet)",
        "- s3://data-lake/bronze/plain/f.csv: missing (from s3://bronze/plain/f.csv)",
    ]
