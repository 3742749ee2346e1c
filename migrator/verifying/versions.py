"""Checks that the older versions are at the target, each key's history in the same order; for ``--deep`` also their
bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from migrator.concurrency.threads import run_in_threads
from migrator.inventory.listing import Listing
from migrator.inventory.versions import OF_HINT, TargetVersion, TargetVersions, match_history
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import COPY, PlannedVersion
from migrator.progress import Progress
from migrator.store import Store
from migrator.verifying.checks import Check, note_comparison
from migrator.verifying.old_buckets import OldBuckets

Pair = tuple[PlannedVersion, TargetVersion]
"""A planned version, and the one at the target that is its copy."""


def check_versions(
    plan: PlanFile, store: Store, old: OldBuckets, progress: Progress, *, cut_over: bool, deep: bool
) -> list[Check]:
    """List the target's versions and compare every key's history with them; ``deep`` compares the bytes, too.

    Versions of version hints are only expected when the tables are ``cut_over``.
    """
    check = Check("every older version is at the target, in its order", "versions")
    target = TargetVersions(plan, store, plan.layout.target_bucket)
    with progress.stage("listing the target's versions", unit="versions") as stage:
        target.list_all(Listing(plan.db).keys(), stage)
    pairs = _pairs(plan, target, "1" if cut_over else f"NOT {OF_HINT}", check)
    if deep:
        return [check, _compare_bytes(plan, store, old, progress, pairs)]
    for _ in pairs:
        pass
    return [check]


def _pairs(plan: PlanFile, target: TargetVersions, where: str, check: Check) -> Iterator[Pair]:
    """Check history by history, and yield each version with its copy."""
    for history in plan.histories(where):
        place = f"s3://{plan.layout.target_bucket}/{history[0].target}"
        ids = sorted(version.id for version in history)
        query = "SELECT * FROM versions_done WHERE version_id BETWEEN ? AND ?"
        etags = dict(plan.db.execute(query, (ids[0], ids[-1])))
        check.checked += len(history)
        if history[0].action == COPY and history[0].id not in etags:
            check.fail(f"- {place}: {len(history)} older versions are not migrated yet")
            continue
        written = [replace(version, etag=etags.get(version.id, version.etag)) for version in history]
        # The planner compared the versions that were at the target before. For them, as for objects, an equal size is
        # enough here; a version that we wrote must have the ETag in the journal.
        same_bytes = _never if history[0].id in etags else _always
        match = match_history(written, None, target.of(history[0].target), same_bytes)
        if match is None or len(match.versions) < len(history):
            check.fail(f"* {place}: not all of its {len(history)} older versions are there in their order")
            continue
        yield from zip(history, match.versions, strict=True)


def _compare_bytes(plan: PlanFile, store: Store, old: OldBuckets, progress: Progress, pairs: Iterable[Pair]) -> Check:
    check = Check("older versions are the same byte for byte", "versions")
    count, size = plan.db.execute("SELECT count(*), total(size) FROM versions WHERE NOT marker").fetchone()

    def compare(pair: Pair) -> bool | str:
        planned, copy = pair
        # A version never changes. But "null" is the id of whichever version was written last without versioning.
        etag = planned.etag if planned.version_id == "null" else None
        digest = store.sha256(plan.layout.target_bucket, copy.key, copy.version_id)
        return old.has_digest(digest, planned.bucket, planned.key, planned.version_id, etag)

    with progress.stage("comparing older versions", objects=count, size=int(size), unit="versions") as stage:
        plain = (pair for pair in pairs if not pair[0].marker)
        for outcome in run_in_threads(compare, plain, workers=store.concurrency):
            stage.advance(1, outcome.item[0].size)
            note_comparison(check, outcome, f"{outcome.item[0].place}: its bytes differ at the target")
    return check


def _never(_: PlannedVersion, __: TargetVersion) -> bool:
    return False


def _always(_: PlannedVersion, __: TargetVersion) -> bool:
    return True
