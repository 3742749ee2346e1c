"""Finds the checkpoints and sink logs of Spark's streams in a plan, and which of them streams already use at the
target."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrator.carriers.checkpoints import COMMITS, METADATA, NARROW, OFFSETS, Checkpoint, Part, part_of
from migrator.carriers.kinds import sink_log
from migrator.inventory.listing import TARGET
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import MOVES, keys_under
from migrator.planfile.rows import LOCAL

_PARTS = f"SELECT id, bucket, key, target, action FROM objects WHERE {MOVES} AND ({NARROW})"
_SINK_LOGS = f"SELECT target FROM objects WHERE {MOVES} AND target GLOB '*_spark_metadata/[0-9]*'"
_LISTED = f"SELECT key FROM {TARGET} WHERE key >= ? AND key < ?"


@dataclass
class PlannedCheckpoint:
    """A checkpoint in an old bucket. ``root``: its folder, "" for the bucket itself; ``target``: its new folder;
    ``parts``: id of each object → its part; ``id_action``: the action for the file with the id of the stream, "" if
    there is none."""

    bucket: str
    root: str
    target: str
    checkpoint: Checkpoint = field(default_factory=Checkpoint.empty)
    parts: dict[int, Part] = field(default_factory=dict)
    id_action: str = ""

    @property
    def place(self) -> str:
        """The folder as a URI with a slash at its end."""
        start = "file:///" if self.bucket == LOCAL else f"s3://{self.bucket}/"
        return f"{start}{self.root}/" if self.root else start


def checkpoints(plan: PlanFile) -> list[PlannedCheckpoint]:
    """The checkpoints of the plan, by place."""
    found: dict[tuple[str, str], PlannedCheckpoint] = {}
    for number, bucket, key, target, action in plan.db.execute(_PARTS):
        part, there = part_of(key), part_of(target)
        if part is None or there is None:
            continue
        checkpoint = found.setdefault((bucket, part.root), PlannedCheckpoint(bucket, part.root, there.root))
        checkpoint.checkpoint.add(part)
        checkpoint.parts[number] = part
        checkpoint.id_action = action if part.kind == METADATA else checkpoint.id_action
    return [found[place] for place in sorted(found) if found[place].checkpoint.is_one]


def newest_at_target(plan: PlanFile, root: str) -> int:
    """The number of the newest batch of the checkpoint in this folder of the target, which was listed; -1 if there is
    none."""
    numbers = [-1]
    for kind in (OFFSETS, COMMITS):
        folder = f"{root}/{kind}" if root else kind
        parts = (part_of(key) for (key,) in plan.db.execute(_LISTED, keys_under(folder)))
        numbers += [part.number for part in parts if part is not None and part.root == root]
    return max(numbers)


def sink_logs(plan: PlanFile) -> dict[str, int]:
    """Folder of each sink log at the target → the highest number of the files that the plan puts there."""
    newest: dict[str, int] = {}
    for (target,) in plan.db.execute(_SINK_LOGS):
        if (found := sink_log(target)) is not None:
            newest[found[0]] = max(newest.get(found[0], -1), found[1])
    return newest


def has_newer_log(plan: PlanFile, folder: str, newest: int) -> bool:
    """True if the listed target has a file with a higher number in this folder of a sink log."""
    found = (sink_log(key) for (key,) in plan.db.execute(_LISTED, keys_under(folder)))
    return any(log is not None and log[0] == folder and log[1] > newest for log in found)


def streams_at_target(plan: PlanFile) -> set[str]:
    """The folders of checkpoints and sink logs at the target that have a newer batch than the plan puts there: their
    streams run at the target, and remove old files there. The target must be listed."""
    used = {one.target for one in checkpoints(plan) if newest_at_target(plan, one.target) > one.checkpoint.newest}
    return used | {folder for folder, newest in sink_logs(plan).items() if has_newer_log(plan, folder, newest)}
