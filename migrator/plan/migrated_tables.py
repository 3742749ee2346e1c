"""Planning the tables that live at the target already, and those whose place there is taken.

None of their files is copied. A table that lives at the target must not need files in the old buckets any more.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from migrator.findings import Finding
from migrator.iceberg.metadata import TableMetadata
from migrator.inventory.references import named_outside
from migrator.inventory.walker import Walk
from migrator.layout import Location
from migrator.plan.table_context import TableContext
from migrator.plan.table_marks import AT_TARGET
from migrator.planfile.rows import MIGRATED, SKIP


def plan_migrated_table(table: TableContext, old: TableMetadata, uri: str, new: TableMetadata) -> None:
    """The table lives at the target. ``old``: its metadata in the old place; ``uri`` and ``new``: its metadata file
    at the target."""
    _check_target(table, uri, new)
    table.update(state=MIGRATED, new_metadata=uri, new_location=new.location)
    table.plan.add_finding(Finding.of("migrated-table", table.label, "already lives at the target"))
    olds = _mark_old_files(table, old, uri, new)
    if any(table.layout.map_uri(metadata.location) == new.location for metadata in olds):
        _report_left_behind(table)


def _check_target(table: TableContext, uri: str, new: TableMetadata) -> None:
    """Read all that the table has at the target. Paths to the old buckets there are problems."""
    walk = table.walker.walk([new], strict=True)
    table.walker.check_refs()
    table.note_features(walk, new, b"")
    for place, path in _old_paths(table, walk, uri):
        message = f"of {table.label}, which lives at the target, refers to {path}"
        move = (
            "Stop the writer that still uses old paths, and rewrite what it wrote. Or, if these files stayed when the "
        )
        move += f"table moved: {relocate_command(uri, new.location)}, and register the result."
        table.problems.add("half-moved", place, message, move)


def relocate_command(uri: str, location: str) -> str:
    """The command that moves further files of a table that lives at the target. ``uri``: its metadata file."""
    return f"migrator relocate {shlex.quote(uri)} --to {shlex.quote(location)} --also OLD=NEW"


def _mark_old_files(table: TableContext, old: TableMetadata, uri: str, new: TableMetadata) -> list[TableMetadata]:
    """Mark the files that the table had in the old buckets, and return its metadata there."""
    table.new_walk()
    olds = list(table.read_history(table.found.history))
    if Location.parse(uri) != Location.parse(table.found.metadata):
        olds.append(old)
    locations = {metadata.location for metadata in olds}
    table.claim_places(new, former=locations)
    table.give_roles(MIGRATED, table.walker.walk(olds, strict=False), Walk())
    table.marks.keep_refs(AT_TARGET)
    for location in locations:
        table.keep_folders(AT_TARGET, "", location)
    return olds


def plan_blocked_table(table: TableContext, metadata: TableMetadata) -> None:
    """The table's place at the target is taken, which blocks the plan. Its files differ from those there, and need no
    finding for each."""
    for uri in (table.found.metadata, *table.found.history):
        table.marks.keep_one(AT_TARGET, table.walker.locate(uri))
    table.keep_folders(AT_TARGET, table.found.metadata, metadata.location)


def _report_left_behind(table: TableContext) -> None:
    query = (
        f"SELECT count(*), min('s3://' || bucket || '/' || key) FROM objects WHERE table_id = ? AND action = '{SKIP}'"
    )
    left, example = table.plan.db.execute(query, (table.table_id,)).fetchone()
    if left:
        message = (
            f"and others like it are not copied: {table.label} removed them at the target, or they were "
            "written after its cutover"
        )
        table.plan.add_finding(Finding.of("left-behind", example, message, count=left))


def _old_paths(table: TableContext, walk: Walk, uri: str) -> Iterator[tuple[str, str]]:
    """(place, path) of each file in the old buckets that a table at the target still refers to."""
    layout = table.layout
    for path in sorted(walk.lists | walk.manifests):
        if layout.is_source(path):
            yield uri, path
    # Each is reported as one of many.
    for bucket, key, place in named_outside(table.plan.db, layout.target_bucket, most=1000):
        path = f"s3://{bucket}/{key}" if bucket else key
        if layout.is_source(path) and not layout.stays(path):
            yield place, path
