"""Impossible numbers: for any number in a table's files, planning and migrating end with the table moved unchanged, or
with a finding. SQLite has 64 bits with a sign; JSON has any number of digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iceberg.avro_files import avro
from iceberg.tables import entry, manifest_schema
from migrator.errors import Unreadable
from migrator.iceberg.avro.numbers import read_long, write_long
from migrator.iceberg.malformed import Malformed
from migrator.iceberg.manifests import read_manifest
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import UNOPENED, Baseline, Journal
from migrator.store import Store
from plan.handmade import CURRENT, LOCATION, Named, at_target, blocks, data_file, migrated, put, table
from plan.places import replan

NUMBERS = [0, -1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**30, -(10**30)]
PLACES: list[tuple[str | int, ...]] = [
    ("last-updated-ms",),
    ("last-sequence-number",),
    ("last-column-id",),
    ("next-row-id",),
    ("current-snapshot-id",),
    ("snapshots", 0, "snapshot-id"),
    ("snapshots", 0, "parent-snapshot-id"),
    ("snapshots", 0, "sequence-number"),
    ("snapshots", 0, "timestamp-ms"),
    ("snapshots", 0, "schema-id"),
    ("refs", "main", "snapshot-id"),
    ("metadata-log", 0, "timestamp-ms"),
    ("snapshot-log", 0, "snapshot-id"),
    ("statistics", 0, "snapshot-id"),
    ("statistics", 0, "file-size-in-bytes"),
]


def changed(document: Any, where: tuple[str | int, ...], number: int) -> Any:
    inner = document
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = number
    return document


@pytest.mark.slow
@pytest.mark.parametrize("where", PLACES, ids=lambda where: ".".join(map(str, where)))
def test_a_number_in_the_metadata_file(lake: Store, tmp_path: Path, where: tuple[str | int, ...]) -> None:
    table(
        lake,
        data_file(lake, f"{LOCATION}/data/a.parquet"),
        refs={"main": {"type": "branch", "snapshot-id": 1}},
        statistics=[{"snapshot-id": 1, "statistics-path": f"{LOCATION}/metadata/1.stats"}],
        **{
            "metadata-log": [{"metadata-file": f"{LOCATION}/metadata/gone.metadata.json"}],
            "snapshot-log": [{"timestamp-ms": 1, "snapshot-id": 1}],
        },
    )
    document = json.loads(lake.get("bronze", "t/metadata/00000-a.metadata.json").data)
    for number in NUMBERS:
        put(lake, CURRENT, json.dumps(changed(document, where, number)).encode())
        described = replan(lake, tmp_path, Named(CURRENT))
        if not blocks(described):
            migrated(lake, tmp_path)
            moved = json.loads(at_target(lake, "bronze/t/metadata/00000-a.metadata.json"))
            assert moved == json.loads(json.dumps(document).replace("s3a://bronze/t", "s3a://data-lake/bronze/t"))
            for key in [o.key for o in lake.list("data-lake", "")]:
                lake.delete("data-lake", key)


@pytest.mark.parametrize("number", [-1, 0, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("column", ["file_size_in_bytes", "record_count"])
def test_a_number_in_a_manifest(lake: Store, tmp_path: Path, column: str, number: int) -> None:
    put(lake, f"{LOCATION}/data/a.parquet", b"rows")
    sizes = {"file_size_in_bytes": 4, column: number}
    table(lake, entry(f"{LOCATION}/data/a.parquet", snapshot=-(2**63), **sizes))
    found = blocks(replan(lake, tmp_path, Named(CURRENT)))
    assert found == (["size-differs"] if column == "file_size_in_bytes" else [])


def test_a_number_of_more_than_64_bits_in_a_manifest_is_unreadable() -> None:
    for number in (2**63 - 1, -(2**63), 0):
        assert read_long(write_long(number), 0)[0] == number
    with pytest.raises(Malformed, match="64 bits"):
        read_long(b"\xff" * 9 + b"\x7f", 0)
    data = avro(manifest_schema(2), [entry("s3://b/x", file_size_in_bytes=2**63 - 1)])
    good = b"\xfe" + b"\xff" * 8 + b"\x01"
    assert data.count(good) == 1
    with pytest.raises(Unreadable, match="64 bits"):
        list(read_manifest(data.replace(good, b"\xfe" + b"\xff" * 8 + b"\x7f"), "place"))


def test_every_snapshot_id_has_a_baseline_of_its_own(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    replan(lake, tmp_path, Named(CURRENT))
    ids = [*NUMBERS, 1, UNOPENED]
    with PlanFile.open(tmp_path / "plan.db") as plan, Journal(plan) as journal:
        for rows, number in enumerate(ids):
            journal.baseline(1, number, Baseline(rows))
            journal.baseline(1, number, Baseline(digest="x"))
    with PlanFile.open(tmp_path / "plan.db") as plan:
        assert Journal(plan).baselines(1) == {number: Baseline(rows, "x") for rows, number in enumerate(ids)}
