"""A lake of plain objects on a mocked S3 that was carried out and is to be retired."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.s3.models import s3_backends

from migrator.catalogs import Catalog
from migrator.copying.options import Options
from migrator.copying.verify_modes import MAX_FAILURES
from migrator.migration import Choices, carry_out
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.progress import Progress
from migrator.retiring.results import OldBucket, Retirement
from migrator.retiring.retire import RetireOptions, Retiring, retire
from migrator.run import Run
from migrator.store import Store
from plan.handmade import planned, put

TARGET = "data-lake"
OBJECTS = {"bronze/a/1": b"one", "bronze/a/2": b"two", "bronze/empty": b"", "warehouse/w": b"ware"}
"""bucket/key → bytes of the lake before the migration."""


class Lake:
    """The lake, its plan, and functions that change both."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder, self.path = store, folder, folder / "plan.db"
        self.client = store.client
        self.catalogs: dict[str, Catalog] = {}

    def put(self, place: str, data: bytes) -> None:
        put(self.store, f"s3://{place}", data)

    def drop(self, place: str) -> None:
        bucket, _, key = place.partition("/")
        self.client.delete_object(Bucket=bucket, Key=key)

    def plan(self, **settings: Any) -> None:
        planned(self.store, self.folder, *self.catalogs.values(), **settings)

    def migrate(self) -> bool:
        """Carry out the plan; True if there was nothing to do."""
        with PlanFile.open(self.path) as plan, plan.lock(), Journal(plan) as journal:
            run = Run(plan, self.store, self.catalogs, journal, Progress(), MAX_FAILURES)
            done = carry_out(run, Options(), Choices())
            assert done.ok
            return done.nothing_to_do

    def retire(self, confirm: str | None = TARGET, cooling: str = "0", **options: Any) -> Retirement:
        with PlanFile.open(self.path) as plan, plan.lock(), Journal(plan) as journal:
            chosen = RetireOptions(cooling, confirm, **options)
            return retire(Retiring(plan, self.store, self.catalogs, journal, Progress(), chosen))

    def contents(self, *buckets: str) -> set[str]:
        return {
            f"{bucket}/{found.key}"
            for bucket in buckets or ("bronze", "warehouse")
            for found in self.store.list(bucket)
        }

    def versions(self, bucket: str) -> list[tuple[str, str]]:
        return [(version.key, version.version_id) for version in self.store.list_versions(bucket)]

    def date(self, place: str, seconds: int) -> None:
        """Make the newest version of an object this many seconds younger, as if it were written later."""
        bucket, _, key = place.partition("/")
        backends = (backend for account in s3_backends.values() for backend in account.values())
        backend = next(backend for backend in backends if bucket in backend.buckets)
        backend.buckets[bucket].keys[key].last_modified += timedelta(seconds=seconds)


@pytest.fixture
def lake(mock_store: Store, tmp_path: Path) -> Lake:
    """The lake before the migration: its objects, and an empty target."""
    for bucket in ("bronze", "warehouse", TARGET):
        mock_store.create_bucket(bucket)
    made = Lake(mock_store, tmp_path)
    for place, data in OBJECTS.items():
        made.put(place, data)
    return made


@pytest.fixture
def finished(lake: Lake) -> Lake:
    """The lake, migrated."""
    lake.plan()
    lake.migrate()
    return lake


def bucket_of(retirement: Retirement, name: str = "bronze") -> OldBucket:
    """One bucket of a retirement."""
    return next(bucket for bucket in retirement.buckets if bucket.name == name)


def reasons(retirement: Retirement, name: str = "bronze") -> dict[str, list[str]]:
    """Reason → places that remain in a bucket."""
    return {reason: which.examples for reason, which in bucket_of(retirement, name).stays.items()}
