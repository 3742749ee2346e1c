"""Finds single objects of a plan."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import WRITTEN_OR_SAME
from migrator.planfile.rows import OBJECT_COLUMNS, PlannedObject


def objects_by_id(plan: PlanFile, ids: Iterable[int]) -> Iterator[PlannedObject]:
    """Yield these objects, in the order of their ids."""
    for number in sorted(ids):
        yield from plan.objects("id = ?", (number,))


def object_at(plan: PlanFile, bucket: str, key: str) -> PlannedObject | None:
    """The object with this source key, from any thread."""
    row = plan.lookup(f"SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
    return PlannedObject(*row) if row else None


def object_moved_to(plan: PlanFile, key: str) -> PlannedObject | None:
    """The object that the plan moves to this key in the target bucket, spelled literally or as Hadoop's S3A spells it.
    From any thread."""
    query = f"SELECT {OBJECT_COLUMNS} FROM objects WHERE target = ? AND {WRITTEN_OR_SAME}"
    spellings = dict.fromkeys((key, Location("s3", "", key).collapsed.key))
    row = next((row for spelling in spellings if (row := plan.lookup(query, (spelling,)))), None)
    return PlannedObject(*row) if row else None


def object_named(plan: PlanFile, path: str) -> PlannedObject | None:
    """The object that a path in a table's metadata names; None if it is not part of the plan. From any thread.

    Its key is the literal one or else the one that Hadoop's S3A makes of it (``Location.collapsed``). For a path
    outside of S3, it is the object that the layout puts at the path's new place."""
    literal = Location.parse(path)
    if literal is None:
        new = Location.parse(plan.layout.map_uri(path) or "")
        row = new and plan.lookup(f"SELECT {OBJECT_COLUMNS} FROM objects WHERE target = ? LIMIT 1", (new.key,))
        return PlannedObject(*row) if row else None
    places = dict.fromkeys((literal, literal.collapsed))
    return next((planned for at in places if (planned := object_at(plan, at.bucket, at.key))), None)


def lies_in(key: str, folders: Collection[str]) -> bool:
    """True if the key lies below one of these folders."""
    return bool(folders) and any(key[: slash.start()] in folders for slash in re.finditer("/", key))
