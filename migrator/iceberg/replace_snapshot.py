"""Adding a snapshot to table metadata that replaces files by equal ones: operation ``replace`` of the table spec.

The rows stay the same; the snapshot names other files. The snapshot before gets a tag, so that it stays readable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from migrator.errors import Unreadable
from migrator.iceberg.json_text import parse, read_text

_COUNTED = ("total-",)
"""The beginning of summary keys with counts of the whole table. Other keys are about the snapshot's changes."""


def add_replace_snapshot(
    data: bytes,
    place: str,
    *,
    snapshot_id: int,
    timestamp_ms: int,
    manifest_list: str,
    tag: str,
    summary: Mapping[str, str],
    log: tuple[int, str],
) -> bytes:
    """The metadata file ``data`` with one more snapshot on its main branch, in the same compression.

    ``manifest_list`` names the same files as the current snapshot does. ``timestamp_ms`` is raised above that of the
    last change. ``tag`` is set on the snapshot before. ``summary`` is added to the counts of the table. ``log``: (time,
    path) of the metadata file before, for the metadata log. Raises Unreadable if the table has no current snapshot, or
    if its JSON has a number that would be written differently.
    """
    text, compress = read_text(data, place)
    document = parse(text, place)
    before = _current(document, place)
    timestamp_ms = max(timestamp_ms, document["last-updated-ms"] + 1)
    snapshot: dict[str, Any] = {
        "snapshot-id": snapshot_id,
        "parent-snapshot-id": before["snapshot-id"],
        "timestamp-ms": timestamp_ms,
        "summary": {"operation": "replace", **_totals(before), **summary},
        "manifest-list": manifest_list,
    }
    for key in ("current-schema-id", "schema-id"):
        if key in document or key in before:
            snapshot["schema-id"] = document.get(key, before.get(key))
            break
    if document["format-version"] >= 2:
        document["last-sequence-number"] = snapshot["sequence-number"] = document.get("last-sequence-number", 0) + 1
    if "next-row-id" in document:  # row lineage: no row is new
        snapshot |= {"first-row-id": document["next-row-id"], "added-rows": 0}
    document["snapshots"].append(snapshot)
    document.setdefault("snapshot-log", []).append({"timestamp-ms": timestamp_ms, "snapshot-id": snapshot_id})
    document.setdefault("metadata-log", []).append({"timestamp-ms": log[0], "metadata-file": log[1]})
    refs = document.setdefault("refs", {})
    refs["main"] = {"type": "branch", **refs.get("main", {}), "snapshot-id": snapshot_id}
    refs[tag] = {"snapshot-id": before["snapshot-id"], "type": "tag"}
    document["current-snapshot-id"], document["last-updated-ms"] = snapshot_id, timestamp_ms
    return compress(_dumped(document, text, place).encode())


def _current(document: dict[str, Any], place: str) -> dict[str, Any]:
    current = document.get("current-snapshot-id")
    found = next((s for s in document.get("snapshots") or () if s.get("snapshot-id") == current), None)
    if found is None:
        raise Unreadable(place, f"its current snapshot, {current}, is none of its snapshots")
    return dict(found)


def _totals(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """The counts of the whole table, which stay as they are."""
    return {key: value for key, value in (snapshot.get("summary") or {}).items() if key.startswith(_COUNTED)}


def _dumped(document: dict[str, Any], text: str, place: str) -> str:
    """The document as JSON, with escapes in the style of its writer."""
    written = json.dumps(document, ensure_ascii="\\u" in text, separators=(",", ":"))
    exact = json.loads(text, parse_float=Decimal)
    if json.loads(json.dumps(json.loads(text)), parse_float=Decimal) != exact:
        raise Unreadable(place, "it holds a number that cannot be written back as it is")
    return written
