"""Checks that the old buckets still have every file that the tables need there. A rollback to a table with missing
files would break it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrator.catalogs.base import VIEW
from migrator.cutover.source_changes import find_source_changes, is_lost
from migrator.errors import MigrationFailed, MigratorError, first_lines
from migrator.findings import counted
from migrator.iceberg.manifests import DELETED
from migrator.iceberg.metadata import read_metadata
from migrator.inventory.table_files import BrokenFile, SourceFile, open_at, read_lists, read_manifests
from migrator.planfile.objects import object_named
from migrator.planfile.rows import PlannedTable
from migrator.run import Run


def check_old_tables(run: Run, tables: Sequence[PlannedTable]) -> None:
    """Every file that these tables need is in the old buckets, unchanged since planning.

    Raises MigrationFailed with the tables that lack something. Other objects there may have changed.
    """
    changes = find_source_changes(run.plan, run.store, run.progress)
    if not changes.changed and not changes.removed:
        return
    broken = []
    for table in tables:
        try:
            lost = next((path for path in _files(run, table) if _is_lost(run, path)), None)
        except MigratorError as error:
            lost = error.message
        if lost is not None:
            broken.append(f"{table.identifier}: {lost}")
    if broken:
        raise MigrationFailed(
            f"{len(broken)} of {counted(len(tables), 'table')} cannot go back. In the old buckets these files, which "
            f"are needed, are missing or were changed. No pointer was changed.\n{first_lines(broken)}\n",
            next_move="Restore the files, for example from the target, and run the same command again.",
        )


def _is_lost(run: Run, path: str) -> bool:
    planned = object_named(run.plan, path)
    return planned is not None and is_lost(run.plan, planned.id)


def _files(run: Run, table: PlannedTable) -> Iterator[str]:
    """The paths of all files that the table has in the old place. Raises MigratorError if its metadata, a manifest list
    or a manifest cannot be read."""

    def open_file(path: str) -> SourceFile:
        return open_at(run.store, path, run.layout.place_of(path))

    yield table.old_metadata
    if table.kind == VIEW:
        return
    with open_file(table.old_metadata).file as file:
        metadata = read_metadata(file.read(), table.old_metadata)
    yield from metadata.statistics
    manifests = {path for snapshot in metadata.snapshots for path in snapshot.manifests}
    for listed in read_lists([s.manifest_list for s in metadata.snapshots if s.manifest_list], open_file):
        yield listed.path
        if isinstance(listed, BrokenFile):
            raise listed.error
        manifests.update(manifest.path for manifest in listed.manifests)
    for manifest in read_manifests(manifests, open_file):
        yield manifest.path
        if isinstance(manifest, BrokenFile):
            raise manifest.error
        yield from (entry.path for entry in manifest.entries if entry.status != DELETED)
