"""The order of a rollback: find where the tables are, check that the old place is complete, put every pointer back.

Nothing is deleted: what was written at the target stays there. Each step may be repeated: after a crash each table is
in the old or the new place, and the same command continues (issue 14).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from migrator.catalogs import Catalog, NamespaceRepoint, Repoint
from migrator.catalogs.base import repoint_all
from migrator.catalogs.two_catalogs import TwoCatalogs
from migrator.cutover.fence import lift_fence
from migrator.cutover.hints import point_hint_to
from migrator.cutover.places import CUT_OVER, GONE, NEWER, OLD, TablePlace, find_places
from migrator.errors import (
    CannotRepoint,
    MigrationFailed,
    MigratorError,
    PlanStale,
    RollbackRefused,
    first_lines,
    first_names,
    then_again,
)
from migrator.findings import counted
from migrator.planfile.journal import (
    BROUGHT_BACK,
    CATALOG_PUT_BACK,
    CUTOVER_BEGUN,
    RETIRE_BEGUN,
    ROLLBACK_BEGUN,
    ROLLED_BACK,
    TABLE_PUT_BACK,
)
from migrator.planfile.repoints import repoints_of
from migrator.planfile.rows import ROLE_VERSION_HINT
from migrator.rewriting.table_mover import place_in_s3
from migrator.rollback.bring_back import BroughtBack, Publish, bring_back, not_brought_back
from migrator.rollback.losses import with_losses
from migrator.rollback.old_place import check_old_tables
from migrator.run import Run
from migrator.target.lease import lease
from migrator.target.settings import undo_settings
from migrator.verifying.unreadable import is_transient

SHOWN = 10
"""How many tables a message names."""


@dataclass
class Rollback:
    """What a rollback did. Tables are named ``catalog.namespace.table``."""

    put_back: list[str] = field(default_factory=list)
    """Tables and views whose pointers this run set to the old place."""
    already: list[str] = field(default_factory=list)
    """Those that were in the old place already."""
    by_hint: list[str] = field(default_factory=list)
    """Tables of Hadoop catalogs. Their old place has its own version hint, which no migration changes, so there is no
    pointer to put back: the old warehouse still has the old tables."""
    brought_back: list[BroughtBack] = field(default_factory=list)
    """Those that had been changed at the target, and keep these changes in the old place."""
    discarded: list[TablePlace] = field(default_factory=list)
    """Those that had been changed at the target. Their newer metadata files stay there."""
    namespaces: int = 0
    """Namespace properties that this run set to the old place."""
    kept_pointers: list[str] = field(default_factory=list)
    """Tables that somebody has set to something else in the old place since, with what. They stay so."""
    kept_properties: list[str] = field(default_factory=list)
    """Namespace properties that somebody has set to something else since. They stay."""
    fence: list[str] = field(default_factory=list)
    """What became of the fence of the cutover, if it was still on: one line for each bucket."""
    settings: list[str] = field(default_factory=list)
    """What became of the settings that "migrator settings --apply" had set on the target: one line for each."""
    nothing_to_do: bool = False

    def to_json(self) -> dict[str, Any]:
        """The keys and values of ``migrator rollback --json``, without the plan's path."""
        return {
            "nothing_to_do": self.nothing_to_do,
            "put_back": self.put_back,
            "already": self.already,
            "by_hint": self.by_hint,
            "namespaces": self.namespaces,
            "kept_pointers": self.kept_pointers,
            "kept_properties": self.kept_properties,
            "brought_back": [asdict(brought) for brought in self.brought_back],
            "fence": self.fence,
            "settings": self.settings,
            "discarded": [
                {"table": place.table.identifier, "metadata": place.metadata, "lost": place.lost}
                for place in self.discarded
            ],
        }


