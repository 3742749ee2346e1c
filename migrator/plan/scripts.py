"""Reads the scripts of the lake, and says how many of them name old paths. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import StoreError, Unreachable
from migrator.findings import Finding, counted
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import MOVES
from migrator.progress import Progress
from migrator.scripts import Names, rewrite_text
from migrator.scripts.files import decode
from migrator.store import Store

WORKERS = 16
MOST_SCRIPTS = 2_000
"""How many scripts are read in each bucket."""
MOST_BYTES = 1 << 20
"""The size up to which an object counts as a script."""
MOST_TOTAL = 32 << 20
"""How many bytes of scripts are read in each bucket."""

_SCRIPTS = f"target GLOB 'scripts/*' AND {MOVES}"


@dataclass(frozen=True, slots=True)
class _Script:
    bucket: str
    key: str
    etag: str


@dataclass(frozen=True, slots=True)
class _Total:
    """What the scripts of a bucket hold. ``unread`` also counts what is too large, or one too many."""

    files: int = 0
    changes: int = 0
    doubts: int = 0
    unread: int = 0

    def __str__(self) -> str:
        said = [f"{counted(self.files, 'file')} would change in {counted(self.changes, 'place')}"]
        said += [f"{counted(self.doubts, 'place')} must be looked at"] if self.doubts else []
        said += [f"{counted(self.unread, 'file')} not read"] if self.unread else []
        return ", ".join(said)


def find_scripts(plan: PlanFile, store: Store, names: Names, progress: Progress, *, read: bool) -> None:
    """Report the scripts: one finding for each bucket. ``read``: also say what they hold. Raises Unreachable."""
    query = f"SELECT bucket, count(*), count(*) FILTER (WHERE size > 0) FROM objects WHERE {_SCRIPTS} GROUP BY bucket"
    for bucket, count, not_empty in plan.db.execute(query).fetchall():
        message, move = "are copied as they are", 'Run "migrator rewrite-config" on your own copies of them.'
        if read:
            scripts = list(_first_scripts(plan, bucket))
            total = _read(scripts, store, names, progress)
            message += f": {replace(total, unread=total.unread + not_empty - len(scripts))}"
        plan.add_finding(Finding.of("scripts-unchanged", f"s3://{bucket}/", message, move, count=count))


def _first_scripts(plan: PlanFile, bucket: str) -> Iterator[_Script]:
    rows = plan.db.execute(
        f"SELECT size, bucket, key, etag FROM objects WHERE {_SCRIPTS} AND bucket = ?"
        f" AND size BETWEEN 1 AND {MOST_BYTES} ORDER BY key LIMIT {MOST_SCRIPTS}",
        (bucket,),
    )
    left = MOST_TOTAL
    for size, *script in rows:
        left -= size
        if left < 0:
            return
        yield _Script(*script)


def _read(scripts: list[_Script], store: Store, names: Names, progress: Progress) -> _Total:
    """Read these scripts. What is not text holds nothing; what the server refuses is counted."""

    def look(script: _Script) -> tuple[int, int]:
        text = decode(store.get(script.bucket, script.key, etag=script.etag).data)
        done = rewrite_text(text, names) if text is not None else None
        return (len(done.changes), len(done.doubts)) if done else (0, 0)

    total = _Total()
    with progress.stage("reading scripts", objects=len(scripts)) as stage:
        for outcome in run_in_threads(look, scripts, workers=WORKERS):
            stage.advance(1)
            if isinstance(outcome, Failed):
                if isinstance(outcome.error, Unreachable) or not isinstance(outcome.error, StoreError):
                    raise outcome.error
                total = replace(total, unread=total.unread + 1)
                continue
            changes, doubts = outcome.result
            total = _Total(total.files + bool(changes), total.changes + changes, total.doubts + doubts, total.unread)
    return total
