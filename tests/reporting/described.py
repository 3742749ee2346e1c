"""Plans and findings as :func:`migrator.reporting.describe.describe_plan` describes them, made by hand."""

from __future__ import annotations

from typing import Any

from migrator.cutover.unregistered import Unregistered
from migrator.planfile.measured import Measured
from migrator.planfile.rows import ACTIONS
from migrator.reporting.estimates import estimates
from migrator.reporting.workload import Workload

EVIL = "s3://bronze/\x1b[2J\x1b]0;owned\x07\nOK\u202e"
"""A key that clears the screen, sets the window's title and begins a new line, if it is printed as it is."""
MARKUP = "s3://bronze/[red]x[/red] :smile: [link=http://evil]y"
"""A key in the markup language of rich."""

LONELY = Unregistered(
    "table", "o'db", "my-table", "s3://bronze/lonely", "s3://data-lake/l'x\\y/metadata/3.metadata.json"
)
"""A table that no catalog names."""


def estimated(**changes: Any) -> Any:
    """What a plan without anything to do takes."""
    return {**estimates(Workload(), Measured(), None), **changes}


def plan(**changes: Any) -> dict[str, Any]:
    nothing = {action: {"objects": 0, "bytes": 0} for action in (*ACTIONS, "pointer")}
    described: dict[str, Any] = {
        "plan": "plans/p.db",
        "config": None,
        "phase": "planned",
        "catalogs": {"iceberg": "sql sqlite:////c.db"},
        "target_catalogs": {},
        "s3_inventories": [],
        "all_versions": False,
        "object_lock": False,
        "endpoint_url": "http://minio:9000",
        "region": None,
        "profile": None,
        "target_endpoint_url": "http://minio:9000",
        "target_region": None,
        "target_profile": None,
        "streamed": False,
        "target_bucket": "data-lake",
        "layout": {"s3://bronze/": "bronze/", "s3://bronze/tmp/": False},
        "created": "2026-11-23",
        "digest": "d" * 64,
        "first_digest": "d" * 64,
        "tool_version": "0.1.0",
        "actions": {**nothing, "copy": {"objects": 1234567, "bytes": 3 * 1024**4}},
        "versions": {},
        "prefixes": [{"source": EVIL, "target": "s3://data-lake/bronze/", "objects": 1234567, "bytes": 3 * 1024**4}],
        "tables": [],
        "namespaces": [],
        "findings": [],
        "blocked": False,
        "changes_pending": True,
        "pointers": {"tables": 7, "namespaces": 0, "hints": 0, "total": 7, "catalogs": 2},
        "rules": [],
        "later_rules": {},
        "later": None,
        "unregistered": [],
        "estimates": estimated(),
        "changes": [],
    }
    return {**described, **changes}


def finding(code: str, number: int, severity: str = "warn", **changes: Any) -> dict[str, Any]:
    described = {
        "severity": severity,
        "code": code,
        "place": f"s3://b/{number}",
        "message": "m",
        "next_move": "",
        "count": 1,
    }
    return {**described, **changes}


def table(**changes: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "identifier": "iceberg.db.t",
        "kind": "table",
        "format_version": 2,
        "catalog": "iceberg",
        "state": "rewrite",
        "data_bytes": 1536,
        "features": [],
        "writers": [],
        "problems": [],
        "migratable": True,
        **dict.fromkeys(("snapshots", "data_files", "delete_files", "rewrite_files"), 1),
    }
    return {**described, **changes}
