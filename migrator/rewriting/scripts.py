"""Rewriting the scripts that lie in the lake."""

from __future__ import annotations

import json

from migrator.errors import Unreadable
from migrator.planfile.file import PlanFile
from migrator.planfile.rows import PlannedObject
from migrator.results import Written
from migrator.scripts import Names
from migrator.scripts.stage import rewrite_bytes
from migrator.store import Content, Store


def script_names(plan: PlanFile) -> Names:
    """The names under which scripts know the lake, as the plan was made with them."""
    names = json.loads(plan.header()["script_names"])
    return Names(
        plan.layout.whole,  # a script may name what other plans move
        tuple(names["endpoints"]),
        tuple(names["aliases"]),
        names["checkpoints"],
        other_server=names["other_server"],
    )


class ScriptRewriter:
    """Rewrites scripts from the old buckets to the target. Safe to share between threads."""

    def __init__(self, store: Store, target_bucket: str, names: Names) -> None:
        self._store, self._bucket, self._names = store, target_bucket, names

    def __call__(self, planned: PlannedObject, replaces: str | None) -> Written:
        """Rewrite one script. At the target only an object with the ETag ``replaces`` is overwritten.

        Raises StoreError, Unreadable if it is not text, and Occupied if the target has an object with other bytes.
        """
        old = self._store.get(planned.bucket, planned.key, etag=planned.etag)
        done = rewrite_bytes(planned.key, old.data, self._names)
        if done is None:
            raise Unreadable(planned.place, "it is not the text that it was while planning")
        new = Content(done.text.encode(), "", old.attributes)
        etag = self._store.put(self._bucket, planned.target or "", new, replace=False, replaces=replaces)
        return Written(len(new.data), etag)