def roll_back(run: Run, *, discard_newer: bool = False, bring_back: bool = False) -> Rollback:
    """Point every table, view and namespace that this plan has cut over to its old place again.

    Tables that were changed at the target since: with ``bring_back`` they keep these changes in the old place, with
    ``discard_newer`` they lose them; without either, RollbackRefused names what would be lost. With both, what cannot
    be brought back is lost. Raises MigrationFailed if the old place lacks files that a table needs. No pointer was
    changed then. A fence that the cutover has left on is lifted, and the target gets its old settings back.
    """
    result = _undo(run, Newer(discard=discard_newer, bring_back=bring_back))
    result.fence += lift_fence(run.store, run.journal).lines
    result.settings = undo_settings(run.store, run.journal).lines
    return result


def _undo(run: Run, newer: Newer) -> Rollback:
    if not run.journal.has(CUTOVER_BEGUN):
        _refuse_if_copied(run)
        return Rollback(nothing_to_do=True)
    if run.journal.has(RETIRE_BEGUN):
        raise RollbackRefused(
            f"{run.plan.path} was retired: objects in the old buckets were deleted. No pointer was changed.",
            next_move="After that only a backup of the old buckets can restore them.",
        )
    bucket = run.layout.target_bucket
    if not run.store.bucket_exists(
        bucket
    ):  # a lost target: the rollback is needed even more, and no other migration can run
        return _roll_back(run, newer)
    with lease(run.store, bucket, run.plan.path) as held:
        return _roll_back(run, newer, held.check)


def _refuse_if_copied(run: Run) -> None:
    """Raises RollbackRefused if the target has a record of a cutover that the log of the plan lacks."""
    record = run.guard.carried_out_by_copy(run.journal)
    if record is not None:
        raise RollbackRefused(
            f"{run.plan.path} knows of no cutover, but a copy of it was carried out on {record.host}: {record}. "
            "No pointer was changed.",
            next_move=f'Use that copy. Or run "migrator migrate {run.plan.path}" first: it recognizes what was done.',
        )


@dataclass(frozen=True, slots=True)
class Newer:
    """What is done with the commits at the target since the cutover."""

    discard: bool
    bring_back: bool


def _roll_back(run: Run, newer: Newer, check_lease: Callable[[], None] = lambda: None) -> Rollback:
    places = find_places(run)
    changed = [with_losses(run, place) for place in places if place.place in (NEWER, GONE)]
    losing = changed if not newer.bring_back else [place for place in changed if place.place == GONE]
    if losing and not newer.discard:
        raise _refusal(losing, bring_back=newer.bring_back)
    going = [place for place in places if place.place in (CUT_OVER, NEWER)]
    check_old_tables(run, [place.table for place in going])
    writes = newer.bring_back and any(place.place == NEWER for place in changed)
    lifted = lift_fence(run.store, run.journal).lines if writes else []  # it denies writes to the old buckets
    ready = _bring_back(run, changed, newer, check_lease) if writes else []
    brought = {done.table: done for done, _ in ready}
    others = _set_elsewhere(run, places)
    result = Rollback(
        fence=lifted,
        put_back=[place.table.identifier for place in going if place.stored],
        already=[place.table.identifier for place in places if place.place == OLD and place not in others],
        kept_pointers=[f"{place.table.identifier}: {place.metadata}" for place in others],
        by_hint=[place.table.identifier for place in going if not place.stored],
        brought_back=list(brought.values()),
        discarded=[place for place in changed if place.table.identifier not in brought],
    )
    old = {name: done.metadata for name, done in brought.items()}
    places = [replace(place, back_to=old.get(place.table.identifier)) for place in places]
    pointers = {p.table.identifier: {"from": p.metadata, "to": p.old_metadata} for p in places if p.place != OLD}
    run.journal.event(ROLLBACK_BEGUN, pointers=pointers, lost=[place.lost for place in result.discarded])
    check_lease()
    _publish(run, ready)
    try:
        for catalog in run.catalogs.values():
            if catalog.stores_pointers:
                _put_back(run, catalog, places, result)
        _end(run, places)
    except MigratorError as error:
        raise _incomplete(run, places, error) from error
    return result


