"""Planning the views that move. A view is its metadata files; they refer to no other files."""

from __future__ import annotations

from migrator.errors import UnmappedPath, Unreadable
from migrator.findings import Finding
from migrator.iceberg.views import ViewMetadata, rewrite_view
from migrator.plan.old_paths_in_texts import report_texts, view_texts
from migrator.plan.table_context import TableContext
from migrator.planfile.rows import MIGRATED, REWRITTEN, ROLE_VIEW, TO_REWRITE


def plan_view(table: TableContext, data: bytes, view: ViewMetadata, new_metadata: str) -> None:
    """Plan a view that a rule moves. ``data`` is its metadata file, and ``new_metadata`` the place where that goes.

    Raises Unreadable for a file that cannot be rewritten.
    """
    uri, layout = table.found.metadata, table.layout
    table.update(
        uuid=view.view_uuid,
        format_version=view.format_version,
        old_location=view.location,
        new_location=layout.map_uri(view.location),
        new_metadata=new_metadata,
    )
    report_texts(table, view_texts(table, view))
    try:
        new_data = rewrite_view(data, layout.map_uri, uri)
    except UnmappedPath as error:
        table.problems.unmapped(uri, error.path, f"refers to {error.path!r}, under no rule")
        return
    state = _state(table, view, new_data, new_metadata)
    if state is None:
        return
    _mark_history(table, state)
    table.give_role(uri, ROLE_VIEW, state)
    table.update(state=state)


def _state(table: TableContext, view: ViewMetadata, new_data: bytes, new_metadata: str) -> str | None:
    """The state of the view; None if it was changed at the target, which blocks the plan."""
    if table.found.metadata == new_metadata:
        table.plan.add_finding(Finding.of("migrated-table", table.label, "already lives at the target"))
        return MIGRATED
    if table.target.ahead(view, new_metadata) is not None:
        return None
    return REWRITTEN if table.read_at_target(new_metadata) == new_data else TO_REWRITE


def _mark_history(table: TableContext, state: str) -> None:
    for uri, data in table.walker.read_many(dict.fromkeys(table.found.history), strict=False):
        try:
            rewrite_view(data, table.layout.map_uri, uri)
        except (Unreadable, UnmappedPath) as error:
            table.problems.note("missing-history", uri, f"is copied as it is: {error.message}")
            continue
        table.give_role(uri, ROLE_VIEW, state)
