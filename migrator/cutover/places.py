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
    hints, written = hint_keys(run.plan.db), written_hints(run.plan.db)
    places = []
    for table in run.tables_to_move():
        if table.catalog is not None and run.catalogs[table.catalog].stores_pointers:
            now = named.get((table.catalog, table.namespace, table.name))
            places.append(_place(run, table, now))
        elif table.id in hints:
            places.append(_hinted_place(run, table, hints[table.id], written=table.id in written))
    return places


@dataclass(frozen=True, slots=True)
class HintedTable:
    """A table for which the plan writes a version hint, as readers find it at the target now. ``metadata``: the
    metadata file, None without a hint or without such a file. ``trouble``: the place of a hint that somebody has
    removed since the cutover, or changed so that it names no version, and what is wrong with it; "" if nothing is."""

    table: PlannedTable
    metadata: str | None
    trouble: str


def hinted_tables(plan: PlanFile, store: Store) -> list[HintedTable]:
    """Read the version hints at the target, after the cutover. Raises StoreError."""
    hints, written = hint_keys(plan.db), written_hints(plan.db)
    bucket, found = plan.layout.target_bucket, []
    for table in plan.tables():
        if table.id not in hints:
            continue
        key = hints[table.id]
        etags, now = _current(bucket, store, table, key)
        there = etags.get(VERSION_HINT_FILE)
        trouble = ""
        if table.id in written and there != written[table.id]:
            trouble = hint_trouble(etags, store.get(bucket, key).data) if there is not None else "is gone"
        place = f"s3://{bucket}/{key} {trouble}" if trouble else ""
        found.append(HintedTable(table, now if there is not None else None, place))
    return found


def check_hints(run: Run) -> None:
    """After the cutover, readers of the target find each table with a version hint as it was planned, or a later state.
    Raises MigrationFailed; StoreError or Unreadable if that cannot be read."""
    tables = hinted_tables(run.plan, run.store)
    for hinted in tables:
        if hinted.trouble:
            text = f"{hinted.table.identifier} was cut over by this plan, but its version hint {hinted.trouble}."
            raise MigrationFailed(one_line(text), next_move=WRITE_HINT)
    for hinted in tables:
        now = hinted.metadata
        if now is not None and (why := misplaced(run.plan, run.store, hinted.table, now)):
            text = f"{hinted.table.identifier} is read from {now} now, {why}."
            raise MigrationFailed(one_line(text), next_move=POINT_THERE_AGAIN)


def _place(run: Run, table: PlannedTable, now: str | None) -> TablePlace:
    if now is None:
        return TablePlace(table, GONE, None)
    at = Location.parse(now)
    if now == table.new_metadata:
        return TablePlace(table, CUT_OVER, now)
    newer = at is not None and at.bucket == run.layout.target_bucket
    return TablePlace(table, NEWER if newer else OLD, now)


def _hinted_place(run: Run, table: PlannedTable, hint: str, *, written: bool) -> TablePlace:
    """The place of a Hadoop table. The old place has its own version hint, which the plan does not change: readers of
    the target's warehouse find the table there, also if somebody has removed the hint that the cutover wrote.
    ``written``: the cutover wrote it."""
    etags, now = _current(run.layout.target_bucket, run.store, table, hint)
    if VERSION_HINT_FILE not in etags and (now is None or not written):
        return TablePlace(table, OLD, None, stored=False)
    if now is None:
        return TablePlace(table, GONE, None, stored=False)
    return TablePlace(table, CUT_OVER if now == table.new_metadata else NEWER, now, stored=False)


def _current(bucket: str, store: Store, table: PlannedTable, hint: str) -> tuple[dict[str, str], str | None]:
    """(the ETags of the objects beside a version hint, by name; the metadata file that readers find, which list the
    folder if there is no hint)."""
    folder = hint.rpartition("/")[0]
    try:
        etags = {found.key[len(folder) + 1 :]: found.etag for found in store.list(bucket, f"{folder}/")}
    except NotFound:  # no bucket
        etags = {}
    data = read_hint(lambda: store.get(bucket, hint).data) if VERSION_HINT_FILE in etags else None
    name = current_version(etags, data)
    if name is None or table.new_metadata is None:
        return etags, None
    return etags, f"{table.new_metadata.rpartition('/')[0]}/{name}"
