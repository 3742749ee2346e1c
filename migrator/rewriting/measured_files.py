"""The sizes and bounds of files that are rewritten already, from the journal of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from migrator.errors import MigrationFailed
from migrator.iceberg.manifests import DeleteFile
from migrator.planfile.file import PlanFile
from migrator.planfile.objects import object_named
from migrator.planfile.rows import REWRITE, ROLE_MANIFEST
from migrator.rewriting.rewriter import Rewriter, worker_store
from migrator.store import Conditional, Store


class JournalledFiles:
    """Implements the protocol of :class:`.Rewriter` on a plan's journal. Safe between threads."""

    def __init__(self, plan: PlanFile, store: Store) -> None:
        self._plan = plan
        self._store = store

    def delete_file(self, path: str) -> DeleteFile | None:
        """The rewritten position delete file at the old ``path``; None if it was not rewritten."""
        planned = object_named(self._plan, path)
        row = planned and self._plan.lookup(
            "SELECT size, lower, upper FROM delete_files WHERE object_id = ?", (planned.id,)
        )
        return DeleteFile(*row) if row else None

    def length_of(self, place: str, path: str) -> int | None:
        """The new length in bytes of the manifest at the old ``path``, which the manifest list ``place`` names; None if
        the plan lacks it, because only old metadata names it.

        Raises MigrationFailed if it was to be rewritten and was not.
        """
        planned = object_named(self._plan, path)
        if planned is None:
            return None
        row = self._plan.lookup("SELECT size FROM done WHERE object_id = ?", (planned.id,))
        if row is not None:
            return int(row[0])
        if planned.role == ROLE_MANIFEST and planned.action == REWRITE:
            raise MigrationFailed(f"{place}: its manifest {path} was not rewritten.", next_move="Run migrate again.")
        return self._store.size(self._plan.layout.target_bucket, planned.target or "")


def plan_rewriter(path: Path, connection: dict[str, Any], conditional: Conditional) -> Rewriter:
    """The rewriter of a plan, in a worker process."""
    plan, store = PlanFile.open_unchecked(path), worker_store(connection, conditional)
    return Rewriter(store, plan.layout.new_path, JournalledFiles(plan, store))
