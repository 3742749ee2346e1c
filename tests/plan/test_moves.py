"""Whole tables that pyiceberg wrote are planned and moved, and read again with only the target bucket."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table

from iceberg.avro_files import records
from iceberg.tables import FILE_PATH
from migrator.demo.lake import data_files
from migrator.demo.lake import delete_rows as commit_deletes
from migrator.store import Store, is_own
from plan.handmade import blocks, entries_at_target, migrated, planned
from plan.memory import opened, snapshots, written

ROWS = pa.table({"n": range(30), "url": [f"s3a://silver/raw/{n}" for n in range(30)]})
SWAPPED: dict[str, str | bool] = {"s3://silver/": "a-silver/", "s3://gold/t/": "z-gold/t/"}
"""The old paths in gold come before those in silver, the new ones after them."""


def spread(catalog: SqlCatalog) -> Table:
    """Metadata in one bucket, data in two, and deletes across both."""
    properties = {"write.data.path": "s3a://gold/t/data"}
    table = catalog.create_table("db.t", ROWS.schema, location="s3a://silver/t", properties=properties)
    table.append(ROWS.slice(0, 10))
    with table.transaction() as transaction:
        transaction.set_properties({"write.data.path": "s3a://silver/t/data"})
    table.append(ROWS.slice(10, 20))
    commit_deletes(table, {path: [0, 3] for path in data_files(table)})
    commit_deletes(table, {data_files(table)[0]: [5]})
    return table


@dataclass
class Move:
    """One table before and after. The rows are read while only one of the two places exists."""

    store: Store
    folder: Path
    old: Table
    rows: dict[int, list[dict[str, Any]]]
    new_metadata: str

    def old_lists(self) -> list[dict[str, Any]]:
        """The entries of all manifest lists at the old place."""
        paths = [s.manifest_list.removeprefix("s3a://silver/") for s in self.old.metadata.snapshots]
        return [listed for path in paths for listed in records(self.store.get("silver", path).data)]

    def lists(self) -> list[dict[str, Any]]:
        """The entries of all manifest lists at the target."""
        paths = [s.manifest_list for s in opened(self.store, self.new_metadata).metadata.snapshots]
        return [listed for path in paths for listed in entries_at_target(self.store, key_of(path))]

    def entries(self, content: int) -> list[dict[str, Any]]:
        """The distinct data files in all manifests at the target, of one content."""
        manifests = {listed["manifest_path"] for listed in self.lists()}
        found = [e["data_file"] for path in manifests for e in entries_at_target(self.store, key_of(path))]
        return [file for file in found if file["content"] == content]

    def get(self, path: str) -> bytes:
        return self.store.get("data-lake", key_of(path)).data


def key_of(path: str) -> str:
    bucket, _, key = path.removeprefix("s3a://").partition("/")
    assert bucket == "data-lake"
    return key


@pytest.fixture
def move(mock_store: Store, tmp_path: Path) -> Move:
    mock_store.create_bucket("data-lake")
    old = written(mock_store, spread)
    rows = snapshots(old)
    described = planned(mock_store, tmp_path, layout=SWAPPED)
    assert not blocks(described)
    migrated(mock_store, tmp_path)
    return Move(mock_store, tmp_path, old, rows, described["tables"][0]["new_metadata"])


def test_every_snapshot_reads_as_before_from_the_target_alone(move: Move) -> None:
    """iceberg#12772, duckdb-iceberg#685: delete files forgotten, or their deletes skipped; iceberg#14318, #17794:
    several prefixes in one table; iceberg-python#2014: the whole of it."""
    assert [len(rows) for rows in move.rows.values()] == [10, 30, 26, 25]
    new = opened(move.store, move.new_metadata)
    assert snapshots(new) == move.rows
    folders = {path.rpartition("/")[0] for path in data_files(new)}
    assert folders == {"s3a://data-lake/a-silver/t/data", "s3a://data-lake/z-gold/t/data"}
    assert new.location() == "s3a://data-lake/a-silver/t"
    assert new.properties == move.old.properties | {"write.data.path": "s3a://data-lake/a-silver/t/data"}


