"""Walking one table: reading all that its metadata refers to, and noting what it names in ``refs``.

``refs`` is a temporary table in the plan's database: a table with millions of data files is held against
the listings by SQL, not in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import NotFound, UnmappedPath, Unreadable
from migrator.findings import Finding
from migrator.iceberg.deletes import delete_paths, rewrite_deletes
from migrator.iceberg.manifests import Entry, read_manifest, read_manifest_list
from migrator.iceberg.metadata import TableMetadata
from migrator.inventory import advice
from migrator.inventory.located import locate, ways
from migrator.inventory.tables import FoundTable
from migrator.layout import Layout, Location
from migrator.layout.recorded import S3_SCHEMES, head, is_s3
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import keys_under
from migrator.store import Store

EXAMPLES = 5
"""How many places of one kind are named per table; the rest are counted."""

READERS = 8
"""Manifests are read by few threads: each may be many megabytes, and parsing them is what takes time."""

OF_MANIFEST, OF_DELETE_ROW = -1, -2
"""Among the contents of data and delete files (0, 1, 2): a manifest, and a data file that a delete names."""

REFS = """
CREATE TEMP TABLE refs (
  scheme TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER, content INTEGER NOT NULL,
  format TEXT NOT NULL, live INTEGER NOT NULL, place TEXT NOT NULL)
"""
Ref = tuple[str, str, str, int | None, int, str, bool, str]
"""A row of ``refs``: the place of the object, and the scheme, or what stands for it, by which the path names it. A path
outside of S3 that stands for no object has no bucket, and is its own key. ``live``: a reader of the table's present
snapshots needs the object."""
_NAMED = "CASE r.bucket WHEN '' THEN r.key ELSE 's3://' || r.bucket || '/' || r.key END"

_ORPHANS = """
SELECT DISTINCT scheme, bucket, key FROM refs r WHERE (key LIKE '%//%' OR key LIKE '/%') AND bucket <> ''
AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.bucket = r.bucket AND o.key = r.key)
AND NOT EXISTS (SELECT 1 FROM present p WHERE r.bucket = :target AND p.key = r.key)
"""
# Java matches deletes to data files by the text of their paths, so s3a:// does not delete from s3://.
_MIXED = f"""
SELECT {_NAMED}, min(place), min(scheme), max(scheme), count(*) OVER () FROM refs r
WHERE content IN (0, -2) GROUP BY bucket, key HAVING min(scheme) <> max(scheme) LIMIT :limit
"""
_SUMS = """
SELECT content, format, count(*), total(size) FROM (
  SELECT content, format, max(size) AS size FROM refs WHERE live AND content >= 0 GROUP BY bucket, key)
GROUP BY content, format ORDER BY content, format
"""
_MISSING = f"""
SELECT {_NAMED}, r.place, count(*) OVER () FROM refs r
LEFT JOIN objects o ON o.bucket = r.bucket AND o.key = r.key
LEFT JOIN present p ON r.bucket = :target AND p.key = r.key
WHERE r.live AND r.content >= 0 AND o.id IS NULL AND p.key IS NULL GROUP BY r.bucket, r.key LIMIT :limit
"""
_RESIZED = """
SELECT 's3://' || r.bucket || '/' || r.key, r.place, count(*) OVER () FROM refs r
LEFT JOIN objects o ON o.bucket = r.bucket AND o.key = r.key
LEFT JOIN present p ON r.bucket = :target AND p.key = r.key
WHERE r.live AND coalesce(o.size, p.size) <> r.size GROUP BY r.bucket, r.key LIMIT :limit
"""


@dataclass
class Walk:
    """What one walk through a table's metadata met."""

    lists: set[str] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)
    statistics: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Files:
    """The live files of one kind. ``content``: 0 data, 1 position deletes, 2 equality deletes."""

    content: int
    format: str
    """In upper case, as the manifests name it."""
    count: int
    bytes: int


_STILL_MOVED = ("missing-object", "size-differs")
"""What a table that no catalog names may be without, and is moved all the same."""
_COPIED = ("encrypted-table", "half-moved", "unmapped-path", "unreadable")
"""What keeps a table from being rewritten."""
_LEAVABLE = (*_STILL_MOVED, *_COPIED, "location-too-long")
"""What is solved by leaving the table out."""


