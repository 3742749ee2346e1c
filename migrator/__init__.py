"""migrator: move a multi-bucket data lake into one bucket, Iceberg tables included, and prove it.

The package reads in the order in which things happen: ``layout`` (where everything goes), ``plan`` (what
is there and what will be done), ``execute`` (copy, rewrite, cut over), ``verify``, ``report``. ``iceberg``
holds the pure rewriters, ``catalogs`` the pointers, ``store`` is the only module that talks to S3.
``api`` ties them together; ``cli`` is a thin layer over it.
"""

from migrator._version import __version__
from migrator.api import (
    Migration,
    load_settings,
    migrate_lake,
    plan_lake,
    plan_status,
    show_plan,
    verify_lake,
)
from migrator.config import Settings
from migrator.verify import Verification

__all__ = [
    "Migration",
    "Settings",
    "Verification",
    "__version__",
    "load_settings",
    "migrate_lake",
    "plan_lake",
    "plan_status",
    "show_plan",
    "verify_lake",
]
