"""Logs, checkpoints and manifests that name what moves are rewritten, or become findings; the others are copied."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.carriers.kinds import FLINK_MAGIC
from migrator.errors import AccessDenied
from migrator.plan import carriers
from migrator.store import Store
from plan.handmade import blocks, checksum, planned, put

OLD, ELSEWHERE = "s3a://bronze/in/a%20b", "s3a://not-of-the-lake/in/a"


def add(path: str) -> str:
    return json.dumps({"add": {"path": path, "size": 1}})


def checkpoint(path: str) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"add": pa.array([{"path": path}], pa.struct([("path", pa.string())]))}), sink)
    return sink.getvalue()


BLOCKING: dict[str, tuple[str, Any]] = {
    "_delta_log/00000000000000000000.json": ("delta-log", add),
    "_delta_log/00000000000000000010.checkpoint.parquet": ("delta-log", checkpoint),
    "_spark_metadata/7": ("sink-log", lambda path: f'v2\n{{"path":"{path}"}}'),
    "sources/5/0": ("file-source-log", lambda path: f'\0v1\n{{"path":"{path}"}}'),
    "symlinks/part-0": ("symlink-manifest", lambda path: f'"{path}"\n'),
    "chk-7/_metadata": ("flink-checkpoint", lambda path: FLINK_MAGIC + path.encode()),
    "schema/schema-3": (
        "paimon-schema",
        lambda path: json.dumps({"fields": [], "options": {"data-file.external-paths": f"oss://b/x, {path}"}}),
    ),
    ".hoodie/hoodie.properties": ("hudi-log", lambda path: f"a=b\nhoodie.bootstrap.base.path={path}\n"),
}
REWRITTEN: dict[str, tuple[str, Any]] = {
    "_spark_metadata/0": ("sink-log", lambda path: f'v1\n{{"path":"{path}"}}'),
    "_spark_metadata/9.compact": ("sink-log", lambda path: f'v1\n{{"path":"{path}"}}'),
    "sources/0/0": ("file-source-log", lambda path: f'v1\n{{"path":"{path}"}}'),
    "sources/3/19.compact": ("file-source-log", lambda path: f'v1\n{{"path":"{path}"}}'),
    "_symlink_format_manifest/d=1/manifest": ("symlink-manifest", lambda path: f"{path}\n"),
}
CARRIERS = BLOCKING | REWRITTEN


def fill(store: Store, files: dict[str, bytes | str]) -> None:
    for uri, data in files.items():
        put(store, uri, data.encode() if isinstance(data, str) else data)


@pytest.mark.parametrize("root", ["s3://bronze/", "s3://warehouse/a/b/"])
@pytest.mark.parametrize("name", BLOCKING)
def test_what_names_old_places_blocks_until_it_is_accepted_or_left_out(
    lake: Store, tmp_path: Path, root: str, name: str
) -> None:
    code, make = BLOCKING[name]
    fill(lake, {root + name: make(OLD)})
    described = planned(lake, tmp_path)
    (found,) = [f for f in described["findings"] if f["severity"] == "block"]
    assert (found["code"], found["place"]) == (code, root + name) and "bronze/in/a" in found["message"]
    assert f'[plan] accept = ["{code}"]' in found["next_move"]
    (tmp_path / "accepted").mkdir()
    assert not planned(lake, tmp_path / "accepted", accept=(code,))["blocked"]
    left = found["next_move"].partition('is: "')[2].partition('" = false')[0]
    assert (root + name).startswith(left)
    (tmp_path / "left").mkdir()
    layout = {"s3://bronze/": "bronze/", "s3://warehouse/": "warehouse/", left: False}
    assert not planned(lake, tmp_path / "left", layout=layout)["blocked"]


@pytest.mark.parametrize("root", ["s3://bronze/", "s3://warehouse/a/b/"])
@pytest.mark.parametrize("name", REWRITTEN)
def test_logs_of_streams_and_lists_of_links_are_rewritten(lake: Store, tmp_path: Path, root: str, name: str) -> None:
    code, make = REWRITTEN[name]
    folder, _, file = name.rpartition("/")
    data = make(OLD)
    fill(lake, {root + name: data, f"{root}{folder}/other": "copied"})
    put(lake, f"{root}{folder}/.{file}.crc", checksum(data.encode() if isinstance(data, str) else data))
    described = planned(lake, tmp_path)
    (found,) = [f for f in described["findings"] if f["code"] == code]
    assert (found["severity"], found["place"], found["count"]) == ("warn", root + name, 1)
    assert "are rewritten" in found["message"] and "cutover" in found["next_move"]
    assert not described["blocked"] and described["actions"]["skip"]["objects"] == 1
    other = described["actions"]["rewrite"]["objects"] - 1
    assert other == (code == "symlink-manifest") and described["actions"]["copy"]["objects"] == 1 - other


def test_what_only_has_the_name_of_a_checksum_is_copied(lake: Store, tmp_path: Path) -> None:
    log = f'v1\n{{"path":"{OLD}"}}'
    fill(lake, {"s3://bronze/out/_spark_metadata/0": log, "s3://bronze/out/_spark_metadata/.0.crc": "sum"})
    described = planned(lake, tmp_path)
    assert [described["actions"][action]["objects"] for action in ("skip", "copy", "rewrite")] == [0, 1, 1]
    assert "checksum-files" not in [f["code"] for f in described["findings"]]


def test_a_log_is_rewritten_as_a_whole(lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the files that were not read: only some of them may name what moves."""
    log = "s3://bronze/out/_spark_metadata"
    fill(lake, {f"{log}/{n}": f'v1\n{{"path":"{OLD if n == 3 else ELSEWHERE}"}}' for n in range(20)})
    others = (f"{log}.old/1", f"{log}/x", "s3://bronze/p")
    fill(lake, {other: f'v1\n{{"path":"{OLD}"}}' for other in others})
    monkeypatch.setattr(carriers, "MOST_FILES", 4)
    described = planned(lake, tmp_path)
    assert not described["blocked"] and described["actions"]["rewrite"]["objects"] == 20
    assert described["actions"]["copy"]["objects"] == 3


