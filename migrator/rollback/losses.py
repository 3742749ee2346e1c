"""What a rollback would lose: the snapshots that were committed at the target since the cutover."""

from __future__ import annotations

from dataclasses import replace

from migrator.catalogs.base import VIEW
from migrator.cutover.places import GONE, NEWER, TablePlace
from migrator.errors import MigratorError, NotFound
from migrator.iceberg.metadata import TableMetadata, read_metadata
from migrator.planfile.rows import PlannedTable
from migrator.run import Run


def with_losses(run: Run, place: TablePlace) -> TablePlace:
    """The same place, with what a rollback would lose: the snapshots that were committed since the cutover."""
    if place.place == GONE:
        return replace(place, change="it was dropped or renamed since, and stays dropped or renamed")
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
    """The table as the cutover left it. If an engine has removed its metadata file since, the file in the old place is
    read."""
    try:
        return _read(run, table.new_metadata or "")
    except NotFound:
        return _read(run, table.old_metadata)


def _read(run: Run, uri: str) -> TableMetadata:
    at = run.layout.place_of(uri)
    if at is None:
        raise NotFound(f"{uri} is not a place in S3.")
    return read_metadata(run.store.get(at.bucket, at.key).data, uri)
