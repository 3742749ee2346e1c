"""Writers that had the old table in their cache during a cutover, and the repair of what they committed. On a real
server; pyiceberg writes and reads, and the old buckets are emptied before the last reading."""

from __future__ import annotations

import io
import json
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyiceberg.table import StaticTable, Table

from e2e.crashes import CATALOG, COPY, LOG, PUT, UPLOAD, die_at
from e2e.small_lake import OLD, TARGET, HadoopTable, SmallLake, SqlTable, rows_of
from e2e.test_rollback import plan_of, sql_state, state
from migrator import api
from migrator.config import load
from migrator.errors import MigrationFailed
from migrator.reporting.rendering import render
from migrator.reporting.repair import repair_report
from migrator.reporting.verification import verification_report


def in_cache(table: Any) -> Table:
    """The table as an engine caches it that opens it now."""
    assert isinstance(table, SqlTable)
    return table.load()


def lose_the_old_buckets(lake: SmallLake) -> None:
    for bucket in OLD:
        lake.empty(bucket)


def parquet_of(numbers: list[int]) -> bytes:
    """A file with these rows that no table has written."""
    sink = io.BytesIO()
    pq.write_table(rows_of(numbers), sink)
    return sink.getvalue()


def names_old(lake: SmallLake, metadata: str) -> bool:
    """True if any file of the table names an old bucket, as pyiceberg reads it."""
    table = StaticTable.from_metadata(metadata, lake.server.properties())
    lists = {snapshot.manifest_list for snapshot in table.snapshots()}
    manifests = [m for snapshot in table.snapshots() for m in snapshot.manifests(table.io)]
    files = {e.data_file.file_path for m in manifests for e in m.fetch_manifest_entry(table.io)}
    return any(not p.startswith(f"s3://{TARGET}/") for p in (*lists, *(m.manifest_path for m in manifests), *files))


