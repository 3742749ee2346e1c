"""Brings commits back: what was committed at the target since the cutover is copied and rewritten to the old place.

Data files are copied. Metadata, manifests and position deletes are rewritten with the layout in reverse. The files that
the migration has copied are still in the old place, and are not written again. Nothing in the old place is overwritten:
rewritten files get new names there, so that their names are free at the target for a later migration, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from migrator.catalogs.base import VIEW
from migrator.cutover.places import TablePlace
from migrator.cutover.source_changes import is_lost
from migrator.errors import MigrationFailed, MigratorError, Occupied, UnmappedPath, one_line
from migrator.iceberg.deletes import rewrite_deletes
from migrator.iceberg.manifests import DeleteFile
from migrator.iceberg.metadata import read_metadata, rewrite_metadata
from migrator.iceberg.views import rewrite_view
from migrator.layout import Location
from migrator.planfile.objects import object_moved_to
from migrator.planfile.rows import REWRITE, ROLE_DELETES, PlannedObject
from migrator.rewriting.table_mover import KnownFile, Moved, TableMover, place_in_s3, with_suffix
from migrator.run import Run
from migrator.store import Content
from migrator.verifying.same_rows import check_same_rows

SUFFIX = "-back"
"""Ends the name, before the extension, of a file that was rewritten for the old place."""


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """A table or view whose commits are in the old place, too. ``metadata``: its metadata file there."""

    table: str
    metadata: str
    by_hint: bool
    """True if a version hint names it instead of a catalog entry."""
    commits: int
    copied: int = 0
    copied_bytes: int = 0
    rewritten: int = 0
    not_compared: str = ""
    """Why the rows of some of its commits were not counted in both places; empty if they were."""


Publish = Callable[[], None]
"""Writes the metadata files of a table in the old place, the last step before its pointer changes. Readers of a Hadoop
table follow them at once. May be repeated. Raises what :meth:`TableMover.run` raises."""


def bring_back(run: Run, place: TablePlace) -> tuple[BroughtBack, Publish]:
    """Write the present state of a table that was changed at the target to its old place, all but its metadata files:
    the second result writes those. Its catalog still points to the target afterwards. May be repeated after any
    interruption.

    Raises MigrationFailed if a snapshot has other rows there, or if files that it needs are missing in the old place;
    Occupied if another object has one of the new names; what :meth:`TableMover.run` raises.
    """
    table, uri = place.table, place.metadata or ""
    route = _Homewards(run, place)
    if run.layout.recorded:
        raise MigrationFailed(
            f"{table.identifier}: [layout] has rules for paths outside of S3. Its old files name such paths, and new "
            "ones could not name them in the same way.",
            next_move="Use --discard-newer, and write these commits again in the old place.",
        )
    if route.known(uri) is not None:  # somebody has set the table to an earlier state
        return BroughtBack(table.identifier, route.new_path(uri) or "", not place.stored, 0), lambda: None
    data = run.store.get(*_bucket_and_key(uri)).data
    if table.kind == VIEW:
        return _bring_view_back(run, place, route, data)
    if read_metadata(data, uri).table_uuid != table.uuid:
        raise MigrationFailed(
            f"{table.identifier}: another table has its name now, {uri}.",
            next_move="Give it another name, or use --discard-newer.",
        )
    return _bring_table_back(run, place, route, data)


def _bring_view_back(run: Run, place: TablePlace, route: _Homewards, data: bytes) -> tuple[BroughtBack, Publish]:
    uri = place.metadata or ""
    route.rewritten([uri])
    new, view = route.new_path(uri) or "", rewrite_view(data, route.new_path, uri)
    done = BroughtBack(place.table.identifier, new, not place.stored, 1, rewritten=1)
    return done, lambda: _put(run, new, view)


def _bring_table_back(run: Run, place: TablePlace, route: _Homewards, data: bytes) -> tuple[BroughtBack, Publish]:
    uri, identifier, moved = place.metadata or "", place.table.identifier, Moved()
    mover = TableMover(run.store, uri, data, route, moved, run.progress)
    mover.move_files(uri)
    new, metadata = route.new_path(uri) or "", rewrite_metadata(data, route.new_path, uri)
    both = (uri, "at the target"), (new, "in the old place")
    why = check_same_rows(run.store, identifier, place.commits, *both, metadata)
    if not place.stored:
        _check_versions_are_free(run, route, [*mover.history, uri])
    done = BroughtBack(
        identifier,
        new,
        by_hint=not place.stored,
        commits=len(place.commits),
        copied=moved.copied,
        copied_bytes=moved.copied_bytes,
        rewritten=moved.rewritten + len(mover.history) + 1,
        not_compared=why,
    )
    return done, partial(mover.move_metadata, uri)


def _check_versions_are_free(run: Run, route: _Homewards, paths: Sequence[str]) -> None:
    """Check that the metadata files of a Hadoop table can get their names in the old place. A writer there may have
    made versions of the same numbers. Raises Occupied."""
    for path in paths:
        new = route.new_path(path) or ""
        at = _bucket_and_key(new)
        if run.store.find(*at) is None:
            continue
        data = run.store.get(*_bucket_and_key(path)).data
        if run.store.get(*at).data != rewrite_metadata(data, route.new_path, path):
            raise Occupied(f"{new} exists already, with other content.")


class _Homewards:
    """The route of a table's files from the target to the old place; see :class:`.table_mover.Route`."""

    def __init__(self, run: Run, place: TablePlace) -> None:
        self._run, self._place = run, place
        self._plan, self._layout = run.plan, run.layout
        old = place_in_s3(place.table.old_metadata)
        self._home = self._layout.rule_for(old.bucket, old.key)
        self._folders = _old_folders(run, place)
        self._renamed: frozenset[str] = frozenset()

    def source(self, path: str) -> Location | None:
        """Where the object of a path is now."""
        return Location.parse(path)

    def new_path(self, path: str) -> str | None:
        """The path in the old place. What is outside of the target bucket stays where it is."""
        at = Location.parse(path)
        if at is None or at.bucket != self._layout.target_bucket:
            return path if at else None
        back = self._old_place(at.key)
        if back is None:
            return None
        bucket, key = back
        return f"{at.scheme}://{bucket}/{with_suffix(key, SUFFIX) if path in self._renamed else key}"

    def _old_place(self, key: str) -> tuple[str, str] | None:
        """The place of a target key in the old buckets. Where several rules lead to the key, it is that of the object
        that the plan has moved there, or else one in a folder that the old table names, or else that of the rule that
        the table itself is under."""
        places = list(self._layout.sources_of(key))
        if len(places) > 1:
            planned = object_moved_to(self._plan, key)
            known = planned and next((p for p in places if planned.place == Location("s3", *p).collapsed.uri), None)
            named = [(b, k) for folder in self._folders for b, k in places if f"{b}/{k}/".startswith(f"{folder}/")]
            home = [place for place in places if self._layout.rule_for(*place) == self._home]
            places = [known] if known else named or home
        return places[0] if places else None

    def known(self, path: str) -> KnownFile | None:
        """What this plan has moved to the target is still in the old place."""
        at = Location.parse(path)
        if at is None:
            return None
        if at.bucket != self._layout.target_bucket:
            return KnownFile(None)
        planned = object_moved_to(self._plan, at.key)
        if planned is None:
            return None
        if is_lost(self._plan, planned.id):
            raise MigrationFailed(
                f"{self._place.table.identifier}: {one_line(planned.place)}, which it needs, is missing in the old "
                "place or was changed. No pointer was changed.",
                next_move="Restore the file, for example from the target, and run the same command again.",
            )
        return KnownFile(planned.size, self._old_deletes(planned))

    def _old_deletes(self, planned: PlannedObject) -> DeleteFile | None:
        """The size and bounds of the position deletes in the old place; None for another file, or an unchanged one."""
        if planned.role != ROLE_DELETES or planned.action != REWRITE:
            return None
        data = self._run.store.get(planned.bucket, planned.key, etag=planned.etag).data
        return rewrite_deletes(data, lambda path: path, planned.place).file

    def rewritten(self, paths: Sequence[str]) -> None:
        """Rewritten files get a new name, except the metadata files of Hadoop catalogs, whose names have a meaning."""
        self._renamed = frozenset(path for path in paths if self._place.stored or not path.endswith(".metadata.json"))


