"""Estimates the requests, bytes, time and money for carrying out a plan. Pure: computed from the sums of a plan, the
measurements of planning, and the user's prices.

**Requests.** Those for the lake's own objects follow from the plan. A kind is ``exact`` if only retries can change it.
The others are estimates: reading tables depends on their manifests, listing on their folders. On the lakes that were
measured they were right within a factor of :data:`FACTOR`. The estimates assume the default options: ``--verify-content
always`` reads every object twice more.

**Time.** Every stage has a low, a likely and a high number of seconds.

- *Copying*: small requests at the measured rate, and bytes at the rate of one large copy. Copying sends more requests
  at once than planning does, which may make it :data:`FASTER` times as fast; a busy server, the journal and large
  folders may make it :data:`SLOWER` times as slow. Bytes: one copy at a time is the slowest, up to :data:`STREAMS` at
  once the fastest.
- If only reads were measured, a copy is assumed to cost the server from as much as a read to ten times as much.
- *Rewriting* reads each file as planning did, and writes it.
- *Comparing* and *verifying* list the target, read the files of the tables, and count the rows of every snapshot, one
  after the other: each read takes at least as long as a single read.

If nothing better is known, the low and the high time are the likely time multiplied by :data:`RANGE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from migrator.config import Prices
from migrator.planfile.measured import Measured
from migrator.reporting.description import (
    CostEstimate,
    EstimatesDescription,
    RequestsEstimate,
    SecondsEstimate,
)
from migrator.reporting.workload import Workload

FACTOR = 3.0
"""Numbers of requests that are not exact were right within this factor."""
FASTER, SLOWER = 4.0, 2.5
STREAMS = 8.0
RANGE = (0.4, 3.0)
PAGE = 1000
"""Keys in a page of a listing."""
OWN_REQUESTS = 45
"""Requests for migrator's own objects: its lock, its records, its test requests."""
START_SECONDS = 0.3
"""Seconds for starting a stage with work: connections, and the journal."""
READER_SECONDS = 1.0
"""Seconds for importing pyiceberg, at its first use in a run."""
CPU_PER_READ = 0.003
"""Seconds of our own work for each file that pyiceberg reads."""
JOURNAL_ROW = 58
"""Bytes in the journal for each object that was written."""
GIB = 1 << 30
DAYS_IN_A_MONTH = 365 / 12

WRITES = ("list", "put", "copy", "part_copy", "part_put", "begin_upload", "finish_upload", "own")
"""The kinds of requests that are billed as writes. ``own`` is among them, because most of these requests are writes."""
READS = ("get", "head", "get_tags")
STAGES = ("copying", "rewriting", "comparing", "cutover", "verifying")


@dataclass(frozen=True, slots=True)
class Range:
    """Seconds."""

    low: float = 0.0
    likely: float = 0.0
    high: float = 0.0

    @classmethod
    def around(cls, likely: float) -> Range:
        """The usual range around a likely time."""
        return cls(likely * RANGE[0], likely, likely * RANGE[1])

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def to_json(self) -> SecondsEstimate:
        """Rounded to hundredths of a second."""
        return {"low": round(self.low, 2), "likely": round(self.likely, 2), "high": round(self.high, 2)}


class Unknown(Exception):
    """The duration of a stage is not known; the text says why, as a part of a sentence."""


def estimates(work: Workload, measured: Measured, prices: Prices | None) -> EstimatesDescription:
    """The estimates, without the actual time, which is known afterwards."""
    requests = _requests(work, measured)
    seconds, unknown = _seconds(work, measured)
    mean = work.rewritten_bytes / work.rewritten if work.rewritten else 0
    read = work.rewritten_bytes + round(_table_reads(work) * mean) + (work.copied_bytes if work.streamed else 0)
    written = work.rewritten_bytes + work.uploaded_bytes + (work.copied_bytes if work.streamed else 0)
    return {
        "requests": requests,
        "bytes": {
            "copied_on_server": 0 if work.streamed else work.copied_bytes + work.version_bytes,
            "read": read,
            "written": written,
        },
        "seconds": {stage: took.to_json() if took is not None else None for stage, took in seconds.items()},
        "seconds_unknown": unknown,
        "measured": {
            "copies_per_second": measured.copies,
            "reads_per_second": measured.reads,
            "copied_bytes_per_second": measured.copied_bytes,
            "read_bytes_per_second": measured.read_bytes,
            "requests_at_once": measured.at_once,
            "probe_seconds": round(measured.probe_seconds, 3),
            "why_not": measured.why_not or None,
        },
        "cost": None if prices is None else _cost(work, requests, prices),
        "plan_bytes": measured.plan_bytes,
        "journal_bytes": JOURNAL_ROW * (work.copies + work.rewritten + work.uploaded + work.versions),
        "actual": None,
    }


