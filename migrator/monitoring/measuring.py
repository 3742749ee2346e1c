"""Counts while a check lists the target and reads the tables, so that nothing is listed or read twice.

The paths in tables go into the database of the listing, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from migrator.checking.seen import Seen
from migrator.checking.structure import WAREHOUSE, Structure
from migrator.checking.watch import LakeTable, TableWatch, Watch
from migrator.errors import MigratorError, NotFound, Unreadable
from migrator.iceberg.manifests import DATA, DELETED, Entry, ManifestFile
from migrator.iceberg.metadata import TableMetadata
from migrator.layout import Location
from migrator.monitoring.measures import OUTSIDE, CountLimits, LayerMeasures, TableMeasures
from migrator.planfile.queries import is_hadoop_marker

PAGE = 1_000
"""How many names are inserted at once."""
MOST_NAMESPACES = 1_000
"""How many folders of a warehouse are counted one by one; the others count as the warehouse itself."""
_DATA_NAMES = (".parquet", ".orc", ".avro")
_HINT = "/version-hint.text"


class Measuring(Watch):
    """Counts a lake. ``now``: milliseconds since the epoch."""

    def __init__(self, limits: CountLimits, bucket: str, now: int) -> None:
        self.limits, self.bucket = limits, bucket
        self._before = now - int(limits.orphan_age * 1000)
        self.catalogs: dict[str, bool] = {}
        self.layers: dict[str, LayerMeasures] = {}
        self.tables: dict[tuple[str, str, str], TableMeasures] = {}
        self.numbers = count(1)
        self._numbered: dict[tuple[str, str, str], int] = {}
        self._seen: Seen
        self._structure: Structure

    # -- callbacks of the check ----------------------------------------------------------------------------

    def listed(self, seen: Seen, structure: Structure) -> None:
        """See :class:`Watch`."""
        self._seen, self._structure = seen, structure
        self.layers[""] = LayerMeasures("", OUTSIDE)
        for folder in structure.folders:
            self.layers[folder.name] = LayerMeasures(folder.name, folder.kind)

    def catalog(self, name: str, error: MigratorError | None) -> None:
        """See :class:`Watch`."""
        self.catalogs[name] = error is None

    def table(self, table: LakeTable) -> TableWatch:
        """See :class:`Watch`."""
        return _OneTable(self, self._seen, table, next(self.numbers))

    def unreadable(self, table: LakeTable, error: MigratorError) -> None:
        """See :class:`Watch`."""
        self.tables[table.identity] = TableMeasures(*table.identity, table.metadata, readable=False)

    def was_read(self, table: LakeTable, measures: TableMeasures, number: int) -> None:
        """All files of this table were counted."""
        self.tables[table.identity] = measures
        self._numbered[table.identity] = number

    def tables_read(self, seen: Seen, structure: Structure) -> None:
        """See :class:`Watch`."""
        old = seen.count_old()
        for identity, table in sorted(self.tables.items()):  # so that the same layers are counted each time
            table.old_paths = old.get(self._numbered.get(identity, 0), 0)
            layer = self.layer_of(table.metadata)
            table.layer = layer.layer
            layer.tables += 1
            layer.unreadable += not table.readable
        self._count_objects(seen)

    # -- objects ---------------------------------------------------------------------------------------

    def layer_of(self, uri: str) -> LayerMeasures:
        """The layer that a place in the target lies in."""
        at = Location.parse(uri)
        inside = at is not None and at.bucket == self.bucket
        return self._layer(at.key.rpartition("/")[0]) if at and inside else self.layers[""]

    def _layer(self, parent: str) -> LayerMeasures:
        """The layer of the objects in a folder of the target."""
        folder = self._structure.folder_of(f"{parent}/") if parent else None
        if folder is None:
            return self.layers[""]
        namespace = parent[len(folder.name) + 1 :].partition("/")[0]
        if folder.kind != WAREHOUSE or not namespace:
            return self.layers[folder.name]
        name = f"{folder.name}/{namespace}"
        if name not in self.layers:
            if len(self.layers) > MOST_NAMESPACES + len(self._structure.folders):
                return self.layers[folder.name]
            self.layers[name] = LayerMeasures(name, folder.kind)
        return self.layers[name]

    def _owners(self) -> dict[str, list[TableMeasures]]:
        """Location → its tables; none if one of these cannot be read, because then it is not known which objects are
        orphans."""
        owners: dict[str, list[TableMeasures]] = {}
        for table in self.tables.values():
            if table.readable and table.location:
                owners.setdefault(table.location, []).append(table)
        for table in self.tables.values():
            if not table.readable:
                at = Location.parse(table.metadata)
                owners[at.key.rpartition("/")[0].rpartition("/")[0] if at else ""] = []
        return owners

    def _count_objects(self, seen: Seen) -> None:
        owners = self._owners()
        last, layer, own = None, self.layers[""], list[TableMeasures]()
        for key, size, modified, deletes in seen.with_names():
            if is_hadoop_marker(key, size):
                continue
            parent = key.rpartition("/")[0]
            if parent != last:
                last, layer, own = parent, self._layer(parent), _owner_of(parent, owners)
            layer.objects += 1
            layer.bytes += size
            layer.newest = max(layer.newest or 0, modified)
            if size < self.limits.small_file and not deletes and _is_data(key):
                layer.small_files += 1
            if own and deletes is None and modified < self._before and not key.endswith(_HINT):
                layer.orphans += 1
                layer.orphan_bytes += size
                for table in own:
                    table.orphans += 1
                    table.orphan_bytes += size


def _owner_of(folder: str, owners: dict[str, list[TableMeasures]]) -> list[TableMeasures]:
    """The tables whose location is this folder, or the nearest one above it."""
    while folder:
        if folder in owners:
            return owners[folder]
        folder = folder.rpartition("/")[0]
    return []


def _is_data(key: str) -> bool:
    """True for the name of a data or delete file. Manifests are Avro files, too, but in the metadata folder."""
    return key.lower().endswith(_DATA_NAMES) and "/metadata/" not in key


class _OneTable(TableWatch):
    """Counts one table, in the thread that reads it."""

    whole = True

    def __init__(self, lake: Measuring, seen: Seen, table: LakeTable, number: int) -> None:
        self._lake, self._seen, self._table, self._number = lake, seen, table, number
        self._measures = TableMeasures(*table.identity, table.metadata)
        self._known = self._is_view = False
        self._missing = ""
        self._current_list: str | None = None
        self._current: set[str] = set()
        self._named: list[tuple[str, bool]] = []
        self._old: set[str] = set()

    def metadata(self, metadata: TableMetadata, place: str) -> None:
        """See :class:`TableWatch`."""
        self._known = True
        at = Location.parse(metadata.location)
        measures = self._measures
        measures.location = at.key.strip("/") if at is not None and at.bucket == self._lake.bucket else ""
        measures.format_version, measures.snapshots = metadata.format_version, len(metadata.snapshots)
        for snapshot in metadata.snapshots:
            if snapshot.snapshot_id == metadata.current_snapshot_id:
                measures.current = snapshot.timestamp_ms
                self._current_list = snapshot.manifest_list
                self._current |= set(snapshot.manifests)
            self._name([snapshot.manifest_list] if snapshot.manifest_list else snapshot.manifests)
        self._name([place, *metadata.metadata_log, *metadata.statistics])

    def view(self) -> None:
        """See :class:`TableWatch`."""
        self._known = self._is_view = True

    def manifest_list(self, path: str, manifests: Sequence[ManifestFile]) -> None:
        """See :class:`TableWatch`."""
        paths = [manifest.path for manifest in manifests]
        self._name(paths)
        if path == self._current_list:
            self._current |= set(paths)

    def entry(self, manifest: str, entry: Entry) -> None:
        """See :class:`TableWatch`."""
        if entry.status == DELETED:
            return
        self._name([entry.path], deletes=entry.content != DATA)
        if manifest in self._current:
            self._measures.add(entry, self._lake.limits.small_file)

    def old_path(self, path: str) -> None:
        """See :class:`TableWatch`."""
        self._old.add(path)
        if len(self._old) >= PAGE:
            self._flush()

    def missing(self, path: str, error: MigratorError) -> None:
        """See :class:`TableWatch`."""
        self._missing = self._missing or path

    def done(self) -> None:
        """See :class:`TableWatch`. Raises NotFound if the table may have been committed to meanwhile."""
        if self._missing or not self._known:
            path = self._missing or self._table.metadata
            if self._table.in_catalog is None and self._missing:
                raise Unreadable(self._table.metadata, f"it names {path}, which does not exist")
            raise NotFound(f"{path} does not exist.", next_move="Restore it, or repair the table.")
        self._flush()
        if not self._is_view:
            self._lake.was_read(self._table, self._measures, self._number)

    def _name(self, paths: Iterable[str], *, deletes: bool = False) -> None:
        self._named += ((key, deletes) for path in paths for key in self._keys(path))
        if len(self._named) >= PAGE:
            self._flush()

    def _keys(self, path: str) -> Iterator[str]:
        """The keys in the target that a path may name: its literal one, and the one that Hadoop makes of it."""
        at = Location.parse(path)
        if at is not None and at.bucket == self._lake.bucket:
            yield at.key
            if "//" in at.key or at.key.startswith("/"):
                yield at.collapsed.key

    def _flush(self) -> None:
        self._seen.note_named(self._named)
        self._seen.note_old(self._number, self._old)
        self._named, self._old = [], set()
