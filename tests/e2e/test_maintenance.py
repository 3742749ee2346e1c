"""After a cutover the tables live at the target: their maintenance removes files there, and verify does not count that
as a difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.table import StaticTable

from e2e.small_lake import HADOOP, OLD, TARGET, SmallLake, SqlTable, rows_of
from e2e.test_rollback import plan_of
from migrator import api
from migrator.errors import MigrationFailed, RetireRefused, RollbackRefused
from migrator.verifying.objects import OBJECTS_CHECK, REMOVED_BY_MAINTENANCE


def named_keys(lake: SmallLake, metadata: str) -> set[str]:
    """Every key that the table needs."""
    table = StaticTable.from_metadata(metadata, lake.server.properties())
    manifests = [m for snapshot in table.snapshots() for m in snapshot.manifests(table.io)]
    files = [e.data_file.file_path for m in manifests for e in m.fetch_manifest_entry(table.io, discard_deleted=True)]
    paths = [metadata, *(s.manifest_list for s in table.snapshots()), *(m.manifest_path for m in manifests), *files]
    return {path.removeprefix(f"s3://{TARGET}/") for path in paths}


def maintain(lake: SmallLake, table: SqlTable) -> set[str]:
    """Replace all rows, expire every other snapshot, and remove what no snapshot names, as engines do. Returns the
    removed keys."""
    table.load().overwrite(rows_of([7000]))
    loaded = table.load()
    for snapshot in loaded.snapshots()[:-1]:
        loaded = table.load()
        loaded.maintenance.expire_snapshots().by_id(snapshot.snapshot_id).commit()
    needed = named_keys(lake, table.pointer)
    removed = {key for key in lake.listing(TARGET, "bronze/wh/a/") if key not in needed}
    for key in removed:
        lake.delete(TARGET, key)
    return removed


def test_what_maintenance_removes_is_no_difference(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    table = lake.tables[0]
    assert isinstance(table, SqlTable)
    planned = set(lake.listing(TARGET))
    removed = maintain(lake, table) & planned
    assert any(key.endswith(".parquet") for key in removed) and any(key.endswith(".avro") for key in removed)
    for bucket in OLD:
        lake.empty(bucket)
    verification = api.verify_lake(plan)
    assert verification.ok
    objects = next(check for check in verification.checks if check.name == OBJECTS_CHECK)
    assert objects.reasons == {REMOVED_BY_MAINTENANCE: len(removed)}
    assert objects.checked + len(removed) == len(planned)
    assert lake.read(table.pointer) == {7000}


def test_a_batch_that_is_written_again_is_no_difference(lake: SmallLake, tmp_path: Path) -> None:
    """A file that no snapshot named: its writer died before the commit, and writes it under the same name again."""
    lake.put("bronze", "wh/a/data/00001-1-query-1-00001.parquet", b"orphan")
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    orphan = "bronze/wh/a/data/00001-1-query-1-00001.parquet"
    lake.put(TARGET, orphan, b"the batch, written again")
    assert not api.verify_lake(plan).ok  # no engine uses the table yet
    lake.tables[0].commit([7000])
    verification = api.verify_lake(plan)
    (check,) = [check for check in verification.checks if check.name == OBJECTS_CHECK]
    assert verification.ok and check.not_compared == 1
    needed = next(key for key in named_keys(lake, lake.tables[0].pointer) if key.endswith(".parquet"))
    lake.put(TARGET, needed, b"not what its manifest says")
    assert not api.verify_lake(plan).ok


def test_what_the_table_still_needs_is_missed(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    table = lake.tables[0]
    table.commit([7000])
    lost = next(key for key in lake.listing(TARGET, "bronze/wh/a/data/"))
    lake.delete(TARGET, lost)
    assert not api.verify_lake(plan).ok


def test_other_objects_and_untouched_tables_are_missed(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    table = lake.tables[0]
    assert isinstance(table, SqlTable)
    maintain(lake, table)
    assert api.verify_lake(plan).ok
    lake.delete(TARGET, "bronze/plain/b")
    assert not api.verify_lake(plan).ok
    lake.put(TARGET, "bronze/plain/b", b"x")
    old = next(key for key in lake.listing(TARGET, "gold/wh/b/metadata/") if "/00000-" in key)
    lake.delete(TARGET, old)
    assert not api.verify_lake(plan).ok, "nobody has committed to this table: somebody has lost its file"


def test_a_commit_to_a_hadoop_table_is_no_difference(lake: SmallLake, tmp_path: Path) -> None:
    """The engine that commits sets the version hint, which the cutover has written."""
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    table = lake.tables[2]
    table.commit([7000])
    for bucket in OLD:
        lake.empty(bucket)
    assert api.verify_lake(plan).ok
    assert 7000 in lake.read(table.pointer)
    key = table.pointer.removeprefix(f"s3://{TARGET}/")
    lake.delete(TARGET, next(key for key in named_keys(lake, table.pointer) if key.endswith(".parquet")))
    assert not api.verify_lake(plan).ok, "it is the present version that is verified"
    lake.delete(TARGET, f"{key.rpartition('/')[0]}/version-hint.text")
    assert not api.verify_lake(plan).ok


@pytest.mark.parametrize("newer", [False, True], ids=["as cut over", "committed to since"])
@pytest.mark.parametrize("hint", [b"99", b"nothing", b"", None], ids=["beyond", "no number", "empty", "gone"])
def test_a_version_hint_that_names_no_version_is_found(
    lake: SmallLake, tmp_path: Path, hint: bytes | None, newer: bool
) -> None:
    """Engines of the Java library cannot read such a table, or read it only by listing its folder."""
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    folder = f"bronze/{HADOOP}/metadata/"
    if newer:
        lake.tables[2].commit([7000])
    if hint is None:
        lake.delete(TARGET, f"{folder}version-hint.text")
    else:
        lake.put(TARGET, f"{folder}version-hint.text", hint)
    found = [problem for check in api.verify_lake(plan).checks for problem in check.problems]
    assert any(f"{folder}version-hint.text" in problem and "its version hint" in problem for problem in found)
    with pytest.raises(MigrationFailed, match=r"version hint .*version-hint\.text"):
        api.migrate_lake(plan)
    with pytest.raises(RetireRefused, match=r"version-hint\.text"):
        api.retire_lake(plan, cooling="0", confirm=TARGET)


def test_a_rollback_names_a_commit_to_a_hadoop_table_whose_version_hint_is_gone(
    lake: SmallLake, tmp_path: Path
) -> None:
    """Readers list the folder then, and find the commit."""
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    lake.tables[2].commit([7000])
    lake.delete(TARGET, f"bronze/{HADOOP}/metadata/version-hint.text")
    with pytest.raises(RollbackRefused, match="Changed at the target since the cutover: 1 table"):
        api.rollback_lake(plan)
    assert api.rollback_lake(plan, discard_newer=True).discarded[0].table.catalog is not None
    assert api.rollback_lake(plan).nothing_to_do
