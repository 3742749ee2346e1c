"""migrator: move a multi-bucket data lake into one bucket, Iceberg tables included, and prove it.

The package reads in the order in which things happen: ``layout`` (where everything goes), ``plan`` (what
is there and what will be done), ``execute`` (copy, rewrite, cut over), ``verify``, ``report``. ``iceberg``
holds the pure rewriters, ``catalogs`` the pointers, ``store`` is the only module that talks to S3.
``api`` ties them together; ``cli`` is a thin layer over it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from migrator._version import __version__

if TYPE_CHECKING:
    from migrator.api import (
        Migration,
        list_tables,
        load_settings,
        migrate_lake,
        plan_lake,
        plan_status,
        relocate_table,
        show_plan,
        verify_lake,
    )
    from migrator.config import Settings
    from migrator.verifying.verifier import Verification

__all__ = [
    "Migration",
    "Settings",
    "Verification",
    "__version__",
    "list_tables",
    "load_settings",
    "migrate_lake",
    "plan_lake",
    "plan_status",
    "relocate_table",
    "show_plan",
    "verify_lake",
]

_HOMES = {"Settings": "migrator.config", "Verification": "migrator.verifying.verifier"}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: worker processes need none of it, and start in half the time."""
    if name not in __all__:
        raise AttributeError(f"module 'migrator' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "migrator.api")), name)
