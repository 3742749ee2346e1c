"""Local checkpoints are uploaded: complete, in order, with rewritten logs, and without overwriting anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.small_lake import OLD, TARGET, SmallLake
from migrator import api
from migrator.config import load
from migrator.errors import PlanBlocked, PlanStale
from migrator.planfile.file import PlanFile

FILES = {
    "bronze/metadata": b'{"id":"a"}',
    "bronze/offsets/0": b"v1\n{}",
    "bronze/offsets/1": b"v1\n{}",
    "bronze/commits/0": b"v1\n{}",
    "bronze/state/0/0/1.delta": b"state",
    "silver/metadata": b'{"id":"b"}',
    "silver/offsets/0": b"v1\n{}",
}
CHECKSUM = b"crc\0\0\0\2\0wxyz"
"""Hadoop's checksum file of a file with one chunk."""
LEFT_OUT = {"bronze/offsets/.0.crc": CHECKSUM, "bronze/.metadata.crc": CHECKSUM, "bronze/offsets/.1.4f.tmp": b"x"}
SOURCE_LOG = "silver/sources/0/0"


def log(path: str, timestamp: int) -> bytes:
    return b"v1\n" + json.dumps({"path": path, "timestamp": timestamp, "batchId": 0}, separators=(",", ":")).encode()


@pytest.fixture
def folder(lake: SmallLake, tmp_path: Path) -> Iterator[Path]:
    """Checkpoints in a local folder with a rule; one of them names an object of the lake."""
    checkpoints = tmp_path / "checkpoints ü"
    for name, data in {**FILES, **LEFT_OUT, SOURCE_LOG: log("s3a://bronze/plain/b", 5)}.items():
        (checkpoints / name).parent.mkdir(parents=True, exist_ok=True)
        (checkpoints / name).write_bytes(data)
    (checkpoints / "bronze" / "link").symlink_to(checkpoints / "silver")
    with lake.with_rules(f'"file://{checkpoints}/" = "checkpoints/"'):
        yield checkpoints


def plan_of(lake: SmallLake, folder: Path, name: str = "p.db") -> Path:
    path = folder / name
    assert not api.plan_lake(load(lake.config), path)["blocked"]
    return path


def blocks(lake: SmallLake, path: Path) -> list[tuple[str, str]]:
    described = api.plan_lake(load(lake.config), path)
    return [(found["code"], found["message"]) for found in described["findings"] if found["severity"] == "block"]


def check_uploaded(lake: SmallLake) -> None:
    at_target = lake.listing(TARGET, "checkpoints/")
    assert set(at_target) == {f"checkpoints/{name}" for name in (*FILES, SOURCE_LOG)}
    for name, data in FILES.items():
        assert lake.get(TARGET, f"checkpoints/{name}") == data
    entry = json.loads(lake.get(TARGET, f"checkpoints/{SOURCE_LOG}").split(b"\n")[1])
    copy = lake.listing(TARGET)["bronze/plain/b"][2].timestamp() * 1000
    assert entry["path"] == f"s3a://{TARGET}/bronze/plain/b" and copy <= entry["timestamp"] < copy + 1000


