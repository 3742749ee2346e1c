"""Marks the files of a log in the plan: they are rewritten, not copied as they are."""

from __future__ import annotations

from collections.abc import Collection

from migrator.carriers.kinds import Carrier, carrier_of
from migrator.planfile.file import PlanFile
from migrator.planfile.objects import lies_in
from migrator.planfile.queries import COPIED, keys_under
from migrator.planfile.rows import COPY, OVERWRITE, REWRITE, ROLE_CHECKSUM, ROLE_SOURCE_LOG, SAME, SKIP

# An object whose bytes at the target are its own was copied there as it is. One that the target's ledger has as
# migrator's work on this very source was rewritten already; but the log of a file source records when the files were
# copied, so it is rewritten again if any file is.
_MARK = f"""
UPDATE objects SET role = :role, action = CASE
  WHEN action = '{SAME}' AND etag IS NOT target_etag AND NOT :again THEN '{SAME}' ELSE '{REWRITE}' END
WHERE id = :id
"""
_FILES = f"""
SELECT id, key, target FROM objects WHERE bucket = ? AND key >= ? AND key < ? AND role = ''
AND action IN ('{COPY}', '{OVERWRITE}', '{SAME}') AND size > 0
"""
# Hadoop's checksum file of what is rewritten would be wrong.
_DROP_CHECKSUM = f"UPDATE objects SET action = '{SKIP}', role = '{ROLE_CHECKSUM}' WHERE bucket = ? AND key = ?"


def mark_rewritten(plan: PlanFile, bucket: str, log: Carrier, used: Collection[str]) -> None:
    """Mark all files of this log that the target does not have already as rewritten ones. The role of each is the code
    of the log. ``used``: the folders at the target that streams use there; what is in them stays as it is."""
    copies = plan.db.execute(f"SELECT 1 FROM objects WHERE {COPIED} AND role = '' LIMIT 1").fetchone()
    again = log.code == ROLE_SOURCE_LOG and copies is not None
    for number, key, target in plan.db.execute(_FILES, (bucket, *keys_under(log.root))).fetchall():
        file = carrier_of(key)
        if file is None or (file.code, file.unit) != (log.code, log.unit):
            continue
        plan.db.execute(_MARK, {"id": number, "role": log.code, "again": again and not lies_in(target, used)})
        folder, slash, name = key.rpartition("/")
        plan.db.execute(_DROP_CHECKSUM, (bucket, f"{folder}{slash}.{name}.crc"))
