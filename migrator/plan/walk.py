"""Walking one table: reading all that its metadata refers to, and noting what it names in ``refs``.

``refs`` is a temporary table in the plan's database: a table with millions of data files is held against
the listings by SQL, not in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from migrator.errors import NotFound, UnmappedPath, Unreadable
from migrator.findings import Finding
from migrator.iceberg.deletes import position_delete_paths
from migrator.iceberg.manifests import Entry, read_manifest, read_manifest_list
from migrator.iceberg.metadata import TableMetadata
from migrator.layout import Layout, Location
from migrator.parallel import Failed, each
from migrator.plan.discover import FoundTable
from migrator.plan.file import PlanFile
from migrator.store import Store

EXAMPLES = 5
"""How many places of one kind are named per table; the rest are counted."""

READERS = 8
"""Manifests are read by few threads: each may be many megabytes, and parsing them is what takes time."""

NO_CONTENT = -1
"""Stands for a manifest among the contents of data and delete files (0, 1, 2)."""

REFS = """
CREATE TEMP TABLE refs (
  bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER, content INTEGER NOT NULL, live INTEGER NOT NULL,
  place TEXT NOT NULL)
"""
_MISSING = """
SELECT 's3://' || r.bucket || '/' || r.key, r.place, count(*) OVER () FROM refs r
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
    data_files: int = 0
    delete_files: int = 0


class Problems:
    """Turns what is wrong with one table into findings, the first few of each kind one by one."""

    def __init__(self, plan: PlanFile, found: FoundTable) -> None:
        self._plan = plan
        self._named = found.catalog is not None
        self._counts: dict[str, int] = {}
        self.label = found.label
        self.metadata = found.metadata

    def __contains__(self, code: str) -> bool:
        return code in self._counts

    def unreadable(self, error: Unreadable) -> None:
        move = error.next_move or "Restore it, or leave the table out with a layout rule = false."
        self.add("unreadable", error.place, f"of {self.label} cannot be read: {error.reason}", move)

    def add(self, code: str, place: str, message: str, move: str) -> None:
        """Something that blocks. Only where a table that no catalog names was broken already, it need not."""
        if not self._named and code in ("missing-object", "size-differs"):
            self.note("uncatalogued-broken", place, f"{message} [{code}]")
        else:
            self.note(code, place, message, move)

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
            at = Location.parse(uri)
            if at is None or not self.exists(at):
                self._problems.note("missing-history", uri, "statistics file is missing")
        if strict:
            walk.data_files, walk.delete_files = self._count()
        return walk

    def _count(self) -> tuple[int, int]:
        """The distinct live data files and delete files among the refs."""
        query = "SELECT count(DISTINCT bucket || '/' || key) FROM refs WHERE live AND content IN ({})"
        data, deletes = (self._plan.db.execute(query.format(kinds)).fetchone()[0] for kinds in ("0", "1, 2"))
        return data, deletes

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
                at = [(Location.parse(manifest.path), manifest.length) for manifest in listed]
                self._add_refs((m.bucket, m.key, length, NO_CONTENT, True, uri) for m, length in at if m)
            walk.manifests |= {manifest.path for manifest in listed}

    def _manifests(self, walk: Walk, strict: bool) -> None:
        for uri, data in self.read_many(sorted(walk.manifests), strict):
            try:
                self._add_refs(self._rows(uri, read_manifest(data, uri), strict))
            except (Unreadable, UnmappedPath) as error:
                walk.manifests.discard(uri)
                self._bad_file(uri, error, strict)

    def _add_refs(self, rows: Iterable[tuple[str, str, int, int, bool, str]]) -> None:
        self._plan.db.executemany("INSERT INTO refs VALUES (?, ?, ?, ?, ?, ?)", rows)

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
            self._problems.add("unmapped-path", uri, message, error.next_move)

    def _rows(
        self, place: str, entries: Iterable[Entry], strict: bool
    ) -> Iterator[tuple[str, str, int, int, bool, str]]:
        for entry in entries:
            live = entry.status != 2
            at = Location.parse(entry.path)
            if at is None or self._layout.map_uri(entry.path) is None:
                if live:
                    raise UnmappedPath(place, entry.path)
                continue
            if live and entry.referenced_data_file is not None:
                self._check_mapped(place, [entry.referenced_data_file])
            if entry.encrypted:
                self._problems.add("encrypted-table", place, f"names an encrypted file, {entry.path!r}", "")
            if entry.content == 1 and entry.file_format != "PARQUET" and live:
                message = f"names position deletes in {entry.file_format}: {entry.path!r}"
                move = "Compact the table's deletes (rewrite_position_delete_files) into Parquet first."
                self._problems.add("unsupported-deletes", place, message, move)
            yield at.bucket, at.key, entry.size, entry.content, live and strict, place

    def check_refs(self) -> None:
        """Every live file exists, with the size that the metadata records."""
        parameters = {"target": self._layout.target_bucket, "limit": EXAMPLES}
        for uri, place, count in self._plan.db.execute(_MISSING, parameters).fetchall():
            message = f"refers to {uri}, which does not exist" + (f" ({count} such in all)" if count > 1 else "")
            self._problems.add("missing-object", place, message, "Restore it, or repair the table first.")
        for uri, place, count in self._plan.db.execute(_RESIZED, parameters).fetchall():
            message = f"records another size than {uri} has" + (f" ({count} such in all)" if count > 1 else "")
            self._problems.add("size-differs", place, message, "Find out what wrote over it.")

    def delete_files(self, *, check: bool) -> list[str]:
        """The position-delete files among the refs. ``check``: read each now, so that nothing fails later, and
        leave out what only tombstones name and cannot be read."""
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
                unmapped = [p for p in position_delete_paths(data, uri) if self._layout.map_uri(p) is None]
            except Unreadable as error:
                if live[uri]:
                    self._problems.unreadable(error)
                continue
            if unmapped:
                message = f"names {len(unmapped)} data file(s) under no rule, such as {unmapped[0]!r}"
                self._problems.note("dangling-deletes", uri, message)
            good.append(uri)
        return good

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
            at = Location.parse(uri)
            if at is None or self._layout.map_uri(uri) is None:
                if strict:
                    move = "Add a rule for it to [layout]."
                    self._problems.add(
                        "unmapped-path", self._problems.metadata, f"refers to {uri!r}, under no rule", move
                    )
            elif not self.exists(at):
                if strict:
                    message = f"is part of {self._problems.label} but does not exist"
                    self._problems.add("missing-object", uri, message, "Restore it, or repair the table first.")
            else:
                wanted.append((uri, at))

        def read(item: tuple[str, Location]) -> bytes:
            return self._store.get(item[1].bucket, item[1].key).data

        for outcome in each(read, wanted, workers=READERS):
            if isinstance(outcome, Failed):
                if not isinstance(outcome.error, NotFound):
                    raise outcome.error
                message = "vanished while planning"
                self._problems.add("missing-object", outcome.item[0], message, "Stop the writers and plan again.")
            else:
                yield outcome.item[0], outcome.result
