from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from migrator.errors import Unreadable
from migrator.iceberg.metadata import read_metadata
from migrator.iceberg.replace_snapshot import add_replace_snapshot

PLACE = "s3://lake/t/metadata/1.metadata.json"


def document(version: int = 2, **more: Any) -> dict[str, Any]:
    snapshot = {
        "snapshot-id": 7,
        "timestamp-ms": 100,
        "manifest-list": "s3://lake/t/metadata/snap-7.avro",
        "summary": {"operation": "append", "added-records": "2", "total-records": "5"},
        "schema-id": 0,
    }
    made: dict[str, Any] = {
        "format-version": version,
        "table-uuid": "u",
        "location": "s3://lake/t",
        "last-updated-ms": 200,
        "current-schema-id": 3,
        "current-snapshot-id": 7,
        "snapshots": [snapshot],
        "snapshot-log": [{"timestamp-ms": 100, "snapshot-id": 7}],
        "refs": {"main": {"snapshot-id": 7, "type": "branch", "max-ref-age-ms": 9}},
    }
    if version > 1:
        made["last-sequence-number"] = snapshot["sequence-number"] = 1 << 40
    if version > 2:
        made |= {"next-row-id": 12}
    return made | more


def added(data: bytes) -> bytes:
    return add_replace_snapshot(
        data,
        PLACE,
        snapshot_id=(1 << 62) + 1,
        timestamp_ms=150,
        manifest_list="s3://lake/t/metadata/snap-8.avro",
        tag="before",
        summary={"why": "é"},
        log=(200, PLACE),
    )


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_snapshot_follows_the_current_one(version: int) -> None:
    data = added(json.dumps(document(version)).encode())
    made, metadata = json.loads(data), read_metadata(data, PLACE)
    new = metadata.snapshots[-1]
    assert (new.snapshot_id, new.parent_id, metadata.current_snapshot_id) == ((1 << 62) + 1, 7, (1 << 62) + 1)
    assert new.timestamp_ms == 201 == made["last-updated-ms"], "later than the last change, whatever the clock says"
    assert new.summary == {"operation": "replace", "total-records": "5", "why": "é"}
    assert new.sequence_number == made.get("last-sequence-number", 0) == ((1 << 40) + 1 if version > 1 else 0)
    assert metadata.refs == {"main": ("branch", (1 << 62) + 1), "before": ("tag", 7)}
    assert made["refs"]["main"]["max-ref-age-ms"] == 9
    assert made["snapshot-log"][-1] == {"timestamp-ms": 201, "snapshot-id": (1 << 62) + 1}
    assert metadata.metadata_log == (PLACE,)
    assert made["snapshots"][-1]["schema-id"] == 3
    lineage = {key: made["snapshots"][-1].get(key) for key in ("first-row-id", "added-rows")}
    assert lineage == ({"first-row-id": 12, "added-rows": 0} if version == 3 else dict.fromkeys(lineage))


def test_a_table_without_refs_gets_them() -> None:
    before = document(1)
    del before["refs"], before["snapshot-log"]
    assert set(read_metadata(added(json.dumps(before).encode()), PLACE).refs) == {"main", "before"}


def test_compression_and_escapes_stay() -> None:
    before = json.dumps(document(more="\u00e9"))
    data = added(gzip.compress(before.encode()))
    assert data.startswith(b"\x1f\x8b") and "\\u00e9" in gzip.decompress(data).decode()
    assert "é" in added(json.dumps(document(more="é"), ensure_ascii=False).encode()).decode()


@pytest.mark.parametrize("number", ["1e400", "0.1000000000000000055511151231257827", "123456789.12345678901234567890"])
def test_a_number_that_would_change_is_refused(number: str) -> None:
    text = json.dumps(document(more=0)).replace('"more": 0', f'"more": {number}')
    with pytest.raises(Unreadable, match="a number that cannot be written back"):
        added(text.encode())


@pytest.mark.parametrize("current", [None, -1, 8])
def test_a_table_without_that_snapshot_is_refused(current: int | None) -> None:
    with pytest.raises(Unreadable, match="current snapshot"):
        added(json.dumps(document(**{"current-snapshot-id": current})).encode())
