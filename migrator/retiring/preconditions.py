"""What must be true of a plan before anything of it is deleted: it was carried out and verified long enough ago, its
log was not changed, and no newer plan replaces it. Every check raises if it is not."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from migrator.errors import ConfigError, MigratorError, RetireRefused
from migrator.planfile import log
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_DONE, FINISHED, ROLLBACK_BEGUN, Journal
from migrator.target import TargetGuard
from migrator.target.record import CUT_OVER

NOTHING_DELETED = " Nothing was deleted."
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_cooling(text: str) -> timedelta:
    """The time that a text such as ``7d``, ``12h``, ``30m`` or ``0`` stands for. Raises ConfigError."""
    match = re.fullmatch(r"([0-9]{1,6})([smhdw]?)", text.strip())
    if match is None or (not match[2] and int(match[1])):
        raise ConfigError(f"{text!r} is not a time.", next_move="Write it like 7d, 12h or 0.")
    return timedelta(**{_UNITS[match[2] or "s"]: int(match[1])})


def check_target_is_apart(plan: PlanFile) -> None:
    """The target is none of the old buckets. A layout does not allow that; this checks it again. Raises
    RetireRefused."""
    layout, header = plan.layout, plan.header()
    target = layout.target_bucket
    inside = any(
        plan.lookup(f"SELECT 1 FROM {table} WHERE bucket = ? LIMIT 1", (target,)) for table in ("objects", "versions")
    )
    if target in layout.buckets or target != header["target_bucket"] or inside:
        raise RetireRefused(f"{plan.path}: the target {target!r} is one of the old buckets. Nothing was deleted.")


def check_finished(plan: PlanFile, journal: Journal, cooling: timedelta, now: datetime | None = None) -> None:
    """The plan was cut over and verified since the last rollback, at least ``cooling`` ago by the log's own times.
    Raises RetireRefused. ``now``: the present time; only tests give another one."""
    if journal.has(ROLLBACK_BEGUN):
        raise RetireRefused(
            f"{plan.path}: a rollback of this plan has begun and is not finished.",
            next_move=f"Finish it: migrator rollback {plan.path}",
        )
    if not journal.has(CUTOVER_DONE):
        raise RetireRefused(
            f"{plan.path} is not cut over: the lake still lives in the old buckets.",
            next_move=f"Carry it out first: migrator migrate {plan.path}",
        )
    finished = journal.last_at(FINISHED)
    if finished is None:
        raise RetireRefused(
            f"{plan.path} is cut over, but the verification after it did not pass.",
            next_move=f"Run it again, which verifies: migrator migrate {plan.path}",
        )
    age = (now or datetime.now(timezone.utc)) - finished
    if age < timedelta(0):
        raise RetireRefused(
            f"{plan.path} was finished at {finished:%Y-%m-%d %H:%M} UTC, which is in the future.",
            next_move="Correct the clock of this machine.",
        )
    if age < cooling:
        raise RetireRefused(
            f"{plan.path} was finished at {finished:%Y-%m-%d %H:%M} UTC; its old buckets are kept until "
            f"{finished + cooling:%Y-%m-%d %H:%M} UTC.",
            next_move="Wait, or set a shorter time with --cooling.",
        )


def check_log(plan: PlanFile) -> None:
    """No entry of the log was changed, removed or put in. Raises RetireRefused."""
    if changed := log.difference(plan.db):
        raise _log_changed(plan, changed)


def check_record(plan: PlanFile, guard: TargetGuard) -> None:
    """The target's record says that this plan is cut over and has the same log, and no newer plan was carried out
    there. Raises PlanStale or RetireRefused."""
    guard.check_not_superseded(NOTHING_DELETED)
    record = guard.record()
    if record is None or record.state != CUT_OVER:
        state = f"has it as {record.state!r}" if record else "does not know it"
        raise RetireRefused(
            f"{plan.path} is cut over by its log, but the target's record {state}.",
            next_move="Use the plan file with which the migration was carried out.",
        )
    if changed := guard.log_difference():
        raise _log_changed(plan, changed)


def _log_changed(plan: PlanFile, what: str) -> MigratorError:
    return RetireRefused(
        f"The log of {plan.path} was changed: {what}. So its entries prove nothing; nothing was deleted.",
        next_move=f"See it with: migrator log {plan.path}. Restore the plan file from a copy.",
    )
