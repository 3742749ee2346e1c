"""Moving one table from a bare metadata file: no catalog, no plan, for backups and disaster recovery.

The paths in the table need not be true any more: where the table is a copy whose paths still name the place
that it was copied from, in S3 or elsewhere, its files are read beside the metadata file. Nothing that exists is
ever overwritten with other bytes; a run that was interrupted is simply repeated.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from migrator.catalogs.hadoop import VERSION_HINT_FILE
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import ConfigError, MigratorError, NotFound, Occupied, UnmappedPath, Unreadable
from migrator.iceberg.manifests import DELETED, DeleteFile, ManifestFile, read_manifest
from migrator.iceberg.metadata import TableMetadata, metadata_version, read_metadata
from migrator.inventory.table_files import BrokenFile, ReadManifest, SourceFile, read_lists, read_manifests
from migrator.layout import Location
from migrator.layout.recorded import Recorded, is_s3, spelled
from migrator.planfile.rows import ROLE_CURRENT, ROLE_DELETES, ROLE_MANIFEST, ROLE_MANIFEST_LIST, ROLE_METADATA
from migrator.progress import Progress
from migrator.results import Written
from migrator.rewriting.rewriter import THREADS, Job, Rewriter, rewriting
from migrator.store import Content, Store, StoredObject, connect

ASIDE = "relocated"
"""Where a table is relocated to the very place where its files are, what must be rewritten goes to this folder."""

_HADOOP_NAME = re.compile(r"v([0-9]+)\..*")
_FILES = """
CREATE TABLE files (
  path TEXT PRIMARY KEY, size INTEGER, content INTEGER NOT NULL, place TEXT NOT NULL) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Moves:
    """Old prefix → new prefix in S3; a path in S3 keeps its scheme, another one gets that of its new prefix.

    The longest old prefix wins, on a ``/`` boundary. A path under no old prefix that lies under a new one is
    where it belongs. Paths in ``aside`` go to a folder of their own below the new prefix.
    """

    rules: tuple[Recorded, ...]
    """With targets ``bucket/key``."""
    aside: frozenset[str] = frozenset()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Location]]) -> Moves:
        """The moves of these (old prefix, new place) pairs."""
        named = {prefix_of(old): (_place(new), new.scheme) for old, new in pairs}
        rules = (Recorded(old, new, scheme) for old, (new, scheme) in named.items())
        return cls(tuple(sorted(rules, key=lambda rule: -len(rule.prefix))))

    def __call__(self, path: str) -> str | None:
        whole = spelled(path)
        scheme = path.partition("://")[0] if is_s3(path) else ""
        for rule in self.rules:
            if rule.covers(whole):
                inside = Recorded(rule.prefix, f"{rule.target}/{ASIDE}") if path in self.aside else rule
                return f"{scheme or rule.scheme}://{inside.move(whole)}"
        if not scheme:
            return None
        place = whole.partition("://")[2]
        return path if any(f"{place}/".startswith(f"{rule.target}/") for rule in self.rules) else None


@dataclass(frozen=True)
class Measured:
    """What is known of the files rewritten so far, by old path."""

    delete_files: dict[str, DeleteFile] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)

    def delete_file(self, path: str) -> DeleteFile | None:
        """The rewritten position delete file at this old path; None if there is none."""
        return self.delete_files.get(path)

    def length_of(self, place: str, path: str) -> int | None:
        """The new length of a manifest; None to keep the recorded one."""
        return self.lengths.get(path)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file to copy. ``size``: as recorded, None if it is not; ``place``: what names it."""

    path: str
    size: int | None
    place: str


@dataclass
class Relocation:
    """What :func:`relocate` did. Sizes in bytes."""

    metadata_location: str
    """The new metadata file: what a catalog is to register."""
    location: str
    format_version: int
    snapshots: int
    rewritten: int = 0
    copied: int = 0
    copied_bytes: int = 0
    there_already: int = 0
    """Objects that were not copied: an earlier run, or whoever made the copy, had brought them."""
    notes: list[str] = field(default_factory=list)


def table_rewriter(connection: dict[str, Any], mapping: Moves, facts: Measured) -> Rewriter:
    """The rewriter of a table, in a worker process."""
    store = connect(**connection)
    store.met()
    return Rewriter(store, mapping, facts)


def relocate(
    store: Store,
    metadata_uri: str,
    to: str,
    *,
    also: Iterable[tuple[str, str]] = (),
    copy: bool = True,
    progress: Progress | None = None,
) -> Relocation:
    """Write the table of ``metadata_uri`` anew at the location ``to``, with every path in it changed to match.

    ``also`` maps further prefixes, old → new, for files outside the table's location. Files of an old prefix that is
    not in S3 lie at the new one already, or where that is the old one of a further pair. ``copy`` False writes only
    what must be rewritten, for data files that are at the new place already, or will be.

    Raises ConfigError for places that are none, Unreadable and UnmappedPath for what is in the way, NotFound
    for a missing live file, Occupied if something else is at the target already. Up to the last step,
    which writes the new metadata file, nobody can mistake the result for a table.
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
        error.next_move = f"Say where that goes with --also OLD=NEW, such as --also {folder}=NEW, or a shorter prefix."
        if not is_s3(error.path):
            error.next_move += " NEW is the place in S3 where these files lie."
        raise


