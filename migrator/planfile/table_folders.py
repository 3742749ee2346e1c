"""The folders in the old buckets that belong to one table alone."""

from __future__ import annotations

from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import STAYING


def folders_of(metadata: str, location: str | None) -> list[tuple[str, str]]:
    """The folders of the table with this metadata file and location, as (bucket, prefix). Prefixes end with a slash.

    They are the folder of the metadata file, and ``data/`` and ``metadata/`` below the location. If the location is
    None, it is taken to be the parent of the metadata file's folder ``metadata/``.
    """
    at = Location.parse(metadata)
    folder = at.key.rpartition("/")[0] if at is not None else ""
    if at is not None and location is None and folder.endswith("/metadata"):
        location = Location(at.scheme, at.bucket, folder.removesuffix("/metadata")).uri
    base = Location.parse(location or "")
    folders = [] if at is None else [(at.bucket, f"{folder}/")]
    if base is not None:
        root = f"{base.key.rstrip('/')}/".lstrip("/")
        folders += [(base.bucket, f"{root}{name}/") for name in ("data", "metadata")]
    return [(bucket, prefix) for bucket, prefix in dict.fromkeys(folders) if prefix != "/"]


def left_folders(plan: PlanFile) -> list[tuple[str, str]]:
    """The folders of the tables that the plan does not touch, as (bucket, prefix): those that the user leaves out, and
    those of other waves."""
    rows = plan.db.execute(f"SELECT old_metadata, old_location FROM tables WHERE state IN {STAYING}").fetchall()
    return [f for metadata, location in rows for f in folders_of(_place(plan, metadata) or "", _place(plan, location))]


def _place(plan: PlanFile, path: str | None) -> str | None:
    at = plan.layout.place_of(path or "")
    return at.uri if at is not None else path