def seconds_left(seconds: Mapping[str, SecondsEstimate | None], share: float) -> SecondsEstimate | None:
    """The part of these estimates that is left if ``share`` of the objects is still to be copied or rewritten; None if
    that is not known."""
    left = Range()
    for stage in STAGES:
        estimate = seconds[stage]
        if estimate is None:
            return None
        part = share if stage in ("copying", "rewriting") else 1.0
        left += Range(*(part * estimate[bound] for bound in ("low", "likely", "high")))
    return left.to_json()


# -- requests --------------------------------------------------------------------------------------------


def _requests(work: Workload, measured: Measured) -> dict[str, RequestsEstimate]:
    streamed, whole, split, parts = work.streamed, work.whole, work.split, work.parts
    exact = not (work.versions or work.markers or work.unsure)
    if streamed and measured.copies is None:  # boto3 may have to copy them, with other requests
        exact = False
    counts = {
        "list": (_listings(work, measured), False),
        "head": (_heads(work, measured), False),
        "get": (_table_reads(work) + work.rewritten + (whole + parts if streamed else 0), False),
        "get_tags": (split, exact and not streamed),
        "put": (work.rewritten + work.uploaded + work.hints + (whole if streamed else 0), exact),
        "copy": (0 if streamed else whole + work.versions, exact),
        "part_copy": (0 if streamed else parts, exact),
        "part_put": (parts if streamed else 0, exact),
        "begin_upload": (split, exact),
        "finish_upload": (split, exact),
        "delete_marker": (work.markers, exact),
        "own": (OWN_REQUESTS if _anything(work) else 0, False),
    }
    return {kind: {"count": count, "exact": is_exact} for kind, (count, is_exact) in counts.items()}


def _anything(work: Workload) -> bool:
    return bool(work.copies or work.rewritten or work.uploaded or work.versions or work.markers or work.pointers)


