"""Checks that the rewritten scripts at the target name the new places."""

from __future__ import annotations

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.inventory.listing import TARGET
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import WRITTEN_OR_SAME
from migrator.planfile.rows import ROLE_SCRIPT
from migrator.progress import Progress
from migrator.rewriting.scripts import script_names
from migrator.scripts.stage import rewrite_bytes
from migrator.store import Store
from migrator.verifying.checks import Check, note_unreadable

WORKERS = 8
_SCRIPTS = f"""
SELECT o.target FROM objects o JOIN {TARGET} t ON t.key = o.target
WHERE o.{WRITTEN_OR_SAME} AND o.role = '{ROLE_SCRIPT}'
"""


def check_scripts(plan: PlanFile, store: Store, progress: Progress) -> list[Check]:
    """The check of the rewritten scripts that are at the target; none if there are none. The target must be listed."""
    keys = [key for (key,) in plan.db.execute(_SCRIPTS).fetchall()]
    if not keys:
        return []
    check = Check("scripts at the target name no old place that is certain", "scripts")
    bucket, names = plan.layout.target_bucket, script_names(plan)

    def old_paths(key: str) -> list[str]:
        done = rewrite_bytes(key, store.get(bucket, key).data, names)
        return [f"line {change.line} names {change.old}" for change in done.changes] if done else []

    with progress.stage("checking scripts", objects=len(keys), unit="scripts") as stage:
        for outcome in run_in_threads(old_paths, keys, workers=WORKERS):
            stage.advance(1)
            place = f"s3://{bucket}/{outcome.item}"
            if isinstance(outcome, Failed):
                note_unreadable(check, f"{place}: {outcome.error}", outcome.error)
                continue
            check.checked += 1
            if outcome.result:
                check.fail(f"* {place}: {outcome.result[0]}")
    return [check]
