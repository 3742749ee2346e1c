"""Planning one table: walk all that its metadata refers to, check it, and say what must be rewritten."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import MAX_LOCATION, SQL, VIEW
from migrator.catalogs.hadoop import HINT as HINT_NAME
from migrator.catalogs.hadoop import current_version
from migrator.errors import UnmappedPath, Unreadable
from migrator.findings import Finding
from migrator.iceberg.metadata import (
    TableMetadata,
    is_metadata_file,
    map_property,
    metadata_version,
    read_metadata,
    rewrite_metadata,
)
from migrator.iceberg.views import ViewMetadata, read_view, rewrite_view
from migrator.layout import Layout, Location
from migrator.plan.discover import Discovery, FoundTable, discover
from migrator.plan.features import facts_of
from migrator.plan.file import HINT, MIGRATED, OVERWRITE, REWRITTEN, TO_REWRITE, PlanFile
from migrator.plan.walk import REFS, Problems, Walk, Walker
from migrator.progress import Progress
from migrator.rewrite import CURRENT, DELETES, MANIFEST, MANIFEST_LIST, METADATA
from migrator.rewrite import VIEW as VIEW_ROLE
from migrator.store import Store

_MARK = """
UPDATE objects SET role = :role, table_id = :table, action = CASE
  WHEN :state = 'rewrite' THEN 'rewrite'
  WHEN EXISTS (SELECT 1 FROM present WHERE present.key = objects.target) THEN 'same'
  WHEN :state = 'rewritten' THEN 'rewrite' ELSE 'skip' END
WHERE bucket = :bucket AND key = :key AND target IS NOT NULL
"""
# Hadoop's checksum files of what is rewritten would be wrong; readers do without.
_DROP_CHECKSUM = """
UPDATE objects SET action = 'skip', role = 'checksum' WHERE bucket = :bucket AND key = :key
"""
# What belongs to a table that lives at the target is no longer ours to copy: the target may have
# dropped a file since, and copying it again would bring it back.
_SETTLE = """
UPDATE objects SET table_id = :table, action = CASE
  WHEN EXISTS (SELECT 1 FROM present WHERE present.key = objects.target) THEN 'same' ELSE 'skip' END
