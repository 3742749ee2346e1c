"""migrator: move a multi-bucket data lake into one bucket, Iceberg tables included, and prove it.

The folders are the flow: ``inventory`` (what is there), ``plan`` (what will be done), ``copying``, ``rewriting``,
``cutover``, ``verifying``, ``reporting``. Further: ``live`` (a lake in use), ``rollback`` (undoing a cutover),
``repair`` (commits with old paths after a cutover), ``retiring`` (deleting the old objects), ``checking`` (the
structure of a lake, at any time) and ``monitoring`` (its metrics). :mod:`migrator.migration` has the order of a
migration: read it first. :mod:`migrator.api` has the functions that Python programs call; ``cli`` calls them, too.
docs/design.md has the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from migrator._version import __version__

if TYPE_CHECKING:
    from migrator.api import (
        apply_settings,
        check_lake,
        copy_lake,
        cutover_lake,
        init_lake,
        list_tables,
        load_settings,
        measure_lake,
        migrate_lake,
        open_plan,
        pack_executors,
        plan_lake,
        plan_log,
        plan_status,
        relocate_table,
        repair_lake,
        retire_lake,
        rewrite_config,
        rollback_lake,
        show_plan,
        show_settings,
        unfence_lake,
        verify_lake,
        write_report,
    )
    from migrator.checking.results import LakeCheck
    from migrator.config import Settings
    from migrator.migration import Migration
    from migrator.reporting.description import PlanDescription, TableDescription
    from migrator.retiring.results import Retirement
    from migrator.rollback.stage import Rollback
    from migrator.scripts.stage import RewrittenFiles
    from migrator.verifying.checks import Verification

__all__ = [
    "LakeCheck",
    "Migration",
    "PlanDescription",
    "Retirement",
    "RewrittenFiles",
    "Rollback",
    "Settings",
    "TableDescription",
    "Verification",
    "__version__",
    "apply_settings",
    "check_lake",
    "copy_lake",
    "cutover_lake",
    "init_lake",
    "list_tables",
    "load_settings",
    "measure_lake",
    "migrate_lake",
    "open_plan",
    "pack_executors",
    "plan_lake",
    "plan_log",
    "plan_status",
    "relocate_table",
    "repair_lake",
    "retire_lake",
    "rewrite_config",
    "rollback_lake",
    "show_plan",
    "show_settings",
    "unfence_lake",
    "verify_lake",
    "write_report",
]

_HOMES = {
    "LakeCheck": "migrator.checking.results",
    "Migration": "migrator.migration",
    "PlanDescription": "migrator.reporting.description",
    "Retirement": "migrator.retiring.results",
    "RewrittenFiles": "migrator.scripts.stage",
    "Rollback": "migrator.rollback.stage",
    "Settings": "migrator.config",
    "TableDescription": "migrator.reporting.description",
    "Verification": "migrator.verifying.checks",
}


def __getattr__(name: str) -> Any:
    """Import a name only when it is used: worker processes need none of them, and start in half the time."""
    if name not in __all__:
        raise AttributeError(f"module 'migrator' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "migrator.api")), name)