def _pages(objects: int) -> int:
    return -(-objects // PAGE)


def _listings(work: Workload, measured: Measured) -> int:
    """Listings: the target before the copies, before the cutover and, if there is one, after it; the old buckets once;
    and if the server ignores conditions, the places of many copies at once."""
    if not _anything(work):
        return 0
    target = _pages(work.at_target) + _pages(work.at_target) * (2 if work.pointers else 1)
    asked = _pages(work.copies * 16) if measured.honours_conditions is False else 0
    return target + _pages(work.listed) + work.places + asked + 8


def _heads(work: Workload, measured: Measured) -> int:
    of_parts = work.from_parts if measured.whole_keeps_etag is False or work.streamed else 0
    taken = work.copies if measured.honours_conditions is False else 0
    return round(work.row_reads * 3 * 0.45) + work.split + of_parts + work.asked + taken // 16


def _table_reads(work: Workload) -> int:
    """The files of the tables are read twice at the target; the rows are counted there twice, and once in the old
    place."""
    return 2 * work.table_files + 3 * work.row_reads


# -- time ------------------------------------------------------------------------------------------------


def _seconds(work: Workload, measured: Measured) -> tuple[dict[str, Range | None], dict[str, str]]:
    how = {
        "copying": _copying,
        "rewriting": _rewriting,
        "comparing": _comparing,
        "cutover": _cutover,
        "verifying": _verifying,
    }
    seconds: dict[str, Range | None] = {}
    unknown: dict[str, str] = {}
    total = Range()
    for stage in STAGES:
        try:
            took = how[stage](work, measured) if _anything(work) else Range()
            seconds[stage], total = took, total + took
        except Unknown as why:
            seconds[stage], unknown[stage] = None, str(why)
    seconds["total"] = None if unknown else total
    if unknown:
        unknown["total"] = next(iter(unknown.values()))
    return seconds, unknown


def _copying(work: Workload, measured: Measured) -> Range:
    requests = work.whole + work.parts + 4 * work.split + 2 * work.versions + work.markers + work.asked
    requests += work.uploaded + (work.copies if measured.honours_conditions is False else 0)
    if not requests:
        return Range()
    reads = measured.reads
    if measured.copies is not None:
        each = 1 / measured.copies + (1 / reads if work.streamed and reads else 0)
        small = Range(requests * each / FASTER, requests * each, requests * each * SLOWER)
    elif reads is not None:
        small = Range(requests / reads, 3 * requests / reads, 10 * requests / reads)
    else:
        raise Unknown(measured.why_not or "nothing was measured")
    return Range.around(START_SECONDS) + small + _bytes(work, measured)


def _bytes(work: Workload, measured: Measured) -> Range:
    """The time for the bytes, in addition to the requests."""
    size = work.copied_bytes + work.version_bytes
    rates = [measured.copied_bytes, *([measured.read_bytes] if work.streamed else [])]
    if all(rates):
        seconds = size / min(rate for rate in rates if rate)
        return Range(seconds / STREAMS, seconds / 2, seconds)
    if measured.copies is None and size >= 64 << 20:
        raise Unknown(f"how fast bytes are copied is not known: {measured.why_not}")
    return Range()


def _rewriting(work: Workload, measured: Measured) -> Range:
    if not work.rewritten:
        return Range()
    if measured.table_files:
        return Range.around(START_SECONDS / 3 + work.rewritten / measured.table_files)
    if measured.seconds_per_read:
        return Range.around(START_SECONDS / 3 + 3 * work.rewritten * measured.seconds_per_read)
    raise Unknown(measured.why_not or "nothing was measured")


def _listing(objects: int, measured: Measured) -> float:
    return objects / measured.listed if measured.listed else 0.0


def _reading(work: Workload, measured: Measured, times: int) -> Range:
    """The time to read the files of the tables once, and the rows of all snapshots ``times`` times."""
    if not work.tables:
        return Range()
    if not measured.table_files:
        raise Unknown(measured.why_not or "nothing was measured")
    each = CPU_PER_READ + (measured.seconds_per_read or 1 / measured.table_files)
    return Range.around(work.table_files / measured.table_files / 2 + times * work.row_reads * each)


def _comparing(work: Workload, measured: Measured) -> Range:
    start = START_SECONDS + (READER_SECONDS if work.tables else 0)
    return Range.around(start + _listing(work.at_target, measured)) + _reading(work, measured, 2)


def _cutover(work: Workload, measured: Measured) -> Range:
    return Range.around(START_SECONDS / 3 + _listing(work.listed, measured) + work.pointers * 0.02)


def _verifying(work: Workload, measured: Measured) -> Range:
    return Range.around(START_SECONDS + _listing(work.at_target, measured)) + _reading(work, measured, 1)


# -- money -----------------------------------------------------------------------------------------------


def _cost(work: Workload, requests: dict[str, RequestsEstimate], prices: Prices) -> CostEstimate:
    writes = sum(requests[kind]["count"] for kind in WRITES)
    reads = sum(requests[kind]["count"] for kind in READS)
    asked = writes / 1000 * prices.per_1000_writes + reads / 1000 * prices.per_1000_reads
    between = work.copied_bytes / GIB * prices.per_gib_between_servers if work.streamed else 0.0
    twice = (work.copied_bytes + work.version_bytes + work.rewritten_bytes + work.uploaded_bytes) / GIB
    return {
        "currency": prices.currency,
        "requests": round(asked, 6),
        "between_servers": round(between, 6),
        "total": round(asked + between, 6),
        "second_copy_per_day": round(twice * prices.per_gib_month_stored / DAYS_IN_A_MONTH, 6),
    }
