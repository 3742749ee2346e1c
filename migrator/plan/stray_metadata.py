"""Reports the metadata files that cannot be read and that no pointer names.

Such a file is an old one of a table, what a failed commit left behind, or not Iceberg's. It is copied as it is. A file
that a pointer names is reported as a problem of its table instead.
"""

from __future__ import annotations

from migrator.findings import Finding
from migrator.iceberg.metadata import metadata_version
from migrator.inventory.located import locate
from migrator.inventory.tables import Discovery
from migrator.layout import Layout
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import ROLE_LATER


def report_stray_metadata(plan: PlanFile, layout: Layout, discovery: Discovery) -> None:
    """Add a finding for each unreadable metadata file that no pointer names. Call it when it is known which objects are
    part of this wave."""
    places = (locate(plan, layout, table.metadata) for table in discovery.tables)
    pointers = {(at.bucket, at.key) for at in places if at is not None}
    newest = _newest_versions(plan, layout, discovery)
    for (bucket, key), error in discovery.unreadable.items():
        folder, _, name = key.rpartition("/")
        if (bucket, key) in pointers or _stays(plan, bucket, key):
            continue
        if (metadata_version(name) or 0) < newest.get((bucket, folder), -1):
            message = f"cannot be read ({error.reason}); it is copied as it is"
            plan.add_finding(Finding.of("missing-history", error.place, message))
        elif (bucket, folder) in newest or folder.rpartition("/")[2] == "metadata":
            message = f"is named by no catalog and cannot be read ({error.reason}); it is copied as it is"
            plan.add_finding(Finding.of("stray-metadata", error.place, message))


def _stays(plan: PlanFile, bucket: str, key: str) -> bool:
    """True for a file that is not part of this wave."""
    query = "SELECT 1 FROM objects WHERE bucket = ? AND key = ? AND role = ?"
    return plan.db.execute(query, (bucket, key, ROLE_LATER)).fetchone() is not None


def _newest_versions(plan: PlanFile, layout: Layout, discovery: Discovery) -> dict[tuple[str, str], int]:
    """(bucket, folder) → the highest version of a table's metadata file there."""
    newest: dict[tuple[str, str], int] = {}
    for uri in (uri for table in discovery.tables for uri in (table.metadata, *table.history)):
        if at := locate(plan, layout, uri):
            folder, _, name = at.key.rpartition("/")
            newest[at.bucket, folder] = max(newest.get((at.bucket, folder), 0), metadata_version(name) or 0)
    return newest
