"""Moves the files of one table: copies files without paths, rewrites files with paths, leaf first.

A :class:`Route` maps old paths to new ones: for ``relocate`` by the prefixes that a user gives, for a rollback by the
layout of a plan in reverse, for a repair by the layout itself. No object is overwritten with other bytes, so after an
interruption it can be run again. The new metadata file is written last: until then the result is no table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import ConfigError, MigratorError, NotFound, Occupied, UnmappedPath, Unreadable
from migrator.iceberg import Mapping as PathMapping
from migrator.iceberg.manifests import DELETED, POSITION_DELETES, DeleteFile, Entry, ManifestFile, read_manifest
from migrator.iceberg.metadata import TableMetadata, read_metadata
from migrator.inventory.table_files import BrokenFile, ReadManifest, SourceFile, read_lists, read_manifests
from migrator.layout import Location
from migrator.planfile.rows import (
    FILES,
    ROLE_CURRENT,
    ROLE_DELETES,
    ROLE_MANIFEST,
    ROLE_MANIFEST_LIST,
    ROLE_METADATA,
    UNITS,
)
from migrator.progress import Progress
from migrator.results import Written
from migrator.rewriting.rewriter import THREADS, Job, Rewriter
from migrator.store import Store, StoredObject

_FILES = """
CREATE TABLE files (
  path TEXT PRIMARY KEY, size INTEGER, content INTEGER NOT NULL, place TEXT NOT NULL) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that is at its new place already and can be used there.

    ``size`` in bytes; None to keep the recorded one. ``deletes``: the size and bounds for manifests, if it is a file of
    position deletes that differs from the one at the old place.
    """

    size: int | None
    deletes: DeleteFile | None = None


class Route(Protocol):
    """Where the files of a table are, and where they go. Paths are those that the table names."""

    def source(self, path: str) -> Location | None:
        """Where the object of a path is now; None for a path outside of S3 that has no object."""

    def new_path(self, path: str) -> str | None:
        """The new path; None if there is none for this path."""

    def known(self, path: str) -> KnownFile | None:
        """The file at the new place, if it must not be copied or rewritten; None for every other file."""

    def rewritten(self, paths: Sequence[str]) -> None:
        """Called once, before anything is written, with the paths of all files that will be rewritten."""


@dataclass(frozen=True)
class Measured:
    """The sizes and bounds of the files rewritten so far, by old path."""

    delete_files: dict[str, DeleteFile] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)

    def delete_file(self, path: str) -> DeleteFile | None:
        """The rewritten position delete file at this old path; None if there is none."""
        return self.delete_files.get(path)

    def length_of(self, place: str, path: str) -> int | None:
        """The new length of a manifest; None to keep the recorded one."""
        return self.lengths.get(path)


@dataclass
class Moved:
    """What was done. Sizes in bytes."""

    rewritten: int = 0
    copied: int = 0
    copied_bytes: int = 0
    there_already: int = 0
    """Objects that were not copied: an earlier run, or the user, had copied them."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file to copy. ``size``: as recorded, None if it is not recorded; ``place``: the file that names it."""

    path: str
    size: int | None
    place: str


