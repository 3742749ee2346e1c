"""Finds by SQL which sources have a proven copy at the target now, from the plan, its journal and the listing of the
target."""

from __future__ import annotations

from migrator.findings import counted
from migrator.inventory.listing import TARGET
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import same_etag
from migrator.planfile.rows import COPY, LOCAL, OTHER_ROLES, OVERWRITE, REWRITE, ROLE_VERSION_HINT, SAME
from migrator.retiring.results import EXAMPLES

RETIRABLE = "retirable"
"""The temporary table with the ids of the objects whose copies are proven."""
RETIRABLE_VERSIONS = "retirable_versions"
"""The temporary table with the ids of the older versions and delete markers that were copied."""

_PLANNED = f"o.bucket <> '{LOCAL}' AND o.action IN ('{COPY}', '{OVERWRITE}', '{SAME}', '{REWRITE}')"
# A version hint is a pointer: its table may have newer commits. A rewritten file that was there while planning belongs
# to a table that lives at the target, which is verified file by file.
_PROVEN = f"""
SELECT o.id FROM objects o JOIN {TARGET} t ON t.key = o.target LEFT JOIN done d ON d.object_id = o.id
WHERE {_PLANNED} AND o.target IS NOT NULL AND CASE
  WHEN o.role = '{ROLE_VERSION_HINT}' THEN d.object_id IS NOT NULL OR o.action = '{SAME}'
  WHEN d.object_id IS NOT NULL THEN t.size = d.size AND {same_etag("t.etag", "d.etag")}
  WHEN o.action = '{SAME}' AND o.role = '' THEN t.size = o.size AND t.etag IS o.target_etag
  WHEN o.action = '{SAME}' AND o.role IN {OTHER_ROLES} THEN t.etag IS o.target_etag
  ELSE o.action = '{SAME}' END
"""


def note_proven(plan: PlanFile) -> None:
    """Fill :data:`RETIRABLE` and :data:`RETIRABLE_VERSIONS`. The target must be listed, and its older versions
    verified."""
    db = plan.db
    for table in (RETIRABLE, RETIRABLE_VERSIONS):
        db.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY)")
        db.execute(f"DELETE FROM {table}")
    db.execute(f"INSERT INTO {RETIRABLE} {_PROVEN}")
    db.execute(
        f"INSERT INTO {RETIRABLE_VERSIONS} SELECT id FROM versions"
        f" WHERE action = '{SAME}' OR id IN (SELECT version_id FROM versions_done)"
    )


def unproven(plan: PlanFile) -> list[str]:
    """What of the plan is missing at the target, or is another object there now: the first places, and how many more.
    Empty if there is nothing."""
    condition = f"{_PLANNED} AND NOT EXISTS (SELECT 1 FROM {RETIRABLE} r WHERE r.id = o.id)"
    (count,) = plan.db.execute(f"SELECT count(*) FROM objects o WHERE {condition}").fetchone()
    rows = plan.db.execute(f"SELECT target FROM objects o WHERE {condition} ORDER BY id LIMIT {EXAMPLES}")
    shown = [f"s3://{plan.layout.target_bucket}/{key}" for (key,) in rows]
    return shown if count <= len(shown) else [*shown, f"and {counted(count - len(shown), 'more object')}"]


def planned_by_bucket(plan: PlanFile) -> dict[str, tuple[int, int]]:
    """Bucket → how many proven sources it had while planning, and their bytes."""
    query = f"SELECT bucket, count(*), total(size) FROM objects JOIN {RETIRABLE} USING (id) GROUP BY bucket"
    return {bucket: (count, int(size)) for bucket, count, size in plan.db.execute(query)}
