"""Planning one table: walk all that its metadata refers to, check it, and say what must be rewritten."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import MAX_LOCATION, SQL, VIEW
from migrator.catalogs.hadoop import HINT as HINT_NAME
from migrator.errors import StoreError, UnmappedPath, Unreachable, Unreadable
from migrator.findings import Finding
from migrator.iceberg.metadata import (
    TableMetadata,
    map_property,
    metadata_version,
    read_metadata,
    rewrite_metadata,
)
from migrator.iceberg.views import ViewMetadata, read_view, rewrite_view
from migrator.inventory.advice import Rules
from migrator.inventory.features import features_of
from migrator.inventory.located import locate, s3_uri, ways
from migrator.inventory.problems import Problems
from migrator.inventory.tables import Discovery, FoundTable, discover, is_named
from migrator.inventory.walker import Walk, Walker
from migrator.layout import Layout, Location
from migrator.plan.at_target import TargetSide
from migrator.plan.overlap import Claim, claim_of, find_overlaps
from migrator.planfile.file import (
    CHECKSUM,
    HINT,
    LEFT,
    MIGRATED,
    OVERWRITE,
    REWRITTEN,
    SKIP,
    TO_REWRITE,
    PlanFile,
    folders_of,
)
from migrator.progress import Progress
from migrator.rewriting.rewriter import CURRENT, DELETES, MANIFEST, MANIFEST_LIST, METADATA
from migrator.rewriting.rewriter import VIEW as VIEW_ROLE
from migrator.store import Store
from migrator.store.endpoints import without_userinfo

_MARK = """
UPDATE objects SET role = :role, table_id = :table, action = CASE
  WHEN :state = 'rewrite' THEN 'rewrite'
  WHEN EXISTS (SELECT 1 FROM present WHERE present.key = objects.target) THEN 'same'
  WHEN :state = 'rewritten' THEN 'rewrite' ELSE 'skip' END
WHERE bucket = :bucket AND key = :key AND target IS NOT NULL
"""
# Hadoop's checksum files of what is rewritten would be wrong; readers do without.
_DROP_CHECKSUM = f"""
UPDATE objects SET action = '{SKIP}', role = '{CHECKSUM}' WHERE bucket = :bucket AND key = :key
"""
# What belongs to a table that lives at the target is no longer ours to copy: the target may have
# dropped a file since, and copying it again would bring it back.
_SETTLE = """
UPDATE objects SET table_id = :table, action = CASE
  WHEN EXISTS (SELECT 1 FROM present WHERE present.key = objects.target) THEN 'same' ELSE 'skip' END