class _FileCopier:
    """Copies files that hold no paths, and counts them in ``result``."""

    def __init__(self, store: Store, where: Callable[[str], Location], moves: Moves, result: Relocation) -> None:
        self._store = store
        self._where = where
        self._moves = moves
        self._result = result

    def copy(self, wanted: Generator[_Wanted, None, None], stage: Progress) -> None:
        """Copy these files. Raises the first error, but for a missing file of statistics, which readers do without."""
        with (
            # Closed in this order, so that nobody asks the database for more when it is closed.
            closing(wanted) as files,
            closing(run_in_threads(self._copy, files, workers=self._store.concurrency)) as outcomes,
        ):
            for outcome in outcomes:
                if isinstance(outcome, Failed):
                    if outcome.item.size is None and isinstance(outcome.error, NotFound):
                        self._result.notes.append(f"{outcome.item.path} is missing: statistics are optional")
                        continue
                    raise outcome.error
                copied_size = outcome.result
                self._result.copied += copied_size is not None
                self._result.there_already += copied_size is None
                self._result.copied_bytes += copied_size or 0
                stage.advance(1, copied_size or 0)

    def _copy(self, wanted: _Wanted) -> int | None:
        """Copy one file and return its size; None if it is there already. Raises Occupied for anything else there."""
        source, to = self._where(wanted.path), _location(self._moves(wanted.path) or "")
        try:
            found = self._store.head(source.bucket, source.key)
        except NotFound as error:
            raise _missing(wanted.path, error, wanted.place) from error
        if wanted.size is not None and found.size != wanted.size:
            raise Unreadable(source.uri, f"it has {found.size} bytes, its manifest records {wanted.size}")
        if source == to:
            return None
        there = self._store.find(to.bucket, to.key)
        if there is None:
            self._store.copy(source.bucket, found, to.bucket, to.key)
            return found.size
        if not self._same(source, found, to, there):
            message = f"{to.uri} exists already, and is not {wanted.path}: {there.size} bytes against {found.size}"
            raise Occupied(
                f"{message}, or other ones.", next_move="Choose an empty place with --to, or with --also OLD=NEW."
            )
        return None

    def _same(self, source: Location, found: StoredObject, to: Location, there: StoredObject) -> bool:
        """True if both objects have the same bytes. An equal size does not tell."""
        if found.size != there.size:
            return False
        if found.etag == there.etag:
            return True
        return self._store.same_content((source.bucket, source.key), (to.bucket, to.key))


