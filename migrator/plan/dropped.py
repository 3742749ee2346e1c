"""Says while planning what the target's server would drop from the copies, if it is another one than the old server."""

from __future__ import annotations

from migrator.findings import EXAMPLES, INFO, Finding
from migrator.layout import Layout
from migrator.plan.attributes import Sample
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import TO_WRITE
from migrator.store import Dropped, Store, probe_dropped

CODE = "attributes-dropped"

_COUNTED = "The report of migrate counts all copies that lack one."
_WITH_CONTENT = f"{TO_WRITE} AND target LIKE '%/' AND size > 0"


def find_dropped(plan: PlanFile, store: Store, layout: Layout, samples: dict[str, Sample]) -> None:
    """Try what the target's server keeps of a new object, and add a finding for each old bucket whose objects lose
    something. ``samples``: old bucket → what was seen of it."""
    if plan.db.execute(f"SELECT 1 FROM objects WHERE {TO_WRITE} LIMIT 1").fetchone() is None:
        return
    dropped = probe_dropped(store, layout.target_bucket)
    if dropped.objects:
        for bucket, sample in samples.items():
            _of_sample(plan, bucket, sample, dropped)
        if not all(sample.whole for sample in samples.values()):
            names = ", ".join(sorted(dropped.objects))
            message = f"its server does not keep these attributes: {names}; only a sample of the objects was read"
            place = f"s3://{layout.target_bucket}/"
            plan.add_finding(Finding.of(CODE, place, message, _COUNTED, severity=INFO))
    if dropped.content:
        _of_folders(plan)


def _of_sample(plan: PlanFile, bucket: str, sample: Sample, dropped: Dropped) -> None:
    found = {key: kinds & dropped.objects for key, kinds in sample.kinds.items() if kinds & dropped.objects}
    if found:
        names = ", ".join(sorted(frozenset[str]().union(*found.values())))
        message = (
            f"{len(found)} of {sample.asked} have attributes that the target's server does not keep ({names}), such "
            f"as {next(iter(found))!r}; their copies lack them"
        )
        move = f"Take another server if that matters. {_COUNTED}"
        plan.add_finding(Finding.of(CODE, f"s3://{bucket}/", message, move, count=len(found)))


def _of_folders(plan: PlanFile) -> None:
    """Objects with bytes whose key ends in a slash: the copy of one would be empty."""
    (total,) = plan.db.execute(f"SELECT count(*) FROM objects WHERE {_WITH_CONTENT}").fetchone()
    query = f"SELECT bucket, key FROM objects WHERE {_WITH_CONTENT} ORDER BY bucket, key LIMIT {EXAMPLES}"
    for number, (bucket, key) in enumerate(plan.db.execute(query).fetchall(), 1):
        message = "its key ends in / and it has content, which the target's server does not keep"
        move = f'Rename it in the old bucket, or leave it where it is: "s3://{bucket}/{key}" = false.'
        count = total - EXAMPLES + 1 if number == EXAMPLES else 1
        plan.add_finding(Finding.of("key-refused", f"s3://{bucket}/{key}", message, move, count=count))