WHERE target IS NOT NULL AND id IN
"""
# What belongs to a table that is left where it is.
_LEAVE = f"UPDATE objects SET table_id = :table, role = '{LEFT}', action = '{SKIP}' WHERE target IS NOT NULL AND id IN "
_IN_REFS = "(SELECT o.id FROM refs r JOIN objects o ON o.bucket = r.bucket AND o.key = r.key)"
_IN_FOLDER = "(SELECT id FROM objects WHERE bucket = :bucket AND key >= :low AND key < :high AND role = '')"
# Two tables may share files. One that moves needs them, whatever becomes of the other: it gets back what is noted here.
_SETTLED = "CREATE TEMP TABLE kept (id INTEGER PRIMARY KEY, action TEXT NOT NULL)"
_NOTE_SETTLED = "INSERT OR IGNORE INTO kept SELECT id, action FROM objects WHERE target IS NOT NULL AND id IN "
_TAKE_BACK = f"""
UPDATE objects SET action = s.action, role = '', table_id = NULL FROM kept AS s
WHERE s.id = objects.id AND objects.id IN {_IN_REFS}
"""


def plan_tables(
    plan: PlanFile,
    store: Store,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    named: Iterable[CatalogTable],
    progress: Progress,
    leave: Iterable[str] = (),
) -> None:
    """Plan every named table, and every other that the listing shows; findings go into the plan. ``leave`` names
    tables that stay where they are.

    Raises only what stops planning as such: a server or a catalog that cannot be read.
    """
    discovery = discover(plan, store, layout, catalogs, named, progress)
    plan.db.execute(_SETTLED)
    _report_unreadable(plan, layout, discovery)
    for catalog in catalogs.values():
        for namespace, key, value in catalog.namespace_properties():
            new = layout.map_uri(value)
            if new is not None and new != value:
                row = (catalog.name, namespace, key, value, new)
                plan.db.execute("INSERT INTO namespaces VALUES (?, ?, ?, ?, ?)", row)
    rules, left = Rules(plan, layout), frozenset(leave)
    planners = [_TablePlanner(plan, store, layout, found, rules, left) for found in discovery.tables]
    claims = []
    with progress.stage("reading tables", objects=len(planners)) as stage:
        # Those that stay come first, so that the others can take the files that they share with them.
        for planner in sorted(planners, key=lambda planner: not planner.may_stay):
            planner.run()
            if planner.claim is not None:
                claims.append(planner.claim)
            stage.advance(1)
    find_overlaps(plan, layout, claims, rules)


def _report_unreadable(plan: PlanFile, layout: Layout, discovery: Discovery) -> None:
    """A metadata file that no pointer names and that cannot be read is an old one of some table, what a failed
    commit left, or somebody else's file: it is copied as it is. Of one that a pointer names its table speaks."""
    places = (locate(plan, layout, table.metadata) for table in discovery.tables)
    pointers = {(at.bucket, at.key) for at in places if at is not None}
    newest: dict[tuple[str, str], int] = {}  # (bucket, folder) -> the highest version of a table there
    for uri in (uri for table in discovery.tables for uri in (table.metadata, *table.history)):
        if at := locate(plan, layout, uri):
            folder, _, name = at.key.rpartition("/")
            newest[at.bucket, folder] = max(newest.get((at.bucket, folder), 0), metadata_version(name) or 0)
    for (bucket, key), error in discovery.unreadable.items():
        folder, _, name = key.rpartition("/")
        if (bucket, key) in pointers:
            continue
        if (metadata_version(name) or 0) < newest.get((bucket, folder), -1):
            message = f"cannot be read ({error.reason}); it is copied as it is"
            plan.add_finding(Finding.of("missing-history", error.place, message))
        elif (bucket, folder) in newest or folder.rpartition("/")[2] == "metadata":
            message = f"is named by no catalog and cannot be read ({error.reason}); it is copied as it is"
            plan.add_finding(Finding.of("stray-metadata", error.place, message))