class _Relocator:
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
        self._progress = progress
        at, target = _location(metadata_uri), _location(to)
        self._data = store.get(at.bucket, at.key).data
        self._metadata = read_metadata(self._data, metadata_uri)
        self.old_location = self._metadata.location.rstrip("/") or self._metadata.location
        self._root = _root_of(at, self.old_location)
        self._in_place = _place(self._root) == _place(target)
        self._found, self._moves = _moves(self.old_location, self._root, target, also)
        self._measured = Measured()
        self._listed_in: dict[str, str] = {}
        """Manifest → the first manifest list that names it."""
        self._old_metadata: list[str] = []
        self.result = Relocation(
            metadata_location="",
            location=self._moves(self._metadata.location) or "",
            format_version=self._metadata.format_version,
            snapshots=len(self._metadata.snapshots),
        )

    def run(self) -> Relocation:
        metadata = self._metadata
        if metadata.encryption_keys:
            raise Unreadable(self._uri, "its table is encrypted, and key metadata cannot be carried over yet")
        current = self._spelled(self._uri)
        version = self._hinted_version(current)
        history = [path for path in metadata.metadata_log if path != current and self._exists(path)]
        lists = sorted({s.manifest_list for s in metadata.snapshots if s.manifest_list is not None})
        manifests = self._manifests(metadata, lists)
        self._check_lengths(manifests.values())
        with closing(sqlite3.connect("")) as db:  # on disk where it grows: a table may have millions of files
            db.execute(_FILES)
            self._read_manifests(
                db, [path for path, m in manifests.items() if self._copy or (m is not None and m.content)]
            )
            deletes = dict(db.execute("SELECT path, place FROM files WHERE content = 1 ORDER BY path").fetchall())
            rewritten = [*deletes, *manifests, *lists, *history, current]
            self._moves = Moves(self._moves.rules, frozenset(filter(self._stays, rewritten)))
            self._check_one_to_one(db)
            if self._copy:
                self._copy_files(db)
            else:
                self.result.notes.append("nobody looked whether the data files are there (--no-copy)")
        for path, written in self._rewrite(ROLE_DELETES, deletes, 0, deletes):
            if written.delete_file is not None:
                self._measured.delete_files[path] = written.delete_file
        size = sum(m.length for m in manifests.values() if m is not None)
        for path, written in self._rewrite(ROLE_MANIFEST, manifests, size):
            self._measured.lengths[path] = written.size
        for role, paths in ((ROLE_MANIFEST_LIST, lists), (ROLE_METADATA, history), (ROLE_CURRENT, [current])):
            for _ in self._rewrite(role, paths, 0):
                pass
        self.result.metadata_location = self._moves(current) or ""
        if version is not None:
            self._write_hint(version)
        return self.result

    # -- reading -------------------------------------------------------------------------------------

    def _spelled(self, uri: str) -> str:
        """The metadata file's path as its own table would spell it."""
        at, root = _place(_location(uri)), _place(self._root)
        return f"{self.old_location}{at[len(root) :]}" if at.startswith(f"{root}/") else uri

    def _where(self, path: str) -> Location:
        """Where the object of a path is now. Raises UnmappedPath for a path outside of S3 that nothing leads to."""
        found = self._found(path)
        if found is None and not is_s3(path):
            raise UnmappedPath(self._uri, path)
        return _location(found or path)

    def _open(self, path: str) -> SourceFile:
        """The file that a path stands for. Raises what :meth:`_where` raises, and NotFound."""
        at = self._where(path)
        return SourceFile(at.uri, self._store.download(at.bucket, at.key).file)

    def _stays(self, path: str) -> bool:
        """True if the object is where it would be rewritten to."""
        new = self._moves(path)
        return new is not None and (self._found(path) or path).partition("://")[2] == new.partition("://")[2]

    def _exists(self, path: str) -> bool:
        try:
            at = self._where(path)
            self._store.size(at.bucket, at.key)
        except (NotFound, ConfigError, UnmappedPath):
            self.result.notes.append(f"{path} is missing: its entry in the metadata log leads nowhere, as before")
            return False
        return True

    def _manifests(self, metadata: TableMetadata, lists: list[str]) -> dict[str, ManifestFile | None]:
        """Path → what the lists record of it; None for one that the metadata names inline."""
        found: dict[str, ManifestFile | None] = {path: None for s in metadata.snapshots for path in s.manifests}

        for read in read_lists(lists, self._open, workers=THREADS):
            if isinstance(read, BrokenFile):
                raise _missing(read.path, read.error, self._uri)
            if any(manifest.encrypted for manifest in read.manifests):
                raise Unreadable(read.place, "it names encrypted manifests")
            for manifest in read.manifests:
                known = found.setdefault(manifest.path, manifest)
                self._listed_in.setdefault(manifest.path, read.path)
                if known is not None and known.length != manifest.length:
                    reason = f"it records {manifest.length} bytes for {manifest.path}, another list {known.length}"
                    raise Unreadable(read.path, reason)
        return found

    def _check_lengths(self, manifests: Iterable[ManifestFile | None]) -> None:
        """A manifest cut between two blocks is sound Avro: only its length tells, or the number of its entries.
        That one decides, for there are tools that leave a wrong length (iceberg#13719)."""

        def check(manifest: ManifestFile) -> str:
            at = self._where(manifest.path)
            size = self._store.size(at.bucket, at.key)
            if size == manifest.length:
                return ""
            with self._store.download(at.bucket, at.key) as source:
                count = sum(1 for _ in read_manifest(source.file, at.uri))
            if count != manifest.entries:
                reason = f"its list records {manifest.length} bytes and {manifest.entries} entries"
                raise Unreadable(at.uri, f"it has {size} bytes and {count} entries, {reason}")
            return f"{at.uri} has all {count} entries, and the length that its list recorded wrongly is put right"

        for outcome in run_in_threads(check, filter(None, manifests), workers=self._store.concurrency):
            if isinstance(outcome, Failed):
                raise _missing(outcome.item.path, outcome.error, self._listed_in[outcome.item.path])
            if outcome.result:
                self.result.notes.append(outcome.result)

    def _read_manifests(self, db: sqlite3.Connection, paths: list[str]) -> None:
        """Note every live file that the manifests name."""
        with self._progress.stage("reading manifests", objects=len(paths)) as stage:
            for read in read_manifests(paths, self._open, workers=THREADS):
                if isinstance(read, BrokenFile):
                    raise _missing(read.path, read.error, self._listed_in.get(read.path, self._uri))
                db.executemany("INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?)", self._live_files(read))
                stage.advance(1)

    def _live_files(self, manifest: ReadManifest) -> Iterator[tuple[str, int, int, str]]:
        """The rows of ``files`` for one manifest."""
        for entry in manifest.entries:
            if entry.encrypted:
                raise Unreadable(manifest.place, f"it names an encrypted file, {entry.path!r}")
            if entry.status != DELETED:
                if self._moves(entry.path) is None:
                    raise UnmappedPath(manifest.place, entry.path)
                yield entry.path, entry.size, entry.content, manifest.place

    def _check_one_to_one(self, db: sqlite3.Connection) -> None:
        """Of two files that became one, one would be lost."""
        db.create_function("source_of", 1, lambda path: (self._found(path) or path).partition("://")[2])
        db.create_function("target_of", 1, lambda path: (self._moves(path) or path).partition("://")[2])
        query = (
            "SELECT target_of(path) AS target, min(source_of(path)) AS one, max(source_of(path)) AS other FROM files"
            " GROUP BY target HAVING one <> other LIMIT 1"
        )
        for target, one, other in db.execute(query):
            message = f"s3://{one} and s3://{other} would both become s3://{target}."
            raise Occupied(message, next_move="Say where one of them goes with --also OLD=NEW.")

    # -- copying -------------------------------------------------------------------------------------

    def _copy_files(self, db: sqlite3.Connection) -> None:
        """Copy what holds no path: data files, equality deletes, statistics. What stays is only looked for."""
        count, size = db.execute("SELECT count(*), total(size) FROM files WHERE content <> 1").fetchone()

        def wanted() -> Generator[_Wanted, None, None]:
            for row in db.execute("SELECT path, size, place FROM files WHERE content <> 1"):
                yield _Wanted(*row)
            yield from (_Wanted(path, None, self._uri) for path in self._metadata.statistics if self._moves(path))

        with self._progress.stage("copying", objects=count, size=int(size)) as stage:
            _FileCopier(self._store, self._where, self._moves, self.result).copy(wanted(), stage)

    # -- rewriting -----------------------------------------------------------------------------------

    def _rewrite(
        self, role: str, paths: Iterable[str], size: int, named_by: Mapping[str, str] | None = None
    ) -> Iterator[tuple[str, Written]]:
        """Rewrite these files; yield each old path with what stands at the new one. ``named_by``: what names each,
        if it is not the metadata file."""
        paths = sorted(paths)
        rewriter = Rewriter(self._store, self._moves, self._measured)
        setup = (table_rewriter, self._store.connection, self._moves, self._measured)
        with rewriting(rewriter, size, *setup) as (rewrite, workers):
            yield from self._each(role, paths, rewrite, workers, named_by or {})

    def _each(
        self,
        role: str,
        paths: list[str],
        rewrite: Callable[[Job], Written],
        workers: int,
        named_by: Mapping[str, str],
    ) -> Iterator[tuple[str, Written]]:
        def job(path: str) -> Written:
            source, new = self._where(path), self._moves(path)
            if new is None:
                raise UnmappedPath(self._uri, path)
            target = _location(new)
            return rewrite(Job(role, (source.bucket, source.key), (target.bucket, target.key)))

        if not paths:
            return
        with self._progress.stage(f"rewriting {role}", objects=len(paths)) as stage:
            for outcome in run_in_threads(job, paths, workers=workers):
                if isinstance(outcome, Failed):
                    raise _missing(outcome.item, outcome.error, named_by.get(outcome.item, self._uri))
                self.result.rewritten += 1
                stage.advance(1)
                yield outcome.item, outcome.result

    def _hinted_version(self, current: str) -> str | None:
        """The version that a Hadoop table's hint must say: it is found by its directory. None for other tables.

        Raises Occupied for a later version at the new place, which readers would take for the table.
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
        new = _location(self.result.metadata_location)
        folder = new.key.rpartition("/")[0]
        self._store.put(new.bucket, f"{folder}/{VERSION_HINT_FILE}", Content(version.encode(), ""), replace=False)


def _missing(path: str, error: MigratorError, named_by: str) -> MigratorError:
    """``error``, which says what names the file if it is that the file is not there."""
    if not isinstance(error, NotFound):
        return error
    message = f"{path} is missing, and {named_by} names it: {error.message}"
    return NotFound(message, next_move="Restore it, or repair the table first.")


def _location(uri: str) -> Location:
    at = Location.parse(uri)
    if at is None or not at.key.strip("/"):
        raise ConfigError(f"{uri!r} is not a place in S3.", next_move="Write it as s3://bucket/prefix.")
    return at


def _place(at: Location) -> str:
    return f"{at.bucket}/{at.key.rstrip('/')}"


def _moves(location: str, root: Location, target: Location, also: Iterable[tuple[str, str]]) -> tuple[Moves, Moves]:
    """Where the objects of paths are, and where they go. ``root``: where the table's directory is."""
    pairs = [(old, _location(new)) for old, new in also]
    within = Moves.of([(location, root)])
    # Of a place outside of S3 somebody must have copied these files: what is inside the table's directory with it.
    outside = [(old, new) for old, new in pairs if not is_s3(old) and within(old) is None]
    for old, _ in pairs:
        if is_s3(old):
            _location(old)
    onwards = Moves.of([pair for pair in pairs if is_s3(pair[0])])
    chained = [(old, _location(onwards(new.uri) or new.uri)) for old, new in outside]
    found = Moves.of([(location, root), *outside])
    return found, Moves.of([(location, target), *pairs, *chained])


def prefix_of(path: str) -> str:
    """A prefix as rules have it: in its one spelling, without a slash at its end."""
    return spelled(path).rstrip("/")


def _root_of(metadata: Location, location: str) -> Location:
    """The directory of the table that a metadata file belongs to: the one that its location names, if it is
    there; else, for a copy, the one above ``metadata/``."""
    old = Location.parse(location)
    if old is not None and _place(metadata).startswith(f"{_place(old)}/"):
        return Location(old.scheme, old.bucket, old.key.rstrip("/"))
    folder, _, last = metadata.key.rpartition("/")[0].rpartition("/")
    if last != "metadata" or not folder:
        raise ConfigError(
            f"{metadata.uri} lies neither below its table's location, {location}, nor in a folder metadata/.",
            next_move="Name the file inside the table's copy, …/metadata/….metadata.json.",
        )
    return Location(metadata.scheme, metadata.bucket, folder)
