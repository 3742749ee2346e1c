"""Checks that rewritten logs of streams, and lists of files for other engines, name the copies and are else unchanged.

Each line is compared with the same line of the log in the old bucket, if that still exists, by other code than that
which rewrote it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, BinaryIO
from urllib.parse import unquote

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import MigratorError
from migrator.inventory.listing import TARGET
from migrator.inventory.modified import ModifiedTimes
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import WRITTEN_OR_SAME, count_objects
from migrator.planfile.rows import LOCAL, LOG_ROLES, OBJECT_COLUMNS, ROLE_SYMLINK, TIMED_ROLES, PlannedObject
from migrator.progress import Progress
from migrator.rewriting.local_files import opened
from migrator.store import Store
from migrator.verifying.checks import Check, note_unreadable
from migrator.verifying.old_buckets import OldBuckets
from migrator.verifying.unreadable import refusal

WORKERS = 8
_LOGS = f"{WRITTEN_OR_SAME} AND role IN {LOG_ROLES}"
# The logs at the target that are as written or planned. Other logs are reported with the objects; a stream that runs at
# the target replaces and removes some.
_AS_WRITTEN = f"""
SELECT {OBJECT_COLUMNS} FROM objects WHERE {_LOGS} AND EXISTS (
  SELECT 1 FROM {TARGET} t LEFT JOIN done d ON d.object_id = objects.id
  WHERE t.key = objects.target AND t.etag = coalesce(d.etag, objects.target_etag))
"""


def check_logs(plan: PlanFile, store: Store, old: OldBuckets, progress: Progress, *, times: bool) -> list[Check]:
    """The check of the rewritten logs; none if the plan has none. The target must be listed.

    ``times``: the times in the logs must be LastModified of each copy. That is true until the target is in use.
    """
    count, size = count_objects(plan.db, _LOGS)
    if not count:
        return []
    check = Check("logs of streams and lists of files name the copies", "files")
    logs = [PlannedObject(*row) for row in plan.db.execute(_AS_WRITTEN).fetchall()]
    reader = _Reader(plan, store, old, times=times)
    with progress.stage("checking logs", objects=count, size=size, unit="files") as stage:
        for outcome in run_in_threads(reader.look, logs, workers=WORKERS):
            stage.advance(1, outcome.item.size)
            place = f"s3://{plan.layout.target_bucket}/{outcome.item.target}"
            if isinstance(outcome, Failed):
                note_unreadable(check, f"{place}: {outcome.error}", outcome.error)
                continue
            check.checked += 1
            if outcome.result.problem:
                check.fail(f"* {place}: {outcome.result.problem}")
            elif outcome.result.why_not:
                check.skip(f"line by line with the old log: {outcome.result.why_not}")
    return [check]


@dataclass
class _Seen:
    """What is wrong with a log, or ""; and why its lines were not compared with the old ones."""

    problem: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class _Line:
    """One line: its path, decoded; its time; and everything else in it."""

    path: str = ""
    time: object = None
    rest: object = ""


class _Reader:
    """Reads logs at the target and in the old buckets. Safe to share between threads."""

    def __init__(self, plan: PlanFile, store: Store, old: OldBuckets, *, times: bool) -> None:
        self._layout, self._store, self._old = plan.layout, store, old
        self._times = ModifiedTimes(store, plan.layout.target_bucket) if times else None

    def look(self, planned: PlannedObject) -> _Seen:
        """Read one log. Raises StoreError if the one at the target cannot be read."""
        with ExitStack() as stack:
            at_target = self._store.download(self._layout.target_bucket, planned.target or "")
            new = stack.enter_context(at_target).file
            why_not, old = "" if planned.bucket == LOCAL else self._old.gone(planned.bucket), None
            if not why_not:
                try:
                    old = stack.enter_context(opened(self._store, planned)).file
                except MigratorError as error:
                    why_not = refusal(error)
            return _Seen(next(self._problems(planned, new, old), ""), why_not)

    def _problems(self, planned: PlannedObject, new: BinaryIO, old: BinaryIO | None) -> Iterator[str]:
        role, times = planned.role, self._times_at_target(planned, new)
        pairs = zip_longest(new, old) if old is not None else ((line, None) for line in new)
        for number, (now, before) in enumerate(pairs, start=1):
            line = _parsed(role, now or b"")
            if line.path and self._layout.new_path(line.path) not in (None, line.path):
                yield f"line {number} names the old place {line.path}"
            if old is not None and not self._as_expected(line, _parsed(role, before or b""), times):
                yield f"line {number} differs from that of the old log with the new path"

    def _as_expected(self, now: _Line, before: _Line, times: Mapping[str, int] | None) -> bool:
        path = self._layout.new_path(before.path) or before.path
        if (now.path, now.rest) != (path, before.rest):
            return False
        time = before.time if times is None or path == before.path else times.get(path, before.time)
        return times is None or now.time == time

    def _times_at_target(self, planned: PlannedObject, new: BinaryIO) -> Mapping[str, int] | None:
        """URI → LastModified, rounded up to whole seconds, of the copies that a log names; in milliseconds. None if
        times are not compared."""
        if planned.role not in TIMED_ROLES or self._times is None:
            return None
        bucket = self._layout.target_bucket
        paths = (_parsed(planned.role, line).path for line in new)
        at_target = [at for path in paths if (at := Location.parse(path)) and at.bucket == bucket]
        new.seek(0)
        times = self._times.of(planned.target or "", {at.key for at in at_target})
        return {at.uri: math.ceil(times[at.key] / 1000) * 1000 for at in at_target if at.key in times}


def _parsed(role: str, line: bytes) -> _Line:
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if role == ROLE_SYMLINK:
        return _Line(path=text)
    try:
        entry: Any = json.loads(text)
    except ValueError:
        return _Line(rest=text)
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        return _Line(rest=entry)
    return _Line(unquote(entry.pop("path")), entry.pop(TIMED_ROLES[role], None), entry)