class Problems:
    """Turns what is wrong with one table into findings, the first few of each kind one by one."""

    def __init__(self, plan: PlanFile, layout: Layout, found: FoundTable) -> None:
        self._plan = plan
        self._leave = advice.leave(found, layout)
        self._counts: dict[str, int] = {}
        self.named = found.catalog is not None
        self.copied_as_is = False
        """True if something is wrong with a table that no catalog names, so that it cannot be rewritten."""
        self.label = found.label
        self.metadata = found.metadata
        at = locate(plan, layout, found.metadata)
        self._file = at.uri if at is not None else found.metadata
        self.location = ""
        """The table's own location, as it records it, as soon as that is known."""
        self._layout = layout

    def __contains__(self, code: str) -> bool:
        return code in self._counts

    @property
    def codes(self) -> list[str]:
        """The codes of all findings about the table, sorted."""
        return sorted(self._counts)

    def unreadable(self, error: Unreadable) -> None:
        move = error.next_move or "Restore it."
        self.add("unreadable", error.place, f"of {self.label} cannot be read: {error.reason}", move)

    def unmapped(self, place: str, path: str, message: str) -> None:
        """A path of the table that no rule covers."""
        if not is_s3(path):
            message += f"; the table's metadata file is {self._file}, and the location that it records {self.location}"
        move = ways(self._plan, self._layout, path, self._file, self.location)
        self.add("unmapped-path", place, message, move)

    def add(self, code: str, place: str, message: str, move: str) -> None:
        """Something that blocks. But a table that no catalog names never stops the others: it is moved as far as it
        goes, and copied as it is where it cannot be rewritten."""
        if self.named or code not in (*_STILL_MOVED, *_COPIED):
            self.note(code, place, message, f"{move} {self._leave}".lstrip() if code in _LEAVABLE else move)
            return
        if code in _COPIED:
            self.copied_as_is = True
            message += "; the table is copied as it is, with its old paths"
        self.note("uncatalogued-broken", place, f"{message} [{code}]", move if code == "unmapped-path" else "")

    def note(self, code: str, place: str, message: str, move: str = "") -> None:
        self._counts[code] = self._counts.get(code, 0) + 1
        if self._counts[code] <= EXAMPLES:
            self._plan.add_finding(Finding.of(code, place, message, move))
        elif self._counts[code] == EXAMPLES + 1:
            message = f"{self.label} has more of these than are listed"
            self._plan.add_finding(Finding.of(code, self.metadata, message, move))