class TableMover:
    """Moves the files of the table that ``metadata_uri`` describes. ``data``: that file's bytes.

    ``moves``: maps paths like ``route``, for child processes, which rewrite large manifests (see
    :class:`migrator.rewriting.manifests.ManifestRewriter`); without it only threads are used.
    """

    def __init__(
        self,
        store: Store,
        metadata_uri: str,
        data: bytes,
        route: Route,
        result: Moved,
        progress: Progress,
        moves: Callable[[], PathMapping] | None = None,
    ) -> None:
        self._store = store
        self._uri = metadata_uri
        self._metadata = read_metadata(data, metadata_uri)
        self._route = route
        self._progress = progress
        self._moves = moves
        self._measured = Measured()
        self._listed_in: dict[str, str] = {}
        """Manifest → the first manifest list that names it."""
        self.history: list[str] = []
        """The paths of the earlier metadata files to move; known after :meth:`move_files`."""
        self.result = result

    def run(self, current: str, *, copy: bool = True) -> None:
        """Copy and rewrite all files of the table. ``current``: the path of the metadata file, as the table itself
        would spell it. ``copy`` False: write only what must be rewritten.

        Raises Unreadable and UnmappedPath for files and paths that cannot be handled, NotFound for a missing live file,
        Occupied if another object is at a new place already.
        """
        self.move_files(current, copy=copy)
        self.move_metadata(current)

    def move_files(self, current: str, *, copy: bool = True) -> None:
        """As :meth:`run`, without metadata files: until those are written, no reader finds what was moved."""
        metadata = self._metadata
        if metadata.encryption_keys:
            raise Unreadable(self._uri, "its table is encrypted, and key metadata cannot be carried over yet")
        self.history = [p for p in self._unknown(metadata.metadata_log) if p != current and self._exists(p)]
        lists = sorted(self._unknown({s.manifest_list for s in metadata.snapshots if s.manifest_list is not None}))
        manifests = self._manifests(metadata, lists)
        self._check_lengths(manifests.values())
        with closing(sqlite3.connect("")) as db:  # on disk if it grows: a table may have millions of files
            db.execute(_FILES)
            self._read_manifests(db, [path for path, m in manifests.items() if copy or (m is not None and m.content)])
            deletes = dict(db.execute("SELECT path, place FROM files WHERE content = 1 ORDER BY path").fetchall())
            self._route.rewritten([*deletes, *manifests, *lists, *self.history, current])
            self._check_one_to_one(db)
            if copy:
                self._copy_files(db)
        for path, written in self._rewrite(ROLE_DELETES, deletes, 0, deletes):
            if written.delete_file is not None:
                self._measured.delete_files[path] = written.delete_file
        size = sum(m.length for m in manifests.values() if m is not None)
        for path, written in self._rewrite(ROLE_MANIFEST, manifests, size):
            self._measured.lengths[path] = written.size
        for _ in self._rewrite(ROLE_MANIFEST_LIST, lists, 0):
            pass

    def move_metadata(self, current: str) -> None:
        """Rewrite the metadata files, the current one last, after :meth:`move_files`."""
        self.move_metadata_log()
        for _ in self._rewrite(ROLE_CURRENT, [current], 0):
            pass

    def move_metadata_log(self) -> None:
        """Rewrite the earlier metadata files that the table names, after :meth:`move_files`."""
        for _ in self._rewrite(ROLE_METADATA, self.history, 0):
            pass

    # -- reading -------------------------------------------------------------------------------------

    def _unknown(self, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if self._route.known(path) is None]

    def where(self, path: str) -> Location:
        """Where the object of a path is now. Raises UnmappedPath for a path outside of S3 that has no object,
        ConfigError for a path that is only a bucket."""
        found = self._route.source(path)
        if found is None:
            raise UnmappedPath(self._uri, path)
        if not found.key.strip("/"):
            raise ConfigError(f"{path!r} is not a place in S3.", next_move="Write it as s3://bucket/prefix.")
        return found

    def _open(self, path: str) -> SourceFile:
        """Open the file of a path. Raises what :meth:`where` raises, and NotFound."""
        at = self.where(path)
        return SourceFile(at.uri, self._store.download(at.bucket, at.key).file)

    def _exists(self, path: str) -> bool:
        try:
            at = self.where(path)
            self._store.size(at.bucket, at.key)
        except (NotFound, ConfigError, UnmappedPath):
            self.result.notes.append(f"{path} is missing: its entry in the metadata log names no file, as before")
            return False
        return True

    def _manifests(self, metadata: TableMetadata, lists: list[str]) -> dict[str, ManifestFile | None]:
        """Path of each manifest → its entry in the manifest lists; None for one that the metadata names directly. Known
        files are left out."""
        inline = {path for s in metadata.snapshots for path in s.manifests}
        found: dict[str, ManifestFile | None] = dict.fromkeys(self._unknown(inline))
        for read in read_lists(lists, self._open, workers=THREADS):
            if isinstance(read, BrokenFile):
                raise missing(read.path, read.error, self._uri)
            if any(manifest.encrypted for manifest in read.manifests):
                raise Unreadable(read.place, "it names encrypted manifests")
            for manifest in read.manifests:
                self._listed_in.setdefault(manifest.path, read.path)
                if (there := self._route.known(manifest.path)) is not None:
                    if there.size is not None:
                        self._measured.lengths[manifest.path] = there.size
                    continue
                known = found.setdefault(manifest.path, manifest)
                if known is not None and known.length != manifest.length:
                    reason = f"it records {manifest.length} bytes for {manifest.path}, another list {known.length}"
                    raise Unreadable(read.path, reason)
        return found

    def _check_lengths(self, manifests: Iterable[ManifestFile | None]) -> None:
        """Check that no manifest is truncated. One that ends between two blocks is valid Avro, so compare its length
        and the number of its entries. The number decides, because some tools record a wrong length (iceberg#13719)."""

        def check(manifest: ManifestFile) -> str:
            at = self.where(manifest.path)
            size = self._store.size(at.bucket, at.key)
            if size == manifest.length:
                return ""
            with self._store.download(at.bucket, at.key) as source:
                count = sum(1 for _ in read_manifest(source.file, at.uri))
            if count != manifest.entries:
                reason = f"its list records {manifest.length} bytes and {manifest.entries} entries"
                raise Unreadable(at.uri, f"it has {size} bytes and {count} entries, {reason}")
            return f"{at.uri} has all {count} entries, and the wrong length in its list is corrected"

        for outcome in run_in_threads(check, filter(None, manifests), workers=self._store.concurrency):
            if isinstance(outcome, Failed):
                raise missing(outcome.item.path, outcome.error, self._listed_in[outcome.item.path])
            if outcome.result:
                self.result.notes.append(outcome.result)

    def _read_manifests(self, db: sqlite3.Connection, paths: list[str]) -> None:
        """Note every live file that the manifests name."""
        with self._progress.stage("reading manifests", objects=len(paths), unit="manifests") as stage:
            for read in read_manifests(paths, self._open, workers=THREADS):
                if isinstance(read, BrokenFile):
                    raise missing(read.path, read.error, self._listed_in.get(read.path, self._uri))
                db.executemany("INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?)", self._live_files(read))
                stage.advance(1)

    def _live_files(self, manifest: ReadManifest) -> Iterator[tuple[str, int, int, str]]:
        """The rows of ``files`` for one manifest, without those files that are known."""
        for entry in manifest.entries:
            if entry.encrypted:
                raise Unreadable(manifest.place, f"it names an encrypted file, {entry.path!r}")
            if entry.status != DELETED:
                if self._route.new_path(entry.path) is None:
                    raise UnmappedPath(manifest.place, entry.path)
                if not self._is_known(entry):
                    yield entry.path, entry.size, entry.content, manifest.place

    def _is_known(self, entry: Entry) -> bool:
        known = self._route.known(entry.path)
        if known is not None and known.deletes is not None and entry.content == POSITION_DELETES:
            self._measured.delete_files[entry.path] = known.deletes
        return known is not None

    def _check_one_to_one(self, db: sqlite3.Connection) -> None:
        """Raise an error if two files would get the same new path: one would be lost."""
        db.create_function("source_of", 1, lambda path: self.where(path).uri.partition("://")[2])
        db.create_function("target_of", 1, lambda path: (self._route.new_path(path) or path).partition("://")[2])
        query = (
            "SELECT target_of(path) AS target, min(source_of(path)) AS one, max(source_of(path)) AS other FROM files"
            " GROUP BY target HAVING one <> other LIMIT 1"
        )
        for target, one, other in db.execute(query):
            message = f"s3://{one} and s3://{other} would both become s3://{target}."
            raise Occupied(message, next_move="Give one of them another place with --also OLD=NEW.")

    # -- copying -------------------------------------------------------------------------------------

    def _copy_files(self, db: sqlite3.Connection) -> None:
        """Copy the files without paths: data files, equality deletes, statistics. Of files that stay, only check that
        they exist."""
        count, size = db.execute("SELECT count(*), total(size) FROM files WHERE content <> 1").fetchone()

        def wanted() -> Generator[_Wanted, None, None]:
            for row in db.execute("SELECT path, size, place FROM files WHERE content <> 1"):
                yield _Wanted(*row)
            statistics = (p for p in self._unknown(self._metadata.statistics) if self._route.new_path(p))
            yield from (_Wanted(path, None, self._uri) for path in statistics)

        with self._progress.stage("copying", objects=count, size=int(size), unit=FILES) as stage:
            _FileCopier(self._store, self.where, self._route, self.result).copy(wanted(), stage)

    # -- rewriting -----------------------------------------------------------------------------------

    def _rewrite(
        self, role: str, paths: Iterable[str], size: int, named_by: Mapping[str, str] | None = None
    ) -> Iterator[tuple[str, Written]]:
        """Rewrite these files; yield each old path with the file that was written at the new one. ``named_by``: the
        file that names each, if it is not the metadata file."""
        paths = sorted(paths)
        rewriter = Rewriter(self._store, self._route.new_path, self._measured)
        if role != ROLE_MANIFEST or self._moves is None:
            yield from self._each(role, paths, rewriter, named_by or {})
            return
        with rewriter.manifests_in_children(self._moves(), size) as rewrite:
            yield from self._each(role, paths, rewrite, named_by or {})

    def _each(
        self,
        role: str,
        paths: list[str],
        rewrite: Callable[[Job], Written],
        named_by: Mapping[str, str],
    ) -> Iterator[tuple[str, Written]]:
        def job(path: str) -> Written:
            source, new = self.where(path), self._route.new_path(path)
            if new is None:
                raise UnmappedPath(self._uri, path)
            target = place_in_s3(new)
            return rewrite(Job(role, (source.bucket, source.key), (target.bucket, target.key)))

        if not paths:
            return
        with self._progress.stage(f"rewriting {role}", objects=len(paths), unit=UNITS.get(role, FILES)) as stage:
            for outcome in run_in_threads(job, paths, workers=THREADS):
                if isinstance(outcome, Failed):
                    raise missing(outcome.item, outcome.error, named_by.get(outcome.item, self._uri))
                self.result.rewritten += 1
                stage.advance(1)
                yield outcome.item, outcome.result


