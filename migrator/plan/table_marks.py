"""Marks the objects of one table in the plan: the role of each file, and whether it is rewritten or stays where it is.

Two tables may share files. A table that moves needs them, even if the other table stays. So before files are
marked as staying, their actions are noted in the temporary table ``kept``, and :meth:`TableMarks.take_back` restores
them for a table that moves.
"""

from __future__ import annotations

from typing import Any

from migrator.inventory.listing import TARGET
from migrator.inventory.references import IN_OLD_BUCKETS
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import DROP_CHECKSUM, checksum_key, keys_under
from migrator.planfile.rows import (
    REWRITE,
    REWRITTEN,
    ROLE_LATER,
    ROLE_LEFT,
    SAME,
    SKIP,
    TO_REWRITE,
)

_KEPT = "CREATE TEMP TABLE kept (id INTEGER PRIMARY KEY, action TEXT NOT NULL)"
_NAMED_LATER = """
CREATE TEMP TABLE named_later (id INTEGER NOT NULL, table_id INTEGER NOT NULL, PRIMARY KEY (id, table_id)) WITHOUT ROWID
"""
_NAME_LATER = "INSERT OR IGNORE INTO named_later SELECT id, :table FROM objects WHERE target IS NOT NULL AND id IN "
_KEEP = "INSERT OR IGNORE INTO kept SELECT id, action FROM objects WHERE target IS NOT NULL AND id IN "
_TAKE_BACK = f"""
UPDATE objects SET action = k.action, role = '', table_id = NULL FROM kept AS k
WHERE k.id = objects.id AND objects.id IN ({IN_OLD_BUCKETS})
"""
_GIVE_ROLE = f"""
UPDATE objects SET role = :role, table_id = :table, action = CASE
  WHEN :state = '{TO_REWRITE}' THEN '{REWRITE}'
  WHEN EXISTS (SELECT 1 FROM {TARGET} WHERE {TARGET}.key = objects.target) THEN '{SAME}'
  WHEN :state = '{REWRITTEN}' THEN '{REWRITE}' ELSE '{SKIP}' END
WHERE bucket = :bucket AND key = :key AND target IS NOT NULL
"""

AT_TARGET = f"""
UPDATE objects SET table_id = :table, action = CASE
  WHEN EXISTS (SELECT 1 FROM {TARGET} WHERE {TARGET}.key = objects.target) THEN '{SAME}' ELSE '{SKIP}' END
WHERE target IS NOT NULL AND id IN
"""
"""For the files of a table that lives at the target: none of them is copied any more. The target may have dropped some
of them since, and copying them again would bring them back."""
STAYS = f"""
UPDATE objects SET table_id = :table, role = '{ROLE_LEFT}', action = '{SKIP}' WHERE target IS NOT NULL AND id IN
"""
"""For the files of a table that is left where it is."""
BELONGS_LATER = f"""
UPDATE objects SET table_id = :table, role = '{ROLE_LATER}', action = '{SKIP}' WHERE target IS NOT NULL AND id IN
"""
"""For the files of a table that is not part of this wave."""


def prepare_marks(plan: PlanFile) -> None:
    """Create the temporary tables that all :class:`TableMarks` of this plan share. ``named_later`` gets the objects
    that tables of other waves name."""
    plan.db.execute(_KEPT)
    plan.db.execute(_NAMED_LATER)


class TableMarks:
    """Marks the objects of one table. ``update`` is AT_TARGET, STAYS or BELONGS_LATER."""

    def __init__(self, plan: PlanFile, table_id: int) -> None:
        self._db = plan.db
        self._table_id = table_id

    def give_role(self, at: Location | None, role: str, state: str) -> None:
        """Make the object at this place a file of the table with this role. ``state``: that of the table."""
        if at is None:
            return
        place = {"bucket": at.bucket, "key": at.key}
        self._db.execute(_GIVE_ROLE, {"role": role, "table": self._table_id, "state": state, **place})
        self._db.execute(DROP_CHECKSUM, {**place, "checksum": checksum_key(at.key)})

    def keep_one(self, update: str, at: Location | None) -> None:
        """Mark the object at this place."""
        if at is not None:
            which = "(SELECT id FROM objects WHERE bucket = :bucket AND key = :key)"
            self._keep(update, which, bucket=at.bucket, key=at.key)
            self._name(update, which, bucket=at.bucket, key=at.key)

    def keep_refs(self, update: str) -> None:
        """Mark all objects of the old buckets that the last walk has noted in :class:`.References`."""
        self._keep(update, f"({IN_OLD_BUCKETS})")
        self._name(update, f"({IN_OLD_BUCKETS})")

    def keep_folder(self, update: str, bucket: str, prefix: str) -> None:
        """Mark all objects below the prefix, which ends with a slash, that have no role yet."""
        low, high = keys_under(prefix[:-1])
        which = "(SELECT id FROM objects WHERE bucket = :bucket AND key >= :low AND key < :high AND role = '')"
        self._keep(update, which, bucket=bucket, low=low, high=high)

    def take_back(self) -> None:
        """Undo the marks of other tables on the objects that the last walk has noted: this table needs them."""
        self._db.execute(_TAKE_BACK)

    def _name(self, update: str, which: str, **parameters: Any) -> None:
        if update == BELONGS_LATER:
            self._db.execute(f"{_NAME_LATER} {which}", {"table": self._table_id, **parameters})

    def _keep(self, update: str, which: str, **parameters: Any) -> None:
        self._db.execute(f"{_KEEP} {which}", parameters)
        self._db.execute(f"{update} {which}", {"table": self._table_id, **parameters})
