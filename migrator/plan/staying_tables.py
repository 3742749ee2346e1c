"""Planning the tables that stay where they are: those that the user leaves out, those that are not part of this wave,
and those that no rule moves."""

from __future__ import annotations

from migrator.errors import StoreError, Unreachable, Unreadable
from migrator.findings import WARN, Finding, counted
from migrator.iceberg.metadata import TableMetadata, read_metadata
from migrator.inventory.located import ways
from migrator.inventory.problems import add_rules
from migrator.layout import Location
from migrator.plan.migrated_tables import relocate_command
from migrator.plan.table_context import TableContext
from migrator.plan.table_marks import BELONGS_LATER, STAYS
from migrator.planfile.rows import EARLIER, LATER, LEFT, ROLE_LATER
from migrator.store import Store


def plan_left_table(table: TableContext) -> None:
    """The table stays where it is because the user said so, with the files that only it uses."""
    found = table.found
    message = f"is left at {found.metadata}, as requested: its pointer is not changed and its files are not copied"
    table.plan.add_finding(Finding.of("left-table", table.label, message))
    table.update(state=LEFT)
    current, _ = _mark_files(table, STAYS)
    if found.own_folder:  # else objects of others would be left behind without a finding
        table.keep_folders(STAYS, found.metadata, current.location if current else None)


def plan_later_table(table: TableContext) -> None:
    """The table is not part of this wave: its pointer and its files stay as they are. The files that it names are
    noted, so that tables of this wave move the files that they share with it."""
    found = table.found
    moved = table.lives_at_target()
    table.update(state=EARLIER if moved else LATER)
    table.problems.silent = True  # problems of the table concern the wave that moves it
    current, locations = _mark_files(table, BELONGS_LATER)
    table.keep_folders(BELONGS_LATER, found.metadata, current.location if current else None)
    if current is not None:
        table.claim_places(current, former=locations if moved else None)
        assert table.claim is not None
        table.claim.moves = False


def plan_table_of_other_plan(table: TableContext) -> None:
    """A rule that another plan carries out moves the table, or has moved it. Its pointer and its files stay as they
    are. A file below a rule of this plan is a problem: neither plan could move all of the table."""
    found, moved = table.found, table.lives_at_target()
    table.update(state=EARLIER if moved else LATER)
    table.problems.silent = True  # other problems of the table concern the plan that moves it
    current, _ = _mark_files(table, BELONGS_LATER)
    table.problems.silent = False
    query = "SELECT count(*), min('s3://' || bucket || '/' || key) FROM objects WHERE table_id = ? AND role = ?"
    count, example = table.plan.db.execute(query, (table.table_id, ROLE_LATER)).fetchone()
    rule = table.other_rule
    assert rule is not None
    if not count or current is None:
        return
    files = f"names {counted(count, 'file')} below the rules of this plan, such as {example}"
    if not moved:
        message = f"lies below {rule.source}, which another plan moves, and {files}: they stay for that plan"
        severity = "" if table.problems.named else WARN
        table.problems.note("spanning-table", table.label, message, add_rules([rule.source]), severity=severity)
        return
    message = f"of {table.label}, which another plan has moved, {files}"
    move = f"Move them: {relocate_command(found.metadata, current.location)}, and register the result."
    table.problems.add("half-moved", found.metadata, message, move)


def _mark_files(table: TableContext, update: str) -> tuple[TableMetadata | None, list[str]]:
    """Mark the files that only this table uses; see :class:`TableMarks`. Returns its current metadata, None if it
    cannot be read, and the locations in its older metadata files."""
    found = table.found
    current, locations = None, []
    for uri, data in table.walker.read_many(dict.fromkeys((found.metadata, *found.history)), strict=False):
        metadata = _read_if_possible(data, uri)
        table.marks.keep_one(update, table.walker.locate(uri))
        if metadata is None:
            continue
        locations.append(metadata.location)
        if uri == found.metadata:
            current = metadata
            table.note_identity(metadata)
        walk = table.walker.walk([metadata], strict=False)
        for part in (*walk.lists, *walk.manifests):
            table.marks.keep_one(update, table.walker.locate(part))
    table.marks.keep_refs(update)
    return current, locations


def _read_if_possible(data: bytes, uri: str) -> TableMetadata | None:
    try:
        return read_metadata(data, uri)
    except Unreadable:
        return None


def plan_unmapped_table(table: TableContext) -> None:
    """No rule moves the table's metadata file. That blocks the plan if the file is in a bucket of the lake, unless a
    rule says that it stays there."""
    found, layout = table.found, table.layout
    at = Location.parse(found.metadata)
    rule = layout.rule_for(at.bucket, at.key) if at else layout.recorded_rule(found.metadata)
    if rule is not None:
        message = "is left where it is by a layout rule"
        if found.catalog is not None:
            message += f", and its pointer stays {found.metadata}: it is lost with the old buckets"
        severity = WARN if found.catalog is not None else ""
        table.plan.add_finding(Finding.of("left-out", table.label, message, severity=severity))
    elif at is not None and (at.bucket in layout.buckets or _can_be_listed(table.store, at.bucket)):
        message = f"metadata of {table.label}, lies under no rule"
        table.problems.add("unmapped-path", found.metadata, message, "Add a rule for it to [layout].")
        return
    else:
        message = f"is at {found.metadata}, which is none of the old buckets: its pointer stays as it is"
        move = "" if at is not None else ways(table.plan, layout, found.metadata, "", "")
        table.plan.add_finding(Finding.of("outside-table", table.label, message, move))
    table.plan.db.execute("DELETE FROM tables WHERE id = ?", (table.table_id,))


def _can_be_listed(store: Store, bucket: str) -> bool:
    """True if the bucket exists and can be listed. Raises Unreachable."""
    try:
        return store.bucket_exists(bucket)
    except Unreachable:
        raise
    except StoreError:
        return False