WHERE target IS NOT NULL AND id IN
"""


def plan_tables(
    plan: PlanFile,
    store: Store,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    named: Iterable[CatalogTable],
    progress: Progress,
) -> None:
    """Plan every named table, and every other that the listing shows; findings go into the plan.

    Raises only what stops planning as such: a server or a catalog that cannot be read.
    """
    discovery = discover(plan, store, layout, catalogs, named, progress)
    plan.db.execute(REFS)
    for (bucket, key), error in discovery.unreadable.items():
        _report_unreadable(plan, bucket, key, error, discovery)
    for catalog in catalogs.values():
        for namespace, key, value in catalog.namespace_properties():
            new = layout.map_uri(value)
            if new is not None and new != value:
                row = (catalog.name, namespace, key, value, new)
                plan.db.execute("INSERT INTO namespaces VALUES (?, ?, ?, ?, ?)", row)
    with progress.stage("reading tables", objects=len(discovery.tables)) as stage:
        for found in discovery.tables:
            _TablePlanner(plan, store, layout, found).run()
            stage.advance(1)


def _report_unreadable(plan: PlanFile, bucket: str, key: str, error: Unreadable, discovery: Discovery) -> None:
    """An unreadable metadata file is fatal unless it is an old one of a table with newer, readable ones."""
    folder, _, name = key.rpartition("/")
    newest = max(
        (
            metadata_version(uri.rpartition("/")[2]) or 0
            for table in discovery.tables
            for uri in (table.metadata, *table.history)
            if (at := Location.parse(uri)) and (at.bucket, at.key.rpartition("/")[0]) == (bucket, folder)
        ),
        default=-1,
    )
    if (metadata_version(name) or 0) < newest:
        message = f"cannot be read ({error.reason}); it is copied as it is"
        plan.add_finding(Finding.of("missing-history", error.place, message))
    elif not any((at := Location.parse(t.metadata)) and (at.bucket, at.key) == (bucket, key) for t in discovery.tables):
        move = "Restore it, or leave its folder out with a layout rule = false."
        plan.add_finding(Finding.of("unreadable", error.place, f"cannot be read: {error.reason}", move))


class _TablePlanner:
    """Plans one table. All that it reads and marks belongs to that table."""

    def __init__(self, plan: PlanFile, store: Store, layout: Layout, found: FoundTable) -> None:
        self._plan = plan
        self._store = store
        self._layout = layout
        self._found = found
        self._old_metadata: list[str] = []
        self._table_id = plan.add_table(
            catalog=found.catalog,
            catalog_kind=found.catalog_kind,
            namespace=found.namespace,
            name=found.name,
            old_metadata=found.metadata,
            kind=found.kind,
            state=TO_REWRITE,
        )
        self._label = found.label
        self._problems = Problems(plan, found)
        self._walker = Walker(plan, store, layout, self._problems)

    # -- the steps -----------------------------------------------------------------------------------

    def run(self) -> None:
        self._run()
        self._plan.update_table(self._table_id, problems=json.dumps(self._problems.codes))

    def _run(self) -> None:
        found, layout = self._found, self._layout
        at = Location.parse(found.metadata)
        new_metadata = layout.map_uri(found.metadata)
        rule = layout.rule_for(at.bucket, at.key) if at else None
        if rule is not None and rule.target is None:
            self._plan.add_finding(Finding.of("left-out", self._label, "is left where it is by a layout rule"))
            self._plan.db.execute("DELETE FROM tables WHERE id = ?", (self._table_id,))
            return
        if new_metadata is None:
            move = "Add a rule for it to [layout]; a rule = false leaves it where it is."
            self._problems.add("unmapped-path", found.metadata, f"metadata of {self._label}, lies under no rule", move)
            return
        data = self._walker.read(found.metadata)
        if data is None:
            return
        if found.catalog is None:
            message = "is in none of the given catalogs; it is rewritten, and no pointer is changed"
            move = "Name its catalog with --catalog or in [catalogs], if it has one."
            self._plan.add_finding(Finding.of("uncatalogued-table", found.metadata, message, move))
        if len(new_metadata) > MAX_LOCATION and found.catalog_kind == SQL:
            message = f"new metadata location would have {len(new_metadata)} characters; {MAX_LOCATION} fit"
            move = "Choose a shorter target prefix."
            self._problems.add("location-too-long", found.metadata, message, move)
            return
        try:
            if found.kind == VIEW:
                self._plan_view(data, read_view(data, found.metadata), new_metadata)
                return
            metadata = read_metadata(data, found.metadata)
        except Unreadable as error:
            self._problems.unreadable(error)
            return
        self._plan.update_table(
            self._table_id,
            uuid=metadata.table_uuid,
            format_version=metadata.format_version,
            old_location=metadata.location,
            new_location=layout.map_uri(metadata.location),
            new_metadata=new_metadata,
            snapshots=len(metadata.snapshots),
        )
        if metadata.encryption_keys:
            move = "Leave it out with a layout rule = false."
            self._problems.add("encrypted-table", found.metadata, f"{self._label} is encrypted", move)
        else:
            self._plan_table(data, metadata, new_metadata)

    def _plan_table(self, data: bytes, metadata: TableMetadata, new_metadata: str) -> None:
        living = self._living_at_target(metadata)
        if living is not None:
            self._settle(metadata, *living)
            return
        if self._found.metadata == new_metadata:  # pointer at the target already
            self._settle(metadata, self._found.metadata, metadata)
            return
        if not self._target_is_free():
            return
        new_data = self._rewritten_metadata(data, metadata, new_metadata)
        if new_data is None:
            return
        state = REWRITTEN if self._at_target(new_metadata) == new_data else TO_REWRITE
        walk = self._walker.walk([metadata], strict=True)
        self._walker.check_refs()
        self._note_facts(walk, metadata, data)
        self._check_not_half_moved(walk)
        history = (*self._found.history, *metadata.metadata_log)
        old = self._walker.walk(self._read_history(history), strict=False, skip=walk)
        self._mark(state, walk, old)
        self._plan.update_table(self._table_id, state=state)

    def _note_facts(self, walk: Walk, metadata: TableMetadata, data: bytes) -> None:
        files = self._walker.files()
        facts = facts_of(metadata, data, files, outside=self._walker.count_outside(metadata.location))
        self._plan.update_table(
            self._table_id,
            manifests=len(walk.manifests),
            data_files=sum(f.count for f in files if not f.content),
            delete_files=sum(f.count for f in files if f.content),
            facts=json.dumps(asdict(facts)),
        )

    def _rewritten_metadata(self, data: bytes, metadata: TableMetadata, new_metadata: str) -> bytes | None:
        """The bytes of the new metadata file, or None if the table cannot be moved."""
        place, layout = self._found.metadata, self._layout
        new_location = layout.map_uri(metadata.location)
        directory = new_metadata.rpartition("/metadata/")[0]
        if self._found.hint is not None and new_location is not None and directory != new_location.rstrip("/"):
            # A Hadoop catalog finds a table by its directory, which its location must be.
            message = f"a Hadoop table must lie at its location, but they map to {new_metadata} and {new_location}"
            self._problems.add("unmapped-path", place, message, "Map its folder with one rule.")
            return None
        self._note_texts(self._texts(metadata))
        try:
            return rewrite_metadata(data, layout.map_uri, place)
        except UnmappedPath as error:
            self._problems.add("unmapped-path", place, f"refers to {error.path!r}, under no rule", error.next_move)
            return None

    def _plan_view(self, data: bytes, view: ViewMetadata, new_metadata: str) -> None:
        """A view is a file or a few: nothing hangs below it."""
        place, layout = self._found.metadata, self._layout
        self._plan.update_table(
            self._table_id,
            uuid=view.view_uuid,
            format_version=view.format_version,
            old_location=view.location,
            new_location=layout.map_uri(view.location),
            new_metadata=new_metadata,
        )
        self._note_texts([*view.sql, *self._left_properties(view.properties)])
        try:
            new_data = rewrite_view(data, layout.map_uri, place)
        except UnmappedPath as error:
            self._problems.add("unmapped-path", place, f"refers to {error.path!r}, under no rule", error.next_move)
            return
        state = TO_REWRITE
        if place == new_metadata:
            state = MIGRATED
            self._plan.add_finding(Finding.of("migrated-table", self._label, "already lives at the target"))
        elif self._at_target(new_metadata) == new_data:
            state = REWRITTEN
        for uri, old in self._walker.read_many(dict.fromkeys(self._found.history), strict=False):
            try:
                rewrite_view(old, layout.map_uri, uri)
            except (Unreadable, UnmappedPath) as error:
                self._problems.note("missing-history", uri, f"is copied as it is: {error.message}")
                continue
            self._mark_one(uri, VIEW_ROLE, state)
        self._mark_one(place, VIEW_ROLE, state)
        self._plan.update_table(self._table_id, state=state)

    def _note_texts(self, texts: Iterable[tuple[str, str]]) -> None:
        """Report the texts that mention an old path; none of them is edited."""
        for label, text in texts:
            if any(f"://{b}/" in f"{text}/" for b in self._layout.buckets):
                message = f"{label} mentions an old path: {text[:200]}"
                self._problems.note("path-in-text", self._found.metadata, message, "Change it by hand if it matters.")

    def _texts(self, metadata: TableMetadata) -> Iterator[tuple[str, str]]:
        yield from self._left_properties(metadata.properties)
        for snapshot in metadata.snapshots:
            for key, value in snapshot.summary.items():
                yield f"summary of snapshot {snapshot.snapshot_id}, {key!r},", value

    def _left_properties(self, properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """The properties that the rewrite leaves as they are."""
        for key, value in properties.items():
            if map_property(value, self._layout.map_uri) is None:
                yield f"property {key!r}", value

    # -- the target side -----------------------------------------------------------------------------

    def _target_folder(self) -> tuple[str, list[str]]:
        """The folder of the new metadata in the target bucket, and the file names that are there now."""
        assert self._found.hint is not None
        bucket, folder = self._found.hint
        new = folder if bucket == self._layout.target_bucket else self._layout.map_key(bucket, folder) or ""
        query = "SELECT key FROM present WHERE key > ? AND key < ?"
        keys = self._plan.db.execute(query, (f"{new}/", f"{new}0")).fetchall()
        return new, [key[len(new) + 1 :] for (key,) in keys]

    def _living_at_target(self, metadata: TableMetadata) -> tuple[str, TableMetadata] | None:
        """For a Hadoop table: the target's current metadata, if a version hint shows that it was cut over.

        Anything there that is not this table's same or later state is a problem, since a Hadoop reader
        would take it for the table.
        """
        if self._found.hint is None:
            return None
        folder, names = self._target_folder()
        if HINT_NAME not in names:
            return None
        bucket = self._layout.target_bucket
        hint = self._store.get(bucket, f"{folder}/{HINT_NAME}").data
        name = current_version(names, hint, f"s3://{bucket}/{folder}/{HINT_NAME}")
        scheme = self._found.metadata.partition("://")[0]
        uri = f"{scheme}://{bucket}/{folder}/{name}"
        there = read_metadata(self._store.get(bucket, f"{folder}/{name}").data, uri) if name else None
        ours = metadata_version(self._found.metadata.rpartition("/")[2]) or 0
        if there is None or name is None or there.table_uuid != metadata.table_uuid:
            move = "Move it away, or map this table elsewhere."
            self._problems.add("target-not-empty", uri, f"another table lies where {self._label} would go", move)
        elif (metadata_version(name) or 0) < ours:
            message = f"{self._label} was migrated at version {metadata_version(name)}, but is at {ours} by now"
            self._problems.add(
                "target-behind",
                uri,
                message,
                "Find out which of the two is right, and stop its other writer.",
            )
        else:
            return uri, there
        self._plan.update_table(self._table_id, state=TO_REWRITE)
        return None

    def _target_is_free(self) -> bool:
        """False, with a problem, if the target's folder holds a later version: a Hadoop reader would follow it."""
        if "target-not-empty" in self._problems or "target-behind" in self._problems:
            return False
        if self._found.hint is None:
            return True
        folder, names = self._target_folder()
        ours = metadata_version(self._found.metadata.rpartition("/")[2]) or 0
        later = [n for n in names if is_metadata_file(n) and (metadata_version(n) or 0) > ours]
        if later:
            place = f"s3://{self._layout.target_bucket}/{folder}/{later[0]}"
            message = f"is newer than {self._label} itself, and readers would follow it"
            self._problems.add("target-not-empty", place, message, "Move it away.")
        return not later

    def _at_target(self, uri: str) -> bytes | None:
        at = Location.parse(uri)
        assert at is not None
        if self._plan.db.execute("SELECT 1 FROM present WHERE key = ?", (at.key,)).fetchone() is None:
            return None
        return self._store.get(at.bucket, at.key).data

    def _settle(self, metadata: TableMetadata, uri: str, there: TableMetadata) -> None:
        """The table lives at the target: nothing of it is copied again; nothing of it may be left behind."""
        walk = self._walker.walk([there], strict=True)
        self._walker.check_refs()
        self._note_facts(walk, there, b"")
        for place, path in self._old_paths(walk, uri):
            message = f"of {self._label}, which lives at the target, refers to {path}"
            move = "Stop the writer that still uses old paths, and rewrite what it wrote."
            self._problems.add("half-moved", place, message, move)
        self._plan.update_table(self._table_id, state=MIGRATED, new_metadata=uri)
        self._plan.add_finding(Finding.of("migrated-table", self._label, "already lives at the target"))
        self._walker = Walker(self._plan, self._store, self._layout, self._problems)
        olds = list(self._read_history(self._found.history))
        if Location.parse(uri) != Location.parse(self._found.metadata):
            olds.append(metadata)
        self._mark(MIGRATED, self._walker.walk(olds, strict=False), Walk())
        self._plan.db.execute(
            f"{_SETTLE} (SELECT o.id FROM refs r JOIN objects o ON o.bucket = r.bucket AND o.key = r.key)",
            {"table": self._table_id},
        )
        for location in {old.location for old in olds}:
            at = Location.parse(location)
            if at is None:
                continue
            for name in ("data", "metadata"):  # no more: another table may lie below this one's location
                folder = f"{at.key.rstrip('/')}/{name}"
                self._plan.db.execute(
                    f"{_SETTLE} (SELECT id FROM objects"
                    " WHERE bucket = :bucket AND key > :low AND key < :high AND role = '')",
                    {"table": self._table_id, "bucket": at.bucket, "low": f"{folder}/", "high": f"{folder}0"},
                )
        query = (
            "SELECT count(*), min('s3://' || bucket || '/' || key) FROM objects WHERE table_id = ? AND action = 'skip'"
        )
        left, example = self._plan.db.execute(query, (self._table_id,)).fetchone()
        if left:
            message = f"and its like are left: {self._label} dropped them at the target, or they came after its cutover"
            self._plan.add_finding(Finding.of("left-behind", example, message, count=left))

    def _check_not_half_moved(self, walk: Walk) -> None:
        """Lists and manifests at the target are out of our reach: what they name would stay as it is. Data files
        may be there already, if nothing of the old buckets goes to their place."""
        for uri in sorted(walk.lists | walk.manifests):
            at = Location.parse(uri)
            if at is not None and at.bucket == self._layout.target_bucket:
                message = f"of {self._label}, whose metadata is still in an old bucket"
                self._problems.add("half-moved", uri, message, "Rewrite the table's manifests in the old place first.")
        query = (
            "SELECT r.place, r.key, 's3://' || o.bucket || '/' || o.key FROM refs r JOIN objects o ON o.target = r.key"
            f" WHERE r.live AND r.bucket = ? AND o.action = '{OVERWRITE}'"
        )
        for place, key, source in self._plan.db.execute(query, (self._layout.target_bucket,)).fetchall():
            message = f"refers to {key!r} in the target, which {source} would overwrite"
            self._problems.add("key-collision", place, message, "Give one of them a rule of its own in [layout].")

    def _old_paths(self, walk: Walk, uri: str) -> Iterator[tuple[str, str]]:
        """(place, path) of what a table at the target still refers to in the old buckets."""
        for path in sorted(walk.lists | walk.manifests):
            if self._layout.is_source(path):
                yield uri, path
        query = "SELECT bucket, key, place FROM refs WHERE bucket <> ? LIMIT 1000"  # each is reported as one of many
        for bucket, key, place in self._plan.db.execute(query, (self._layout.target_bucket,)).fetchall():
            if self._layout.is_source(f"s3://{bucket}/{key}"):
                yield place, f"s3://{bucket}/{key}"

    def _read_history(self, uris: Iterable[str]) -> Iterator[TableMetadata]:
        """The table's older metadata files that exist and can be rewritten; the others are copied as they are."""
        for uri, data in self._walker.read_many(dict.fromkeys(uris), strict=False):
            try:
                metadata = read_metadata(data, uri)
                rewrite_metadata(data, self._layout.map_uri, uri)
            except (Unreadable, UnmappedPath) as error:
                self._problems.note("missing-history", uri, f"is copied as it is: {error.message}")
                continue
            self._old_metadata.append(uri)
            yield metadata

    def _mark(self, state: str, walk: Walk, old: Walk) -> None:
        """Give every file of the table its role."""
        deletes = self._walker.delete_files(check=state != MIGRATED)
        self._walker.check_schemes()
        everything: list[tuple[str, Iterable[str]]] = [
            (DELETES, deletes),
            (MANIFEST, walk.manifests | old.manifests),
            (MANIFEST_LIST, walk.lists | old.lists),
            (METADATA, self._old_metadata),
            (CURRENT, [self._found.metadata]),
        ]
        for role, uris in everything:
            for uri in uris:
                self._mark_one(uri, role, state)
        if self._found.hint is not None:
            bucket, folder = self._found.hint
            self._mark_one(f"s3://{bucket}/{folder}/{HINT_NAME}", HINT, state)

    def _mark_one(self, uri: str, role: str, state: str) -> None:
        at = self._walker.locate(uri)
        if at is not None:
            marks = {
                "role": role,
                "table": self._table_id,
                "state": state,
                "bucket": at.bucket,
                "key": at.key,
            }
            self._plan.db.execute(_MARK, marks)
            folder, _, name = at.key.rpartition("/")
            self._plan.db.execute(_DROP_CHECKSUM, {"bucket": at.bucket, "key": f"{folder}/.{name}.crc"})
