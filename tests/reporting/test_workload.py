"""The sums of a plan, compared with the rules of copying."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.copying.options import PART_SIZE, SMALL, WHOLE_LIMIT
from migrator.planfile.file import PlanFile
from migrator.planfile.measured import Measured
from migrator.reporting import workload
from migrator.reporting.workload import Workload, workload_of
from migrator.store import part_count, part_ranges, parts_to_make, two_servers

MIB = 1 << 20
HEADER = {"streamed": ""}
PLAIN = "0123456789abcdef" * 2


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[PlanFile]:
    with PlanFile.create(tmp_path / "p.db") as plan:
        plan.seal({"target_bucket": "data-lake", "layout": '{"s3://bronze/": "bronze/"}'})
        yield plan


def add(plan: PlanFile, size: int, parts: int = 0, **columns: object) -> None:
    row = {
        "bucket": "bronze", "key": random.randbytes(8).hex(), "size": size,
        "etag": f"{PLAIN}-{parts}" if parts else PLAIN, "modified": 0, "storage_class": "STANDARD", "target": "t",
        "action": "copy", "role": "", **columns,
    }  # fmt: skip
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    plan.db.execute(f"INSERT INTO objects ({names}) VALUES ({marks})", tuple(row.values()))


def work(plan: PlanFile, measured: Measured | None = None, **header: str) -> Workload:
    return workload_of(plan, {**HEADER, **header}, measured or Measured())


OBJECTS = [
    (0, 0), (1, 0), (5, 1), (8 * MIB, 2), (8 * MIB + 1, 2), (16 * MIB, 0), (16 * MIB + 1, 0), (40 * MIB, 8),
    (40 * MIB, 5), (100 * MIB, 1), (300 * MIB, 3), (5 << 30, 0), ((5 << 30) + 1, 0), (6 << 30, 100), (3 << 40, 0),
]  # fmt: skip
"""(size, parts in which it was uploaded)"""


def test_the_constants_are_those_of_copying() -> None:
    for name in ("THROUGH_PART_SIZE", "LEAST_PART_SIZE", "MOST_PART_SIZE"):
        assert getattr(workload, name) == getattr(two_servers, name)


@pytest.mark.parametrize(("size", "parts"), OBJECTS)
def test_one_object_between_two_servers(plan: PlanFile, size: int, parts: int) -> None:
    add(plan, size, parts)
    etag = f"{PLAIN}-{parts}" if parts else PLAIN
    # The size of the parts is not in the plan. On S3 all but the last one have at least 5 MiB.
    part = max(two_servers.LEAST_PART_SIZE, -(-size // parts)) if parts else None
    usual = two_servers.THROUGH_PART_SIZE
    made, like = parts_to_make(etag, part, usual, two_servers.MOST_PART_SIZE, two_servers.LEAST_PART_SIZE)
    split = size > usual or (like and size > 0)
    found = work(plan, streamed="1")
    assert (found.split, found.whole) == (int(split), int(not split))
    assert found.parts == (len(list(part_ranges(size, made))) if split else 0)
    assert found.copied_bytes == size and found.from_parts == bool(part_count(etag))


@pytest.mark.parametrize("keeps", [True, False, None])
@pytest.mark.parametrize(("size", "parts"), OBJECTS)
def test_one_object_within_a_server(plan: PlanFile, size: int, parts: int, keeps: bool | None) -> None:
    add(plan, size, parts)
    split = size > WHOLE_LIMIT or (parts > 0 and size > SMALL and keeps is False)
    part = -(-size // parts) if parts else PART_SIZE
    found = work(plan, Measured(whole_keeps_etag=keeps))
    assert (found.split, found.whole) == (int(split), int(not split))
    assert found.parts == (len(list(part_ranges(size, part))) if split else 0)
    assert found.unsure == int(parts > 0 and size > SMALL and keeps is not True)


def test_what_is_not_copied_does_not_count(plan: PlanFile) -> None:
    for action in ("same", "skip", "conflict"):
        add(plan, 100, action=action)
    for role in ("manifest", "metadata", "script"):
        add(plan, 10, action="rewrite", role=role)
    add(plan, 7, action="rewrite", role="local-file", bucket="file:")
    add(plan, 1, action="rewrite", role="version-hint")
    add(plan, 0, key="folder/", target="bronze/folder/")
    found = work(plan)
    assert (found.copies, found.whole_bytes, found.unsure) == (1, 0, 1)
    assert (found.rewritten, found.rewritten_bytes, found.uploaded, found.uploaded_bytes) == (3, 30, 1, 7)
    assert (found.hints, found.listed, found.places) == (1, 8, 1)


def test_buckets_that_are_asked_count(plan: PlanFile) -> None:
    for bucket in ("bronze", "silver", "gold"):
        add(plan, 1, bucket=bucket)
    assert work(plan, asked='["bronze", "gold"]').asked == 2
    assert work(plan, asked='["bronze"]', streamed="1").asked == 0


def test_versions_count(plan: PlanFile) -> None:
    for ordinal, marker in enumerate((0, 0, 1), start=1):
        plan.db.execute(
            "INSERT INTO versions (bucket, key, version_id, ordinal, size, etag, modified, storage_class, marker,"
            " target, action) VALUES ('b', 'k', ?, ?, 5, 'e', 0, 'STANDARD', ?, 't', 'copy')",
            (str(ordinal), ordinal, marker),
        )
    found = work(plan)
    assert (found.versions, found.version_bytes, found.markers) == (2, 10, 1)


def test_tables_that_move_are_read(plan: PlanFile) -> None:
    known = {"old_metadata": "o", "catalog": "c", "namespace": "n", "snapshots": 4, "manifests": 6, "delete_files": 1}
    plan.add_table(name="a", new_metadata="m", state="rewrite", **known)
    plan.add_table(name="b", new_metadata=None, state="left", **known)
    found = work(plan)
    assert (found.tables, found.table_files, found.row_reads) == (1, 12, 19)
    plan.add_table(name="c", new_metadata="m", state="rewrite", **{**known, "snapshots": 10, "manifests": 100_000})
    assert work(plan).row_reads == 19 + 1 + 10 * (1 + workload.MOST_MANIFESTS)
