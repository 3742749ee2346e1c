"""Moving one table from a bare metadata file: no catalog, no plan, for backups and disaster recovery.

The paths in the table may be outdated: if the table is a copy whose paths still name the original place, in S3 or
elsewhere, its files are read from the folder of the copy. No object is overwritten with other bytes; after an
interruption, run it again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from migrator.catalogs.hadoop import VERSION_HINT_FILE
from migrator.errors import ConfigError, Occupied, UnmappedPath
from migrator.iceberg.metadata import metadata_version, read_metadata
from migrator.layout import Location
from migrator.layout.recorded import is_s3
from migrator.progress import Progress
from migrator.rewriting.moves import Moves, place_of, prefix_of
from migrator.rewriting.other_tables import OtherTables
from migrator.rewriting.table_mover import KnownFile, Moved, TableMover, place_in_s3
from migrator.store import Content, Store

_HADOOP_NAME = re.compile(r"v([0-9]+)\..*")


@dataclass
class Relocation(Moved):
    """What :func:`relocate` did."""

    metadata_location: str = ""
    """The new metadata file, to be registered in a catalog."""
    location: str = ""
    format_version: int = 0
    snapshots: int = 0


def relocate(
    store: Store,
    metadata_uri: str,
    to: str,
    *,
    also: Iterable[tuple[str, str]] = (),
    copy: bool = True,
    progress: Progress | None = None,
) -> Relocation:
    """Write the table of ``metadata_uri`` to the location ``to``, and change every path in it accordingly.

    ``also`` maps further prefixes, old → new, for files outside the table's location. If an old prefix is not in S3,
    its files must already be at the new one, or at the new one's old prefix in another pair. ``copy`` False writes only
    what must be rewritten, for data files that are at the new place already, or will be.

    Raises ConfigError for invalid places, Unreadable and UnmappedPath for files and paths that cannot be handled,
    NotFound for a missing live file, Occupied if the target already has another object, or another table lies at, below
    or around ``to``. The new metadata file is written last, so an incomplete result has none and is no table.
    """
    relocator = _Relocator(store, metadata_uri, to, also, copy, progress or Progress())
    try:
        return relocator.run()
    except UnmappedPath as error:
        error.message = (
            f"{error.place} refers to {error.path!r}, outside the location that {metadata_uri} records, "
            f"{relocator.old_location}."
        )
        folder = error.path.rpartition("/")[0]
        option = f"--also {shlex.quote(folder)}=NEW"
        error.next_move = f"Give its new place with --also OLD=NEW, such as {option}, or a shorter prefix."
        if not is_s3(error.path):
            error.next_move += " NEW is the place in S3 where these files lie."
        raise


class _Relocator:
    """The :class:`Route` of a relocation, and its steps."""

    def __init__(
        self,
        store: Store,
        metadata_uri: str,
        to: str,
        also: Iterable[tuple[str, str]],
        copy: bool,
        progress: Progress,
    ) -> None:
        self._store = store
        self._uri = metadata_uri
        self._copy = copy
        at, target = place_in_s3(metadata_uri), place_in_s3(to, or_bucket=True)
        data = store.get(at.bucket, at.key).data
        metadata = read_metadata(data, metadata_uri)
        self.old_location = metadata.location.rstrip("/") or metadata.location
        self._root = _root_of(at, self.old_location)
        self._in_place = place_of(self._root) == place_of(target)
        self._others = OtherTables(store, target, at, metadata.table_uuid)
        self._found, self._moves = _moves(self.old_location, self._root, target, also)
        self.result = Relocation(
            location=self._moves(metadata.location) or "",
            format_version=metadata.format_version,
            snapshots=len(metadata.snapshots),
        )
        self._progress = progress
        self._mover = TableMover(store, metadata_uri, data, self, self.result, progress, lambda: self._moves)

    def run(self) -> Relocation:
        current = self._spelled(self._uri)
        if not self._in_place and (unseen := self._others.refuse(self._progress)):
            self.result.notes.append(unseen)
        version = self._hinted_version(current)
        self._mover.run(current, copy=self._copy)
        if not self._copy:
            self.result.notes.append("it was not checked whether the data files are there (--no-copy)")
        self.result.metadata_location = self._moves(current) or ""
        if version is not None:
            self._write_hint(version)
        return self.result

    def _spelled(self, uri: str) -> str:
        """The metadata file's path as its own table would spell it."""
        at, root = place_of(place_in_s3(uri)), place_of(self._root)
        return f"{self.old_location}{at[len(root) :]}" if at.startswith(f"{root}/") else uri

    # -- the route -----------------------------------------------------------------------------------

    def source(self, path: str) -> Location | None:
        """Where the object of a path is now."""
        found = self._found(path)
        return Location.parse(path if found is None else found)

    def new_path(self, path: str) -> str | None:
        """The path at the new place."""
        return self._moves(path)

    def known(self, path: str) -> KnownFile | None:
        """None: objects at the new place are compared when they are copied."""
        return None

    def rewritten(self, paths: Sequence[str]) -> None:
        """Files that would be rewritten in place go to another folder."""
        self._moves = Moves(self._moves.rules, frozenset(filter(self._stays, paths)))

    def _stays(self, path: str) -> bool:
        """True if the object is where it would be rewritten to."""
        new = self._moves(path)
        return new is not None and (self._found(path) or path).partition("://")[2] == new.partition("://")[2]

    # -- the version hint ----------------------------------------------------------------------------

    def _hinted_version(self, current: str) -> str | None:
        """The version for the version hint of a Hadoop table; None for other tables.

        Raises Occupied for a later version at the new place, which readers would use.
        """
        new = Location.parse(self._moves(current) or "")
        if new is None or self._in_place:
            return None
        folder, _, name = new.key.rpartition("/")
        version = _HADOOP_NAME.fullmatch(name)
        if version is None:
            return None
        names = {f.key.rpartition("/")[2] for f in self._store.list(new.bucket, f"{folder}/")}
        later = [n for n in names if n.startswith("v") and (metadata_version(n) or 0) > int(version[1])]
        if later:
            message = f"s3://{new.bucket}/{folder}/{later[0]} is newer than {name}, and readers would follow it."
            raise Occupied(message, next_move="Move it away.")
        return version[1]

    def _write_hint(self, version: str) -> None:
        new = place_in_s3(self.result.metadata_location)
        folder = new.key.rpartition("/")[0]
        self._store.put(new.bucket, f"{folder}/{VERSION_HINT_FILE}", Content(version.encode(), ""), replace=False)


