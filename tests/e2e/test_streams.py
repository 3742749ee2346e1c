"""The logs of Spark's streams, written by hand: they are rewritten, verified, and left alone as soon as streams
continue at the target. ``tests/engines/test_streams.py`` runs real streams.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from e2e.small_lake import OLD, TARGET, SmallLake
from migrator import api
from migrator.config import load
from migrator.errors import MigrationFailed, PlanBlocked
from migrator.planfile.file import PlanFile

CHECKPOINT, SINK = "checkpoints/in", "out"
DATA = [f"landing/day=1/größe {number}.json" for number in range(3)]
OUTPUT = [f"{SINK}/part-{number}.parquet" for number in range(2)]
DAYS = 86_400_000


def uri(bucket: str, key: str) -> str:
    return f"s3a://{bucket}/{key.replace(' ', '%20')}"


def log(lines: Iterable[dict[str, object]]) -> bytes:
    return "\n".join(["v1", *(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)]).encode()


def source_log(keys: Iterable[str], batch: int) -> bytes:
    return log({"path": uri("bronze", key), "timestamp": 1000 * DAYS, "batchId": batch} for key in keys)


def sink_log(bucket: str, keys: Iterable[str]) -> bytes:
    return log({"path": uri(bucket, key), "size": 1, "modificationTime": 5, "action": "add"} for key in keys)


def entries(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.decode().split("\n")[1:]]


@pytest.fixture
def streams(lake: SmallLake) -> SmallLake:
    """A stream that read ``DATA`` in three batches, a sink that wrote ``OUTPUT``, and a list of links."""
    for key in DATA + OUTPUT:
        lake.put("bronze", key, key.encode())
    for batch, key in enumerate(DATA):
        lake.put("bronze", f"{CHECKPOINT}/sources/0/{batch}", source_log([key], batch))
        for part in ("offsets", "commits"):
            lake.put("bronze", f"{CHECKPOINT}/{part}/{batch}", b'v1\n{"logOffset":%d}' % batch)
    lake.put("bronze", f"{CHECKPOINT}/metadata", b'{"id":"a"}')
    lake.put("bronze", f"{SINK}/_spark_metadata/0", sink_log("bronze", OUTPUT[:1]))
    lake.put("bronze", f"{SINK}/_spark_metadata/1", sink_log("bronze", OUTPUT[1:]))
    over_sink = log({"path": uri("bronze", key), "timestamp": 5, "batchId": 0} for key in OUTPUT)
    lake.put("bronze", "checkpoints/over/sources/0/0", over_sink)
    lake.put("gold", "t/_symlink_format_manifest/manifest", b"s3://bronze/landing/a b\ns3://elsewhere/x\n")
    return lake


def plan_of(lake: SmallLake, folder: Path, name: str = "p.db") -> Path:
    path = folder / name
    assert not api.plan_lake(load(lake.config), path)["blocked"]
    return path


def check_rewritten(lake: SmallLake) -> None:
    """Check that all three kinds of logs name the copies, and have the times of the copies in whole seconds."""
    listed = lake.listing(TARGET)

    def written_at(key: str) -> int:
        return math.ceil(listed[key][2].timestamp()) * 1000

    for batch, key in enumerate(DATA):
        (entry,) = entries(lake.get(TARGET, f"bronze/{CHECKPOINT}/sources/0/{batch}"))
        assert entry["path"] == uri(TARGET, f"bronze/{key}") and entry["batchId"] == batch
        assert entry["timestamp"] == written_at(f"bronze/{key}")
    for batch in range(2):
        (entry,) = entries(lake.get(TARGET, f"bronze/{SINK}/_spark_metadata/{batch}"))
        key = f"bronze/{OUTPUT[batch]}"
        assert entry == {"path": uri(TARGET, key), "size": 1, "modificationTime": written_at(key), "action": "add"}
    over = entries(lake.get(TARGET, "bronze/checkpoints/over/sources/0/0"))
    expected = [(uri(TARGET, f"bronze/{key}"), written_at(f"bronze/{key}")) for key in OUTPUT]
    assert [(entry["path"], entry["timestamp"]) for entry in over] == expected
    manifest = lake.get(TARGET, "gold/t/_symlink_format_manifest/manifest")
    assert manifest == f"s3://{TARGET}/bronze/landing/a b\ns3://elsewhere/x\n".encode()


def test_streams_move(streams: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(streams, tmp_path)
    done = api.migrate_lake(plan)
    assert done.ok and done.outcome.rewritten >= 6
    check_rewritten(streams)
    for bucket in OLD:
        streams.empty(bucket)
    verification = api.verify_lake(plan)
    assert verification.ok
    (check,) = [check for check in verification.checks if "logs of streams" in check.name]
    assert check.checked == 7


def test_planning_again_finds_nothing_to_do(streams: SmallLake, tmp_path: Path) -> None:
    api.migrate_lake(plan_of(streams, tmp_path))
    again = api.plan_lake(load(streams.config), tmp_path / "again.db")
    assert not again["blocked"] and not again["changes_pending"]
    assert api.migrate_lake(tmp_path / "again.db").nothing_to_do and api.verify_lake(tmp_path / "again.db").ok


def test_ids_come_last(streams: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files with which a stream starts are at the target only when everything else is."""
    plan = plan_of(streams, tmp_path)
    api.migrate_lake(plan, cutover=False)
    with PlanFile.open(plan, read_only=True) as opened:
        order = [key for (key,) in opened.db.execute(
            "SELECT o.key FROM copied_last c JOIN objects o ON o.id = c.object_id ORDER BY c.rank, o.key"
        )]  # fmt: skip
    parts = [f"{CHECKPOINT}/{part}/{batch}" for part in ("offsets", "commits") for batch in range(3)]
    assert order == [*parts, f"{CHECKPOINT}/metadata"]
    times = streams.listing(TARGET)
    last = times[f"bronze/{CHECKPOINT}/metadata"][2]
    assert all(times[f"bronze/{key}"][2] <= last for key in [*DATA, *parts, f"{CHECKPOINT}/sources/0/0"])


