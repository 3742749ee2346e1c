from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from migrator.live.passes import LiveCutover
from migrator.migration import Migration
from migrator.reporting.live import copy_report, cutover_question, cutover_report
from migrator.reporting.rendering import render
from migrator.results import RunResult
from migrator.verifying.checks import Verification
from reporting.described import plan


def test_a_pass_says_what_it_copied_and_what_comes_next() -> None:
    text = render(copy_report(Migration(RunResult(copied=5, copied_bytes=2048), [], None), plan()))
    assert "Copied 5 objects (2.0 KiB)" in text
    assert "migrator copy plans/p.db" in text and "migrator cutover plans/p.db" in text and "rewrote" not in text
    nothing = render(copy_report(Migration(RunResult(), [], None, nothing_to_do=True), plan()))
    assert nothing.startswith("Nothing new to copy.")


@pytest.mark.parametrize("pointers", [0, 1])
def test_a_pass_over_a_lake_that_was_cut_over_does_not_send_people_to_the_old_buckets(pointers: int) -> None:
    """Another copy of the plan file may have been carried out meanwhile."""
    described: Any = plan()
    described["pointers"]["total"] = pointers
    described["tables"] = [{"state": "migrated"}] * 2
    text = render(copy_report(Migration(RunResult(), [], None, nothing_to_do=True), described), 200)
    if pointers:
        assert "still use the old buckets, but for 2 tables at the target already" in text and "cutover" in text
    else:
        assert "old buckets" not in text and "is cut over" in text and "migrator verify plans/p.db" in text


@pytest.mark.parametrize("phase", ["cut over", "finished", "retired"])
def test_a_pass_of_a_plan_that_was_carried_out_says_so(phase: str) -> None:
    """It lists nothing, so it cannot say that nothing is new; and a cutover is no next step."""
    described: Any = plan()
    described["phase"] = phase
    text = render(copy_report(Migration(RunResult(), [], None, nothing_to_do=True), described), 200)
    assert "the plan was carried out" in text and "not listed" in text and "migrator verify plans/p.db" in text
    assert "Nothing new" not in text and "old buckets" not in text and "cutover" not in text


def test_a_cutover_says_how_long_writers_had_to_wait() -> None:
    migration = Migration(RunResult(pointers=2), [], Verification(cut_over=True))
    since = datetime(2026, 11, 26, 10, 0, 10, tzinfo=timezone.utc)
    described: Any = plan()
    text = render(cutover_report(LiveCutover(migration, since, {"lake.db.a": 2.54, "lake.db.b": 14.0}), described))
    assert "Writers had to wait 14.0 s, from 10:00:10 UTC on." in text
    assert text.index("lake.db.b") < text.index("lake.db.a") and "2.5" in text
    assert "had to wait" not in render(cutover_report(LiveCutover(migration, None), described))
    many = LiveCutover(migration, since, {f"t{n}": float(n) for n in range(50)})
    assert "… and 30 more" in render(cutover_report(many, described))


def test_the_question_names_the_pointers() -> None:
    assert "change" in cutover_question(plan()) and cutover_question(plan()).endswith("now?")
