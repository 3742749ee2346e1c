"""Old paths in the texts of tables and views: properties, summaries of snapshots, and the SQL of views.

Such a text may be something else than a path, so none is changed. Each is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from migrator.iceberg.metadata import TableMetadata, map_property
from migrator.iceberg.views import ViewMetadata
from migrator.layout import Layout
from migrator.plan.table_context import TableContext


def report_texts(table: TableContext, texts: Iterable[tuple[str, str]]) -> None:
    """Report the texts that mention an old path. ``texts``: (what the text is, the text)."""
    for label, text in texts:
        if _mentions_old_path(table.layout, f"{text}/"):
            message = f"{label} mentions an old path: {text[:200]}"
            table.problems.note(
                "path-in-text", table.found.metadata, message, "Change it yourself if something uses it as a path."
            )


def _mentions_old_path(layout: Layout, text: str) -> bool:
    return any(f"://{bucket}/" in text for bucket in layout.buckets) or any(
        rule.source in text for rule in layout.recorded
    )


def table_texts(table: TableContext, metadata: TableMetadata) -> Iterator[tuple[str, str]]:
    """The texts in a table's metadata that the rewrite leaves as they are."""
    yield from _unchanged_properties(table, metadata.properties)
    for snapshot in metadata.snapshots:
        for key, value in snapshot.summary.items():
            yield f"summary of snapshot {snapshot.snapshot_id}, {key!r},", value


def view_texts(table: TableContext, view: ViewMetadata) -> Iterator[tuple[str, str]]:
    """The texts in a view's metadata that the rewrite leaves as they are."""
    yield from view.sql
    yield from _unchanged_properties(table, view.properties)


def _unchanged_properties(table: TableContext, properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in properties.items():
        if map_property(value, table.layout.map_uri) is None:
            yield f"property {key!r}", value