class _FileCopier:
    """Copies files that hold no paths, and counts them in ``result``."""

    def __init__(self, store: Store, where: Callable[[str], Location], route: Route, result: Moved) -> None:
        self._store = store
        self._where = where
        self._route = route
        self._result = result

    def copy(self, wanted: Generator[_Wanted, None, None], stage: Progress) -> None:
        """Copy these files. Raises the first error, except for a missing statistics file, which readers do not need."""
        with (
            # Closed in this order, so that the database is not read when it is closed.
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
        """Copy one file and return its size; None if it is there already. Raises Occupied for another object there."""
        source, to = self._where(wanted.path), place_in_s3(self._route.new_path(wanted.path) or "")
        try:
            found = self._store.head(source.bucket, source.key)
        except NotFound as error:
            raise missing(wanted.path, error, wanted.place) from error
        if wanted.size is not None and found.size != wanted.size:
            raise Unreadable(source.uri, f"it has {found.size} bytes, its manifest records {wanted.size}")
        if (source.bucket, source.key) == (to.bucket, to.key):
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
        """True if both objects have the same bytes. An equal size proves nothing."""
        if found.size != there.size:
            return False
        if found.etag == there.etag:
            return True
        return self._store.same_content((source.bucket, source.key), (to.bucket, to.key))


def missing(path: str, error: MigratorError, named_by: str) -> MigratorError:
    """``error``; if it is NotFound, with a message that says which file names the missing one."""
    if not isinstance(error, NotFound):
        return error
    message = f"{path} is missing, and {named_by} names it: {error.message}"
    return NotFound(message, next_move="Restore it, or repair the table first.")


def with_suffix(path: str, suffix: str) -> str:
    """The path, or key, with a suffix at the end of the file's name, before its extension: ``m0-back.avro``."""
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.partition(".")
    return f"{folder}{slash}{stem}{suffix}{dot}{extension}"


def place_in_s3(uri: str, *, or_bucket: bool = False) -> Location:
    """The place that a URI names. ``or_bucket``: it may be a whole bucket. Raises ConfigError if it is not in S3, or
    only a bucket."""
    at = Location.parse(uri)
    if at is None or not (or_bucket or at.key.strip("/")):
        raise ConfigError(f"{uri!r} is not a place in S3.", next_move="Write it as s3://bucket/prefix.")
    return at