def _old_folders(run: Run, place: TablePlace) -> list[str]:
    """``bucket/key`` of the location and of each property of the table in the old place, the longest first."""
    if place.table.kind == VIEW:
        return []
    uri = place.table.old_metadata
    old = read_metadata(run.store.get(*_bucket_and_key(uri)).data, uri)
    named = (Location.parse(value) for value in (old.location, *old.properties.values()))
    return sorted((f"{at.bucket}/{at.key.rstrip('/')}" for at in named if at is not None), key=len, reverse=True)


def _bucket_and_key(uri: str) -> tuple[str, str]:
    at = place_in_s3(uri)
    return at.bucket, at.key


def _put(run: Run, uri: str, data: bytes) -> None:
    run.store.put(*_bucket_and_key(uri), Content(data, ""), replace=False)


def not_brought_back(identifier: str, error: MigratorError) -> MigrationFailed:
    """The error that ends a rollback because the commits of one table cannot be brought back."""
    next_move = error.next_move
    if isinstance(error, UnmappedPath):
        next_move = "Use --discard-newer, and write these commits again in the old place."
    if isinstance(error, Occupied):  # its next move may be about the options of relocate
        next_move = "Move that object away, or add --discard-newer, and run the same command again."
    message = f"{identifier}: what was committed at the target cannot be brought back. {error.message}"
    return MigrationFailed(f"{message} No pointer was changed.", next_move=next_move)
