"""Next moves with the exact rule or option that solves a finding about a table.

A proposed rule separates the table from everything else, and its target prefix is free and different for each proposal
in one plan.
"""

from __future__ import annotations

import shlex

from migrator.iceberg.metadata import table_folder
from migrator.inventory.located import rule_text
from migrator.inventory.tables import FoundTable
from migrator.layout import Layout, Location
from migrator.layout.recorded import is_s3
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import keys_under

MAX_TRIES = 100


def root_of(uri: str) -> Location | None:
    """The folder of the table that a metadata file belongs to; None if that is a whole bucket, or no place in S3."""
    at = Location.parse(uri)
    if at is None:
        return None
    root = table_folder(at.key)
    return Location("s3", at.bucket, root) if root else None


def leave(found: FoundTable, layout: Layout) -> str:
    """How to leave a table out of the migration: by its name, or by a rule for its folder if no other table is in
    it."""
    moves = []
    own = root_of(found.metadata) if found.own_folder else None
    if not is_s3(found.metadata) and layout.recorded_rule(found.metadata) is not None:
        folder = found.metadata.rpartition("/")[0].removesuffix("/metadata")
        moves.append(f"{rule_text(folder, None)} in [layout] leaves it where it is")
    if own is not None and own.bucket in layout.buckets and not _has_rule(layout, own.bucket, own.key):
        moves.append(f"{rule_text(own.uri, None)} in [layout] leaves its folder where it is")
    if found.catalog is not None:
        moves.append(f"--leave {shlex.quote(found.label)} leaves the table and its pointer as they are")
    return f"Or leave it out: {', or '.join(moves)}." if moves else "Or leave it out with a layout rule = false."


def leave_folder(layout: Layout, bucket: str, folder: str) -> str:
    """The rule that leaves a folder of an old bucket where it is; "" is the whole bucket."""
    rule = f"{rule_text(f's3://{bucket}/{folder}'.rstrip('/'), None)} in [layout]"
    return rule + (", instead of the present rule" if _has_rule(layout, bucket, folder) else "")


class Rules:
    """Proposes rules for one plan, no target prefix twice."""

    def __init__(self, plan: PlanFile, layout: Layout) -> None:
        self._plan = plan
        self._layout = layout
        self._taken: set[str] = set()

    def elsewhere(self, location: str) -> tuple[str, Layout] | None:
        """A rule that moves this old location to a free prefix, as text, and the layout with it. None if there can be
        no such rule: outside of the old buckets, or if there is a rule for the location already."""
        at = Location.parse(location)
        if at is None or at.bucket not in self._layout.buckets:
            return None
        prefix = at.key.rstrip("/")
        if _has_rule(self._layout, at.bucket, prefix):
            return None
        target = self._layout.map_key(at.bucket, prefix)
        if not target:
            return None
        new = next((name for n in range(2, MAX_TRIES) if self._is_free(name := f"{target}-{n}")), None)
        if new is None:
            return None
        self._taken.add(new)
        mapping = {**self._layout.to_mapping(), f"s3://{at.bucket}/{prefix}/": f"{new}/"}
        rule = rule_text(f"s3://{at.bucket}/{prefix}", new)
        return rule, Layout.from_mapping(self._layout.target_bucket, mapping)

    def _is_free(self, prefix: str) -> bool:
        if prefix in self._taken:
            return False
        values = (prefix, *keys_under(prefix))
        for table, column in (("present", "key"), ("objects", "target")):
            query = f"SELECT 1 FROM {table} WHERE {column} = ? OR ({column} >= ? AND {column} < ?) LIMIT 1"
            if self._plan.db.execute(query, values).fetchone() is not None:
                return False
        return True


def _has_rule(layout: Layout, bucket: str, prefix: str) -> bool:
    return any((rule.bucket, rule.prefix) == (bucket, prefix) for rule in layout.rules)
