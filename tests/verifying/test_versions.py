"""Older versions at the target: whether they exist, in their order, and with the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from migrator.config import Settings
from migrator.copying.options import Options
from migrator.copying.stage import begin, copy_current_objects, copy_versions
from migrator.copying.verify_modes import MAX_FAILURES
from migrator.plan.build import build_plan
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.progress import Progress
from migrator.run import Run
from migrator.store import Content, Store
from migrator.target.compare import list_target
from migrator.verifying.checks import SAME, Check
from migrator.verifying.old_buckets import OldBuckets
from migrator.verifying.versions import check_versions


@pytest.fixture
def plan_path(mock_store: Store, tmp_path: Path) -> Path:
    """A plan of one object with two older versions."""
    for bucket in ("bronze", "data-lake"):
        mock_store.create_bucket(bucket)
        mock_store.keep_versions(bucket)
    for data in (b"1", b"22", b"333"):
        mock_store.put("bronze", "d/a", Content(data, ""))
    settings = Settings(layout={"s3://bronze/": "bronze/"}, all_versions=True)
    build_plan(tmp_path / "plan.db", settings, mock_store, {}, Progress())
    return tmp_path / "plan.db"


@pytest.fixture
def migrated_plan(mock_store: Store, plan_path: Path) -> Path:
    with PlanFile.open(plan_path) as plan, Journal(plan) as journal:
        run = Run(plan, mock_store, {}, journal, Progress(), MAX_FAILURES)
        if not mock_store.bucket_exists("data-lake"):
            mock_store.create_bucket("data-lake")
        begin(run, Options())
        copy_versions(run)
        copy_current_objects(run, Options())
    return plan_path


@contextmanager
def checked(path: Path, store: Store, *, deep: bool = False) -> Iterator[list[Check]]:
    with PlanFile.open(path, read_only=True) as plan:
        list_target(plan, store, Progress())
        yield check_versions(plan, store, OldBuckets(store), Progress(), cut_over=True, deep=deep)


def test_before_the_migration(mock_store: Store, plan_path: Path) -> None:
    with checked(plan_path, mock_store) as (check,):
        assert check.problems == ["- s3://data-lake/bronze/d/a: 2 older versions are not migrated yet"]


def test_after_the_migration(mock_store: Store, migrated_plan: Path) -> None:
    with checked(migrated_plan, mock_store, deep=True) as (order, contents):
        assert (order.result, order.checked) == (SAME, 2)
        assert (contents.result, contents.checked) == (SAME, 2)


def test_a_version_that_is_missing(mock_store: Store, migrated_plan: Path) -> None:
    oldest = mock_store.versions_of("data-lake", "bronze/d/a")[0]
    boto3.client("s3").delete_object(Bucket="data-lake", Key="bronze/d/a", VersionId=oldest.version_id)
    with checked(migrated_plan, mock_store) as (check,):
        assert check.problems == [
            "* s3://data-lake/bronze/d/a: not all of its 2 older versions are there in their order"
        ]