def test_lists_record_the_true_lengths_of_manifests(move: Move) -> None:
    """Pitfall 1, iceberg#13719, #16905: a stale ``manifest_length`` makes readers lose entries, or fail."""
    listed = move.lists()
    assert len(listed) > 4 and {m["content"] for m in listed} == {0, 1}
    assert [m["manifest_length"] for m in listed] == [len(move.get(m["manifest_path"])) for m in listed]
    before = [m["manifest_length"] for m in move.old_lists()]
    assert before != [m["manifest_length"] for m in listed], "else nothing is shown here"


def test_manifests_record_the_true_sizes_and_bounds_of_delete_files(move: Move) -> None:
    """iceberg#12554: a stale ``file_size_in_bytes`` ends in "end of stream not reached". Pitfalls 4, 5 and 8: the
    rows are sorted again, the bounds are those of the new rows, and no split offset points into the old file."""
    found = move.entries(content=1)
    assert len(found) == 2
    for deletes in found:
        data = move.get(deletes["file_path"])
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        paths = [row["file_path"] for row in rows]
        assert rows == sorted(rows, key=lambda row: (row["file_path"], row["pos"]))
        assert deletes["file_size_in_bytes"] == len(data)
        assert deletes["lower_bounds"] == [{"key": FILE_PATH, "value": min(paths).encode()}]
        assert deletes["upper_bounds"] == [{"key": FILE_PATH, "value": max(paths).encode()}]
        assert deletes["split_offsets"] is None
    scoped = [f for f in found if f["lower_bounds"] == f["upper_bounds"]]
    assert len(scoped) == 1, "the file of one data file's deletes still says so"


def test_deletes_name_data_files_exactly_as_the_manifests_do(move: Move) -> None:
    """doris#67544: engines match a delete to its data file by the text of the path."""
    data = {file["file_path"] for file in move.entries(content=0)}
    for deletes in move.entries(content=1):
        rows = pq.read_table(io.BytesIO(move.get(deletes["file_path"])))
        assert set(rows["file_path"].to_pylist()) <= data


def test_a_filter_on_a_column_of_old_paths_finds_its_row(move: Move) -> None:
    """Pitfall 27: values and bounds of a user's column of paths are data. Replaced in the manifest, the bounds
    would say that no file can hold the row."""
    new = opened(move.store, move.new_metadata)
    url = "s3a://silver/raw/15"
    assert new.scan(row_filter=EqualTo("url", url)).to_arrow().to_pylist() == [{"n": 15, "url": url}]
    bounds = [pair["value"] for file in move.entries(content=0) for pair in file["lower_bounds"] if pair["key"] == 2]
    assert bounds and all(bound.startswith(b"s3a://silver/raw") for bound in bounds)


def test_shared_files_are_rewritten_once(move: Move) -> None:
    """Pitfall 11: snapshots share manifests and delete files."""
    old = [m["manifest_path"] for m in move.old_lists()]
    assert len(old) > len(set(old))
    named = [m["manifest_path"] for m in move.lists()]
    assert len(named) == len(old) and len(set(named)) == len(set(old)) == 4
    stored = [found.key for found in move.store.list("data-lake") if found.key.endswith("-m0.avro")]
    assert {f"s3a://data-lake/{key}" for key in stored} == set(named)


def listing(move: Move) -> dict[str, tuple[str, int]]:
    return {o.key: (o.etag, o.modified) for o in move.store.list("data-lake") if not is_own(o.key)}


def test_a_second_run_finds_nothing_to_do(move: Move) -> None:
    """iceberg#16418: "file already exists"."""
    before = listing(move)
    assert migrated(move.store, move.folder) == 0
    (move.folder / "plan.db").unlink()
    again = planned(move.store, move.folder, layout=SWAPPED)
    assert not again["blocked"] and not again["changes_pending"]
    assert migrated(move.store, move.folder) == 0
    assert listing(move) == before
