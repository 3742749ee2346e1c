"""The fence: bucket policies that deny writes to the old buckets while a cutover works.

For each bucket the journal gets the old policy before the new one is set, so that after a crash the next command knows
what to give back. A policy that somebody else has changed meanwhile is not overwritten (issue 14).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.errors import MigrationFailed, MigratorError, RetireRefused, StoreError, first_lines
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import FENCE_LIFTED, FENCE_SET, Journal
from migrator.planfile.wave import places_in_use
from migrator.settings.compare import same_policy
from migrator.settings.kinds import FENCE
from migrator.settings.policies import MAX_BYTES
from migrator.store import Store
from migrator.store.policies import read_policy, write_policy

SID = FENCE
DENIED = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject")
"""What the fence denies. PutObject also covers copies and uploads in parts. Reading stays allowed."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """One bucket, its policy before the fence (None if it had none), and its policy with the fence."""

    bucket: str
    before: str | None
    fenced: str


@dataclass
class Lifted:
    """What became of a fence. ``given_back``: buckets that have their old policy again. ``changed``: buckets whose
    policy somebody else has changed since, which is left as it is; each with True if the fence is still in it."""

    given_back: list[str] = field(default_factory=list)
    changed: dict[str, bool] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """The messages for the user, one line for each bucket."""
        told = [f"s3://{bucket}/ has its old policy again: it can be written to." for bucket in self.given_back]
        for bucket, still in self.changed.items():
            end = f"remove the statement {SID} from it yourself" if still else "it has no fence any more"
            told.append(f"The policy of s3://{bucket}/ was changed by somebody else, and was left as it is: {end}.")
        return told

    @property
    def still_on(self) -> list[str]:
        """The buckets that still have the fence."""
        return [bucket for bucket, still in self.changed.items() if still]


def fences_on(journal: Journal) -> list[Fenced]:
    """The fences that this plan has set, or was about to set, and that have not been lifted since."""
    found: dict[str, Fenced] = {}
    for event in journal.events():
        if event["event"] == FENCE_SET:
            found[event["bucket"]] = Fenced(event["bucket"], event["before"], event["fenced"])
        elif event["event"] == FENCE_LIFTED:
            found.pop(event["bucket"], None)
    return list(found.values())


def plan_fence(plan: PlanFile, store: Store, journal: Journal) -> list[Fenced]:
    """The policies with which the old buckets are fenced; changes nothing. A bucket that this plan has fenced already
    keeps that policy. Raises StoreError or MigrationFailed if a bucket cannot be fenced."""
    folders: dict[str, list[str]] = {}
    for bucket, prefix in places_in_use(plan):
        folders.setdefault(bucket, []).append(prefix)
    known = {fence.bucket: fence for fence in fences_on(journal)}
    fences = []
    for bucket, prefixes in folders.items():
        now, fence = read_policy(store, bucket), known.get(bucket)
        is_on = fence is not None and same_policy(now, fence.fenced)
        fences.append(fence if fence is not None and is_on else _with_fence(bucket, now, prefixes))
    return fences


def _with_fence(bucket: str, before: str | None, prefixes: Iterable[str]) -> Fenced:
    policy: dict[str, Any] = json.loads(before) if before is not None else {"Version": "2012-10-17"}
    statements = policy.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    if any(statement.get("Sid") == SID for statement in statements):
        raise MigrationFailed(
            f"The policy of s3://{bucket}/ already has a statement {SID}, which this plan did not write.",
            next_move="If no other cutover is running, remove that statement, and run the same command again.",
        )
    resources = [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes]
    deny = {"Sid": SID, "Effect": "Deny", "Principal": "*", "Action": list(DENIED), "Resource": resources}
    fenced = json.dumps({**policy, "Statement": [*statements, deny]})
    if len(fenced.encode()) > MAX_BYTES:
        raise MigrationFailed(
            f"The policy of s3://{bucket}/ would have {len(fenced.encode()):,} bytes with the fence; "
            f"S3 accepts {MAX_BYTES:,}.",
            next_move="Shorten it, or stop the writers yourself and leave --fence out.",
        )
    return Fenced(bucket, before, fenced)


def set_fence(store: Store, journal: Journal, fences: Iterable[Fenced]) -> None:
    """Set these policies, and read each of them back. Raises StoreError or MigrationFailed; then, and after Ctrl-C, the
    buckets have their old policies again, or the error says that the fence may still be on."""
    known = fences_on(journal)
    try:
        for fence in fences:
            if fence in known:
                continue
            journal.event(FENCE_SET, bucket=fence.bucket, before=fence.before, fenced=fence.fenced)
            write_policy(store, fence.bucket, fence.fenced)
            if not same_policy(read_policy(store, fence.bucket), fence.fenced):
                raise StoreError(f"s3://{fence.bucket}: the server does not keep the policy that it was given.")
    except BaseException as error:
        lift_after(error, lambda: lift_fence(store, journal), journal.path)
        raise


def lift_fence(store: Store, journal: Journal) -> Lifted:
    """Give every fenced bucket its old policy back. May be called again. Raises StoreError if the server refuses."""
    result = Lifted()
    for fence in fences_on(journal):
        now = read_policy(store, fence.bucket)
        if same_policy(now, fence.fenced):
            write_policy(store, fence.bucket, fence.before)
            result.given_back.append(fence.bucket)
        elif not same_policy(now, fence.before):  # else it was not set yet, or was given back just before a crash
            result.changed[fence.bucket] = _has_fence(now)
        if not result.changed.get(fence.bucket, False):
            changed = fence.bucket in result.changed
            journal.event(FENCE_LIFTED, bucket=fence.bucket, how="changed by others" if changed else "given back")
    return result


def unfence_command(plan: str | Path) -> str:
    """The command that gives the old policies back. ``plan``: the path of the plan file."""
    return f"migrator cutover {shlex.quote(str(plan))} --unfence"


def lift_after(error: BaseException, lift: Callable[[], Lifted], plan: str | Path) -> None:
    """Give the old policies back by ``lift`` after an error. If that fails, the error says so, too. ``plan``: the path
    of the plan file."""
    try:
        lifted = lift()
        trouble = " ".join(lifted.lines) if lifted.changed else ""
    except MigratorError as failed:
        trouble = f"The fence may still be on: {failed} Try again: {unfence_command(plan)}"
    if isinstance(error, MigratorError) and trouble:
        error.next_move = f"{error.next_move} {trouble}".strip()


def _has_fence(policy: str | None) -> bool:
    statements = json.loads(policy or "{}").get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    return any(statement.get("Sid") == SID for statement in statements)


def check_no_fence(journal: Journal, plan: PlanFile) -> None:
    """Raises RetireRefused if old buckets are fenced: nothing can be deleted there."""
    if fences := fences_on(journal):
        lines = first_lines([f"s3://{fence.bucket}/" for fence in fences])
        raise RetireRefused(
            f"These old buckets are fenced by {plan.path}, so that nothing can be deleted there:\n{lines}\n",
            next_move=f"Give them their old policies back: {unfence_command(plan.path)}",
        )
