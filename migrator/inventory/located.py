"""Finds the objects of recorded paths, while a plan is built. A path that is not in S3 stands for the object that goes
to the same key of the target, by a rule of the layout (:class:`migrator.layout.recorded.Recorded`)."""

from __future__ import annotations

import json
import shlex

from migrator.inventory.listing import is_at_target
from migrator.layout import Layout, Location
from migrator.layout.recorded import head, is_s3, spelled
from migrator.planfile.file import PlanFile

_STANDS_FOR = "SELECT bucket, key FROM objects WHERE target = ? LIMIT 1"


def locate(plan: PlanFile, layout: Layout, path: str) -> Location | None:
    """For an S3 URI, its place, even without an object. For another path, the place of its object: in an old bucket or,
    if no old bucket has it, at the target. None if there is no such object, or no rule covers the path.
    """
    if is_s3(path):
        return Location.parse(path)
    new = Location.parse(layout.map_uri(path) or "")
    if new is None:
        return None
    row = plan.db.execute(_STANDS_FOR, (new.key,)).fetchone()
    if row is not None:
        return Location("s3", *row)
    return new if is_at_target(plan, new.key) else None


def s3_uri(layout: Layout, path: str) -> str:
    """The S3 URI of a path by the rules; the path itself if no rule covers it."""
    at = None if is_s3(path) else layout.place_of(path)
    return at.uri if at is not None else path


def ways(plan: PlanFile, layout: Layout, path: str, metadata: str, location: str) -> str:
    """The next move for a path of a table that no rule covers. ``metadata`` is the table's metadata file in S3, if it
    is known, and ``location`` the place that it records."""
    if is_s3(path):
        at = Location.parse(path)
        new = at is not None and at.bucket not in (*layout.buckets, layout.target_bucket)
        rule = f", such as {rule_text(f's3://{at.bucket}', at.bucket)}" if at and new else ""
        return (
            f"Add a rule for it to [layout]{rule}. A rule = false leaves data files where they are, once you accept it."
        )
    rule = _rule(plan, layout, path, metadata, location)
    move = "If the files were copied to an old bucket, write a rule for this path in [layout]"
    move += f": {rule}." if rule else "."
    if is_s3(metadata):
        command = f"migrator relocate {shlex.quote(metadata)} --to NEW"
        move += f" Or move the table by itself, with its new place for NEW: {command}."
    return move


def _rule(plan: PlanFile, layout: Layout, path: str, metadata: str, location: str) -> str:
    """A rule for the table's location, if the path lies in it and the metadata file lies in a copy of it. Otherwise a
    rule for the path, if an object that moves has its file name. "" if neither is true."""
    at = Location.parse(metadata)
    whole, base = spelled(path), spelled(location).rstrip("/")
    if at is not None and base and (whole == base or whole.startswith(f"{base}/")):
        folder, _, last = at.key.rpartition("/")[0].rpartition("/")
        target = layout.map_key(at.bucket, folder) if last == "metadata" and folder else None
        if target:
            return rule_text(base, target)
    folder, _, name = whole.rpartition("/")
    query = "SELECT target FROM objects WHERE target IS NOT NULL AND substr(target, -length(:name)) = :name LIMIT 2"
    found = [target for (target,) in plan.db.execute(query, {"name": f"/{name}"})] if name and folder else []
    if len(found) != 1 or not folder:
        return ""
    new = found[0].rpartition("/")[0]
    while len(parent := folder.rpartition("/")[0]) > len(head(folder)) and "/" in new:
        if folder.rpartition("/")[2] != new.rpartition("/")[2]:
            break
        folder, new = parent, new.rpartition("/")[0]
    return rule_text(folder, new)


def rule_text(old: str, new: str | None) -> str:
    """A rule as a line of ``[layout]``; ``new`` None: objects under ``old`` stay. Neither has a slash at its end."""
    return f"{_toml(old)} = {'false' if new is None else _toml(new)}"


def _toml(folder: str) -> str:
    return json.dumps(f"{folder}/", ensure_ascii=False)
