"""The sizes and bounds of files that are rewritten already, for workers on other machines, which have no plan file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migrator.errors import MigrationFailed
from migrator.iceberg.manifests import DeleteFile
from migrator.layout import Layout, Location
from migrator.planfile.file import PlanFile
from migrator.rewriting.rewriter import Rewriter, worker_store
from migrator.store import Conditional

MOST = 100_000
"""The most rows of the plan that are sent to each worker."""


@dataclass(frozen=True)
class CarriedFiles:
    """Implements the protocol of :class:`.Rewriter` for manifests, as
    :class:`~migrator.rewriting.measured_files.JournalledFiles` does on a plan. ``delete_files``: the rewritten ones, by
    (bucket, key); ``by_target``: the same by key of the target. ``uncollapsed``: the objects of the plan whose key has
    empty levels, which Hadoop's S3A would spell otherwise."""

    layout: Layout
    delete_files: dict[tuple[str, str], DeleteFile]
    by_target: dict[str, DeleteFile]
    uncollapsed: frozenset[tuple[str, str]]

    def delete_file(self, path: str) -> DeleteFile | None:
        """The rewritten position delete file at the old ``path``; None if it was not rewritten."""
        literal = Location.parse(path)
        if literal is None:
            new = Location.parse(self.layout.map_uri(path) or "")
            return self.by_target.get(new.key) if new is not None else None
        at = literal if (literal.bucket, literal.key) in self.uncollapsed else literal.collapsed
        return self.delete_files.get((at.bucket, at.key))

    def length_of(self, place: str, path: str) -> int | None:
        """Workers rewrite no manifest lists."""
        raise MigrationFailed(f"{place}: a worker does not know the length of {path}.", next_move="Report this.")


def carried_files(plan: PlanFile) -> CarriedFiles | None:
    """The rows of a plan to send; None if there are too many."""
    rows = plan.db.execute(
        "SELECT o.bucket, o.key, o.target, d.size, d.lower, d.upper FROM delete_files d"
        " JOIN objects o ON o.id = d.object_id LIMIT ?",
        (MOST + 1,),
    ).fetchall()
    odd = plan.db.execute(
        "SELECT bucket, key FROM objects WHERE key LIKE '%//%' OR key LIKE '/%' LIMIT ?", (MOST + 1,)
    ).fetchall()
    if max(len(rows), len(odd)) > MOST:
        return None
    found = {(row[0], row[1]): DeleteFile(*row[3:]) for row in rows}
    return CarriedFiles(plan.layout, found, {row[2]: DeleteFile(*row[3:]) for row in rows}, frozenset(odd))


def carried_rewriter(connection: dict[str, Any], conditional: Conditional, files: CarriedFiles) -> Rewriter:
    """The rewriter of a worker; see :func:`.worker_store`."""
    return Rewriter(worker_store(connection, conditional), files.layout.new_path, files)
