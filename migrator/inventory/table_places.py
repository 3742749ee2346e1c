"""Finds the places of the tables of a lake before it is listed: from their pointers and their metadata.

These places are listed instead of read from an S3 Inventory report, because tables change after the report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from migrator.catalogs import CatalogTable
from migrator.catalogs.base import VIEW
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import NotFound, Unreadable
from migrator.iceberg.metadata import is_metadata_file, read_metadata, table_folder
from migrator.iceberg.views import read_view
from migrator.inventory.metadata_cache import MetadataCache
from migrator.layout import Layout
from migrator.planfile.file import PlanFile
from migrator.store import Store

_FOLDERS = ("write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path")
"""Properties of a table that name a folder for its files (Iceberg docs, "Configuration")."""
_IN_PLAN = "SELECT bucket, key FROM objects WHERE key LIKE '%.metadata.json%' AND target IS NOT NULL"

Place = tuple[str, str]
"""Bucket, and the beginning of keys: "", a folder with a slash at its end, or a prefix to list."""


def table_places(
    plan: PlanFile,
    store: Store,
    files: MetadataCache,
    layout: Layout,
    named: Iterable[CatalogTable],
    places: Sequence[Place],
    buckets: Collection[str],
) -> list[Place]:
    """The places of tables in these buckets, none inside another: of tables that the catalogs name, and of tables whose
    metadata files the plan has already. Only places in ``places``, the places of the layout.

    Raises StoreError; missing or damaged metadata files are reported when the table is planned.
    """
    found = {(bucket, _below(table_folder(key))) for bucket, key in plan.db.execute(_IN_PLAN) if _is_metadata(key)}
    found |= set(_named_places(store, files, layout, named))
    inside = {both for place in found if place[0] in buckets for both in _within(place, places)}
    kept: list[Place] = []
    for bucket, prefix in sorted(inside):
        if not (kept and kept[-1][0] == bucket and prefix.startswith(kept[-1][1])):
            kept.append((bucket, prefix))
    return kept


def _is_metadata(key: str) -> bool:
    return is_metadata_file(key.rpartition("/")[2])


def _below(folder: str) -> str:
    """The prefix of the keys in a folder; "" for the whole bucket."""
    return f"{folder}/" if folder else ""


def _within(place: Place, places: Sequence[Place]) -> Iterator[Place]:
    """The parts of a place that lie in the places of the layout."""
    for bucket, prefix in places:
        if bucket == place[0] and place[1].startswith(prefix):
            yield place
        elif bucket == place[0] and prefix.startswith(place[1]):
            yield bucket, prefix


def _named_places(store: Store, files: MetadataCache, layout: Layout, named: Iterable[CatalogTable]) -> Iterator[Place]:
    """The folder of each pointer, and each place that the metadata file there names."""

    def read(table: CatalogTable) -> list[str]:
        at = layout.place_of(table.metadata_location)
        if at is None or at.bucket == layout.target_bucket:
            return []
        data = files.read(at.bucket, at.key)
        if table.kind == VIEW:
            return [read_view(data, at.uri).location]
        metadata = read_metadata(data, at.uri)
        return [metadata.location, *(metadata.properties[name] for name in _FOLDERS if name in metadata.properties)]

    for outcome in run_in_threads(read, named, workers=store.concurrency):
        pointer = layout.place_of(outcome.item.metadata_location)
        if pointer is not None:
            yield pointer.bucket, _below(table_folder(pointer.key))
        if isinstance(outcome, Failed):
            if not isinstance(outcome.error, NotFound | Unreadable):
                raise outcome.error
            continue
        for path in outcome.result:
            at = layout.place_of(path)
            for place in (at, at.collapsed) if at is not None else ():
                yield place.bucket, _below(place.key.rstrip("/"))
