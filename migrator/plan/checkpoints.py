"""Plans the checkpoints of Spark's streams: which of them lack files, which are in use at the target already, and which
of their files are copied last."""

from __future__ import annotations

from migrator.carriers.checkpoints import COMMITS, COPIED_LAST, METADATA, OFFSETS, Checkpoint, part_of
from migrator.findings import EXAMPLES, Finding, first_of
from migrator.inventory import advice
from migrator.inventory.listing import is_at_target
from migrator.inventory.streams import (
    PlannedCheckpoint,
    checkpoints,
    has_newer_log,
    newest_at_target,
    sink_logs,
)
from migrator.layout import Layout
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import keys_under
from migrator.planfile.rows import CONFLICT, LOCAL, SAME, SKIP
from migrator.store import Store

_LACKS = "checkpoint-incomplete"
ATTEMPTS = 3
"""How often a checkpoint is listed that seems to lack files: its stream may write during a listing."""

# Objects that are at the target already stay in the plan. The others must not be copied again: the stream has removed
# them there.
_LEAVE = f"""
UPDATE objects SET action = '{SKIP}' WHERE target >= ? AND target < ? AND action <> '{SAME}'
"""
_SOME_OTHER = f"SELECT 1 FROM objects WHERE target >= ? AND target < ? AND action = '{CONFLICT}'"


def plan_checkpoints(plan: PlanFile, store: Store, layout: Layout) -> set[str]:
    """Add a finding for each checkpoint that lacks files, and for each stream that goes on at the target; note the
    files that are copied last. The target must be listed, and the actions of all objects known.

    Returns the folders at the target, without slashes at their ends, that streams use there."""
    found: list[Finding] = []
    used: set[str] = set()
    for one in checkpoints(plan):
        if _is_used(plan, one):
            used.add(one.target)
            continue
        listed = one.checkpoint.trouble()
        if trouble := listed if one.bucket == LOCAL else trouble_now(store, one.bucket, one.root, listed, layout):
            move = f'Let its stream run once more, and plan again. Or copy it as it is: [plan] accept = ["{_LACKS}"].'
            if one.bucket != LOCAL:
                move += f" Or leave it where it is: {advice.leave_folder(layout, one.bucket, one.root)}."
            found.append(Finding.of(_LACKS, one.place, f"is the checkpoint of a stream, and {trouble}", move))
        rows = [(id_, COPIED_LAST.index(part.kind)) for id_, part in one.parts.items() if part.kind in COPIED_LAST]
        plan.db.executemany("INSERT INTO copied_last VALUES (?, ?)", rows)
    for folder, newest in sink_logs(plan).items():
        if has_newer_log(plan, folder, newest) and not plan.db.execute(_SOME_OTHER, keys_under(folder)).fetchone():
            used.add(folder)
    found += [_leave(plan, layout, folder) for folder in sorted(used)]
    for code in sorted({finding.code for finding in found}):
        for first, count in first_of([finding for finding in found if finding.code == code], EXAMPLES):
            plan.add_finding(Finding.of(code, first.place, first.message, first.next_move, count=count))
    return used


def _is_used(plan: PlanFile, one: PlannedCheckpoint) -> bool:
    """True if the stream of this checkpoint goes on at the target: there is a newer batch, and the id is the same."""
    same_id = one.id_action == SAME
    if not one.id_action:  # retire has deleted the old checkpoint, or it was lost
        same_id = is_at_target(plan, f"{one.target}/{METADATA}" if one.target else METADATA)
    return same_id and newest_at_target(plan, one.target) > one.checkpoint.newest


def _leave(plan: PlanFile, layout: Layout, folder: str) -> Finding:
    """Copy nothing more to this folder of the target."""
    plan.db.execute(_LEAVE, keys_under(folder))
    place = f"s3://{layout.target_bucket}/{folder}/"
    return Finding.of("migrated-stream", place, "is in use: a stream has written newer batches there")


def trouble_now(store: Store, bucket: str, root: str, trouble: str, layout: Layout | None = None) -> str:
    """What the checkpoint in this folder lacks now; "" if it is complete. ``trouble``: what it lacked in an earlier
    listing; if that is "", nothing is listed. ``layout``: only objects that it moves count."""

    def counts(key: str) -> bool:
        return layout is None or layout.map_key(bucket, key) is not None

    for _ in range(ATTEMPTS):
        if not trouble:
            break
        folder = f"{root}/" if root else ""
        name = f"{folder}{METADATA}"
        now = Checkpoint(set(), set(), counts(name) and store.find(bucket, name) is not None)
        for kind in (OFFSETS, COMMITS):
            for stored in store.list(bucket, f"{folder}{kind}/"):
                part = part_of(stored.key)
                if part is not None and part.root == root and counts(stored.key):
                    now.add(part)
        trouble = now.trouble()
    return trouble
