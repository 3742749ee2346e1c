"""A plan's walk of one table: reads the files that its metadata names, notes them, and turns problems into findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import NotFound, UnmappedPath, Unreadable
from migrator.iceberg.deletes import delete_paths, format_of, rewrite_deletes
from migrator.iceberg.manifests import DATA, DELETED, Entry
from migrator.iceberg.metadata import TableMetadata
from migrator.inventory.listing import is_at_target
from migrator.inventory.located import locate
from migrator.inventory.metadata_cache import MetadataCache
from migrator.inventory.problems import Problems
from migrator.inventory.reference_checks import check_existing, check_schemes, check_staying
from migrator.inventory.references import OF_DELETE_ROW, OF_MANIFEST, OF_STAYING, Ref, References
from migrator.inventory.table_files import READERS, BrokenFile, OpenFile, SourceFile, read_lists, read_manifests
from migrator.layout import Layout, Location
from migrator.layout.recorded import head, is_s3
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import keys_under
from migrator.store import Store


@dataclass
class Walk:
    """The counts of one walk through a table's metadata."""

    lists: set[str] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)
    statistics: set[str] = field(default_factory=set)


class Walker:
    """Reads one table's files and notes the objects that they name
    (:class:`migrator.inventory.references.References`)."""

    def __init__(self, plan: PlanFile, store: Store, files: MetadataCache, layout: Layout, problems: Problems) -> None:
        self._plan = plan
        self._store = store
        self._files = files
        self._layout = layout
        self._problems = problems
        self.references = References(plan.db, layout.target_bucket)
        self._one_server = store.ends[0] is store.ends[1]

    def walk(self, metadatas: Iterable[TableMetadata], *, strict: bool, skip: Walk | None = None) -> Walk:
        """Read all lists and manifests below ``metadatas``; their entries are noted.

        ``strict``: missing and unreadable files are problems. Otherwise they are skipped: old metadata names files that
        were expired long ago.
        """
        walk, seen = Walk(), skip or Walk()
        for metadata in metadatas:
            walk.statistics |= set(metadata.statistics)
            walk.lists |= {s.manifest_list for s in metadata.snapshots if s.manifest_list is not None}
            walk.manifests |= {manifest for s in metadata.snapshots for manifest in s.manifests}
        walk.lists -= seen.lists
        self._lists(walk, strict)
        walk.manifests -= seen.manifests
        self._manifests(walk, strict)
        for uri in walk.statistics if strict else ():
            if self.locate(uri) is None:
                self._problems.note("missing-history", uri, _why_not_there(self._layout, uri))
        return walk

    def count_outside(self, location: str) -> int:
        """How many live files do not lie below the table's location."""
        at = self._layout.place_of(location)
        low, high = keys_under(at.key.strip("/")) if at else ("", "")
        return self.references.count_outside(at.bucket if at else "", low, high)

    def _lists(self, walk: Walk, strict: bool) -> None:
        places = dict(self._located(sorted(walk.lists), strict))
        for read in read_lists(places, self._opener(places)):
            try:
                if isinstance(read, BrokenFile):
                    self._vanished(read, strict)
                    continue
                self._check_mapped(read.path, [manifest.path for manifest in read.manifests])
            except (Unreadable, UnmappedPath) as error:
                walk.lists.discard(read.path)
                self._bad_file(read.path, error, strict)
                continue
            if any(manifest.encrypted for manifest in read.manifests):
                message = f"of {self._problems.label} names an encrypted manifest"
                self._problems.add("encrypted-table", read.path, message, "")
            if strict:
                # An Avro file that is truncated between two blocks is still valid: only its length shows it.
                self.references.add(
                    (*self._placed(manifest.path), manifest.length, OF_MANIFEST, "AVRO", True, read.path)
                    for manifest in read.manifests
                )
            walk.manifests |= {manifest.path for manifest in read.manifests}

    def _manifests(self, walk: Walk, strict: bool) -> None:
        places = dict(self._located(sorted(walk.manifests), strict))
        for read in read_manifests(places, self._opener(places)):
            try:
                if isinstance(read, BrokenFile):
                    self._vanished(read, strict)
                else:
                    self.references.add(self._rows(read.path, read.entries, strict))
            except (Unreadable, UnmappedPath) as error:
                walk.manifests.discard(read.path)
                self._bad_file(read.path, error, strict)

    def _check_mapped(self, place: str, paths: Iterable[str]) -> None:
        for path in paths:
            if self._layout.map_uri(path) is None:
                raise UnmappedPath(place, path)

    def _bad_file(self, uri: str, error: Unreadable | UnmappedPath, strict: bool) -> None:
        """Report a manifest list or manifest that cannot be rewritten: as a problem, unless only old metadata names
        it."""
        if not strict:
            self._problems.note("missing-history", uri, f"is copied as it is: {error.message}")
        elif isinstance(error, Unreadable):
            self._problems.unreadable(error)
        else:
            message = f"of {self._problems.label} refers to {error.path!r}"
            self._problems.unmapped(uri, error.path, message)

    def _rows(self, place: str, entries: Iterable[Entry], strict: bool) -> Iterator[Ref]:
        for entry in entries:
            live = entry.status != DELETED
            stays = entry.content == DATA and self._may_stay(entry.path)
            if self._layout.map_uri(entry.path) is None and not stays:
                if live:
                    raise UnmappedPath(place, entry.path)
                continue
            if live and entry.referenced_data_file is not None:
                if not self._may_stay(entry.referenced_data_file):
                    self._check_mapped(place, [entry.referenced_data_file])
                yield from self._named(place, [entry.referenced_data_file])
            if entry.encrypted:
                self._problems.add("encrypted-table", place, f"names an encrypted file, {entry.path!r}", "")
            yield (
                *self._placed(entry.path),
                entry.size,
                OF_STAYING if stays else entry.content,
                entry.file_format,
                live and strict,
                place,
            )

    def _may_stay(self, path: str) -> bool:
        """True for the path of a data file that a rule leaves where it is. Files that hold paths must move, because
        these paths change. All files of a table must be on one server."""
        return self._one_server and self._layout.stays(path)

    def _named(self, place: str, paths: Iterable[str]) -> Iterator[Ref]:
        """Rows for the data files that deletes name. A path that differs from the path in the manifest entry applies to
        no file."""
        for path in paths:
            if is_s3(path) or self._layout.recorded_rule(path) is not None:
                yield *self._placed(path), None, OF_DELETE_ROW, "", False, place

    def _placed(self, path: str) -> tuple[str, str, str]:
        """The first three columns of a row of ``refs``."""
        at = Location.parse(path)
        if at is not None:
            return at.scheme, at.bucket, at.key
        at = locate(self._plan, self._layout, path)
        return head(path), *((at.bucket, at.key) if at is not None else ("", path))

    def check_refs(self) -> None:
        """Check that every live file exists, with the recorded size. Report a table if a rule leaves some of its data
        files where they are."""
        self._collapse()
        check_existing(self.references, self._problems)
        check_staying(self.references, self._store, self._problems)

    def _collapse(self) -> None:
        """Find the objects of paths with ``//`` as Hadoop's S3A does: it reads ``a//b`` as ``a/b``."""
        for path in self.references.orphans():
            at = self.locate(path.uri)
            if at is not None:
                self.references.redirect(path, at.key)

    def check_schemes(self) -> None:
        """Report data files that are named with two schemes. Call it after :meth:`delete_files`."""
        check_schemes(self.references, self._problems)

    def delete_files(self, *, check: bool) -> list[str]:
        """The files of position deletes. ``check``: read and rewrite each now, in memory, so that nothing fails later;
        leave out files that cannot be rewritten if only deleted entries name them; note the paths in their rows."""
        named = self.references.position_deletes()
        if not check:
            return list(named)
        good = []
        for uri, data in self.read_many(named, strict=True):
            live, formats = named[uri]
            try:
                _check_format(uri, data, formats)
                paths = delete_paths(data, uri)
                rewrite_deletes(data, self._layout.map_uri, uri)
            except Unreadable as error:
                if live:
                    self._problems.unreadable(error)
                else:
                    self._problems.note("missing-history", uri, f"is copied as it is: {error.message}")
                continue
            self.references.add(self._named(uri, paths))
            unmapped = [path for path in paths if self._layout.map_uri(path) is None and not self._may_stay(path)]
            if unmapped:
                message = f"names {len(unmapped)} data file(s) under no rule, such as {unmapped[0]!r}"
                self._problems.note("dangling-deletes", uri, message)
            good.append(uri)
        return good

    def locate(self, uri: str) -> Location | None:
        """Where the object of a path is: at its literal key, or else at the key that S3A makes of ``//``; for a path
        outside of S3, the place of its object. None if there is none."""
        literal = locate(self._plan, self._layout, uri)
        if literal is None or self.exists(literal):
            return literal
        if not is_s3(uri):
            return None
        at = literal.collapsed
        if at == literal or not self.exists(at):
            return None
        new, new_path = self._layout.map_uri(at.uri), self._layout.map_uri(uri)
        moved = Location.parse(new_path or "")
        if moved is None or moved.collapsed.uri != new:
            move = "Map both places with one rule."
            message = f"stands for {at.uri}, but they map to {new_path} and {new}"
            self._problems.add("unmapped-path", uri, message, move)
        else:
            self._problems.note("collapsed-path", uri, f"exists only as {at.uri}: only S3A finds it there")
        return at

    def exists(self, at: Location) -> bool:
        """True if an old bucket or the target had this object when it was listed."""
        if at.bucket == self._layout.target_bucket:
            return is_at_target(self._plan, at.key)
        query = "SELECT 1 FROM objects WHERE bucket = ? AND key = ?"
        return self._plan.db.execute(query, (at.bucket, at.key)).fetchone() is not None

    def read(self, uri: str, *, strict: bool = True) -> bytes | None:
        """The content of one file; None, with a problem, if it cannot be read."""
        return next((data for _, data in self.read_many([uri], strict)), None)

    def read_many(self, uris: Iterable[str], strict: bool) -> Iterator[tuple[str, bytes]]:
        """Yield (uri, bytes) for those that exist; a missing file is a problem if ``strict``."""
        places = dict(self._located(uris, strict))

        def read(uri: str) -> bytes:
            return self._files.read(places[uri].bucket, places[uri].key)

        for outcome in run_in_threads(read, places, workers=READERS):
            if isinstance(outcome, Failed):
                self._vanished(BrokenFile(outcome.item, outcome.error), strict)
            else:
                yield outcome.item, outcome.result

    def _located(self, uris: Iterable[str], strict: bool) -> Iterator[tuple[str, Location]]:
        """Yield (uri, its place) for those that exist; a missing file is a problem if ``strict``."""
        for uri in uris:
            at = self.locate(uri)
            if self._layout.map_uri(uri) is None:
                if strict:
                    self._problems.unmapped(self._problems.metadata, uri, f"refers to {uri!r}")
            elif at is not None:
                yield uri, at
            elif strict:
                message = f"is part of {self._problems.label} but does not exist"
                self._problems.add("missing-object", uri, message, "Restore it, or repair the table first.")

    def _opener(self, places: Mapping[str, Location]) -> OpenFile:
        def open_file(uri: str) -> SourceFile:
            return SourceFile(uri, self._store.download(places[uri].bucket, places[uri].key).file)

        return open_file

    def _vanished(self, broken: BrokenFile, strict: bool) -> None:
        """Report a file that the listing has and that does not exist now: a problem if ``strict``. Files that only old
        metadata names may be deleted at any time: a commit that succeeds at the second attempt deletes the files of the
        first one. Raises every other error."""
        if not isinstance(broken.error, NotFound):
            raise broken.error
        if not strict:
            return
        message = "vanished while planning"
        self._problems.add("missing-object", broken.path, message, "Stop the writers and plan again.")


class UnlistedWalker(Walker):
    """Reads a table in a place that this plan does not list: whether a file exists shows when it is read."""

    def exists(self, at: Location) -> bool:
        """True."""
        return True


def _check_format(uri: str, data: bytes, named: set[str]) -> None:
    """Raises Unreadable if a file of deletes has another format than manifests say: readers trust the manifest."""
    found = format_of(data, uri)
    if wrong := named - {found}:
        raise Unreadable(uri, f"it is {found}, and its manifest says {', '.join(sorted(wrong))}")


def _why_not_there(layout: Layout, uri: str) -> str:
    """About a statistics file that is not there."""
    gone = layout.map_uri(uri) is not None
    return f"statistics file {'is missing' if gone else 'is not in the lake; its path stays as it is'}"
