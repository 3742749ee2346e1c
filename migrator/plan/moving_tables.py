"""Planning the tables that move: read all that the metadata refers to, check it, and mark what must be rewritten."""

from __future__ import annotations

from migrator.errors import UnmappedPath
from migrator.iceberg.metadata import TableMetadata, rewrite_metadata
from migrator.inventory.references import overwritten_at_target
from migrator.inventory.walker import Walk
from migrator.layout import Location
from migrator.plan.migrated_tables import plan_blocked_table, plan_migrated_table
from migrator.plan.old_paths_in_texts import report_texts, table_texts
from migrator.plan.table_context import TableContext
from migrator.planfile.rows import REWRITTEN, TO_REWRITE


def plan_table(table: TableContext, data: bytes, metadata: TableMetadata, new_metadata: str) -> None:
    """Plan a table that a rule moves, unless the target shows that it was moved before. ``data`` is its metadata file,
    and ``new_metadata`` the place where that goes."""
    living = table.target.living(metadata, new_metadata)
    if living is not None:
        assert isinstance(living.metadata, TableMetadata)
        plan_migrated_table(table, metadata, living.uri, living.metadata)
        return
    if table.found.metadata == new_metadata:  # the pointer is at the target already
        plan_migrated_table(table, metadata, new_metadata, metadata)
        return
    table.claim_places(metadata)
    if not table.target.is_free(metadata.location):
        plan_blocked_table(table, metadata)
        return
    ahead = table.target.ahead(metadata, new_metadata)
    if ahead is None:
        _plan_move(table, data, metadata, new_metadata)
    elif not table.problems.named and isinstance(ahead.metadata, TableMetadata):
        plan_migrated_table(table, metadata, ahead.uri, ahead.metadata)
    else:
        plan_blocked_table(table, metadata)


def _plan_move(table: TableContext, data: bytes, metadata: TableMetadata, new_metadata: str) -> None:
    new_data = _rewritten_metadata(table, data, metadata, new_metadata)
    if new_data is None:
        return
    state = REWRITTEN if table.read_at_target(new_metadata) == new_data else TO_REWRITE
    walk = table.walker.walk([metadata], strict=True)
    table.walker.check_refs()
    table.note_features(walk, metadata, data)
    _check_not_half_moved(table, walk)
    history = (*table.found.history, *metadata.metadata_log)
    old = table.walker.walk(table.read_history(history), strict=False, skip=walk)
    table.marks.take_back()
    table.give_roles(state, walk, old)
    table.update(state=state)


def _rewritten_metadata(table: TableContext, data: bytes, metadata: TableMetadata, new_metadata: str) -> bytes | None:
    """The bytes of the new metadata file; None, with a problem, if the table cannot be moved."""
    uri, layout = table.found.metadata, table.layout
    new_location = layout.map_uri(metadata.location)
    directory = _place(new_metadata.rpartition("/metadata/")[0])
    if table.found.hint is not None and new_location and directory != _place(new_location.rstrip("/")):
        # A Hadoop catalog finds a table by its directory, so that must be the table's location.
        message = f"a Hadoop table must lie at its location, but they map to {new_metadata} and {new_location}"
        table.problems.add("unmapped-path", uri, message, "Map its folder with one rule.")
        return None
    report_texts(table, table_texts(table, metadata))
    try:
        return rewrite_metadata(data, layout.map_uri, uri)
    except UnmappedPath as error:
        table.problems.unmapped(uri, error.path, f"refers to {error.path!r}")
        return None


def _check_not_half_moved(table: TableContext, walk: Walk) -> None:
    """Add a problem for manifest lists and manifests at the target: these are not rewritten, so paths in them would not
    change. Data files may be there already, unless an object of the old buckets overwrites them."""
    target = table.layout.target_bucket
    for uri in sorted(walk.lists | walk.manifests):
        at = Location.parse(uri)
        if at is not None and at.bucket == target:
            message = f"of {table.label}, whose metadata is still in an old bucket"
            table.problems.add("half-moved", uri, message, "Rewrite the table's manifests in the old place first.")
    for place, key, source in overwritten_at_target(table.plan.db, target):
        message = f"refers to {key!r} in the target, which {source} would overwrite"
        table.problems.add("key-collision", place, message, "Give one of them a rule of its own in [layout].")


def _place(uri: str) -> tuple[str, str] | None:
    """Bucket and key, whatever the scheme."""
    at = Location.parse(uri)
    return (at.bucket, at.key) if at is not None else None
