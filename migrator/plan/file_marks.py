"""Marks files of no table that are rewritten, not copied as they are: logs of streams, lists of files, scripts."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from migrator.carriers.kinds import Carrier, carrier_of
from migrator.planfile.file import PlanFile
from migrator.planfile.objects import lies_in
from migrator.planfile.queries import COPIED, keys_under
from migrator.planfile.rows import (
    CONFLICT,
    COPY,
    OTHER_ROLES,
    OVERWRITE,
    REWRITE,
    ROLE_CHECKSUM,
    ROLE_SOURCE_LOG,
    SAME,
    SKIP,
)
from migrator.target.ledger import Ledger, own

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
_UNREWRITTEN = f"""
SELECT id, target, target_etag FROM objects WHERE action = '{REWRITE}' AND role IN {OTHER_ROLES} AND target_etag = etag
"""


def mark_log(plan: PlanFile, bucket: str, log: Carrier, used: Collection[str]) -> None:
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


def mark_files(plan: PlanFile, role: str, ids: Iterable[int]) -> None:
    """Mark these objects that the target does not have already as rewritten ones."""
    plan.db.executemany(_MARK, ({"id": number, "role": role, "again": False} for number in ids))


def refuse_foreign(plan: PlanFile, ledger: Ledger) -> None:
    """Where the target has a file that is to be rewritten, as it is in the old bucket, and migrator did not copy it
    there, it is another's: it is not overwritten, and blocks the plan."""
    rows = plan.db.execute(_UNREWRITTEN).fetchall()
    known = ledger.known({own(target, etag) for _, target, etag in rows}) if rows else set()
    foreign = [(number,) for number, target, etag in rows if own(target, etag) not in known]
    plan.db.executemany(f"UPDATE objects SET action = '{CONFLICT}' WHERE id = ?", foreign)
