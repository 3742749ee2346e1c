"""An observer of a check gets everything that the check reads, and the check finds the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checking.lake import Checked
from migrator.checking.look import Checking, check
from migrator.checking.results import LakeCheck
from migrator.checking.seen import Seen
from migrator.checking.structure import Structure
from migrator.checking.watch import LakeTable, TableWatch, Watch
from migrator.config import Settings
from migrator.errors import MigratorError
from migrator.iceberg.manifests import Entry
from migrator.layout import MEDALLION, Layout
from migrator.progress import Progress
from plan.handmade import Named, data_file, put, table

PLACE = "s3a://data-lake/warehouse/bronze.db/t"
POINTER = f"{PLACE}/metadata/00000-a.metadata.json"


class Recorder(Watch):
    """Records what it gets. ``whole``: the tables are read to the end."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.told: list[str] = []

    def listed(self, seen: Seen, structure: Structure) -> None:
        self.told.append("listed")

    def catalog(self, name: str, error: MigratorError | None) -> None:
        self.told.append(f"catalog {name}")

    def table(self, table: LakeTable) -> TableWatch:
        return OneTable(self, ".".join(table.identity))

    def unreadable(self, table: LakeTable, error: MigratorError) -> None:
        self.told.append(f"unreadable {table.name}")

    def tables_read(self, seen: Seen, structure: Structure) -> None:
        self.told.append("tables read")


class OneTable(TableWatch):
    def __init__(self, recorder: Recorder, name: str) -> None:
        self._told, self._name = recorder.told, name
        self.whole = recorder.whole

    def entry(self, manifest: str, entry: Entry) -> None:
        self._told.append(f"entry {entry.path.rpartition('/')[2]}")

    def old_path(self, path: str) -> None:
        self._told.append(f"old {path}")

    def done(self) -> None:
        self._told.append(f"done {self._name}")


@pytest.fixture
def named(lake: Checked) -> Checked:
    """A table with two data files in old buckets."""
    old = [data_file(lake.store, f"s3a://bronze/{name}", at=f"{PLACE}/{name}") for name in "ab"]
    table(lake.store, *old, location=PLACE)
    lake.catalogs.append(Named(POINTER))
    return lake


def watched(lake: Checked, watch: Watch) -> LakeCheck:
    layout, catalogs = Layout.medallion("data-lake", MEDALLION), {one.name: one for one in lake.catalogs}
    return check(replace(Checking(Settings(), layout, lake.store, catalogs, Progress()), watch=watch))


def test_a_table_is_read_to_the_end_only_for_who_wants_that(named: Checked) -> None:
    end = ["done lake.db.t0", "tables read"]
    for whole, told in (
        (False, ["entry a", "old s3a://bronze/a"]),
        (True, ["entry a", "old s3a://bronze/a", "entry b", "old s3a://bronze/b"]),
    ):
        recorder = Recorder(whole=whole)
        found = watched(named, recorder)
        assert recorder.told == ["listed", "catalog lake", *told, *end]
        assert found.findings == named.check().findings and [f.code for f in found.failed] == ["old-path"]


def test_a_table_that_cannot_be_read(named: Checked) -> None:
    put(named.store, POINTER, b"{")
    recorder = Recorder(whole=True)
    found = watched(named, recorder)
    assert recorder.told == ["listed", "catalog lake", "unreadable lake.db.t0", "tables read"]
    assert found.findings == named.check().findings and [f.code for f in found.failed] == ["not-checked"]
