"""Finds objects of a plan, and folders of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import MOVES, WRITTEN_OR_SAME
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
    """The object that the plan moves to this key in the target bucket, from any thread."""
    query = f"SELECT {OBJECT_COLUMNS} FROM objects WHERE target = ? AND {WRITTEN_OR_SAME}"
    row = plan.lookup(query, (key,))
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


def sink_folders(plan: PlanFile) -> frozenset[str]:
    """The folders at the target, without a slash at their ends, that have a ``_spark_metadata`` folder: Spark reads
    them, and takes the times of their files, from the log in there."""
    query = f"SELECT target FROM objects WHERE target GLOB '*_spark_metadata/*' AND {MOVES}"
    return frozenset(key.partition("/_spark_metadata/")[0] for (key,) in plan.db.execute(query))


def lies_in(key: str, folders: Collection[str]) -> bool:
    """True if the key lies below one of these folders."""
    return bool(folders) and any(key[: slash.start()] in folders for slash in re.finditer("/", key))
