"""Where each table of a plan is now: in the old place, at the target as the cutover left it, or changed there since."""

from __future__ import annotations

from dataclasses import dataclass, replace

from migrator.catalogs.base import VIEW
from migrator.catalogs.hadoop import VERSION_HINT_FILE, current_version, read_hint
from migrator.errors import MigratorError, NotFound
from migrator.iceberg.metadata import Snapshot, TableMetadata, read_metadata
from migrator.layout import Location
from migrator.planfile.rows import REWRITE, ROLE_VERSION_HINT, PlannedTable
from migrator.run import Run

OLD = "in the old place"
CUT_OVER = "at the target, as the cutover left it"
NEWER = "at the target, changed since the cutover"
GONE = "gone from its catalog"


@dataclass(frozen=True, slots=True)
class TablePlace:
    """One table whose pointer the plan changes. ``metadata``: the metadata file that its catalog, or its version hint
    at the target, names now. ``stored``: its catalog stores the pointer. ``commits`` and ``change``: what going back
    would lose; see :func:`with_losses`. ``back_to``: the metadata file in the old place to point to, if it is not the
    planned one."""

    table: PlannedTable
    place: str
    metadata: str | None
    stored: bool = True
    commits: tuple[Snapshot, ...] = ()
    change: str = ""
    back_to: str | None = None

    @property
    def old_metadata(self) -> str:
        """The metadata file in the old place to which going back points the table."""
        return self.back_to or self.table.old_metadata

    @property
    def lost(self) -> str:
        """One line that says what going back would lose."""
        shown = "; ".join(str(commit) for commit in self.commits[-3:])
        more = f" and {len(self.commits) - 3} earlier ones" if len(self.commits) > 3 else ""
        return f"{self.table.identifier}: {self.change or shown + more}"


def find_places(run: Run) -> list[TablePlace]:
    """Where the tables are whose pointers this plan changes; what was committed since the cutover is not looked up.
    Tables that lived at the target while planning are none of them. Raises CatalogError or StoreError."""
    named = {
        (catalog.name, table.namespace, table.name): table.metadata_location
        for catalog in run.catalogs.values()
        if catalog.stores_pointers
        for table in catalog.tables()
    }
    places = []
    for table in run.tables_to_move():
        if table.catalog is not None and run.catalogs[table.catalog].stores_pointers:
            now = named.get((table.catalog, table.namespace, table.name))
            places.append(_place(run, table, now))
        elif (hint := _hint_key(run, table)) is not None:
            places.append(_hinted_place(run, table, hint))
    return places


def _place(run: Run, table: PlannedTable, now: str | None) -> TablePlace:
    if now is None:
        return TablePlace(table, GONE, None)
    at = Location.parse(now)
    if now == table.new_metadata:
        return TablePlace(table, CUT_OVER, now)
    newer = at is not None and at.bucket == run.layout.target_bucket
    return TablePlace(table, NEWER if newer else OLD, now)


def _hint_key(run: Run, table: PlannedTable) -> str | None:
    """The key of the version hint that the cutover writes for this table; None if it writes none."""
    query = "SELECT target FROM objects WHERE table_id = ? AND role = ? AND action = ?"
    row = run.plan.db.execute(query, (table.id, ROLE_VERSION_HINT, REWRITE)).fetchone()
    return row[0] if row else None


def _hinted_place(run: Run, table: PlannedTable, hint: str) -> TablePlace:
    """The place of a Hadoop table. The old place has its own version hint, which nobody has changed: the table is at
    the target for whoever reads there."""
    bucket, folder = run.layout.target_bucket, hint.rpartition("/")[0]
    try:
        names = {found.key[len(folder) + 1 :] for found in run.store.list(bucket, f"{folder}/")}
    except NotFound:
        names = set()
    if VERSION_HINT_FILE not in names:
        return TablePlace(table, OLD, None, stored=False)
    name = current_version(names, read_hint(lambda: run.store.get(bucket, hint).data))
    if name is None or table.new_metadata is None:
        return TablePlace(table, GONE, None, stored=False)
    now = f"{table.new_metadata.rpartition('/')[0]}/{name}"
    return TablePlace(table, CUT_OVER if now == table.new_metadata else NEWER, now, stored=False)


# -- what was committed since ------------------------------------------------------------------------------


def with_losses(run: Run, place: TablePlace) -> TablePlace:
    """The same place, with what going back would lose: the snapshots that were committed since the cutover."""
    if place.place == GONE:
        return replace(place, change="it was dropped or renamed since; it stays so")
    if place.place != NEWER or place.metadata is None:
        return place
    table, now = place.table, place.metadata
    if table.kind == VIEW:
        return replace(place, change=f"the view was changed; it is {now} now")
    try:
        current = _read(run, now)
        known = {snapshot.snapshot_id for snapshot in _at_the_cutover(run, table).snapshots}
    except MigratorError as error:
        return replace(place, change=f"what was committed is not known: {error.message}")
    if current.table_uuid != table.uuid:
        return replace(place, change=f"another table has its name now: {now}")
    commits = tuple(s for s in current.snapshots if s.snapshot_id not in known)
    return replace(place, commits=commits, change="" if commits else f"its metadata was changed; they are {now} now")


def _at_the_cutover(run: Run, table: PlannedTable) -> TableMetadata:
    """The table as the cutover left it. Its engine may have removed that file since; the old place has another one."""
    try:
        return _read(run, table.new_metadata or "")
    except NotFound:
        return _read(run, table.old_metadata)


def _read(run: Run, uri: str) -> TableMetadata:
    at = run.layout.place_of(uri)
    if at is None:
        raise NotFound(f"{uri} is not a place in S3.")
    return read_metadata(run.store.get(at.bucket, at.key).data, uri)