@pytest.mark.parametrize("folder", ["sources/2026", "_spark_metadata", "_symlink_format_manifest"])
def test_files_of_others_with_such_names_are_copied(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """There are more of them than are read, so what the others hold is not known; but they are no logs."""
    fill(lake, {f"s3://bronze/x/{folder}/{n}": f"row {n}" for n in range(20)})
    monkeypatch.setattr(carriers, "MOST_FILES", 4)
    described = planned(lake, tmp_path)
    assert not described["blocked"] and described["actions"]["rewrite"]["objects"] == 0
    assert described["actions"]["copy"]["objects"] == 20


def test_a_log_that_names_what_no_rule_covers_blocks(lake: Store, tmp_path: Path) -> None:
    fill(lake, {"s3://bronze/in/_spark_metadata/0": 'v1\n{"path":"s3a://bronze/in/x"}\n{"path":"s3a://bronze/tmp/y"}'})
    described = planned(lake, tmp_path, layout={"s3://bronze/in/": "bronze/in/", "s3://warehouse/": "warehouse/"})
    (found,) = [f for f in described["findings"] if f["severity"] == "block"]
    assert found["code"] == "sink-log" and "no rule of [layout] covers s3a://bronze/tmp/y" in found["message"]


@pytest.mark.parametrize(
    "path", [ELSEWHERE, "part-0.parquet", "hdfs://n/x", "s3://data-lake/bronze/x", "s3://bronze/stays/x"]
)
def test_what_names_nothing_that_moves_is_just_copied(lake: Store, tmp_path: Path, path: str) -> None:
    fill(lake, {f"s3://bronze/a/{name}": make(path) for name, (_, make) in CARRIERS.items()})
    fill(
        lake, {"s3://bronze/b/_metadata": "PAR1 s3://bronze/x PAR1", "s3://bronze/b/sources/0/0": '\0v1\n{"e":{"0":0}}'}
    )
    layout = {"s3://bronze/": "bronze/", "s3://warehouse/": "warehouse/", "s3://bronze/stays/": False}
    described = planned(lake, tmp_path, layout=layout)
    assert not blocks(described) and not {code for code, _ in CARRIERS.values()} & {
        f["code"] for f in described["findings"]
    }


@pytest.mark.parametrize("path", ["S3A://bronze/in/x", "S3://bronze/in/x"])
def test_a_scheme_in_capitals_is_not_mapped_and_blocks(lake: Store, tmp_path: Path, path: str) -> None:
    fill(lake, {"s3://bronze/a/_spark_metadata/0": f'v1\n{{"path":"{path}"}}'})
    assert blocks(planned(lake, tmp_path)) == ["sink-log"]


def test_logs_that_name_what_came_from_elsewhere_are_rewritten(lake: Store, tmp_path: Path) -> None:
    fill(lake, {"s3://bronze/a/sources/0/0": 'v1\n{"path":"hdfs://nn/in/a%20b","timestamp":1,"batchId":0}'})
    layout = {"s3://bronze/": "bronze/", "s3://warehouse/": "warehouse/", "hdfs://nn/in/": "bronze/in/"}
    described = planned(lake, tmp_path, layout=layout)
    assert not described["blocked"] and described["actions"]["rewrite"]["objects"] == 1


def test_one_finding_for_a_checkpoint_and_a_count_for_many(lake: Store, tmp_path: Path) -> None:
    for job in range(30):
        for source in range(2):
            fill(lake, {f"s3://bronze/j{job:02}/sources/{source}/{n}": f'v1\n{{"path":"{OLD}"}}' for n in range(3)})
    found = [f for f in planned(lake, tmp_path)["findings"] if f["code"] == "file-source-log"]
    assert len(found) == carriers.EXAMPLES and sum(f["count"] for f in found) == 60  # one for each source
    assert found[0]["place"] == "s3://bronze/j00/sources/0/2"


def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(key, bytes) of every piece that is read from now on."""
    seen: list[tuple[str, int]] = []
    ask = Store.read_part

    def noted(self: Store, bucket: str, key: str, etag: str, span: tuple[int, int]) -> bytes:
        seen.append((key, span[1] - span[0] + 1))
        return ask(self, bucket, key, etag, span)

    monkeypatch.setattr(Store, "read_part", noted)
    return seen


def test_of_a_long_log_the_newest_files_are_read(lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = "s3://bronze/t/_delta_log/"
    fill(lake, {f"{log}{n:020}.json": add(OLD if n == 0 else "p") for n in range(20)})
    fill(lake, {f"{log}{n:020}.checkpoint.parquet": checkpoint(OLD if n == 5 else "p") for n in (5, 10)})
    monkeypatch.setattr(carriers, "MOST_FILES", 8)
    seen = read(monkeypatch)
    described = planned(lake, tmp_path)
    (found,) = [f for f in described["findings"] if f["code"] == "delta-log"]
    assert found["severity"] == "info" and "8 of its 22 files" in found["message"]
    keys = {key.rpartition("/")[2].lstrip("0") for key, _ in seen}
    assert keys == {"10.checkpoint.parquet", *(f"{n}.json" for n in range(13, 20))}


def test_large_files_are_not_read_whole(lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = '{"add":{"path":"%s","x":"' + "x" * 50 + '"}}\n'
    fill(lake, {
        "s3://bronze/found/_delta_log/00.json": line % OLD * 100_000,
        "s3://bronze/unknown/_delta_log/00.json": line % ELSEWHERE * 100_000,
        "s3://bronze/late/_delta_log/00.json": line % ELSEWHERE * 100_000 + line % OLD,
    })  # fmt: skip
    seen = read(monkeypatch)
    found = {f["place"].split("/")[3]: f for f in planned(lake, tmp_path)["findings"] if f["code"] == "delta-log"}
    assert {folder: f["severity"] for folder, f in found.items()} == {
        "found": "block",
        "unknown": "warn",
        "late": "block",
    }
    assert "too large" in found["unknown"]["message"]
    assert sum(size for key, size in seen if "found/" in key) == carriers.HEAD
    assert sum(size for key, size in seen if "unknown/" in key) < 5 << 20


@pytest.mark.parametrize("limit", ["MOST_READS", "MOST_BYTES"])
def test_what_is_read_for_a_plan_is_bounded(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    fill(lake, {f"s3://bronze/j{n}/_delta_log/0.json": add("p" * 20) for n in range(20)})
    monkeypatch.setattr(carriers, limit, 5 if limit == "MOST_READS" else 100)
    seen = read(monkeypatch)
    found = [f for f in planned(lake, tmp_path)["findings"] if f["code"] == "delta-log"]
    assert (
        len(seen) <= 6 and found and all("is not known" in f["message"] or "too large" in f["message"] for f in found)
    )


def test_what_cannot_be_read_is_reported(lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake, {"s3://bronze/t/_delta_log/0.checkpoint.parquet": "no Parquet", "s3://bronze/j/sources/0/0": "v1"})
    ask = Store.read_part

    def denied(self: Store, bucket: str, key: str, *more: Any) -> bytes:
        if "sources" in key:
            raise AccessDenied("access denied")
        return ask(self, bucket, key, *more)

    monkeypatch.setattr(Store, "read_part", denied)
    described = planned(lake, tmp_path)
    assert sorted(blocks(described)) == ["delta-log", "file-source-log"]
    assert all("is not known" in f["message"] for f in described["findings"] if f["severity"] == "block")


def test_more_logs_than_can_be_distinguished_are_counted(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake, {f"s3://bronze/j{n}/sources/0/0": f'v1\n{{"path":"{ELSEWHERE}"}}' for n in range(5)})
    monkeypatch.setattr(carriers, "MOST_LOGS", 2)
    (found,) = [f for f in planned(lake, tmp_path)["findings"] if f["code"] == "file-source-log"]
    assert (found["severity"], found["count"]) == ("warn", 3) and "not read" in found["message"]
