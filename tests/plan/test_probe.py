"""What is measured while planning, and when nothing is. The requests themselves: tests/e2e/test_estimates.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.config import Settings
from migrator.layout import Layout
from migrator.plan import probe
from migrator.plan.probe import measure_speed
from migrator.plan.timing import TimedProgress
from migrator.planfile.file import PlanFile
from migrator.planfile.measured import Measured
from migrator.progress import Progress
from migrator.store import Content, Store
from migrator.store.speed import Speeds, Wanted
from plan.handmade import planned

LAYOUT = Layout.from_mapping("data-lake", {"s3://bronze/": "bronze/"})
SPEEDS = Speeds(copies=100.0, reads=200.0, seconds_per_read=0.01, honours_conditions=True)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[PlanFile]:
    with PlanFile.create(tmp_path / "p.db") as plan:
        yield plan


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Wanted]:
    """What was measured."""
    found: list[Wanted] = []

    def measure(store: Store, bucket: str, wanted: Wanted) -> Speeds:
        found.append(wanted)
        return SPEEDS if wanted.write else replace(SPEEDS, copies=None)

    monkeypatch.setattr(probe, "measure", measure)
    return found


def add(plan: PlanFile, *sizes: int, action: str = "copy", etag: str = "e") -> None:
    for number, size in enumerate(sizes):
        plan.db.execute(
            "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action)"
            " VALUES ('bronze', ?, ?, ?, 0, 'STANDARD', ?, ?)",
            (f"k{number}", size, etag, f"bronze/k{number}", action),
        )


def measured(plan: PlanFile, store: Store, **how: Any) -> Measured:
    given = {"preflight": True, "target_exists": True, **how}
    return measure_speed(plan, store, LAYOUT, TimedProgress(Progress()), **given)


def test_no_more_requests_at_once_than_there_are_objects(
    plan: PlanFile, mock_store: Store, asked: list[Wanted]
) -> None:
    add(plan, 1, 2, 3)
    found = measured(plan, mock_store)
    assert (found.copies, found.reads, found.at_once, found.why_not) == (100.0, 200.0, 3, "")
    assert asked == [Wanted(3, write=True, samples=[])]
    add(plan, *range(4, 100))
    measured(plan, mock_store)
    assert asked[-1].at_once == probe.AT_ONCE


@pytest.mark.parametrize(
    ("sizes", "large"), [((1, probe.LARGE), True), ((1, probe.LARGE - 1), False), ((7 << 20,) * 10, True)]
)
def test_bytes_are_measured_where_there_are_many(
    plan: PlanFile, mock_store: Store, asked: list[Wanted], sizes: tuple[int, ...], large: bool
) -> None:
    add(plan, *sizes)
    measured(plan, mock_store)
    assert asked[0].large == large and (asked[0].large_sample is not None) == large


def test_nothing_is_asked_without_work_or_preflight(plan: PlanFile, mock_store: Store, asked: list[Wanted]) -> None:
    add(plan, 1, action="same")
    assert measured(plan, mock_store).why_not == probe.NOTHING_TO_DO
    plan.db.execute("UPDATE objects SET action = 'copy'")
    assert measured(plan, mock_store, preflight=False).why_not == probe.SKIPPED
    assert asked == []


def test_older_versions_are_work_too(plan: PlanFile, mock_store: Store, asked: list[Wanted]) -> None:
    plan.db.execute(
        "INSERT INTO versions (bucket, key, version_id, size, etag, modified, storage_class, marker, target, action)"
        " VALUES ('bronze', 'k', 'v', 5, 'e', 0, 'STANDARD', 0, 't', 'copy')"
    )
    assert measured(plan, mock_store).copies == 100.0 and asked[0].at_once == 1


def test_where_nothing_may_be_written_only_reads_are_measured(
    plan: PlanFile, mock_store: Store, asked: list[Wanted]
) -> None:
    add(plan, 1, 0)
    found = measured(plan, mock_store, target_exists=False)
    assert (found.copies, found.reads, found.why_not) == (None, 200.0, probe.NO_TARGET)
    plan.db.execute("INSERT INTO findings VALUES ('block', 'missing-permission', 's3://data-lake/', 'm', '', 1)")
    assert measured(plan, mock_store).why_not == probe.NO_RIGHTS
    assert [(wanted.write, wanted.samples) for wanted in asked] == [(False, [("bronze", "k0")])] * 2


def test_what_cannot_be_removed_is_a_finding(
    plan: PlanFile, mock_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = ["s3://data-lake/.migrator/speed-1/copy-0", "s3://data-lake/.migrator/speed-1/copy-1"]
    monkeypatch.setattr(probe, "measure", lambda *_: replace(SPEEDS, left=left))
    add(plan, 1)
    measured(plan, mock_store)
    (finding,) = plan.findings()
    assert (finding.code, finding.place, finding.count) == ("preflight-incomplete", left[0], 2)


def test_through_a_proxy_nothing_is_measured(mock_store: Store, tmp_path: Path) -> None:
    """Only boto3 supports proxies. The mocked store uses one."""
    for bucket in ("bronze", "warehouse", "data-lake"):
        mock_store.create_bucket(bucket)
    mock_store.put("bronze", "k", Content(b"x", ""))
    described = planned(mock_store, tmp_path)
    assert described["estimates"]["measured"]["why_not"] == "the server is reached through a proxy"
    assert described["estimates"]["seconds"]["copying"] is None
    assert not list(mock_store.list("data-lake")) and Settings().preflight