def test_what_a_stale_writer_committed_is_moved_to_the_target(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    stale = in_cache(lake.tables[0])
    assert api.migrate_lake(plan).ok
    stale.append(rows_of([7000, 7001]))
    lake.tables[0].commit([7002])
    used = {name: rows for name, (_, rows) in state(lake).items()}
    assert {7000, 7001, 7002} <= used["a"] and names_old(lake, lake.tables[0].pointer)
    verification = api.verify_lake(plan)
    assert not verification.ok and "migrator repair PLAN" in render(verification_report(verification), 120)
    everything = {bucket: lake.listing(bucket) for bucket in (*OLD, TARGET)}
    pointer = lake.tables[0].pointer

    looked = api.repair_lake(plan, change=False)
    assert not looked.ok and [table.table for table in looked.tables] == ["one.db.a"]
    assert looked.tables[0].snapshots and "2 rows added" in looked.tables[0].snapshots[0]
    assert {bucket: lake.listing(bucket) for bucket in (*OLD, TARGET)} == everything
    assert lake.tables[0].pointer == pointer

    done = api.repair_lake(plan, change=True)
    assert done.ok and done.tables[0].copied == 1 and done.checked == 3
    for bucket in (*OLD, TARGET):
        now = lake.listing(bucket)
        assert {key: now[key] for key in everything[bucket]} == everything[bucket], "nothing was overwritten"
        assert bucket == TARGET or now == everything[bucket], "old buckets are only read"
    assert api.repair_lake(plan, change=True).tables == []
    lose_the_old_buckets(lake)
    assert {name: rows for name, (_, rows) in state(lake).items()} == used
    assert not names_old(lake, lake.tables[0].pointer)
    assert api.verify_lake(plan).ok
    lake.tables[0].commit([7003])
    assert lake.read(lake.tables[0].pointer) == used["a"] | {7003}


def test_the_commit_is_a_replace_and_the_one_before_has_a_tag(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    stale = in_cache(lake.tables[0])
    api.migrate_lake(plan)
    stale.append(rows_of([7000]))
    before = StaticTable.from_metadata(lake.tables[0].pointer, lake.server.properties())
    read = lake.snapshots(lake.tables[0].pointer)
    done = api.repair_lake(plan, change=True).tables[0]
    lose_the_old_buckets(lake)
    after = StaticTable.from_metadata(lake.tables[0].pointer, lake.server.properties())
    current, last = after.current_snapshot(), before.current_snapshot()
    assert current is not None and last is not None and current.summary is not None
    assert current.summary.operation.value == "replace" and current.parent_snapshot_id == last.snapshot_id
    assert current.snapshot_id == done.snapshot_id and current.sequence_number == (last.sequence_number or 0) + 1
    assert after.metadata.last_sequence_number == current.sequence_number
    assert after.refs()[done.tag or ""].snapshot_id == last.snapshot_id
    assert after.metadata.metadata_log[-1].metadata_file == done.metadata
    assert after.metadata.snapshot_log[-1].snapshot_id == current.snapshot_id
    now = lake.snapshots(lake.tables[0].pointer)
    assert {key: now[key] for key in read} == read and now[current.snapshot_id] == read[last.snapshot_id]
    assert api.plan_log(plan).intact and "repaired" in [entry.event for entry in api.plan_log(plan).entries]


def test_a_lake_without_stale_writers_is_left_alone(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    with pytest.raises(MigrationFailed, match="is not cut over"):
        api.repair_lake(plan, change=True)
    api.migrate_lake(plan)
    for table in lake.tables:
        table.commit([7000])
    before, listed = state(lake), lake.listing(TARGET)
    done = api.repair_lake(plan, change=True)
    assert done.ok and not done.tables and done.checked == 3
    assert state(lake) == before and lake.listing(TARGET) == listed


def test_a_stale_commit_that_is_no_longer_current_is_repaired_without_a_snapshot(
    lake: SmallLake, tmp_path: Path
) -> None:
    plan = plan_of(lake, tmp_path)
    stale = in_cache(lake.tables[0])
    api.migrate_lake(plan)
    stale.append(rows_of([7000]))
    in_cache(lake.tables[0]).overwrite(rows_of([1]))
    read = lake.snapshots(lake.tables[0].pointer)
    api.repair_lake(plan, change=True)
    lose_the_old_buckets(lake)
    now = lake.snapshots(lake.tables[0].pointer)
    assert {key: now[key] for key in read} == read
    assert not names_old(lake, lake.tables[0].pointer) and api.verify_lake(plan).ok


def test_a_commit_that_was_under_way_while_planning(lake: SmallLake, tmp_path: Path) -> None:
    """Its manifest was in the old place, and no table named it, so the plan has copied it without changes."""
    under_way = in_cache(lake.tables[0]).transaction()
    under_way.append(rows_of([7000, 7001]))
    plan = plan_of(lake, tmp_path)
    assert api.migrate_lake(plan).ok
    under_way.commit_transaction()
    used, listed = lake.read(lake.tables[0].pointer), lake.listing(TARGET)
    assert {7000, 7001} <= used and not api.verify_lake(plan).ok
    assert api.repair_lake(plan, change=True).ok
    now = lake.listing(TARGET)
    assert {key: now[key] for key in listed} == listed, "nothing was overwritten"
    lose_the_old_buckets(lake)
    assert lake.read(lake.tables[0].pointer) == used and not names_old(lake, lake.tables[0].pointer)
    assert api.verify_lake(plan).ok


def test_a_file_that_another_wave_moves_is_copied(lake: SmallLake, tmp_path: Path) -> None:
    lake.put("gold", "landing/x.parquet", parquet_of([7000]))
    config = tmp_path / "wave.toml"
    config.write_text(lake.config.read_text() + '[tables]\nonly = ["one.db.a"]\n')
    plan = tmp_path / "wave.db"
    assert not api.plan_lake(load(config), plan)["blocked"]
    assert api.migrate_lake(plan).ok
    in_cache(lake.tables[0]).add_files(["s3://gold/landing/x.parquet"])
    used = lake.read(lake.tables[0].pointer)
    done = api.repair_lake(plan, change=True)
    assert done.ok and done.tables[0].copied == 1
    lose_the_old_buckets(lake)
    assert 7000 in used and lake.read(lake.tables[0].pointer) == used


def test_a_file_that_is_gone_stops_no_other_table(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    stale = [in_cache(table) for table in lake.tables[:2]]
    api.migrate_lake(plan)
    known = set(lake.listing("bronze"))
    for table in stale:
        table.append(rows_of([7000]))
    lost = next(key for key in set(lake.listing("bronze")) - known if key.endswith(".parquet"))
    lake.delete("bronze", lost)
    pointer = lake.tables[0].pointer
    done = api.repair_lake(plan, change=True)
    assert not done.ok
    trouble = {table.table: table.trouble for table in done.tables}
    assert lost in trouble["one.db.a"] and "is missing" in trouble["one.db.a"] and not trouble["two.db.b"]
    assert lake.tables[0].pointer == pointer
    lose_the_old_buckets(lake)
    assert 7000 in lake.read(lake.tables[1].pointer)


def test_what_is_in_the_way_at_the_target_is_not_overwritten(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    stale = in_cache(lake.tables[0])
    api.migrate_lake(plan)
    known = set(lake.listing("bronze"))
    stale.append(rows_of([7000]))
    data = next(key for key in set(lake.listing("bronze")) - known if key.endswith(".parquet"))
    lake.put(TARGET, f"bronze/{data}", b"somebody's")
    done = api.repair_lake(plan, change=True)
    trouble = done.tables[0].trouble
    assert not done.ok and "exists already" in trouble and "Move that object away" in trouble
    assert lake.get(TARGET, f"bronze/{data}") == b"somebody's"
    lake.delete(TARGET, f"bronze/{data}")
    assert api.repair_lake(plan, change=True).ok


def test_a_repaired_table_can_go_back(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    stale = in_cache(lake.tables[0])
    api.migrate_lake(plan)
    stale.append(rows_of([7000]))
    api.repair_lake(plan, change=True)
    used = lake.read(lake.tables[0].pointer)
    api.rollback_lake(plan, bring_back=True)
    contents = lake.saved()
    lake.empty(TARGET)
    assert lake.read(lake.tables[0].pointer) == used
    lake.restore(contents)
    assert api.migrate_lake(plan_of(lake, tmp_path, "again")).ok
    lose_the_old_buckets(lake)
    assert lake.read(lake.tables[0].pointer) == used


def test_killed_at_any_step_the_table_reads_as_before(lake: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    stale = in_cache(lake.tables[0])
    api.migrate_lake(plan)
    stale.append(rows_of([7000]))
    used, saved, planned = sql_state(lake)["a"][1], lake.saved(), plan.read_bytes()
    step = 1
    while True:
        with pytest.MonkeyPatch.context() as patch:
            count = die_at(patch, step, LOG, CATALOG, PUT, UPLOAD, COPY)
            with suppress(KeyboardInterrupt):
                api.repair_lake(plan, change=True)
        assert lake.read(lake.tables[0].pointer) == used
        assert api.repair_lake(plan, change=True).ok
        lose_the_old_buckets(lake)
        assert lake.read(lake.tables[0].pointer) == used and not names_old(lake, lake.tables[0].pointer)
        if count[0] < step:
            break
        lake.restore(saved)
        plan.write_bytes(planned)
        step += 1
    assert step > 6, "it has at least so many steps"


@pytest.mark.parametrize("how", ["other rows", "unsupported"])
def test_nothing_is_committed_unless_pyiceberg_counts_the_same_rows(
    lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    from migrator.verifying import same_rows

    plan = plan_of(lake, tmp_path)
    stale = in_cache(lake.tables[0])
    api.migrate_lake(plan)
    stale.append(rows_of([7000]))
    pointer, count = lake.tables[0].pointer, same_rows.count_rows

    def counted(table: Table, snapshot: int) -> int:
        if how == "unsupported":
            raise ValueError("PyIceberg does not yet support equality deletes: https://x")
        return count(table, snapshot) - (table.metadata_location != pointer)

    monkeypatch.setattr(same_rows, "count_rows", counted)
    done = api.repair_lake(plan, change=True)
    (table,) = done.tables
    if how == "unsupported":
        assert done.ok and table.not_compared and lake.tables[0].pointer == table.new_metadata
        assert "The rows were not compared" in render(repair_report(done, plan), 120)
        return
    assert not done.ok and "has 3 rows before the repair, and 2 after it. No pointer was changed" in table.trouble
    assert lake.tables[0].pointer == pointer


def commit_an_old_path(lake: SmallLake, numbers: list[int]) -> None:
    """What an engine does that writes the files of the Hadoop table to a fixed folder in the old bucket."""
    table = lake.tables[2]
    assert isinstance(table, HadoopTable)
    lake.put("bronze", "hwh/ops/h/data/late.parquet", parquet_of(numbers))
    bucket, folder = table.folder
    version = int(lake.get(bucket, f"{folder}/metadata/version-hint.text"))
    with closing(lake.catalog("scratch", "sqlite:///:memory:")) as catalog:
        catalog.create_namespace("db")
        found = catalog.register_table("db.h", table.pointer)
        found.add_files(["s3://bronze/hwh/ops/h/data/late.parquet"])
        made = lake.get(bucket, found.metadata_location.removeprefix(f"s3://{bucket}/"))
    lake.put(bucket, f"{folder}/metadata/v{version + 1}.metadata.json", made)
    lake.put(bucket, f"{folder}/metadata/version-hint.text", str(version + 1).encode())


@pytest.mark.parametrize("how", ["as it is", "other rows", "server away", "killed"])
def test_a_hadoop_table_is_repaired_only_if_the_rows_are_the_same(
    lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Readers of a Hadoop table follow any later version, so that its file must not exist before the rows were
    counted."""
    from migrator.verifying import same_rows

    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan)
    commit_an_old_path(lake, [7000])
    pointer, count = lake.tables[2].pointer, same_rows.count_rows
    assert names_old(lake, pointer)

    def counted(table: Table, snapshot: int) -> int:
        if how == "server away":
            raise ConnectionError("away")
        if how == "killed":
            raise KeyboardInterrupt
        return count(table, snapshot) - (how == "other rows" and table.metadata_location != pointer)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(same_rows, "count_rows", counted)
        done = api.repair_lake(plan, change=True)
        assert done.ok is (how == "as it is")
    if how != "as it is":
        assert lake.tables[2].pointer == pointer
        assert api.repair_lake(plan, change=True).ok
    assert lake.tables[2].pointer != pointer and not names_old(lake, lake.tables[2].pointer)
    assert api.repair_lake(plan, change=False).ok
    assert not lake.listing(TARGET, ".migrator/repair", own=True)
    lose_the_old_buckets(lake)
    assert 7000 in lake.read(lake.tables[2].pointer)


def test_the_command_looks_first_and_says_who_wrote_it(lake: SmallLake, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from migrator.cli.main import main

    plan = plan_of(lake, tmp_path)
    stale = in_cache(lake.tables[0])
    api.migrate_lake(plan)
    stale.append(rows_of([7000]))

    def run(*arguments: str) -> tuple[int, str]:
        ended = CliRunner().invoke(main, ["repair", str(plan), *arguments])
        return ended.exit_code, ended.stdout

    code, text = run()
    assert code == 3 and "one.db.a names" in text and "written by snapshot" in text and "--yes" in text
    code, text = run("--yes")
    assert code == 0 and "Repaired 1 of 1 table" in text and "migrator verify" in text
    code, text = run("--yes", "--json")
    assert code == 0 and json.loads(text)["tables"] == []
