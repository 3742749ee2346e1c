"""Planning one wave of a lake that moves in parts: ``[tables] only`` chooses the tables that move now.

With these tables move the files that they name, and everything under their locations. All other objects of the old
buckets stay for a later wave, and are counted (issue 14).
"""

from __future__ import annotations

from collections.abc import Iterable

from migrator.catalogs import CatalogTable
from migrator.findings import EXAMPLES, Finding, counted, first_of
from migrator.inventory.references import IN_OLD_BUCKETS
from migrator.inventory.tables import FoundTable, matches
from migrator.layout import Layout, Location
from migrator.plan.table_context import TableContext
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import count_objects, keys_under
from migrator.planfile.rows import LATER, MIGRATED, ROLE_LATER, ROLE_LEFT, SKIP, STAYING
from migrator.planfile.wave import wave_folders

_OBJECTS = """
CREATE TEMP TABLE wave_objects (id INTEGER NOT NULL, table_id INTEGER, PRIMARY KEY (id, table_id))
"""
_NAMED = f"INSERT OR IGNORE INTO wave_objects SELECT id, ? FROM objects WHERE id IN ({IN_OLD_BUCKETS})"
_MARKED = f"""
INSERT OR IGNORE INTO wave_objects SELECT id, table_id FROM objects
WHERE table_id IN (SELECT id FROM tables WHERE state NOT IN {STAYING}) AND role NOT IN ('{ROLE_LATER}', '{ROLE_LEFT}')
"""
_IN_FOLDER = f"""
INSERT OR IGNORE INTO wave_objects SELECT id, NULL FROM objects
WHERE bucket = ? AND key >= ? AND key < ? AND role NOT IN ('{ROLE_LATER}', '{ROLE_LEFT}')
"""
# (table of this wave, other table, how many objects both name, one of them)
_SHARED = f"""
SELECT w.table_id, n.table_id, count(*), min('s3://' || o.bucket || '/' || o.key)
FROM wave_objects w JOIN named_later n ON n.id = w.id JOIN objects o ON o.id = w.id
JOIN tables t ON t.id = w.table_id WHERE t.state <> '{MIGRATED}' GROUP BY 1, 2 ORDER BY 1, 2
"""
_IN_WAVE = "id IN (SELECT id FROM wave_objects)"


class Wave:
    """The tables of this wave, and their objects. Without patterns, everything moves, and this does nothing.

    Every table must be planned, those that stay first, and noted; then :meth:`settle` decides about the objects.
    """

    def __init__(self, plan: PlanFile, layout: Layout, only: Iterable[str]) -> None:
        """``only``: the patterns of ``[tables] only``; see :func:`migrator.inventory.tables.matches`."""
        self._plan, self._layout, self._only = plan, layout, tuple(only)
        if self._only:
            plan.db.execute(_OBJECTS)

    def includes(self, found: FoundTable) -> bool:
        """True if the table is part of this wave. One that no catalog names is only part of a plan without patterns."""
        catalog = found.catalog.name if found.catalog else None
        return not self._only or matches(catalog, found.namespace, found.name, self._only)

    def note(self, table: TableContext) -> None:
        """Note the objects that a planned table of this wave names. Call it before the next table is planned."""
        if self._only and self.includes(table.found):
            self._plan.db.execute(_NAMED, (table.table_id,))

    # -- namespaces ------------------------------------------------------------------------------------

    def moved_namespaces(self, named: Iterable[CatalogTable]) -> set[tuple[str, str]] | None:
        """(catalog, namespace) of the namespaces all of whose tables are part of this wave or live at the target. None
        if every namespace moves. A namespace without tables is not among them."""
        if not self._only:
            return None
        seen: set[tuple[str, str]] = set()
        staying: set[tuple[str, str]] = set()
        for table in named:
            seen.add((table.catalog, table.namespace))
            at = Location.parse(table.metadata_location)
            lives = at is not None and at.bucket == self._layout.target_bucket
            if not lives and not matches(table.catalog, table.namespace, table.name, self._only):
                staying.add((table.catalog, table.namespace))
        return seen - staying

    def report_namespace(self, namespace: str, key: str, value: str) -> None:
        """Add the finding about a namespace property that keeps its old path."""
        message = f"keeps its property {key!r}, {value}: not all of its tables have moved"
        self._plan.add_finding(Finding.of("later-namespace", namespace, message))

    # -- objects ---------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Mark everything that is not part of this wave, and add the findings about it."""
        if not self._only:
            return
        db = self._plan.db
        db.execute(_MARKED)
        for bucket, prefix in wave_folders(self._layout, self._plan.tables()):
            db.execute(_IN_FOLDER, (bucket, *keys_under(prefix.rstrip("/"))))
        self._report_shared()
        db.execute(f"UPDATE objects SET role = '' WHERE role = '{ROLE_LATER}' AND {_IN_WAVE}")
        db.execute(
            f"UPDATE objects SET action = '{SKIP}', role = '{ROLE_LATER}', table_id = NULL"
            f" WHERE target IS NOT NULL AND role <> '{ROLE_LEFT}' AND NOT {_IN_WAVE}"
        )
        self._report_later()

    def _report_shared(self) -> None:
        labels = {table.id: table.identifier for table in self._plan.tables()}
        rows = self._plan.db.execute(_SHARED).fetchall()
        for (ours, other, files, example), pairs in first_of(rows, EXAMPLES):
            message = (
                f"shares {counted(files, 'file')} with {labels[other]}, which is not part of this wave, such as "
                f"{example}: they are copied, and both tables can be read"
            )
            move = f"Or move both in one wave. migrator retire refuses as long as {labels[other]} names old files."
            self._plan.add_finding(Finding.of("shared-files", labels[ours], message, move, count=pairs))

    def _report_later(self) -> None:
        objects, size = count_objects(self._plan.db, f"role = '{ROLE_LATER}'")
        tables = [table for table in self._plan.tables() if table.state == LATER]
        if objects or tables:
            what = f"{counted(len(tables), 'table')}, {counted(objects, 'object')}, {counted(size, 'byte')}"
            message = f"leaves the rest for a later wave: {what}"
            self._plan.add_finding(Finding.of("later-wave", "[tables] only", message, count=max(objects, 1)))
