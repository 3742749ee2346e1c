"""Marks the files outside of tables that are rewritten: logs of streams, lists of files, scripts."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from migrator.carriers.kinds import Carrier, carrier_of
from migrator.inventory.listing import TARGET
from migrator.planfile.file import PlanFile
from migrator.planfile.objects import lies_in
from migrator.planfile.queries import COPIED, DROP_CHECKSUM, checksum_key, keys_under
from migrator.planfile.rows import (
    CONFLICT,
    COPY,
    OTHER_ROLES,
    OVERWRITE,
    REWRITE,
    SAME,
    TIMED_ROLES,
)
from migrator.store import Store
from migrator.target.ledger import Ledger, own
from migrator.target.log_times import stale_logs

# If the target has the same bytes, the object was copied without rewriting. If the target's ledger has a file that
# migrator wrote from this source, it was rewritten already; but logs that record when their files were copied are
# rewritten again if any file is copied.
_MARK = f"""
UPDATE objects SET role = :role, action = CASE
  WHEN action = '{SAME}' AND etag IS NOT target_etag AND NOT :again THEN '{SAME}' ELSE '{REWRITE}' END
WHERE id = :id
"""
_FILES = f"""
SELECT id, key, target FROM objects WHERE bucket = ? AND key >= ? AND key < ? AND role = ''
AND action IN ('{COPY}', '{OVERWRITE}', '{SAME}') AND size > 0
"""
_COPIES = f"SELECT 1 FROM objects WHERE {COPIED} AND role = '' AND key NOT LIKE '%.crc' LIMIT 1"
_UNREWRITTEN = f"""
SELECT id, target, target_etag FROM objects WHERE action = '{REWRITE}' AND role IN {OTHER_ROLES} AND target_etag = etag
"""


def mark_logs(plan: PlanFile, logs: Iterable[tuple[str, Carrier]], used: Collection[str]) -> None:
    """Mark all files of these logs, (bucket, one of its files) each, that the target does not have already as rewritten
    ones. The role of each is the code of the log. ``used``: the folders at the target that streams use there; what is
    in them stays as it is."""
    copies = plan.db.execute(_COPIES).fetchone() is not None
    for bucket, log in logs:
        _mark_log(plan, bucket, log, used, again=copies and log.code in TIMED_ROLES)


def _mark_log(plan: PlanFile, bucket: str, log: Carrier, used: Collection[str], *, again: bool) -> None:
    for number, key, target in plan.db.execute(_FILES, (bucket, *keys_under(log.folder))).fetchall():
        file = carrier_of(key)
        if file is None or (file.code, file.unit) != (log.code, log.unit):
            continue
        plan.db.execute(_MARK, {"id": number, "role": log.code, "again": again and not lies_in(target, used)})
        plan.db.execute(DROP_CHECKSUM, {"bucket": bucket, "key": key, "checksum": checksum_key(key)})


def mark_files(plan: PlanFile, role: str, ids: Iterable[int]) -> None:
    """Mark these objects as rewritten, unless the target already has the rewritten ones."""
    plan.db.executemany(_MARK, ({"id": number, "role": role, "again": False} for number in ids))


def rewrite_stale_logs(plan: PlanFile, store: Store, bucket: str, used: Collection[str]) -> None:
    """Mark logs that the target has already for rewriting if they lack the times of the copies there. ``used``:
    see :func:`mark_logs`."""
    rows = plan.db.execute(f"SELECT id, target, role FROM objects WHERE action = '{SAME}' AND role IN {OTHER_ROLES}")
    logs = [row for row in rows.fetchall() if not lies_in(row[1], used)]

    def times(_: str, keys: Collection[str]) -> dict[str, int]:
        query = f"SELECT modified FROM {TARGET} WHERE key = ?"
        found = {key: plan.db.execute(query, (key,)).fetchone() for key in keys}
        return {key: row[0] for key, row in found.items() if row is not None}

    stale = [(number,) for number in stale_logs(store, bucket, logs, times)]
    plan.db.executemany(f"UPDATE objects SET action = '{REWRITE}' WHERE id = ?", stale)


def refuse_foreign(plan: PlanFile, ledger: Ledger) -> None:
    """Block the plan if the target has an unchanged copy of a file that is to be rewritten, and migrator did not make
    that copy: it belongs to others, and is not overwritten."""
    rows = plan.db.execute(_UNREWRITTEN).fetchall()
    known = ledger.known({own(target, etag) for _, target, etag in rows}) if rows else set()
    foreign = [(number,) for number, target, etag in rows if own(target, etag) not in known]
    plan.db.executemany(f"UPDATE objects SET action = '{CONFLICT}' WHERE id = ?", foreign)
