"""Finds rewritten logs of streams at the target that lack the times of the copies: a run may have ended between the
copies and the logs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from urllib.parse import unquote

from migrator.carriers.logs import log_time
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import NotFound
from migrator.layout import Location
from migrator.planfile.rows import TIMED_ROLES
from migrator.store import Store

WORKERS = 16


Times = Callable[[str, Collection[str]], Mapping[str, int]]
"""Key of a log, keys of files that it names → key of each file that is there, and its LastModified in milliseconds."""


def stale_logs(store: Store, bucket: str, logs: Iterable[tuple[int, str, str]], times: Times) -> list[int]:
    """The ids of those logs in the target ``bucket`` in which a file has another time than its copy. ``logs``: (id,
    key, role) each. Raises StoreError."""

    def read(log: tuple[int, str, str]) -> bytes:
        return store.get(bucket, log[1]).data

    stale = []
    for outcome in run_in_threads(read, [log for log in logs if log[2] in TIMED_ROLES], workers=WORKERS):
        number, key, role = outcome.item
        if isinstance(outcome, Failed):
            if not isinstance(outcome.error, NotFound):
                raise outcome.error
        else:
            named = _times_in(outcome.result, bucket, TIMED_ROLES[role])
            copies = times(key, named.keys())
            if any(named[file] != log_time(modified) for file, modified in copies.items()):
                stale.append(number)
    return stale


def _times_in(data: bytes, bucket: str, time_key: str) -> dict[str, object]:
    """Key → time of each file in ``bucket`` that a log names."""
    found: dict[str, object] = {}
    for line in data.split(b"\n")[1:]:
        try:
            entry = json.loads(line)
            at = Location.parse(unquote(entry["path"]))
        except (ValueError, KeyError, TypeError):
            continue  # not in the form that migrator writes: a stream has written it since
        if at is not None and at.bucket == bucket:
            found[at.key] = entry.get(time_key)
    return found