def _bring_back(
    run: Run, changed: Sequence[TablePlace], newer: Newer, check_lease: Callable[[], None]
) -> list[tuple[BroughtBack, Publish]]:
    """Bring the commits of these tables to the old place, without their metadata files. Raises MigrationFailed for the
    first whose commits cannot be brought back, unless such commits are to be discarded. An error of the server never
    discards any."""
    ready = []
    for place in changed:
        if place.place != NEWER:
            continue
        check_lease()
        try:
            _check_old_catalog_takes_it(run, place)
            ready.append(bring_back(run, place))
        except MigratorError as error:
            if newer.discard and not is_transient(error):
                continue
            raise not_brought_back(place.table.identifier, error) from error
    return ready


def _publish(run: Run, ready: Sequence[tuple[BroughtBack, Publish]]) -> None:
    """Write the metadata files of these tables in the old place, those of Hadoop tables last: their readers follow them
    at once, and nothing but the swap of the pointers may fail after that. Raises MigrationFailed."""
    for done, publish in sorted(ready, key=lambda one: one[0].by_hint):
        try:
            publish()
            if done.by_hint:
                point_hint_to(run.store, done.table, place_in_s3(done.metadata))
        except MigratorError as error:
            raise not_brought_back(done.table, error) from error
        run.journal.event(BROUGHT_BACK, **asdict(done))


def _check_old_catalog_takes_it(run: Run, place: TablePlace) -> None:
    """Raises CannotRepoint for a table that moved to another catalog: the old catalog would have to name these commits,
    and it is only read."""
    if place.table.catalog is not None and isinstance(run.catalogs[place.table.catalog], TwoCatalogs):
        raise CannotRepoint(
            "The old catalog is only read, so it cannot name what was committed in the target catalog.",
            next_move="Add --discard-newer instead, or copy these rows into the old table yourself.",
        )


def _refusal(losing: Sequence[TablePlace], *, bring_back: bool) -> RollbackRefused:
    lines = first_lines([place.lost for place in losing])
    gone = [place for place in losing if place.place == GONE]  # what is in no catalog cannot be brought back
    move = "Add --bring-back to keep these changes in the old place, or --discard-newer to go back without them."
    if gone:
        move = "Add --discard-newer: tables that were dropped or renamed stay so."
        if bring_back:
            move = "Add --discard-newer, too: what was dropped or renamed stays so, the others keep their changes."
        elif len(gone) < len(losing):
            move += " With --bring-back in addition, the others keep their changes in the old place."
    return RollbackRefused(
        f"Changed at the target since the cutover: {counted(len(losing), 'table')}. A rollback would lose this:\n"
        f"{lines}\nNo pointer was changed.",
        next_move=f"{move} Nothing is deleted: the files stay at the target.",
    )


def _put_back(run: Run, catalog: Catalog, places: Iterable[TablePlace], result: Rollback) -> None:
    """Swap the pointers of one catalog back: in one transaction where it can, else table by table.

    Includes tables that are in the old place as planned: a crash between two requests of a swap may have left one
    without an entry of its name (see :meth:`migrator.catalogs.base.Catalog.repoint`), and this repairs that.
    """
    begun = _begun(run)
    tables = []
    for place in places:
        if not place.stored or place.table.catalog != catalog.name or place.place == GONE:
            continue
        expected, old = place.metadata or "", place.old_metadata
        if place.place == OLD:
            expected, old = begun.get((place.table.identifier, expected), (place.table.new_metadata or "", old))
            if old != place.metadata:  # somebody else has set it to this
                continue
        tables.append(Repoint(place.table.namespace, place.table.name, expected, old, place.table.kind))
    namespaces = _namespaces(run, catalog, result)
    if not tables and not namespaces:
        return

    def note(table: Repoint) -> None:
        run.journal.event(TABLE_PUT_BACK, catalog=catalog.name, namespace=table.namespace, table=table.name)

    repoint_all(catalog, tables, namespaces, note)
    result.namespaces += len(namespaces)
    run.journal.event(
        CATALOG_PUT_BACK,
        catalog=catalog.name,
        tables=[f"{catalog.name}.{table.namespace}.{table.name}" for table in tables],
    )