class _TablePlanner:
    """Plans one table. All that it reads and marks belongs to that table. ``claim`` is what it takes at the target,
    after :meth:`run`."""

    def __init__(
        self,
        plan: PlanFile,
        store: Store,
        layout: Layout,
        found: FoundTable,
        rules: Rules,
        leave: Container[str],
    ) -> None:
        self._plan = plan
        self._store = store
        self._layout = layout
        self._found = found
        self._left = is_named(found.catalog, found.namespace, found.name, leave)
        self._old_metadata: list[str] = []
        self._table_id = plan.add_table(
            catalog=found.catalog,
            catalog_kind=found.catalog_kind,
            namespace=found.namespace,
            name=found.name,
            old_metadata=without_userinfo(found.metadata),  # with credentials it is mapped by no rule: never a pointer
            kind=found.kind,
            state=TO_REWRITE,
        )
        self._label = found.label
        self._problems = Problems(plan, layout, found)
        self._target = TargetSide(plan, store, layout, found, self._problems, rules)
        self.claim: Claim | None = None

    @property
    def may_stay(self) -> bool:
        """True if nothing of the table may have to move: it is left out, or seems to live at the target."""
        at, hint = Location.parse(self._found.metadata), self._found.hint
        if self._left or (at is not None and at.bucket == self._layout.target_bucket):
            return True
        folder = hint and self._layout.map_key(*hint)
        return folder is not None and self._plan.at_target(f"{folder}/{HINT_NAME}")

    # -- the steps -----------------------------------------------------------------------------------

    def run(self) -> None:
        """Plan the table."""
        self._walker = Walker(self._plan, self._store, self._layout, self._problems)
        self._run()
        self._plan.update_table(self._table_id, problems=json.dumps(self._problems.codes))
        if self._problems.copied_as_is:
            self._plan.update_table(self._table_id, new_metadata=None)

    def _run(self) -> None:
        found, layout = self._found, self._layout
        if self._left:
            self._leave()
            return
        new_metadata = layout.map_uri(found.metadata)
        if new_metadata is None:
            self._plan_unmapped()
            return
        data = self._walker.read(found.metadata)
        if data is None:
            return
        if found.catalog is None:
            message = "is in none of the given catalogs; it is rewritten, and no pointer is changed"
            move = "Name its catalog with --catalog or in [catalogs], if it has one."
            self._plan.add_finding(Finding.of("uncatalogued-table", found.metadata, message, move))
        if found.trouble and found.hint is not None:
            place = f"s3://{found.hint[0]}/{found.hint[1]}/{HINT_NAME}"
            message = f"{found.trouble}; as Iceberg does, {found.metadata} is taken"
            self._problems.note("odd-hint", place, message)
        if len(new_metadata) > MAX_LOCATION and found.catalog_kind == SQL:
            message = f"new metadata location would have {len(new_metadata)} characters; {MAX_LOCATION} fit"
            self._problems.add("location-too-long", found.metadata, message, "Choose a shorter target prefix.")
            return
        try:
            if found.kind == VIEW:
                self._plan_view(data, read_view(data, found.metadata), new_metadata)
                return
            metadata = read_metadata(data, found.metadata)
        except Unreadable as error:
            self._problems.unreadable(error)
            return
        self._problems.location = metadata.location
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
            self._problems.add("encrypted-table", found.metadata, f"{self._label} is encrypted", "")
        else:
            self._plan_table(data, metadata, new_metadata)

    def _plan_unmapped(self) -> None:
        """No rule moves the table's metadata file."""
        found, layout = self._found, self._layout
        at = Location.parse(found.metadata)
        rule = layout.rule_for(at.bucket, at.key) if at else layout.recorded_rule(found.metadata)
        if rule is not None:
            self._plan.add_finding(Finding.of("left-out", self._label, "is left where it is by a layout rule"))
        elif at is not None and (at.bucket in layout.buckets or _is_there(self._store, at.bucket)):
            move = "Add a rule for it to [layout]."
            message = f"metadata of {self._label}, lies under no rule"
            self._problems.add("unmapped-path", found.metadata, message, move)
            return
        else:
            message = f"is at {found.metadata}, which is none of the old buckets: its pointer stays as it is"
            move = "" if at is not None else ways(self._plan, layout, found.metadata, "", "")
            self._plan.add_finding(Finding.of("outside-table", self._label, message, move))
        self._plan.db.execute("DELETE FROM tables WHERE id = ?", (self._table_id,))

    def _leave(self) -> None:
        """The table stays where it is because the user says so, with the files that are its own."""
        found, metadata = self._found, None
        message = f"is left at {found.metadata}, as asked: its pointer is not changed and its files are not copied"
        self._plan.add_finding(Finding.of("left-table", self._label, message))
        self._plan.update_table(self._table_id, state=LEFT)
        for uri, data in self._walker.read_many(dict.fromkeys((found.metadata, *found.history)), strict=False):
            try:
                read = read_metadata(data, uri)
            except Unreadable:
                read = None
            self._keep_one(_LEAVE, uri)
            if read is None:
                continue
            if uri == found.metadata:
                metadata = read
                facts = {"uuid": read.table_uuid, "format_version": read.format_version, "old_location": read.location}
                self._plan.update_table(self._table_id, **facts, snapshots=len(read.snapshots))
            walk = self._walker.walk([read], strict=False)
            for part in (*walk.lists, *walk.manifests):
                self._keep_one(_LEAVE, part)
        self._keep(_LEAVE, _IN_REFS)
        if found.alone:
            for bucket, prefix in self._folders(found.metadata, metadata.location if metadata else None):
                self._keep(_LEAVE, _IN_FOLDER, bucket=bucket, low=prefix, high=f"{prefix[:-1]}0")

    def _folders(self, metadata: str, location: str | None) -> list[tuple[str, str]]:
        """:func:`folders_of`, wherever the objects lie that these paths stand for."""
        return folders_of(s3_uri(self._layout, metadata), location and s3_uri(self._layout, location))

    def _keep(self, update: str, which: str, **parameters: Any) -> None:
        """Settle these objects, but so that a table that needs them can take them back."""
        self._plan.db.execute(f"{_NOTE_SETTLED} {which}", parameters)
        self._plan.db.execute(f"{update} {which}", {"table": self._table_id, **parameters})

    def _keep_one(self, update: str, uri: str) -> None:
        at = self._walker.locate(uri)
        if at is not None:
            which = "(SELECT id FROM objects WHERE bucket = :bucket AND key = :key)"
            self._keep(update, which, bucket=at.bucket, key=at.key)

    def _plan_table(self, data: bytes, metadata: TableMetadata, new_metadata: str) -> None:
        living = self._target.living(metadata, new_metadata)
        if living is not None:
            assert isinstance(living.metadata, TableMetadata)
            self._settle(metadata, living.uri, living.metadata)
            return
        if self._found.metadata == new_metadata:  # pointer at the target already
            self._settle(metadata, self._found.metadata, metadata)
            return
        self._claim(metadata)
        if not self._target.is_free(metadata.location):
            self._set_aside(metadata)
            return
        ahead = self._target.ahead(metadata, new_metadata)
        if ahead is not None:
            if not self._problems.named and isinstance(ahead.metadata, TableMetadata):
                self._settle(metadata, ahead.uri, ahead.metadata)
            else:
                self._set_aside(metadata)
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
        self._plan.db.execute(_TAKE_BACK)
        self._mark(state, walk, old)
        self._plan.update_table(self._table_id, state=state)

    def _set_aside(self, metadata: TableMetadata) -> None:
        """The table's place at the target is taken, which blocks the plan: that its files differ from those there
        needs no finding for each."""
        for uri in (self._found.metadata, *self._found.history):
            self._keep_one(_SETTLE, uri)
        if self._found.alone:
            for bucket, prefix in self._folders(self._found.metadata, metadata.location):
                self._keep(_SETTLE, _IN_FOLDER, bucket=bucket, low=prefix, high=f"{prefix[:-1]}0")

    def _claim(self, metadata: TableMetadata, *, former: Iterable[str] | None = None) -> None:
        """Note which places at the target are the table's."""
        news = map(self._layout.map_uri, (self._found.metadata, *self._found.history))
        self.claim = claim_of(
            self._label,
            metadata.table_uuid,
            metadata.location,
            metadata.properties,
            self._layout,
            named=self._problems.named,
            lives=former is not None,
            former=former or (),
            came_before=any(self._plan.at_target(at.key) for new in news if new and (at := Location.parse(new))),
        )

    def _note_facts(self, walk: Walk, metadata: TableMetadata, data: bytes) -> None:
        files = self._walker.files()
        facts = features_of(metadata, data, files, outside=self._walker.count_outside(metadata.location))
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
        directory = _place(new_metadata.rpartition("/metadata/")[0])
        if self._found.hint is not None and new_location and directory != _place(new_location.rstrip("/")):
            # A Hadoop catalog finds a table by its directory, which its location must be.
            message = f"a Hadoop table must lie at its location, but they map to {new_metadata} and {new_location}"
            self._problems.add("unmapped-path", place, message, "Map its folder with one rule.")
            return None
        self._note_texts(self._texts(metadata))
        try:
            return rewrite_metadata(data, layout.map_uri, place)
        except UnmappedPath as error:
            self._problems.unmapped(place, error.path, f"refers to {error.path!r}, under no rule")
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
            self._problems.unmapped(place, error.path, f"refers to {error.path!r}, under no rule")
            return
        state = TO_REWRITE
        if place != new_metadata and self._target.ahead(view, new_metadata) is not None:
            return
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
            old = (rule.source for rule in self._layout.recorded)
            if any(f"://{b}/" in f"{text}/" for b in self._layout.buckets) or any(o in f"{text}/" for o in old):
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
        self._plan.update_table(self._table_id, state=MIGRATED, new_metadata=uri, new_location=there.location)
        self._plan.add_finding(Finding.of("migrated-table", self._label, "already lives at the target"))
        self._walker = Walker(self._plan, self._store, self._layout, self._problems)
        olds = list(self._read_history(self._found.history))
        if Location.parse(uri) != Location.parse(self._found.metadata):
            olds.append(metadata)
        self._claim(there, former={old.location for old in olds})
        self._mark(MIGRATED, self._walker.walk(olds, strict=False), Walk())
        self._keep(_SETTLE, _IN_REFS)
        if self._found.alone:
            for location in {old.location for old in olds}:
                for bucket, prefix in self._folders("", location):
                    self._keep(_SETTLE, _IN_FOLDER, bucket=bucket, low=prefix, high=f"{prefix[:-1]}0")
        if any(self._layout.map_uri(old.location) == there.location for old in olds):
            self._report_left_behind()

    def _report_left_behind(self) -> None:
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
            path = f"s3://{bucket}/{key}" if bucket else key
            if self._layout.is_source(path):
                yield place, path

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
        if self._problems.copied_as_is:
            return
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


def _place(uri: str) -> tuple[str, str] | None:
    """Bucket and key, whatever the scheme."""
    at = Location.parse(uri)
    return (at.bucket, at.key) if at is not None else None


def _is_there(store: Store, bucket: str) -> bool:
    """True if the bucket exists and can be listed. Raises Unreachable."""
    try:
        return store.bucket_exists(bucket)
    except Unreachable:
        raise
    except StoreError:
        return False
