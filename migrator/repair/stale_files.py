"""Finds the files of a table at the target that name the old place. Engines that had the old table in their cache wrote
them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import MigratorError, NotFound
from migrator.iceberg.deletes import delete_paths
from migrator.iceberg.manifests import DELETED, POSITION_DELETES
from migrator.iceberg.metadata import Snapshot, map_property, paths_in, read_metadata
from migrator.inventory.table_files import READERS, BrokenFile, SourceFile, open_at, read_lists, read_manifests
from migrator.layout import Layout, Location
from migrator.planfile.objects import object_moved_to, object_named
from migrator.run import Run


@dataclass
class StaleFiles:
    """The files of one table that name the old place, or that refer to such files."""

    snapshots: list[Snapshot] = field(default_factory=list)
    """Those whose files name the old place."""
    rewritten: set[str] = field(default_factory=set)
    """Position deletes, manifests and manifest lists that are at the target, and must be written anew under other
    names. Named by the paths that the table has: one in the old place has a copy at the target that names old paths."""
    examples: list[str] = field(default_factory=list)
    """Old paths, sorted, at most :data:`EXAMPLES`."""
    in_deletes: bool = False
    """Position deletes name old paths. They deleted nothing at the target so far."""
    count: int = 0
    """How many old paths are named, in all."""

    def note(self, path: str) -> None:
        """Count an old path, and keep it if it is among the first."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(path)


EXAMPLES = 5


def is_old(layout: Layout, path: str) -> bool:
    """True if the layout moves this path."""
    return layout.map_uri(path) not in (None, path)


def find_stale_files(run: Run, uri: str, data: bytes) -> StaleFiles:
    """Read all that was committed to a table since the cutover. ``uri``, ``data``: its metadata file.

    What this plan has written is not read again. Raises MigratorError for what is missing or damaged.
    """
    return _Search(run, uri, data).run()


class _Search:
    def __init__(self, run: Run, uri: str, data: bytes) -> None:
        self._run, self._layout = run, run.layout
        self._data, self._uri = data, uri
        self._metadata = read_metadata(data, uri)
        self._manifests_of: dict[str, list[str]] = {}
        """Manifest list → its manifests."""
        self._deletes_in: dict[str, set[str]] = {}
        """File of position deletes → the manifests that name it."""
        self._stale = StaleFiles()
        self._named: set[str] = set()
        """Manifest lists and manifests that name the old place, at the target or in the old place."""

    def run(self) -> StaleFiles:
        for label, value in paths_in(self._data, self._uri):
            if self._must_move(label, value):
                self._stale.note(value)
        snapshots = self._metadata.snapshots
        self._read_lists([s.manifest_list for s in snapshots if s.manifest_list])
        manifests = {path for listed in self._manifests_of.values() for path in listed}
        self._read_manifests(manifests.union(*(s.manifests for s in snapshots)))
        self._read_deletes()
        for listed, manifests_of in self._manifests_of.items():
            if any(path in self._named or is_old(self._layout, path) for path in manifests_of):
                self._name(listed)
        self._stale.snapshots = [s for s in snapshots if self._is_stale(s)]
        return self._stale

    def _must_move(self, label: str, value: str) -> bool:
        if label.startswith("properties."):
            return map_property(value, self._layout.map_uri) not in (None, value)
        return not label.startswith("metadata-log") and ".summary." not in label and is_old(self._layout, value)

    def _is_stale(self, snapshot: Snapshot) -> bool:
        named = (*filter(None, (snapshot.manifest_list,)), *snapshot.manifests)
        return any(path in self._named or is_old(self._layout, path) for path in named)

    def _name(self, path: str) -> None:
        """This file names the old place. At the target it is written again under another name. In the old place it is
        moved to the target; the plan may already have a copy of it there, made when no table named it yet."""
        self._named.add(path)
        planned = object_named(self._run.plan, path)
        if not is_old(self._layout, path) or (planned is not None and planned.role == ""):
            self._stale.rewritten.add(path)

    def _unknown(self, paths: Iterable[str]) -> list[str]:
        """The paths of files that this plan has not rewritten: a rewritten file names no old place. A file that no
        table named while planning was copied without rewriting; it may belong to a commit in progress."""

        def rewritten(path: str) -> bool:
            at = Location.parse(path)
            if at is None or at.bucket != self._layout.target_bucket:
                return False
            planned = object_moved_to(self._run.plan, at.key)
            return planned is not None and planned.role != ""

        return [path for path in dict.fromkeys(paths) if not rewritten(path)]

    def _open(self, path: str) -> SourceFile:
        return open_at(self._run.store, path, self._layout.place_of(path))

    def _read_lists(self, lists: Iterable[str]) -> None:
        for read in read_lists(self._unknown(lists), self._open):
            if isinstance(read, BrokenFile):
                raise _broken(read.path, read.error)
            self._manifests_of[read.path] = [manifest.path for manifest in read.manifests]
            for manifest in read.manifests:
                if is_old(self._layout, manifest.path):
                    self._stale.note(manifest.path)

    def _read_manifests(self, manifests: Iterable[str]) -> None:
        for read in read_manifests(self._unknown(manifests), self._open):
            if isinstance(read, BrokenFile):
                raise _broken(read.path, read.error)
            for entry in read.entries:
                for path in filter(None, (entry.path, entry.referenced_data_file)):
                    if is_old(self._layout, path):
                        self._name(read.path)
                        self._stale.note(path)
                if entry.content == POSITION_DELETES and entry.status != DELETED:
                    self._deletes_in.setdefault(entry.path, set()).add(read.path)

    def _read_deletes(self) -> None:
        """A delete that names a data file by its old path would delete nothing at the target."""
        for path, old in self._old_paths_in(self._unknown(self._deletes_in)):
            for named in old:
                self._stale.note(named)
            if old:
                self._stale.in_deletes = True
                self._name(path)
                for manifest in self._deletes_in[path]:
                    self._name(manifest)

    def _old_paths_in(self, paths: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
        def read(path: str) -> list[str]:
            with self._open(path).file as file:
                return [named for named in delete_paths(file.read(), path) if is_old(self._layout, named)]

        for outcome in run_in_threads(read, paths, workers=READERS):
            if isinstance(outcome, Failed):
                raise _broken(outcome.item, outcome.error)
            yield outcome.item, outcome.result


def _broken(path: str, error: MigratorError) -> MigratorError:
    if isinstance(error, NotFound):
        return NotFound(f"{path}, which the table names, is missing.", next_move="Restore it, and run it again.")
    return error
