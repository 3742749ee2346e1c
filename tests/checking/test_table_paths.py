"""Every path that a table names."""

from __future__ import annotations

import pytest

from checking.lake import Checked
from migrator.checking.table_paths import TablePaths
from migrator.errors import Unreadable
from plan.handmade import data_file, document, put, table

PLACE = "s3a://data-lake/gold/t"
METADATA = f"{PLACE}/metadata/00000-a.metadata.json"


def paths(lake: Checked, *, summaries: bool = True) -> set[str]:
    return {path for path, _ in TablePaths(lake.store, summaries=summaries).of(METADATA)}


def test_of_metadata_lists_manifests_and_data(lake: Checked) -> None:
    table(lake.store, data_file(lake.store, f"{PLACE}/data/a"), location=PLACE, properties={"x": "y"})
    assert paths(lake) == {
        PLACE,
        "y",
        f"{PLACE}/metadata/snap-1.avro",
        f"{PLACE}/metadata/m0.avro",
        f"{PLACE}/data/a",
    }


def test_what_a_snapshot_says_that_it_did_can_be_left_out(lake: Checked) -> None:
    snapshot = {"snapshot-id": 1, "timestamp-ms": 1, "manifests": [], "summary": {"from": "s3://bronze/x"}}
    put(lake.store, METADATA, document(location=PLACE, snapshots=[snapshot]))
    assert paths(lake) == {PLACE, "s3://bronze/x"} and paths(lake, summaries=False) == {PLACE}


def test_a_file_that_is_gone_names_nothing_and_a_broken_one_is_an_error(lake: Checked) -> None:
    assert paths(lake) == set()
    table(lake.store, location=PLACE)
    put(lake.store, f"{PLACE}/metadata/snap-1.avro", b"no Avro")
    with pytest.raises(Unreadable):
        paths(lake)
    lake.store.erase("data-lake", "gold/t/metadata/snap-1.avro")
    assert paths(lake) == {PLACE, f"{PLACE}/metadata/snap-1.avro"}
