"""The counts of a collection."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrator.iceberg.manifests import DATA, EQUALITY_DELETES, Entry

POSITION, EQUALITY, VECTOR = "position", "equality", "deletion-vector"
"""Kinds of files of deletes."""
OUTSIDE = "outside"
"""The kind of the layer "": objects in no folder of the structure."""


@dataclass(frozen=True)
class CountLimits:
    """What counts as small and as an orphan, and how many tables are shown one by one."""

    small_file: int = 16 << 20
    """In bytes."""
    orphan_age: float = 72 * 3600.0
    """In seconds. Younger objects may belong to a commit in progress."""
    most_tables: int = 1_000


@dataclass
class LayerMeasures:
    """A folder of the structure; in a warehouse, a folder of a namespace. ``newest`` is in milliseconds since the
    epoch."""

    layer: str
    kind: str
    objects: int = 0
    bytes: int = 0
    newest: int | None = None
    small_files: int = 0
    orphans: int = 0
    orphan_bytes: int = 0
    old_paths: int = 0
    tables: int = 0
    unreadable: int = 0


@dataclass
class TableMeasures:
    """A table. If it is not ``readable``, ignore all its numbers. Times are in milliseconds since the epoch."""

    catalog: str
    namespace: str
    name: str
    metadata: str
    layer: str = ""
    readable: bool = True
    location: str = ""
    """Its folder in the target, without a slash at its end; "" if it lies elsewhere."""
    format_version: int = 0
    snapshots: int = 0
    current: int | None = None
    data_files: int = 0
    data_bytes: int = 0
    records: int = 0
    small_files: int = 0
    deletes: dict[str, int] = field(default_factory=lambda: dict.fromkeys((POSITION, EQUALITY, VECTOR), 0))
    orphans: int = 0
    orphan_bytes: int = 0
    old_paths: int = 0

    def add(self, entry: Entry, small: int) -> None:
        """Count a live file of the current snapshot. ``small``: the size in bytes below which a data file is small."""
        if entry.content == DATA:
            self.data_files += 1
            self.data_bytes += entry.size
            self.records += entry.record_count
            self.small_files += entry.size < small
        elif entry.content == EQUALITY_DELETES:
            self.deletes[EQUALITY] += 1
        else:
            self.deletes[VECTOR if entry.file_format == "PUFFIN" else POSITION] += 1


@dataclass
class LakeMeasures:
    """The counts of a lake."""

    layers: list[LayerMeasures]
    tables: list[TableMeasures]
    catalogs: dict[str, bool]
    """Catalog → whether it could be read."""
    findings: dict[tuple[str, str], int]
    """(code, severity) → how many places."""
    target_exists: bool
    complete: bool
    """True if everything could be read."""
    limits: CountLimits = CountLimits()

    @property
    def unreadable(self) -> int:
        """How many tables could not be read."""
        return sum(not table.readable for table in self.tables)

    def shown(self) -> list[TableMeasures]:
        """The tables that get separate series: first those that could not be read, then the largest."""
        ordered = sorted(self.tables, key=lambda t: (t.readable, -t.data_bytes, t.catalog, t.namespace, t.name))
        return ordered[: self.limits.most_tables]
