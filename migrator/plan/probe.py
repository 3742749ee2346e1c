"""What planning measures for the estimates: how fast the servers are, by a few small requests of our own.

It runs after the preflight, and also writes only below ``.migrator/`` in the target and removes everything again. It is
left out if nothing is to be written. If the target cannot be written to, only reads are measured.
"""

from __future__ import annotations

import time
from dataclasses import replace

from migrator.findings import Finding
from migrator.layout import Layout
from migrator.plan.timing import TimedProgress
from migrator.planfile.file import PlanFile
from migrator.planfile.measured import Measured
from migrator.planfile.queries import COPIED, TO_WRITE
from migrator.planfile.rows import COPY, LOCAL
from migrator.store import Store, probe_part_copies
from migrator.store.look import ARCHIVES
from migrator.store.speed import Speeds, Wanted, measure

AT_ONCE = 48
"""Small requests at once: enough to keep a server busy, and over soon."""
LARGE = 8 << 20
"""From this size in bytes, the time of a copy depends more on the bytes than on the request."""
MUCH = 64 << 20
"""From this many bytes in all, the speed of copying bytes is measured even if no single object is large."""
NOTHING_TO_DO = "there is nothing to copy or to rewrite"
SKIPPED = "the plan was made with --no-preflight"
NO_TARGET = "the target bucket does not exist yet, so only reads were measured"
NO_RIGHTS = "the preflight could not write to the target, so only reads were measured"

_READABLE = f"bucket <> '{LOCAL}' AND role = '' AND storage_class NOT IN {ARCHIVES}"
_OLDER = f"action = '{COPY}'"


def measure_speed(
    plan: PlanFile, store: Store, layout: Layout, timed: TimedProgress, *, preflight: bool, target_exists: bool
) -> Measured:
    """Measure the servers, and add how long the stages of planning took. ``preflight``: trial requests are allowed."""
    measured = Measured(
        listed=timed.rate("listing the old buckets"), table_files=_table_files(plan, timed.seconds["reading tables"])
    )
    objects, versions = (
        f"SELECT count(*) FROM objects WHERE {TO_WRITE}",
        f"SELECT count(*) FROM versions WHERE {_OLDER}",
    )
    count = sum(int(plan.db.execute(query).fetchone()[0]) for query in (objects, versions))
    if not count:
        return replace(measured, why_not=NOTHING_TO_DO)
    if not preflight:
        return replace(measured, why_not=SKIPPED)
    why_not = NO_TARGET if not target_exists else "" if may_write(plan, layout.target_bucket) else NO_RIGHTS
    with timed.stage("measuring the servers", unit=""):
        began = time.monotonic()
        wanted = _wanted(plan, store, min(AT_ONCE, count), write=not why_not)
        speeds = measure(store, layout.target_bucket, wanted)
        whole = _whole_keeps_etag(plan, store, layout.target_bucket) if not why_not and not speeds.trouble else None
        took = time.monotonic() - began
    _report_left(plan, speeds)
    return replace(
        measured,
        copies=speeds.copies,
        reads=speeds.reads,
        seconds_per_read=speeds.seconds_per_read,
        copied_bytes=speeds.copied_bytes,
        read_bytes=speeds.read_bytes,
        honours_conditions=speeds.honours_conditions,
        whole_keeps_etag=whole,
        at_once=wanted.at_once,
        probe_seconds=took,
        why_not=speeds.trouble or why_not if speeds.copies is None else "",
    )


def _table_files(plan: PlanFile, seconds: float) -> float | None:
    """How many files of tables planning has read per second."""
    query = "SELECT total(snapshots) + total(manifests) + count(snapshots) FROM tables"
    (files,) = plan.db.execute(query).fetchone()
    return files / seconds if files and seconds > 0 else None


def may_write(plan: PlanFile, bucket: str) -> bool:
    """True if the preflight could write to the target and remove what it wrote."""
    codes = "('missing-permission', 'preflight-incomplete')"
    query = f"SELECT 1 FROM findings WHERE code IN {codes} AND instr(place, ?) = 1"
    return plan.db.execute(query, (f"s3://{bucket}/",)).fetchone() is None


def _wanted(plan: PlanFile, store: Store, at_once: int, *, write: bool) -> Wanted:
    across = store.ends[0] is not store.ends[1]
    samples: list[tuple[str, str]] = []
    if across or not write:
        query = f"SELECT bucket, key FROM objects WHERE {TO_WRITE} AND {_READABLE} AND size > 0 LIMIT ?"
        samples = plan.db.execute(query, (at_once,)).fetchall()
    query = f"SELECT total(size), bucket, key, max(size) FROM objects WHERE {COPIED} AND {_READABLE}"
    total, bucket, key, size = plan.db.execute(query).fetchone()
    large = bool(size) and (size >= LARGE or total >= MUCH)
    return Wanted(at_once, write, large, samples, (bucket, key, size) if large else None)


def _whole_keeps_etag(plan: PlanFile, store: Store, bucket: str) -> bool | None:
    """Whether a copy in one request keeps the ETag of an upload in parts; None if the plan has no such object."""
    query = f"SELECT 1 FROM objects WHERE {COPIED} AND size > {LARGE} AND etag LIKE '%-%' LIMIT 1"
    if store.ends[0] is not store.ends[1] or plan.db.execute(query).fetchone() is None:
        return None
    return probe_part_copies(store, bucket).whole_keeps_etag


def _report_left(plan: PlanFile, speeds: Speeds) -> None:
    if speeds.left:
        message = "is an object of migrator's own that could not be removed after measuring the server"
        left = speeds.left
        plan.add_finding(Finding.of("preflight-incomplete", left[0], message, "Remove it.", count=len(left)))
