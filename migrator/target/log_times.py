"""Do the rewritten logs of streams at the target have the times of the copies there? A run may have ended between the
copies and the logs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import unquote

from migrator.carriers.logs import log_time
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import NotFound
from migrator.inventory.listing import TARGET
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import TIMED_ROLES
from migrator.store import Store

WORKERS = 16


def stale_logs(plan: PlanFile, store: Store, bucket: str, logs: Iterable[tuple[int, str, str]]) -> list[int]:
    """The ids of those logs at the target in which a file has another time than its copy. ``logs``: (id, key in the
    target bucket, role). The target must be listed, and nothing written there since. Raises StoreError."""

    def read(log: tuple[int, str, str]) -> bytes:
        return store.get(bucket, log[1]).data

    stale = []
    for outcome in run_in_threads(read, [log for log in logs if log[2] in TIMED_ROLES], workers=WORKERS):
        number, _, role = outcome.item
        if isinstance(outcome, Failed):
            if not isinstance(outcome.error, NotFound):
                raise outcome.error
        elif _is_stale(plan, bucket, outcome.result, TIMED_ROLES[role]):
            stale.append(number)
    return stale


def _is_stale(plan: PlanFile, bucket: str, data: bytes, time_key: str) -> bool:
    for line in data.split(b"\n")[1:]:
        try:
            entry = json.loads(line)
            at = Location.parse(unquote(entry["path"]))
        except (ValueError, KeyError, TypeError):
            continue  # not as migrator writes it: a stream has written it since
        if at is None or at.bucket != bucket:
            continue
        row = plan.db.execute(f"SELECT modified FROM {TARGET} WHERE key = ?", (at.key,)).fetchone()
        if row is not None and entry.get(time_key) != log_time(row[0]):
            return True
    return False
