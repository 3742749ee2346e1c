"""The files of a table at the target: missing ones, other sizes, old paths, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import boto3
import pytest

from migrator.errors import AccessDenied
from migrator.planfile.file import PlanFile
from migrator.progress import Progress
from migrator.store import Content, Store
from migrator.verifying.checks import DIFFERENT, ERROR, SAME, Check
from migrator.verifying.rows import TableRows
from migrator.verifying.tables import check_tables
from plan.handmade import migrated, planned, put

Listed = Callable[[Path], PlanFile]
METADATA = "s3a://data-lake/bronze/t/metadata"


class NoRows:
    """Replaces the comparison of rows, which needs a real server."""

    def read_ahead(self, places: Iterable[Any]) -> Iterator[Any]:
        yield from places

    def check(self, *_: Any) -> None:
        pass


def checked(plan: PlanFile, store: Store) -> tuple[Check, Check]:
    """The checks of files and of paths."""
    pointers = {table.id: table.new_metadata or "" for table in plan.tables()}
    files, paths, *_ = check_tables(plan, store, cast(TableRows, NoRows()), pointers, Progress(), deep=False)
    return files, paths


def delete(key: str) -> None:
    boto3.client("s3").delete_object(Bucket="data-lake", Key=key)


def test_all_files_are_there(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    files, paths = checked(listed(migrated_plan), lake)
    assert (files.result, paths.result, files.notes) == (SAME, SAME, [])
    # One manifest list, two manifests, one data file, and one delete file that is listed and read.
    assert files.checked == 6
    # The table's location and its manifest list, two manifests, two files, and the path in the deletes.
    assert paths.checked == 7


@pytest.mark.parametrize(
    "key", ["data/a.parquet", "data/d.parquet", "metadata/m0.avro", "metadata/m1.avro", "metadata/snap-1.avro"]
)
def test_a_missing_file(lake: Store, migrated_plan: Path, listed: Listed, key: str) -> None:
    delete(f"bronze/t/{key}")
    files, _ = checked(listed(migrated_plan), lake)
    assert files.result == DIFFERENT and files.problems
    assert all(f"bronze/t/{key}" in problem for problem in files.problems)


def test_missing_metadata(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    delete("bronze/t/metadata/00000-a.metadata.json")
    files, _ = checked(listed(migrated_plan), lake)
    assert files.result == DIFFERENT and files.problems[0].startswith("! lake.db.t0: ")


def test_another_size_than_the_manifest_records(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    put(lake, "s3://data-lake/bronze/t/data/a.parquet", b"more rows")
    files, _ = checked(listed(migrated_plan), lake)
    assert files.problems == ["* s3a://data-lake/bronze/t/data/a.parquet: 9 bytes, its manifest records 4"]


def test_old_paths_in_a_manifest(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    lake.put("data-lake", "bronze/t/metadata/m0.avro", Content(lake.get("bronze", "t/metadata/m0.avro").data, ""))
    files, paths = checked(listed(migrated_plan), lake)
    writer = "snapshot 1 of 1970-01-01T00:00:00+00:00 (unknown operation)"
    assert paths.problems == [f"* {METADATA}/m0.avro: s3a://bronze/t/data/a.parquet, written by {writer}"]
    assert "* s3a://bronze/t/data/a.parquet lies outside the target" in files.problems


def test_old_paths_in_deletes(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    lake.put("data-lake", "bronze/t/data/d.parquet", Content(lake.get("bronze", "t/data/d.parquet").data, ""))
    _, paths = checked(listed(migrated_plan), lake)
    assert paths.problems == ["* s3a://data-lake/bronze/t/data/d.parquet: s3a://bronze/t/data/a.parquet"]


@pytest.mark.parametrize("name", ["m0.avro", "snap-1.avro"])
def test_a_damaged_file(lake: Store, migrated_plan: Path, listed: Listed, name: str) -> None:
    put(lake, f"s3://data-lake/bronze/t/metadata/{name}", b"no Avro")
    files, _ = checked(listed(migrated_plan), lake)
    assert files.result == DIFFERENT
    assert any(problem.startswith("! lake.db.t0: ") and name in problem for problem in files.problems)


def test_a_manifest_cut_between_two_blocks(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    """It is still a valid Avro file: only its length shows it."""
    whole = lake.get("data-lake", "bronze/t/metadata/m0.avro").data
    put(lake, "s3://data-lake/bronze/t/metadata/m0.avro", whole + b"")
    recorded = len(whole)
    header_only = whole[: whole.index(whole[-16:]) + 16]
    put(lake, "s3://data-lake/bronze/t/metadata/m0.avro", header_only)
    files, _ = checked(listed(migrated_plan), lake)
    assert files.problems == [f"* {METADATA}/m0.avro: {len(header_only)} bytes, its list records {recorded}"]


def test_a_refused_read_is_an_error_and_no_difference(
    lake: Store, migrated_plan: Path, listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = listed(migrated_plan)

    def refused(*_: Any, **__: Any) -> None:
        raise AccessDenied("no")

    monkeypatch.setattr(Store, "get", refused)
    monkeypatch.setattr(Store, "download", refused)
    files, _ = checked(plan, lake)
    assert files.result == ERROR and files.failed == files.errors


def test_a_table_in_no_catalog_may_lack_what_it_lacked(lake: Store, tmp_path: Path, listed: Listed) -> None:
    boto3.client("s3").delete_object(Bucket="bronze", Key="t/data/a.parquet")
    planned(lake, tmp_path)
    migrated(lake, tmp_path)
    files, _ = checked(listed(tmp_path / "plan.db"), lake)
    assert files.result == SAME
    assert files.notes == [
        "s3a://data-lake/bronze/t/data/a.parquet is missing, as it was before: no catalog names its table"
    ]
