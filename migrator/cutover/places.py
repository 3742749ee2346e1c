"""Where each table of a plan is now: in the old place, at the target as the cutover left it, or changed there since."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.catalogs.hadoop import VERSION_HINT_FILE, current_version, hint_trouble, read_hint
from migrator.cutover.pointers import POINT_THERE_AGAIN, misplaced
from migrator.errors import MigrationFailed, NotFound, one_line
from migrator.iceberg.metadata import Snapshot
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import hint_keys, written_hints
from migrator.planfile.rows import PlannedTable
from migrator.run import Run
from migrator.store import Store

WRITE_HINT = "Write the version of the table's current metadata file into it."
"""The next move if a version hint at the target is wrong."""
OLD = "in the old place"
CUT_OVER = "at the target, as the cutover left it"
NEWER = "at the target, changed since the cutover"
GONE = "gone from its catalog"


@dataclass(frozen=True, slots=True)
class TablePlace:
    """One table whose pointer the plan changes.

    ``metadata``: the metadata file that its catalog, or its version hint at the target, names now. ``stored``: its
    catalog stores the pointer. ``commits`` and ``change``: what a rollback would lose; see
    :func:`migrator.rollback.losses.with_losses`. ``back_to``: the metadata file in the old place to point to, if it is
    not the planned one.
    """

    table: PlannedTable
    place: str
    metadata: str | None
    stored: bool = True
    commits: tuple[Snapshot, ...] = ()
    change: str = ""
    back_to: str | None = None

    @property
    def old_metadata(self) -> str:
        """The metadata file in the old place to which a rollback sets the pointer."""
        return self.back_to or self.table.old_metadata

    @property
    def lost(self) -> str:
        """One line that says what a rollback would lose."""
        shown = "; ".join(str(commit) for commit in self.commits[-3:])
        more = f" and {len(self.commits) - 3} earlier ones" if len(self.commits) > 3 else ""
        return f"{self.table.identifier}: {self.change or shown + more}"


def find_places(run: Run) -> list[TablePlace]:
    """Where the tables are whose pointers this plan changes; what was committed since the cutover is not looked up.
    Without the tables that lived at the target while planning. Raises CatalogError or StoreError."""
    named = {
        (catalog.name, table.namespace, table.name): table.metadata_location
        for catalog in run.catalogs.values()
        if catalog.stores_pointers
        for table in catalog.tables()
    }
    hints = hint_keys(run.plan.db)
    places = []
    for table in run.tables_to_move():
        if table.catalog is not None and run.catalogs[table.catalog].stores_pointers:
            now = named.get((table.catalog, table.namespace, table.name))
            places.append(_place(run, table, now))
        elif table.id in hints:
            places.append(_hinted_place(run, table, hints[table.id]))
    return places


def hinted_metadata(plan: PlanFile, store: Store) -> dict[int, str]:
    """Id of each table for which the plan writes a version hint → the metadata file that readers find at the target
    now. Tables without such a file are left out. Raises StoreError."""
    hints = hint_keys(plan.db)
    tables = [table for table in plan.tables() if table.id in hints]
    found = {t.id: _current(plan.layout.target_bucket, store, t, hints[t.id]) for t in tables}
    return {number: uri for number, (has_hint, uri) in found.items() if has_hint and uri is not None}


def hint_troubles(plan: PlanFile, store: Store) -> dict[int, str]:
    """Id of each table whose version hint somebody has removed since the cutover, or changed so that it names no
    version → the hint's place, and what is wrong with it. Raises StoreError."""
    bucket, found = plan.layout.target_bucket, dict[int, str]()
    for table, key, written in written_hints(plan.db):
        there = store.find(bucket, key)
        if there is None:
            found[table] = f"s3://{bucket}/{key} is gone"
        elif there.etag != written:
            names = _names(bucket, store, key.rpartition("/")[0])
            if trouble := hint_trouble(names, store.get(bucket, key).data):
                found[table] = f"s3://{bucket}/{key} {trouble}"
    return found


def check_hints(run: Run) -> None:
    """After the cutover, readers of the target find each table with a version hint as it was planned, or a later state.
    Raises MigrationFailed; StoreError or Unreadable if that cannot be read."""
    tables = {table.id: table for table in run.plan.tables()}
    for number, trouble in hint_troubles(run.plan, run.store).items():
        text = f"{tables[number].identifier} was cut over by this plan, but its version hint {trouble}."
        raise MigrationFailed(one_line(text), next_move=WRITE_HINT)
    for number, now in hinted_metadata(run.plan, run.store).items():
        if why := misplaced(run.plan, run.store, tables[number], now):
            raise MigrationFailed(
                one_line(f"{tables[number].identifier} is read from {now} now, {why}."), next_move=POINT_THERE_AGAIN
            )


def _place(run: Run, table: PlannedTable, now: str | None) -> TablePlace:
    if now is None:
        return TablePlace(table, GONE, None)
    at = Location.parse(now)
    if now == table.new_metadata:
        return TablePlace(table, CUT_OVER, now)
    newer = at is not None and at.bucket == run.layout.target_bucket
    return TablePlace(table, NEWER if newer else OLD, now)


def _hinted_place(run: Run, table: PlannedTable, hint: str) -> TablePlace:
    """The place of a Hadoop table. The old place has its own version hint, which the plan does not change: readers of
    the target's warehouse find the table there, also if somebody has removed the hint that the cutover wrote."""
    has_hint, now = _current(run.layout.target_bucket, run.store, table, hint)
    written = {number for number, _, _ in written_hints(run.plan.db)}
    if not has_hint and (now is None or table.id not in written):
        return TablePlace(table, OLD, None, stored=False)
    if now is None:
        return TablePlace(table, GONE, None, stored=False)
    return TablePlace(table, CUT_OVER if now == table.new_metadata else NEWER, now, stored=False)


def _current(bucket: str, store: Store, table: PlannedTable, hint: str) -> tuple[bool, str | None]:
    """(is the version hint there?, the metadata file that readers find)."""
    names = _names(bucket, store, hint.rpartition("/")[0])
    has_hint = VERSION_HINT_FILE in names
    name = current_version(names, read_hint(lambda: store.get(bucket, hint).data) if has_hint else None)
    if name is None or table.new_metadata is None:
        return has_hint, None
    return has_hint, f"{table.new_metadata.rpartition('/')[0]}/{name}"


def _names(bucket: str, store: Store, folder: str) -> set[str]:
    """The names of the objects in a folder; none if the bucket does not exist."""
    try:
        return {found.key[len(folder) + 1 :] for found in store.list(bucket, f"{folder}/")}
    except NotFound:
        return set()
