"""The Amazon S3 Inventory reports that a plan was made from, as its header has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from migrator.errors import PlanStale
from migrator.findings import counted

REPORTS = "s3_inventories"
"""The key in the header. Plans of older versions lack it."""
OLD_DAYS = 7
"""From this age on, a report is old: S3 writes one a day or one a week."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class UsedReport:
    """A report that was read in place of listing a bucket. ``manifest``: its URI; ``created``: when S3 began to look at
    the bucket, in milliseconds since the epoch; ``objects``: how many objects below the rules it has."""

    bucket: str
    manifest: str
    created: int
    objects: int

    @property
    def at(self) -> datetime:
        """When S3 began to look at the bucket, in UTC."""
        return _EPOCH + timedelta(milliseconds=self.created)

    @property
    def when(self) -> str:
        """The same for people: ``2026-11-25 01:00 UTC``."""
        return f"{self.at:%Y-%m-%d %H:%M} UTC"

    def age(self, now: float) -> str:
        """How old it is at this time (seconds since the epoch): ``41 hours old``, ``9 days old``; "" in the future."""
        hours = hours_apart(self.created, now)
        if self.created > now * 1000:
            return ""
        if hours < 48:
            return f"{counted(round(hours), 'hour')} old"
        return f"{counted(round(hours / 24), 'day')} old"


def hours_apart(created: int, now: float) -> float:
    """The hours from ``created`` (milliseconds since the epoch) to ``now`` (seconds)."""
    return (now - created / 1000) / 3600


def to_header(used: Sequence[UsedReport]) -> str:
    """The value in the header."""
    return json.dumps([asdict(report) for report in used])


def of_header(header: Mapping[str, str]) -> list[UsedReport]:
    """The reports that a plan was made from; none if all was listed."""
    return [UsedReport(**report) for report in json.loads(header.get(REPORTS, "[]"))]


@contextmanager
def next_move_named(path: Path, header: Mapping[str, str]) -> Iterator[None]:
    """Around what carries out the plan at ``path``. Where it was made from a report, a PlanStale also says how to take
    in what the report lacks: to plan again from the same one would not."""
    try:
        yield
    except PlanStale as error:
        if of_header(header):
            error.next_move = (
                f"{error.next_move} This plan was made from an S3 Inventory report: plan without --inventory, or run "
                f'"migrator cutover {path}", which lists the old buckets and takes in what the report lacks.'
            ).lstrip()
        raise
