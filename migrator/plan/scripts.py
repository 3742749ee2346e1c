"""Reads the scripts of the lake, and plans those that name old paths: they are rewritten at the target. The old ones
stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.config import Settings
from migrator.errors import StoreError, Unreachable, Unreadable
from migrator.findings import Finding, counted
from migrator.plan.file_marks import mark_files
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import MOVES
from migrator.planfile.rows import ROLE_SCRIPT
from migrator.progress import Progress
from migrator.scripts import Names
from migrator.scripts.packed import names_old_path
from migrator.scripts.stage import rewrite_bytes
from migrator.store import Store

WORKERS = 16
MOST_SCRIPTS = 2_000
"""How many scripts are read in each bucket."""
MOST_BYTES = 1 << 20
"""The size up to which an object counts as a script."""
MOST_TOTAL = 32 << 20
"""How many bytes of scripts are read in each bucket."""

_SCRIPTS = f"target GLOB 'scripts/*' AND {MOVES} AND role IN ('', '{ROLE_SCRIPT}')"


@dataclass(frozen=True, slots=True)
class _Script:
    id: int
    bucket: str
    key: str
    etag: str


@dataclass
class _Total:
    """The counts for the scripts of a bucket. ``files``: those with paths that change; ``unread`` also counts scripts
    that are too large, or over the limit."""

    files: list[int] = field(default_factory=list)
    changes: int = 0
    doubts: int = 0
    unread: int = 0
    packed: int = 0
    """Files that are no text, or are packed, and name an old path."""
    example: str = ""
    """The key of one of them."""
    known: bool = False
    """True if some were not read again, so that their places are not counted."""

    def said(self, rewritten: bool) -> str:
        """The counts in words. ``rewritten``: True if the scripts are rewritten; False if they only would change."""
        files = counted(len(self.files), "file")
        verb = "is" if len(self.files) == 1 else "are"
        places = "" if self.known else f" in {counted(self.changes, 'place')}"
        said = [f"{files} {verb} rewritten at the target{places}" if rewritten else f"{files} would change{places}"]
        said += [f"{counted(self.doubts, 'place')} must be looked at"] if self.doubts else []
        if self.packed:
            files = f"{counted(self.packed, 'file')} that cannot be rewritten (packed, or no text)"
            said.append(f"{files} may name old paths, such as {self.example!r}")
        said += [f"{counted(self.unread, 'file')} not read"] if self.unread else []
        return ", ".join(said)


def known_scripts(plan: PlanFile) -> dict[tuple[str, str, str], bool]:
    """(bucket, key, ETag) of each script of this plan → whether it is rewritten."""
    query = f"SELECT bucket, key, etag, role FROM objects WHERE {_SCRIPTS}"
    return {(bucket, key, etag): role == ROLE_SCRIPT for bucket, key, etag, role in plan.db.execute(query)}


def plan_scripts(plan: PlanFile, store: Store, names: Names, settings: Settings, progress: Progress) -> None:
    """Mark the scripts that are rewritten, and report the scripts: one finding for each bucket. Raises Unreachable."""
    query = f"SELECT bucket, count(*), count(*) FILTER (WHERE size > 0) FROM objects WHERE {_SCRIPTS} GROUP BY bucket"
    for bucket, count, not_empty in plan.db.execute(query).fetchall():
        scripts = list(_first_scripts(plan, bucket))
        total = _Total(unread=not_empty - len(scripts))
        _judge(scripts, settings.known_scripts or {}, store, names, total, progress)
        if settings.rewrite_scripts:
            mark_files(plan, ROLE_SCRIPT, total.files)
        plan.add_finding(_finding(bucket, total, count, settings))


def _finding(bucket: str, total: _Total, count: int, settings: Settings) -> Finding:
    place = f"s3://{bucket}/"
    move = f'Run "{settings.rewrite_config(place)}" to see the places.' if total.files or total.doubts else ""
    if not settings.rewrite_scripts or not total.files:
        message = f"has scripts, which are copied as they are: {total.said(rewritten=False)}"
        return Finding.of("scripts-unchanged", place, message, move, count=count)
    message = f"has scripts with old paths: {total.said(rewritten=True)}"
    if settings.rules:
        move += " They get the new paths of all rules of the layout: carry out the other plans, too."
    return Finding.of("scripts-rewritten", place, message, move, count=count)


def _first_scripts(plan: PlanFile, bucket: str) -> Iterator[_Script]:
    rows = plan.db.execute(
        f"SELECT size, id, bucket, key, etag FROM objects WHERE {_SCRIPTS} AND bucket = ?"
        f" AND size BETWEEN 1 AND {MOST_BYTES} ORDER BY key LIMIT {MOST_SCRIPTS}",
        (bucket,),
    )
    left = MOST_TOTAL
    for size, *script in rows:
        left -= size
        if left < 0:
            return
        yield _Script(*script)


def _judge(
    scripts: list[_Script],
    known: Mapping[tuple[str, str, str], bool],
    store: Store,
    names: Names,
    total: _Total,
    progress: Progress,
) -> None:
    """Read these scripts except those that are known. Scripts that the server refuses to return are counted."""
    new = []
    for script in scripts:
        rewritten = known.get((script.bucket, script.key, script.etag))
        if rewritten is None:
            new.append(script)
        else:
            total.known = True
            total.files += [script.id] if rewritten else []

    def look(script: _Script) -> tuple[int, int, bool]:
        data = store.get(script.bucket, script.key, etag=script.etag).data
        done = rewrite_bytes(script.key, data, names)
        if done is None:  # a person must change a file that is not UTF-8 text and names an old path
            return 0, 0, bool(names_old_path(script.key, data, names))
        return len(done.changes), len(done.doubts), False

    with progress.stage("reading scripts", objects=len(new), unit="scripts") as stage:
        for outcome in run_in_threads(look, new, workers=WORKERS):
            stage.advance(1)
            if isinstance(outcome, Failed):
                if isinstance(outcome.error, Unreachable) or not isinstance(outcome.error, StoreError | Unreadable):
                    raise outcome.error
                total.unread += 1
                continue
            changes, doubts, packed = outcome.result
            if packed:
                total.packed += 1
                total.example = min(total.example or outcome.item.key, outcome.item.key)
            total.files += [outcome.item.id] if changes else []
            total.changes += changes
            total.doubts += doubts