class Walker:
    """Reads one table's files and fills ``refs``, which must exist, with what they name."""

    def __init__(self, plan: PlanFile, store: Store, layout: Layout, problems: Problems) -> None:
        self._plan = plan
        self._store = store
        self._layout = layout
        self._problems = problems
        plan.db.execute("DELETE FROM refs")

    def walk(self, metadatas: Iterable[TableMetadata], *, strict: bool, skip: Walk | None = None) -> Walk:
        """Read all lists and manifests below ``metadatas``; entries go into ``refs``.

        ``strict``: what is missing or unreadable is a problem. Otherwise it is history, and passed over:
        old metadata names files that were expired long ago.
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
                self._problems.note("missing-history", uri, "statistics file is missing")
        return walk

    def count_outside(self, location: str) -> int:
        """How many live files do not lie below the table's location."""
        at = self._layout.place_of(location)
        low, high = keys_under(at.key.strip("/")) if at else ("", "")
        query = "SELECT count(*) FROM refs WHERE live AND content >= 0 AND NOT (bucket = ? AND key >= ? AND key < ?)"
        return int(self._plan.db.execute(query, (at.bucket if at else "", low, high)).fetchone()[0])

    def files(self) -> list[Files]:
        """The distinct live files among the refs, by kind."""
        rows = self._plan.db.execute(_SUMS).fetchall()
        return [Files(content, form, count, int(size)) for content, form, count, size in rows]

    def _lists(self, walk: Walk, strict: bool) -> None:
        for uri, data in self.read_many(sorted(walk.lists), strict):
            try:
                listed = read_manifest_list(data, uri)
                self._check_mapped(uri, [m.path for m in listed])
            except (Unreadable, UnmappedPath) as error:
                walk.lists.discard(uri)
                self._bad_file(uri, error, strict)
                continue
            if any(manifest.encrypted for manifest in listed):
                self._problems.add("encrypted-table", uri, f"of {self._problems.label} names an encrypted manifest", "")
            if strict:
                # An Avro file cut off between two blocks is still a valid one: only its length tells.
                self._add_refs(
                    (*self._placed(manifest.path), manifest.length, OF_MANIFEST, "AVRO", True, uri)
                    for manifest in listed
                )
            walk.manifests |= {manifest.path for manifest in listed}

    def _manifests(self, walk: Walk, strict: bool) -> None:
        for uri, data in self.read_many(sorted(walk.manifests), strict):
            try:
                self._add_refs(self._rows(uri, read_manifest(data, uri), strict))
            except (Unreadable, UnmappedPath) as error:
                walk.manifests.discard(uri)
                self._bad_file(uri, error, strict)

    def _add_refs(self, rows: Iterable[Ref]) -> None:
        self._plan.db.executemany("INSERT INTO refs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _check_mapped(self, place: str, paths: Iterable[str]) -> None:
        for path in paths:
            if self._layout.map_uri(path) is None:
                raise UnmappedPath(place, path)

    def _bad_file(self, uri: str, error: Unreadable | UnmappedPath, strict: bool) -> None:
        """A list or manifest that cannot be rewritten: fatal, unless only history refers to it."""
        if not strict:
            self._problems.note("missing-history", uri, f"is copied as it is: {error.message}")
        elif isinstance(error, Unreadable):
            self._problems.unreadable(error)
        else:
            message = f"of {self._problems.label} refers to {error.path!r}, under no rule"
            self._problems.unmapped(uri, error.path, message)

    def _rows(self, place: str, entries: Iterable[Entry], strict: bool) -> Iterator[Ref]:
        for entry in entries:
            live = entry.status != 2
            if self._layout.map_uri(entry.path) is None:
                if live:
                    raise UnmappedPath(place, entry.path)
                continue
            if live and entry.referenced_data_file is not None:
                self._check_mapped(place, [entry.referenced_data_file])
                yield from self._named(place, [entry.referenced_data_file])
            if entry.encrypted:
                self._problems.add("encrypted-table", place, f"names an encrypted file, {entry.path!r}", "")
            yield (
                *self._placed(entry.path),
                entry.size,
                entry.content,
                entry.file_format,
                live and strict,
                place,
            )

    def _named(self, place: str, paths: Iterable[str]) -> Iterator[Ref]:
        """Data files that deletes name: those that differ from the entry's own path apply to nothing."""
        for path in paths:
            if is_s3(path) or self._layout.recorded_rule(path) is not None:
                yield *self._placed(path), None, OF_DELETE_ROW, "", False, place

    def _placed(self, path: str) -> tuple[str, str, str]:
        """The first three columns of a ref."""
        at = Location.parse(path)
        if at is not None:
            return at.scheme, at.bucket, at.key
        at = locate(self._plan, self._layout, path)
        return head(path), *((at.bucket, at.key) if at is not None else ("", path))

    def check_refs(self) -> None:
        """Every live file exists, with the size that the metadata records."""
        self._collapse()
        parameters = {"target": self._layout.target_bucket, "limit": EXAMPLES}
        for uri, place, count in self._plan.db.execute(_MISSING, parameters).fetchall():
            message = f"refers to {uri}, which does not exist" + (f" ({count} such in all)" if count > 1 else "")
            self._problems.add("missing-object", place, message, "Restore it, or repair the table first.")
        for uri, place, count in self._plan.db.execute(_RESIZED, parameters).fetchall():
            message = f"records another size than {uri} has" + (f" ({count} such in all)" if count > 1 else "")
            move = 'Find out what wrote over it. Or accept it: [plan] accept = ["size-differs"].'
            self._problems.add("size-differs", place, message, move)

    def _collapse(self) -> None:
        """Let refs with ``//`` that lead nowhere lead where Hadoop's S3A looks: it reads ``a//b`` as ``a/b``."""
        for ref in self._plan.db.execute(_ORPHANS, {"target": self._layout.target_bucket}).fetchall():
            path = Location(*ref)
            at = self.locate(path.uri)
            if at is not None:
                where = (at.key, path.bucket, path.key)
                self._plan.db.execute("UPDATE refs SET key = ? WHERE bucket = ? AND key = ?", where)

    def check_schemes(self) -> None:
        """No data file is named with two schemes. Call it when the refs of :meth:`delete_files` are in."""
        for uri, place, one, other, count in self._plan.db.execute(_MIXED, {"limit": EXAMPLES}).fetchall():
            one, other = (f"{name}://" if name in S3_SCHEMES else name for name in (one, other))
            message = f"names {uri} as {one} and as {other}" + (f" ({count} such in all)" if count > 1 else "")
            move = (
                "Rewrite the table's data or deletes first; or accept it, and both schemes are kept as they are: "
                '[plan] accept = ["mixed-schemes"].'
            )
            self._problems.add("mixed-schemes", place, message, move)

    def delete_files(self, *, check: bool) -> list[str]:
        """The position-delete files among the refs. ``check``: read and rewrite each now, in memory, so that nothing
        fails later, and leave out what only tombstones name and cannot be rewritten; what their rows name goes into
        the refs."""
        query = (
            "SELECT DISTINCT 's3://' || r.bucket || '/' || r.key, max(r.live) FROM refs r"
            " JOIN objects o ON o.bucket = r.bucket AND o.key = r.key WHERE r.content = 1 GROUP BY r.bucket, r.key"
        )
        rows = self._plan.db.execute(query).fetchall()
        if not check:
            return [uri for uri, _ in rows]
        good, live = [], dict(rows)
        for uri, data in self.read_many([uri for uri, _ in rows], strict=True):
            try:
                paths = delete_paths(data, uri)
                rewrite_deletes(data, self._layout.map_uri, uri)
            except Unreadable as error:
                if live[uri]:
                    self._problems.unreadable(error)
                else:
                    self._problems.note("missing-history", uri, f"is copied as it is: {error.message}")
                continue
            self._add_refs(self._named(uri, paths))
            unmapped = [path for path in paths if self._layout.map_uri(path) is None]
            if unmapped:
                message = f"names {len(unmapped)} data file(s) under no rule, such as {unmapped[0]!r}"
                self._problems.note("dangling-deletes", uri, message)
            good.append(uri)
        return good

    def locate(self, uri: str) -> Location | None:
        """Where the object of a path is: at its literal key, or else at the key that S3A makes of ``//``; for a path
        outside of S3, where the object is that it stands for. None if there is none."""
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
        if at.bucket == self._layout.target_bucket:
            query, values = "SELECT 1 FROM present WHERE key = ?", (at.key,)
            return self._plan.db.execute(query, values).fetchone() is not None
        query = "SELECT 1 FROM objects WHERE bucket = ? AND key = ?"
        return self._plan.db.execute(query, (at.bucket, at.key)).fetchone() is not None

    def read(self, uri: str, *, strict: bool = True) -> bytes | None:
        return next((data for _, data in self.read_many([uri], strict)), None)

    def read_many(self, uris: Iterable[str], strict: bool) -> Iterator[tuple[str, bytes]]:
        """Yield (uri, bytes) for those that exist; what is missing is a problem if ``strict``."""
        wanted: list[tuple[str, Location]] = []
        for uri in uris:
            at = self.locate(uri)
            if self._layout.map_uri(uri) is None:
                if strict:
                    self._problems.unmapped(self._problems.metadata, uri, f"refers to {uri!r}, under no rule")
            elif at is None:
                if strict:
                    message = f"is part of {self._problems.label} but does not exist"
                    self._problems.add("missing-object", uri, message, "Restore it, or repair the table first.")
            else:
                wanted.append((uri, at))

        def read(item: tuple[str, Location]) -> bytes:
            return self._store.get(item[1].bucket, item[1].key).data

        for outcome in run_in_threads(read, wanted, workers=READERS):
            if isinstance(outcome, Failed):
                if not isinstance(outcome.error, NotFound):
                    raise outcome.error
                message = "vanished while planning"
                self._problems.add("missing-object", outcome.item[0], message, "Stop the writers and plan again.")
            else:
                yield outcome.item[0], outcome.result