def _set_elsewhere(run: Run, places: Iterable[TablePlace]) -> list[TablePlace]:
    """The tables that somebody has set to another metadata file in the old place than the cutover took them from."""
    begun, old = _begun(run), [p for p in places if p.place == OLD and p.stored]
    return [p for p in old if p.metadata != p.old_metadata and (p.table.identifier, p.metadata) not in begun]


def _begun(run: Run) -> dict[tuple[str, str], tuple[str, str]]:
    """(table, metadata file in the old place) → the swap back that this plan has begun: from where, and to where."""
    return {
        (name, pointer["to"]): (pointer["from"] or "", pointer["to"])
        for begun in run.journal.each(ROLLBACK_BEGUN)
        for name, pointer in begun["pointers"].items()
    }


def _namespaces(run: Run, catalog: Catalog, result: Rollback) -> list[NamespaceRepoint]:
    """The namespace properties to put back. What somebody has set to another value since stays as it is."""
    _, changes = repoints_of(run.plan, catalog.name)
    now = {(namespace, key): value for namespace, key, value in catalog.namespace_properties()} if changes else {}
    back = []
    for change in changes:
        value = now.get((change.namespace, change.key))
        if value == change.new:
            back.append(NamespaceRepoint(change.namespace, change.key, change.new, change.expected))
        elif value != change.expected:
            result.kept_properties.append(f"{catalog.name}.{change.namespace} {change.key}: {value}")
    return back


def _end(run: Run, places: Sequence[TablePlace]) -> None:
    """Check that every table is back, and record it: in the journal, and at the target for later plans."""
    left = [p.table.identifier for p in find_places(run) if p.stored and p.place in (CUT_OVER, NEWER)]
    if left:
        raise MigrationFailed(
            f"{counted(len(left), 'table')} at the target again:\n{first_lines(left)}\n",
            next_move="Stop the writers that change pointers, and run the same command again.",
        )
    hints = run.plan.db.execute("SELECT id FROM objects WHERE role = ?", (ROLE_VERSION_HINT,)).fetchall()
    run.journal.forget(object_id for (object_id,) in hints)
    run.journal.commit()
    run.guard.note_rollback(_given_up(run, places))
    run.journal.event(ROLLED_BACK, tables=len(places))


def _given_up(run: Run, places: Sequence[TablePlace]) -> set[str]:
    """The metadata files at the target that this rollback gave up, also before it was interrupted."""
    pointed = {source for source, _ in _begun(run).values() if source}
    return pointed - {place.table.new_metadata for place in places}


def _incomplete(run: Run, before: Sequence[TablePlace], error: MigratorError) -> MigratorError:
    """The error for a rollback that failed when some tables were in the old place and others at the target. ``before``:
    where the tables were when it began."""
    try:
        places, rest = find_places(run), "Not yet"
    except MigratorError:  # a catalog that could not be written may not be readable either: use the log
        places, rest = _noted(run, before), "Not known now"
    stored = [place for place in places if place.stored]
    back = [place.table.identifier for place in stored if place.place == OLD]
    left = [place.table.identifier for place in stored if place.place != OLD]
    if isinstance(error, PlanStale):  # a new plan undoes no cutover
        error.next_move = "Run the same command again: it takes the pointers as they are now."
    if not back:
        return error
    others = f" {rest}: {counted(len(left), 'table')} ({first_names(left, SHOWN)})." if left else ""
    return MigrationFailed(
        f"The rollback is incomplete. In the old place: {counted(len(back), 'table')} ({first_names(back, SHOWN)})."
        f"{others} {error.message}",
        next_move=then_again(error, "it finishes the rollback"),
    )


def _noted(run: Run, before: Sequence[TablePlace]) -> list[TablePlace]:
    """Where the tables are by the log: those that were put back are in the old place."""
    back = run.journal.put_back_among(place.table for place in before)
    return [replace(place, place=OLD) if place.table.id in back else place for place in before]
