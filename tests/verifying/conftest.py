from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from iceberg.tables import entry
from migrator.planfile.file import PlanFile
from migrator.progress import Progress
from migrator.store import Store
from migrator.target.compare import list_target
from plan.handmade import CURRENT, Named, data_file, delete_rows, migrated, planned, put, table


@pytest.fixture
def lake(mock_store: Store) -> Store:
    """One table with a data file and a file of position deletes, a plain file, and an empty target."""
    for bucket in ("bronze", "warehouse", "data-lake"):
        mock_store.create_bucket(bucket)
    data, deletes = "s3a://bronze/t/data/a.parquet", "s3a://bronze/t/data/d.parquet"
    size = delete_rows(mock_store, deletes, [data])
    table(mock_store, data_file(mock_store, data), entry(deletes, content=1, file_size_in_bytes=size))
    put(mock_store, "s3://bronze/plain/f.csv", b"1,2\n")
    return mock_store


@pytest.fixture
def plan_path(lake: Store, tmp_path: Path) -> Path:
    """A plan of the lake in which a catalog names the table ``lake.db.t0``."""
    planned(lake, tmp_path, Named(CURRENT))
    return tmp_path / "plan.db"


@pytest.fixture
def migrated_plan(lake: Store, plan_path: Path) -> Path:
    """The plan, carried out up to the cutover."""
    migrated(lake, plan_path.parent)
    return plan_path


@pytest.fixture
def listed(lake: Store) -> Iterator[Callable[[Path], PlanFile]]:
    """Opens a plan and lists the target as it is now."""
    with ExitStack() as stack:

        def listed_now(path: Path) -> PlanFile:
            plan = stack.enter_context(PlanFile.open(path, read_only=True))
            list_target(plan, lake, Progress())
            return plan

        yield listed_now
