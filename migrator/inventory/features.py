"""The features and writers of a table, from its metadata: for ``migrator tables`` and the plan report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from migrator.iceberg.json_text import is_compressed
from migrator.iceberg.metadata import TableMetadata
from migrator.inventory.references import Files

MAX_DAYS = 1000
"""For how many days with snapshots the plan keeps the counts."""
_DELETE_KINDS = {1: "position deletes", 2: "equality deletes"}


@dataclass(frozen=True)
class TableFeatures:
    """The features of a table in a report. Stored in the plan as JSON."""

    data_bytes: int
    delete_bytes: int
    deletes: list[dict[str, Any]]
    """Per kind and format of live delete files: ``{"kind": "position deletes", "format": "PARQUET", "files": 3}``."""
    writers: list[str]
    features: list[str]
    buckets: dict[str, dict[str, int]] = field(default_factory=dict)
    """Bucket → ``files`` and ``bytes`` of the live data and delete files in it. Plans of older versions have none."""
    snapshot_days: dict[str, int] = field(default_factory=dict)
    """Day in UTC, such as "2026-11-27" → how many of the table's snapshots were made on it; the last
    :data:`MAX_DAYS` days. Plans of older versions have none."""


def features_of(
    metadata: TableMetadata,
    data: bytes,
    files: Iterable[Files],
    *,
    outside: int,
    buckets: dict[str, dict[str, int]],
) -> TableFeatures:
    """``data`` is the metadata file itself; ``outside`` the number of live files outside the location; ``buckets`` as
    in :class:`TableFeatures`."""
    files = list(files)
    deletes = [{"kind": _delete_kind(f), "format": f.format, "files": f.count} for f in files if f.content]
    features = [
        *_shape(metadata, compressed=is_compressed(data)),
        *sorted({_delete_kind(f) for f in files if f.content}),
        *(["files outside the location"] if outside else []),
    ]
    return TableFeatures(
        data_bytes=sum(f.bytes for f in files if not f.content),
        delete_bytes=sum(f.bytes for f in files if f.content),
        deletes=deletes,
        writers=writers_of(metadata),
        features=features,
        buckets=buckets,
        snapshot_days=_snapshot_days(metadata),
    )


def _snapshot_days(metadata: TableMetadata) -> dict[str, int]:
    """Day → number of snapshots. An invalid time, which a broken writer may have recorded, is left out."""
    days: Counter[str] = Counter()
    for snapshot in metadata.snapshots:
        with suppress(ValueError, OverflowError, OSError):
            days[datetime.fromtimestamp(snapshot.timestamp_ms / 1000, timezone.utc).date().isoformat()] += 1
    return {day: days[day] for day in sorted(days)[-MAX_DAYS:]}


def _delete_kind(files: Files) -> str:
    return "deletion vectors" if files.format == "PUFFIN" else _DELETE_KINDS[files.content]


def _shape(metadata: TableMetadata, *, compressed: bool) -> Iterable[str]:
    kinds = [kind for name, (kind, _) in metadata.refs.items() if name != "main"]
    properties = metadata.properties
    present = {
        "branches": "branch" in kinds,
        "tags": "tag" in kinds,
        "staged snapshots": any("wap.id" in s.summary for s in metadata.snapshots),
        "row lineage": metadata.row_lineage,
        "statistics": bool(metadata.statistics),
        "inline manifests": any(s.manifest_list is None for s in metadata.snapshots),
        "compressed metadata": compressed,
        "object-store layout": properties.get("write.object-storage.enabled", "").lower() == "true",
        "write.data.path": any(key in properties for key in _DATA_PATHS),
        "encryption": metadata.encryption_keys,
    }
    return [name for name, there in present.items() if there]


_DATA_PATHS = ("write.data.path", "write.object-storage.path", "write.folder-storage.path")


def writers_of(metadata: TableMetadata) -> list[str]:
    """The engines that the snapshots' summaries name, such as ``spark 3.5.6``; in order, each once."""
    found: dict[str, None] = {}
    for snapshot in metadata.snapshots:
        summary = snapshot.summary
        engine = summary.get("engine-name") or next((n for n, key in _SIGNS if key in summary), None)
        if engine:
            found[" ".join(filter(None, (engine, summary.get("engine-version"))))] = None
    return list(found)


# Summary keys of writers that do not record their name.
_SIGNS = (
    ("spark", "spark.app.id"),
    ("flink", "flink.job-id"),
    ("trino", "trino_query_id"),
    ("kafka connect", "kafka.connect.commit-id"),
)
