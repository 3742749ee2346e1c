"""The results of the commands as JSON; ``migrator/reference/json-keys.md`` documents the keys."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from migrator.reporting.description import PlanDescription
from migrator.reporting.migration import unregistered_tables
from migrator.verifying.checks import PrefixTotal, Verification

if TYPE_CHECKING:
    from migrator.migration import Migration


def to_json(value: Any) -> str:
    """The text that ``--json`` prints."""
    return json.dumps(value, indent=2)


def verification_json(verification: Verification) -> dict[str, Any]:
    """What ``verify --json`` prints."""
    return {
        "ok": verification.ok,
        "result": verification.result,
        "cut_over": verification.cut_over,
        "deep": verification.deep,
        "superseded_by": verification.superseded_by,
        "not_recorded": verification.not_recorded,
        "prefixes": [{name: getattr(total, name) for name in PrefixTotal.__slots__} for total in verification.prefixes],
        "checks": [check.to_json() for check in verification.checks],
        "late": asdict(verification.late) if verification.late else None,
        "unregistered": [table.to_json() for table in verification.unregistered],
    }


def migration_json(migration: Migration, plan: PlanDescription) -> dict[str, Any]:
    """What ``migrate --json`` prints. ``plan``: as described before the migration."""
    done = migration.outcome
    return {
        "plan": plan["plan"],
        "ok": migration.ok,
        "nothing_to_do": migration.nothing_to_do,
        "copied_objects": done.copied,
        "copied_bytes": done.copied_bytes,
        "copied_versions": done.copied_versions,
        "copied_version_bytes": done.copied_version_bytes,
        "copy": {
            "objects": done.copied,
            "bytes": done.copied_bytes,
            "seconds": round(done.copy_seconds, 3),
            "requests": done.usage.requests,
            "cpu_seconds": round(done.usage.cpu_seconds, 3),
            "processes": done.usage.processes,
            "concurrency": done.usage.level,
            "proofs": dict(sorted(done.proofs.items())),
            "checksums": dict(sorted(done.checksums.items())),
            "dropped": [{"attribute": kind, **asdict(loss)} for kind, loss in sorted(done.dropped.items())],
        },
        "notes": done.notes,
        "rewritten_files": done.rewritten,
        "late": asdict(done.late) if done.late else None,
        "tables_cut_over": done.cut_over,
        "pointers_changed": done.pointers,
        "pointers_changed_by_this_run": done.pointers_now,
        "compared": [check.to_json() for check in migration.compared],
        "verification": verification_json(migration.verification) if migration.verification else None,
        "changes": plan["changes"],
        "unregistered": unregistered_tables(migration, plan),
    }
