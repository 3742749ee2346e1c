"""Checks that the plan's objects are at the target. Compares the plan and its journal with the listing of the target by
SQL."""

from __future__ import annotations

from collections.abc import Collection

from migrator.inventory.listing import TARGET
from migrator.inventory.streams import streams_at_target
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.objects import lies_in
from migrator.planfile.queries import (
    MOVES,
    WRITTEN_OR_SAME,
    keys_under,
    place,
    same_etag,
)
from migrator.planfile.rows import CONFLICT, OF_NO_TABLE, ROLE_VERSION_HINT, SAME, PlannedTable
from migrator.verifying.checks import Check, PrefixTotal

REMOVED_BY_MAINTENANCE = "removed from the folder of a table that was written to since the cutover"
WRITTEN_AGAIN = "written again in the folder of a table that was written to since the cutover"
REMOVED_BY_STREAM = "removed by a stream that runs at the target"
OBJECTS_CHECK = "every object of the plan is at the target"
"""The name of the check of :func:`check_objects`."""

_DIFFERENCES = f"""
SELECT {place("o.")}, o.target, o.table_id, o.role, CASE
  WHEN o.action = '{CONFLICT}' THEN 'is not what the plan wants there, which is why the plan is blocked'
  WHEN t.key IS NULL AND o.action <> '{SAME}' AND d.object_id IS NULL THEN 'not migrated yet'
  WHEN t.key IS NULL THEN 'missing'
  WHEN d.object_id IS NOT NULL AND (t.size <> d.size OR NOT {same_etag("t.etag", "d.etag")})
  THEN 'differs from what was written'
  WHEN d.object_id IS NULL AND o.action = '{SAME}' AND o.role = '' AND t.size <> o.size THEN 'size differs'
  WHEN d.object_id IS NULL AND o.action = '{SAME}' AND o.role IN {OF_NO_TABLE} AND t.etag IS NOT o.target_etag
  THEN 'differs from what was there while planning'
  WHEN d.object_id IS NULL AND o.action <> '{SAME}' THEN 'not migrated yet' END AS what
FROM objects o LEFT JOIN {TARGET} t ON t.key = o.target LEFT JOIN done d ON d.object_id = o.id
WHERE o.{MOVES} AND what IS NOT NULL
  AND (o.role <> '{ROLE_VERSION_HINT}' OR :cut_over)
"""
_TOTALS = f"""
SELECT count(*), total(CASE WHEN d.object_id IS NOT NULL THEN d.size
  WHEN o.action = '{SAME}' AND o.role <> '' THEN t.size ELSE o.size END), count(t.key), total(t.size)
FROM objects o LEFT JOIN {TARGET} t ON t.key = o.target LEFT JOIN done d ON d.object_id = o.id
WHERE o.{WRITTEN_OR_SAME} AND o.target >= ? AND o.target < ?
"""


def prefix_totals(plan: PlanFile) -> list[PrefixTotal]:
    """For each target prefix of the layout: the planned objects, and those that the target has."""
    totals = []
    for prefix in plan.layout.target_prefixes:
        low, high = keys_under(prefix)
        row = plan.db.execute(_TOTALS, (low, high)).fetchone()
        totals.append(PrefixTotal(low, row[0], int(row[1]), row[2], int(row[3])))
    return totals


def check_objects(plan: PlanFile, *, cut_over: bool, in_use: Collection[PlannedTable] = ()) -> Check:
    """Check that every planned object is in the listing of the target, as it was written or as it was while planning.
    Version hints are only expected when the tables are ``cut_over``. ``in_use``: tables that somebody has committed to
    at the target: their maintenance removes old files there, and Iceberg writes a file of a batch that a stream repeats
    under the same name. The files that such a table still names are checked with the table."""
    check = Check(OBJECTS_CHECK, "objects")
    folders = {at.key.rstrip("/") for table in in_use if (at := Location.parse(table.new_location or ""))} - {""}
    query = f"SELECT count(*) FROM objects WHERE {MOVES} AND (role <> '{ROLE_VERSION_HINT}' OR ?)"
    (check.checked,) = plan.db.execute(query, (cut_over,)).fetchone()
    used = {table.id for table in in_use}
    streams = None if cut_over else set[str]()
    for source, target, table, role, what in plan.db.execute(_DIFFERENCES, {"cut_over": cut_over}):
        if role == ROLE_VERSION_HINT and table in used and what != "missing":
            continue  # the version hint names the version that is verified
        reason = ""
        if what == "missing":
            streams = streams_at_target(plan) if streams is None else streams
            reason = REMOVED_BY_STREAM if lies_in(target, streams) else ""
        if lies_in(target, folders):
            reason = REMOVED_BY_MAINTENANCE if what == "missing" else WRITTEN_AGAIN if role == "" else ""
        if reason:
            check.checked -= 1
            check.skip(reason)
            continue
        symbol = "*" if "differs" in what else "-"
        check.fail(f"{symbol} s3://{plan.layout.target_bucket}/{target}: {what} (from {source})")
    return check
