"""One table while it is planned, with the functions that all ways of planning share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from migrator.catalogs.hadoop import VERSION_HINT_FILE
from migrator.errors import UnmappedPath, Unreadable
from migrator.iceberg.metadata import TableMetadata, read_metadata, rewrite_metadata
from migrator.inventory.advice import Rules
from migrator.inventory.features import features_of
from migrator.inventory.listing import is_at_target
from migrator.inventory.located import s3_uri
from migrator.inventory.metadata_cache import MetadataCache
from migrator.inventory.problems import Problems
from migrator.inventory.tables import FoundTable
from migrator.inventory.walker import UnlistedWalker, Walk, Walker
from migrator.layout import Layout, Location, Rule
from migrator.layout.recorded import Recorded
from migrator.plan.at_target import TargetSide
from migrator.plan.overlap import Claim, claim_of
from migrator.plan.table_marks import TableMarks
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import (
    MIGRATED,
    ROLE_CURRENT,
    ROLE_DELETES,
    ROLE_MANIFEST,
    ROLE_MANIFEST_LIST,
    ROLE_METADATA,
    ROLE_VERSION_HINT,
    TO_REWRITE,
)
from migrator.planfile.table_folders import folders_of
from migrator.store import Store
from migrator.store.endpoints import without_userinfo
from migrator.target import GivenUp


@dataclass
class TableContext:
    """One table while it is planned. All that it reads and marks belongs to that table."""

    plan: PlanFile
    store: Store
    files: MetadataCache
    layout: Layout
    found: FoundTable
    table_id: int
    problems: Problems
    target: TargetSide
    marks: TableMarks
    walker: Walker = field(init=False)
    """Set by :meth:`new_walk`."""
    claim: Claim | None = None
    """The places that the table takes at the target, once that is known."""
    rewritable: list[str] = field(default_factory=list)
    """The older metadata files that :meth:`read_history` could read."""

    @property
    def label(self) -> str:
        """What findings call the table."""
        return self.found.label

    def update(self, **columns: Any) -> None:
        """Change columns of the table's row in the plan."""
        self.plan.update_table(self.table_id, **columns)

    def note_identity(self, metadata: TableMetadata, **more: Any) -> None:
        """Write the table's uuid and format from its metadata into the plan, and ``more`` columns."""
        self.update(
            uuid=metadata.table_uuid,
            format_version=metadata.format_version,
            old_location=metadata.location,
            snapshots=len(metadata.snapshots),
            **more,
        )

    @property
    def of_other_plan(self) -> bool:
        """True if a rule that another plan carries out moves this table, or has moved it."""
        return self.other_rule is not None

    @property
    def other_rule(self) -> Rule | Recorded | None:
        """The rule that another plan carries out and that moves this table, or has moved it."""
        return self.layout.later_rule(self.found.metadata) or self.layout.later_target(self.found.metadata)

    def lives_at_target(self) -> bool:
        """True if the table's pointer, or for a Hadoop table a version hint, is at the target."""
        at, hint = Location.parse(self.found.metadata), self.found.hint
        if at is not None and at.bucket == self.layout.target_bucket:
            return True
        folder = hint and self.layout.whole.map_key(*hint)
        return folder is not None and is_at_target(self.plan, f"{folder}/{VERSION_HINT_FILE}")

    def new_walk(self) -> None:
        """Begin a walk with empty :class:`.References`."""
        if self.of_other_plan:
            self.walker = UnlistedWalker(self.plan, self.store, self.files, self.layout.whole, self.problems)
        else:
            self.walker = Walker(self.plan, self.store, self.files, self.layout, self.problems)

    def read_at_target(self, uri: str) -> bytes | None:
        """The object at this place in the target bucket; None if the target's listing did not have it."""
        at = Location.parse(uri)
        assert at is not None
        return self.store.get(at.bucket, at.key).data if is_at_target(self.plan, at.key) else None

    def folders(self, metadata: str, location: str | None) -> list[tuple[str, str]]:
        """The folders of the table, as :func:`folders_of` gives them, where its objects lie in S3."""
        return folders_of(s3_uri(self.layout, metadata), location and s3_uri(self.layout, location))

    def keep_folders(self, update: str, metadata: str, location: str | None) -> None:
        """Mark the objects in the table's folders (see :class:`TableMarks`), unless another table shares them."""
        if self.found.alone:
            for bucket, prefix in self.folders(metadata, location):
                self.marks.keep_folder(update, bucket, prefix)

    def read_history(self, uris: Iterable[str]) -> Iterator[TableMetadata]:
        """The table's older metadata files that exist and can be rewritten; the others are copied as they are."""
        for uri, data in self.walker.read_many(dict.fromkeys(uris), strict=False):
            try:
                metadata = read_metadata(data, uri)
                rewrite_metadata(data, self.layout.map_uri, uri)
            except (Unreadable, UnmappedPath) as error:
                self.problems.note("missing-history", uri, f"is copied as it is: {error.message}")
                continue
            self.rewritable.append(uri)
            yield metadata

    def note_features(self, walk: Walk, metadata: TableMetadata, data: bytes) -> None:
        """Write into the plan what the walk has counted. ``data``: the metadata file; empty if it is at the target."""
        files, buckets = self.walker.references.files(), self.walker.references.sizes_by_bucket()
        outside = self.walker.count_outside(metadata.location)
        facts = features_of(metadata, data, files, outside=outside, buckets=buckets)
        self.update(
            manifests=len(walk.manifests),
            data_files=sum(f.count for f in files if not f.content),
            delete_files=sum(f.count for f in files if f.content),
            facts=json.dumps(asdict(facts)),
        )

    def claim_places(self, metadata: TableMetadata, *, former: Iterable[str] | None = None) -> None:
        """Note which places at the target are the table's. ``former``: its locations in the old buckets, if it lives
        at the target already."""
        news = map(self.layout.map_uri, (self.found.metadata, *self.found.history))
        self.claim = claim_of(
            self.label,
            metadata.table_uuid,
            metadata.location,
            metadata.properties,
            self.layout,
            named=self.problems.named,
            lives=former is not None,
            former=former or (),
            came_before=any(is_at_target(self.plan, at.key) for new in news if new and (at := Location.parse(new))),
        )

    def give_role(self, uri: str, role: str, state: str) -> None:
        """Give a file of the table its role."""
        self.marks.give_role(self.walker.locate(uri), role, state)

    def give_roles(self, state: str, walk: Walk, old: Walk) -> None:
        """Give every file of the table its role. ``walk``: from its current metadata; ``old``: from older ones."""
        deletes = self.walker.delete_files(check=state != MIGRATED)
        self.walker.check_schemes()
        if self.problems.copied_as_is:
            return
        everything: list[tuple[str, Iterable[str]]] = [
            (ROLE_DELETES, deletes),
            (ROLE_MANIFEST, walk.manifests | old.manifests),
            (ROLE_MANIFEST_LIST, walk.lists | old.lists),
            (ROLE_METADATA, self.rewritable),
            (ROLE_CURRENT, [self.found.metadata]),
        ]
        for role, uris in everything:
            for uri in uris:
                self.give_role(uri, role, state)
        if self.found.hint is not None:
            bucket, folder = self.found.hint
            self.give_role(f"s3://{bucket}/{folder}/{VERSION_HINT_FILE}", ROLE_VERSION_HINT, state)


def new_context(
    plan: PlanFile,
    store: Store,
    files: MetadataCache,
    layout: Layout,
    found: FoundTable,
    rules: Rules,
    given_up: GivenUp,
) -> TableContext:
    """Add the table to the plan; only its place is known."""
    table_id = plan.add_table(
        catalog=found.catalog.name if found.catalog else None,
        catalog_kind=found.catalog.kind if found.catalog else None,
        namespace=found.namespace,
        name=found.name,
        old_metadata=without_userinfo(found.metadata),  # no rule maps a path with credentials
        kind=found.kind,
        state=TO_REWRITE,
    )
    problems = Problems(plan, layout, found)
    target = TargetSide(plan, store, layout, found, problems, rules, given_up)
    return TableContext(plan, store, files, layout, found, table_id, problems, target, TableMarks(plan, table_id))