def test_a_stream_that_runs_while_the_lake_is_copied(streams: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(streams, tmp_path)
    api.copy_lake(plan)
    more = [f"landing/day=2/{batch}" for batch in (3, 4)]
    for batch, key in enumerate(more, start=3):
        streams.put("bronze", key, b"more")
        streams.put("bronze", f"{CHECKPOINT}/sources/0/{batch}", source_log([key], batch))
        for part in ("offsets", "commits"):
            streams.put("bronze", f"{CHECKPOINT}/{part}/{batch}", b"v1")
    streams.put("bronze", DATA[0], b"written again")  # its copy is newer than the log at the target says
    streams.delete("bronze", f"{CHECKPOINT}/offsets/0")
    streams.delete("bronze", f"{CHECKPOINT}/commits/0")
    second = api.copy_lake(plan)
    assert not second.not_prepared and not any(check.failed for check in second.compared)
    done = api.cutover_lake(plan, quiet_for=0)
    assert done.migration.ok
    check_rewritten(streams)
    (entry,) = entries(streams.get(TARGET, f"bronze/{CHECKPOINT}/sources/0/4"))
    assert entry["path"] == uri(TARGET, f"bronze/{more[1]}")


@pytest.mark.parametrize("how", ["the same plan", "a new plan", "a pass"])
def test_a_run_that_is_killed_between_the_copies_and_the_logs(
    streams: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The logs at the target have the times of earlier copies: the run that continues must notice this."""
    plan = plan_of(streams, tmp_path)
    api.copy_lake(plan)
    streams.put("bronze", DATA[0], b"written again")
    time.sleep(1.1)  # LastModified is in whole seconds there

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("migrator.migration.rewrite_logs", killed)
        with pytest.raises(KeyboardInterrupt):
            api.copy_lake(plan)
    if how == "a new plan":
        plan = plan_of(streams, tmp_path, "new.db")
    if how == "a pass":
        api.copy_lake(plan)
        assert api.cutover_lake(plan, quiet_for=0).migration.ok
    else:
        assert api.migrate_lake(plan).ok
    check_rewritten(streams)


def test_after_retire_a_stream_in_use_is_left_alone(streams: SmallLake, tmp_path: Path) -> None:
    """Only the files that the stream has removed at the target are left in the old checkpoint, not its id."""
    api.migrate_lake(plan_of(streams, tmp_path))
    for batch in range(3, 8):
        for part in ("offsets", "commits"):
            streams.put(TARGET, f"bronze/{CHECKPOINT}/{part}/{batch}", b"v1")
    streams.put(TARGET, f"bronze/{SINK}/_spark_metadata/9.compact", b"v1")
    for key in (f"{CHECKPOINT}/offsets/0", f"{CHECKPOINT}/commits/0", f"{SINK}/_spark_metadata/0"):
        streams.delete(TARGET, f"bronze/{key}")
    for part in ("metadata", "offsets/1", "offsets/2", "commits/1", "commits/2"):
        streams.delete("bronze", f"{CHECKPOINT}/{part}")
    streams.delete("bronze", f"{SINK}/_spark_metadata/1")
    described = api.plan_lake(load(streams.config), tmp_path / "again.db")
    assert not described["blocked"] and not described["changes_pending"]


def test_a_log_with_a_wrong_line_stops_before_the_cutover(streams: SmallLake, tmp_path: Path) -> None:
    streams.put("bronze", f"{SINK}/_spark_metadata/00", b"v1\n{broken")  # older than the one that planning reads
    plan = plan_of(streams, tmp_path)
    before = [table.pointer for table in streams.tables]
    with pytest.raises(MigrationFailed, match="line 2 cannot be read"):
        api.migrate_lake(plan)
    assert [table.pointer for table in streams.tables] == before


def test_a_log_that_is_not_what_it_should_be_stops_before_the_cutover(
    streams: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison does not trust the code that rewrites."""

    def wrong(path: str, *_: object) -> str:
        return path.replace("s3a://bronze/", f"s3a://{TARGET}/")

    monkeypatch.setattr("migrator.carriers.logs.mapped_uri", wrong)
    plan = plan_of(streams, tmp_path)
    before = [table.pointer for table in streams.tables]
    with pytest.raises(MigrationFailed, match="differs from that of the old log with the new path"):
        api.migrate_lake(plan)
    assert [table.pointer for table in streams.tables] == before


def test_a_stream_that_continues_at_the_target_is_no_difference(streams: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(streams, tmp_path)
    api.migrate_lake(plan)
    for batch in range(3, 8):
        for part in ("offsets", "commits", "sources/0"):
            streams.put(TARGET, f"bronze/{CHECKPOINT}/{part}/{batch}", b"v1")
    streams.put(TARGET, f"bronze/{SINK}/_spark_metadata/9.compact", b"v1")
    for batch in range(3):
        for part in ("offsets", "commits", "sources/0"):
            streams.delete(TARGET, f"bronze/{CHECKPOINT}/{part}/{batch}")
    streams.delete(TARGET, f"bronze/{SINK}/_spark_metadata/0")
    verification = api.verify_lake(plan)
    assert verification.ok
    (check,) = [check for check in verification.checks if "every object" in check.name]
    assert check.not_compared == 10
    again = api.plan_lake(load(streams.config), tmp_path / "again.db")
    assert not again["blocked"] and not again["changes_pending"]


def test_what_is_lost_of_a_checkpoint_that_nobody_used_is_a_difference(streams: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(streams, tmp_path)
    api.migrate_lake(plan)
    streams.delete(TARGET, f"bronze/{CHECKPOINT}/offsets/2")
    streams.delete(TARGET, f"bronze/{SINK}/_spark_metadata/0")
    verification = api.verify_lake(plan)
    assert not verification.ok
    assert sum(check.failed for check in verification.checks) == 2


@pytest.mark.parametrize("missing", ["metadata", "offsets/1", "commits/1"])
def test_a_checkpoint_from_which_no_stream_can_continue_blocks(
    streams: SmallLake, tmp_path: Path, missing: str
) -> None:
    streams.delete("bronze", f"{CHECKPOINT}/{missing}")
    described = api.plan_lake(load(streams.config), tmp_path / "p.db")
    (found,) = [finding for finding in described["findings"] if finding["severity"] == "block"]
    assert (found["code"], found["place"]) == ("checkpoint-incomplete", f"s3://bronze/{CHECKPOINT}/")
    assert missing in found["message"]
    with pytest.raises(PlanBlocked):
        api.migrate_lake(tmp_path / "p.db")
    accepted = load(streams.config).override(accept=("checkpoint-incomplete",))
    assert not api.plan_lake(accepted, tmp_path / "accepted.db")["blocked"]
