"""The plan's objects, compared with a listing of the target, and their bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import boto3

from migrator.planfile.file import PlanFile
from migrator.progress import Progress
from migrator.store import Store
from migrator.verifying.checks import DIFFERENT, NOT_COMPARED, SAME, Check
from migrator.verifying.objects import check_contents, check_objects, prefix_totals
from migrator.verifying.old_buckets import OLD_GONE, OldBuckets
from migrator.verifying.unreadable import CHANGED
from plan.handmade import put

Listed = Callable[[Path], PlanFile]


def contents(plan: PlanFile, store: Store) -> Check:
    return check_contents(plan, store, OldBuckets(store), Progress())


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


def test_contents(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    check = contents(listed(migrated_plan), lake)
    assert (check.result, check.checked, check.not_compared) == (SAME, 2, 0)


def test_contents_that_differ(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    put(lake, "s3://data-lake/bronze/plain/f.csv", b"1,3\n")
    check = contents(listed(migrated_plan), lake)
    assert check.problems == ["* s3://data-lake/bronze/plain/f.csv: bytes differ"]


def test_a_source_that_changed_since_is_not_compared(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    put(lake, "s3://bronze/plain/f.csv", b"new")
    check = contents(listed(migrated_plan), lake)
    assert (check.checked, dict(check.reasons)) == (1, {CHANGED: 1})


def test_a_source_that_is_gone_is_not_compared(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    client = boto3.client("s3")
    for found in lake.list("bronze"):
        client.delete_object(Bucket="bronze", Key=found.key)
    client.delete_bucket(Bucket="bronze")
    check = contents(listed(migrated_plan), lake)
    assert (check.result, dict(check.reasons)) == (NOT_COMPARED, {OLD_GONE: 2})
