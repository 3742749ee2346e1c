"""The pointers of one catalog that a plan changes, as the catalog's own :meth:`repoint` takes them."""

from __future__ import annotations

from migrator.catalogs import NamespaceRepoint, Repoint
from migrator.planfile.file import PlanFile


def repoints_of(plan: PlanFile, catalog: str) -> tuple[list[Repoint], list[NamespaceRepoint]]:
    """The tables and views of this catalog that move, and its namespace properties that hold an old path."""
    tables = [
        Repoint(t.namespace, t.name, t.old_metadata, t.new_metadata, t.kind)
        for t in plan.tables()
        if t.catalog == catalog and t.moves and t.new_metadata is not None
    ]
    changes = [change for change in plan.namespaces() if change.catalog == catalog]
    return tables, [NamespaceRepoint(c.namespace, c.key, c.old, c.new) for c in changes]