def test_local_checkpoints_are_uploaded(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    described = api.plan_lake(load(lake.config), tmp_path / "p.db")
    (found,) = [found for found in described["findings"] if found["code"] == "local-files"]
    assert found["count"] == 8 and "1 symbolic link or other special files are left out" in found["message"]
    copied = 8 + len(FILES)  # the objects of the lake that are copied as they are, and the local files
    assert described["actions"]["copy"]["objects"] == copied
    plan = tmp_path / "p.db"
    done = api.migrate_lake(plan)
    assert done.ok and done.outcome.copied == copied
    check_uploaded(lake)
    for bucket in OLD:
        lake.empty(bucket)
    assert api.verify_lake(plan, deep=True).ok
    assert (folder / "bronze/metadata").exists()


def test_ids_come_last(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    with PlanFile.open(plan, read_only=True) as opened:
        rows = opened.db.execute(
            "SELECT o.target FROM copied_last c JOIN objects o ON o.id = c.object_id ORDER BY c.rank, o.target"
        ).fetchall()
    names = [key.partition("/")[2] for (key,) in rows]
    assert names[:3] == ["bronze/offsets/0", "bronze/offsets/1", "silver/offsets/0"]
    assert names[-2:] == ["bronze/metadata", "silver/metadata"]
    api.migrate_lake(plan)
    times = {key: found[2] for key, found in lake.listing(TARGET, "checkpoints/").items()}
    assert max(times.values()) == max(times[f"checkpoints/{name}/metadata"] for name in ("bronze", "silver"))


def test_planning_again_finds_nothing_to_do(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    api.migrate_lake(plan_of(lake, tmp_path))
    again = api.plan_lake(load(lake.config), tmp_path / "again.db")
    assert not again["blocked"] and not again["changes_pending"]
    assert api.migrate_lake(tmp_path / "again.db").nothing_to_do and api.verify_lake(tmp_path / "again.db").ok


def test_a_stream_that_runs_while_the_lake_is_copied(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    api.copy_lake(plan)
    (folder / "bronze/commits/1").write_bytes(b"v1\n{}")
    (folder / "bronze/offsets/2").write_bytes(b"v1\n{}")
    (folder / "bronze/offsets/0").unlink()
    (folder / SOURCE_LOG).write_bytes(log("s3a://gold/d", 7))
    api.copy_lake(plan)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    assert lake.get(TARGET, "checkpoints/bronze/offsets/2") == b"v1\n{}"
    assert b"s3a://lake/gold/d" in lake.get(TARGET, f"checkpoints/{SOURCE_LOG}")


@pytest.mark.parametrize("change", ["added", "changed", "removed"])
def test_what_changes_after_planning_stops_the_cutover(
    lake: SmallLake, folder: Path, tmp_path: Path, change: str
) -> None:
    plan = plan_of(lake, tmp_path)
    api.migrate_lake(plan, cutover=False)
    before = [table.pointer for table in lake.tables]
    if change == "added":
        (folder / "bronze/commits/1").write_bytes(b"v1\n{}")
    elif change == "changed":
        (folder / "bronze/offsets/1").write_bytes(b"v1\n{...}")
    else:
        (folder / "bronze/offsets/1").unlink()
    with pytest.raises(PlanStale, match="file://"):
        api.migrate_lake(plan)
    assert [table.pointer for table in lake.tables] == before


def test_a_file_that_changes_before_it_is_uploaded(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    plan = plan_of(lake, tmp_path)
    (folder / "bronze/state/0/0/1.delta").write_bytes(b"other")
    with pytest.raises(PlanStale, match="changed since planning"):
        api.migrate_lake(plan)


def test_nothing_of_anybodys_is_overwritten(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    lake.put(TARGET, "checkpoints/bronze/offsets/0", b"of another stream")
    assert [code for code, _ in blocks(lake, tmp_path / "p.db")] == ["target-differs"]
    lake.put(TARGET, "checkpoints/bronze/offsets/0", FILES["bronze/offsets/0"])
    assert not blocks(lake, tmp_path / "equal.db")
    assert api.migrate_lake(tmp_path / "equal.db").ok
    with pytest.raises(PlanBlocked):
        api.migrate_lake(tmp_path / "p.db")


def test_two_checkpoints_for_one_place(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    lake.put("gold", "cp/bronze/metadata", b'{"id":"c"}')
    lake.put("gold", "cp/bronze/offsets/0", b"v1")
    with lake.with_rules('"s3://gold/cp/" = "checkpoints/"'):
        assert {code for code, _ in blocks(lake, tmp_path / "p.db")} == {"key-collision"}


@pytest.mark.parametrize("trouble", ["missing", "empty", "unreadable", "gap", "no id"])
def test_what_is_not_whole_blocks(lake: SmallLake, folder: Path, tmp_path: Path, trouble: str) -> None:
    if trouble == "missing":
        folder.rename(folder.with_name("elsewhere"))
        expected = ("local-folder", "does not exist on this machine, or is no folder")
    elif trouble == "empty":
        folder.rename(folder.with_name("elsewhere"))
        folder.mkdir()
        expected = ("local-folder", "has no file")
    elif trouble == "unreadable":
        (folder / "bronze/offsets/0").unlink()
        (folder / "bronze/offsets/0").symlink_to(folder / "nowhere")
        expected = ("checkpoint-incomplete", "has offsets/1, but no commits/0")
        (folder / "bronze/commits/0").unlink()
    elif trouble == "gap":
        (folder / "bronze/offsets/3").write_bytes(b"v1")
        expected = ("checkpoint-incomplete", "is the checkpoint of a stream, and lacks offsets/2")
    else:
        (folder / "bronze/metadata").unlink()
        expected = ("checkpoint-incomplete", "has no file metadata")
    ((code, message),) = blocks(lake, tmp_path / "p.db")
    assert code == expected[0] and expected[1] in message


def test_the_longest_rule_decides(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    silver, state = f'"file://{folder}/silver/" = "other/silver/"', f'"file://{folder}/bronze/state/" = false'
    with lake.with_rules(silver, state):
        assert api.migrate_lake(plan_of(lake, tmp_path)).ok
    there = {*lake.listing(TARGET, "checkpoints/"), *lake.listing(TARGET, "other/")}
    assert "other/silver/metadata" in there and "checkpoints/bronze/metadata" in there
    assert not [key for key in there if "/state/" in key or key.startswith("checkpoints/silver/")]


@pytest.mark.parametrize("rule", ["file://tmp/cp/", "file://localhost/tmp/cp/", "File:///tmp/cp/", "file:///"])
def test_a_rule_that_would_upload_nothing_blocks(lake: SmallLake, tmp_path: Path, rule: str) -> None:
    with lake.with_rules(f'"{rule}" = "checkpoints/"'):
        assert [code for code, _ in blocks(lake, tmp_path / "p.db")] == ["local-folder"]


@pytest.mark.parametrize("data", [b"v2\n" + log("s3a://gold/d", 1)[3:], log("s3a://gold/d", 1)[:-1]])
def test_a_log_that_cannot_be_rewritten_blocks(lake: SmallLake, folder: Path, tmp_path: Path, data: bytes) -> None:
    (folder / SOURCE_LOG).write_bytes(data)
    assert [code for code, _ in blocks(lake, tmp_path / "p.db")] == ["file-source-log"]


def test_a_log_of_uploaded_files_gets_their_times(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    (folder / "landing").mkdir()
    (folder / "landing" / "a b").write_bytes(b"{}")
    (folder / SOURCE_LOG).write_bytes(log(f"file://{folder}/landing/a%20b".replace(" ü", "%20ü"), 5))
    assert api.migrate_lake(plan_of(lake, tmp_path)).ok
    entry = json.loads(lake.get(TARGET, f"checkpoints/{SOURCE_LOG}").split(b"\n")[1])
    copy = lake.listing(TARGET)["checkpoints/landing/a b"][2].timestamp() * 1000
    assert entry["path"].endswith("checkpoints/landing/a%20b") and copy <= entry["timestamp"] < copy + 1000


def test_equal_bytes_under_another_etag_are_the_same(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    """An upload in parts, or an encrypting target."""
    where = {"Bucket": TARGET, "Key": "checkpoints/bronze/metadata"}
    upload = lake.client.create_multipart_upload(**where)["UploadId"]
    part = lake.client.upload_part(**where, UploadId=upload, PartNumber=1, Body=FILES["bronze/metadata"])
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    lake.client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
    assert not blocks(lake, tmp_path / "p.db")
    lake.put(TARGET, "checkpoints/bronze/metadata", FILES["bronze/metadata"].swapcase())
    assert [code for code, _ in blocks(lake, tmp_path / "other.db")] == ["target-differs"]


def test_a_lake_without_tables_is_cut_over_after_its_passes(tmp_path: Path, lake: SmallLake) -> None:
    config = tmp_path / "lake.toml"
    config.write_text(
        f'[source]\nendpoint_url = "{lake.server.endpoint_url}"\n[target]\nbucket = "{TARGET}"\n'
        '[layout]\n"s3://gold/plain/" = "gold/plain/"\n'
    )
    plan = tmp_path / "p.db"
    api.plan_lake(load(config), plan)
    api.copy_lake(plan)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    assert api.plan_status(plan).phase == "finished"


def test_a_wave_leaves_local_files_for_later(lake: SmallLake, folder: Path, tmp_path: Path) -> None:
    plan = tmp_path / "wave.db"
    described = api.plan_lake(replace(load(lake.config), only=("one.db.a",)), plan)
    assert not described["blocked"] and "local-files" not in {found["code"] for found in described["findings"]}
    (folder / "bronze/commits/1").write_bytes(b"v1\n{}")
    assert api.migrate_lake(plan).ok and not lake.listing(TARGET, "checkpoints/")


def test_a_rule_for_recorded_paths_needs_no_folder(lake: SmallLake, tmp_path: Path) -> None:
    """Another rule moves objects to its target, so this rule may only map the paths that tables record."""
    with lake.with_rules('"file:///not/here/" = "bronze/wh/"'):
        assert not blocks(lake, tmp_path / "p.db")