def _moves(location: str, root: Location, target: Location, also: Iterable[tuple[str, str]]) -> tuple[Moves, Moves]:
    """(moves from paths to the present places of their objects, moves from paths to new paths). ``root``: the table's
    directory."""
    pairs = [(old, place_in_s3(new, or_bucket=True)) for old, new in also]
    _check_also(pairs)
    within = Moves.of([(location, root)])
    # Files of a place outside of S3 must have been copied already: those inside the table's directory together with it.
    outside = [(old, new) for old, new in pairs if not is_s3(old) and within(old) is None]
    onwards = Moves.of([pair for pair in pairs if is_s3(pair[0])])
    chained = [(old, place_in_s3(onwards(new.uri) or new.uri, or_bucket=True)) for old, new in outside]
    found = Moves.of([(location, root), *outside])
    return found, Moves.of([(location, target), *pairs, *chained])


def _check_also(pairs: Iterable[tuple[str, Location]]) -> None:
    """Raise ConfigError for an old prefix that is none, and for one with two new ones."""
    known: dict[str, Location] = {}
    for old, new in pairs:
        if is_s3(old):
            place_in_s3(old, or_bucket=True)
        first = known.setdefault(prefix_of(old), new)
        if place_of(first) != place_of(new):
            raise ConfigError(
                f"{old} cannot go to {first.uri} and to {new.uri}.", next_move="Give --also once for each OLD."
            )


def _root_of(metadata: Location, location: str) -> Location:
    """The directory of the table that a metadata file belongs to: the one that its location names, if the file lies in
    it; otherwise, for a copy, the parent of ``metadata/``."""
    old = Location.parse(location)
    if old is not None and place_of(metadata).startswith(f"{place_of(old)}/"):
        return Location(old.scheme, old.bucket, old.key.rstrip("/"))
    folder, _, last = metadata.key.rpartition("/")[0].rpartition("/")
    if last != "metadata":
        raise ConfigError(
            f"{metadata.uri} lies neither below its table's location, {location}, nor in a folder metadata/.",
            next_move="Name the file inside the table's copy, …/metadata/….metadata.json.",
        )
    return Location(metadata.scheme, metadata.bucket, folder)
