"""A plan may be one wave of a lake that moves in parts (``[tables] only``): then it moves some tables, and what lies
under their locations, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable

from migrator.layout import Layout, source_places
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import PlannedTable


def is_wave(plan: PlanFile) -> bool:
    """True if the sealed plan moves only the tables that ``[tables] only`` chooses."""
    return bool(json.loads(plan.header().get("only", "[]")))


def wave_folders(layout: Layout, tables: Iterable[PlannedTable]) -> list[tuple[str, str]]:
    """The folders in the old buckets that move with these tables, as (bucket, prefix): the location of each table, and
    the folder of its metadata file. A prefix ends with a slash; "" is the whole bucket. They are sorted, and none lies
    inside of another one. Tables that stay have none."""
    folders = {folder for table in tables if not table.stays for folder in _folders(layout, table)}
    outermost: list[tuple[str, str]] = []
    for bucket, prefix in sorted(folders):
        if not outermost or outermost[-1][0] != bucket or not prefix.startswith(outermost[-1][1]):
            outermost.append((bucket, prefix))
    return outermost


def places_in_use(plan: PlanFile) -> list[tuple[str, str]]:
    """The (bucket, prefix) pairs in the old buckets that must be still before the cutover."""
    return wave_folders(plan.layout, plan.tables()) if is_wave(plan) else source_places(plan.layout)


def _folders(layout: Layout, table: PlannedTable) -> list[tuple[str, str]]:
    metadata, location = layout.place_of(table.old_metadata), layout.place_of(table.old_location or "")
    found = [] if metadata is None else [(metadata.bucket, metadata.key.rpartition("/")[0])]
    found += [] if location is None else [(location.bucket, location.key.rstrip("/"))]
    return [(bucket, f"{key}/" if key else "") for bucket, key in found if bucket in layout.buckets]
