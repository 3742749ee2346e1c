"""Which tables were compared with the old ones already, in an earlier pass over a lake in use, and have not changed.

A table has not changed if the same files were rewritten for it, and each has the ETag at the target that it had when
the table was compared. That the target still has these objects is checked anew before each cutover.
"""

from __future__ import annotations

import hashlib
from itertools import groupby
from operator import itemgetter

from migrator.planfile.file import PlanFile
from migrator.planfile.rows import REWRITE, ROLE_VERSION_HINT

_FILES = f"""
SELECT o.table_id, o.bucket, o.key, o.etag, o.target, d.etag FROM objects o
LEFT JOIN done d ON d.object_id = o.id
WHERE o.table_id IS NOT NULL AND o.action = '{REWRITE}' AND o.role <> '{ROLE_VERSION_HINT}'
ORDER BY o.table_id, o.target
"""


def table_digests(plan: PlanFile) -> dict[int, str]:
    """Id of each table that has rewritten files → a digest over these, with their ETags in both places."""
    return {
        table: hashlib.sha256(repr([row[1:] for row in rows]).encode()).hexdigest()
        for table, rows in groupby(plan.db.execute(_FILES), itemgetter(0))
    }


def compared_tables(plan: PlanFile) -> frozenset[int]:
    """The ids of the tables that were compared, and have not changed since."""
    known = dict(plan.db.execute("SELECT table_id, digest FROM compared"))
    if not known:
        return frozenset()
    now = table_digests(plan)
    return frozenset(table for table, digest in known.items() if now.get(table) == digest)
