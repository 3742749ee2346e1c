"""Finds the tables that were compared with the old ones in an earlier pass over a lake in use and have not changed
since.

A table has not changed if its metadata names the same files, and each of them has the ETag, in the old place and at the
target, that it had when the table was compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from migrator.planfile.file import PlanFile
from migrator.planfile.queries import WRITTEN_OR_SAME
from migrator.planfile.rows import ROLE_VERSION_HINT, PlannedTable


def table_digests(plan: PlanFile, listed: str) -> dict[int, str]:
    """Id of each table → a digest over its files that hold paths, with their ETags in both places. ``listed``: the
    table with the listing of the target (:data:`migrator.inventory.listing.TARGET`), which must be new."""
    files = f"""
    SELECT o.table_id, o.bucket, o.key, o.etag, o.target, t.etag FROM objects o LEFT JOIN {listed} t ON t.key = o.target
    WHERE o.table_id IS NOT NULL AND o.{WRITTEN_OR_SAME} AND o.role NOT IN ('', '{ROLE_VERSION_HINT}')
    ORDER BY o.table_id, o.target
    """
    digests: dict[int, Any] = {}
    for table, *file in plan.db.execute(files):
        digests.setdefault(table, hashlib.sha256()).update(repr(file).encode())
    return {table: digest.hexdigest() for table, digest in digests.items()}


def counted_before(plan: PlanFile, tables: Iterable[PlannedTable]) -> set[int]:
    """The ids of the tables whose rows were counted for all snapshots in the old place: the table was compared with the
    same metadata file."""
    known = dict(plan.db.execute("SELECT table_id, metadata FROM compared"))
    return {table.id for table in tables if known.get(table.id) == table.old_metadata}


def compared_before(plan: PlanFile, now: Mapping[int, str]) -> set[int]:
    """The ids of the tables that were compared, and have not changed since. ``now``: their :func:`table_digests`."""
    known = plan.db.execute("SELECT table_id, digest FROM compared")
    return {table for table, digest in known if now.get(table) == digest}
