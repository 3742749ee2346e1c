from __future__ import annotations

from datetime import timedelta

from migrator.reporting.html.timeline import last_cutover, steps_of
from reporting.html.made import NOON, entries, verified

RUN = ("started", "copied", "rewritten", "compared", "cutover-begun", "catalog-swapped", "cutover-done")


def test_each_step_lasts_from_its_beginning_to_its_end() -> None:
    steps = steps_of(entries(*RUN, verified(), "finished"))
    assert [(step.name, step.begin - NOON, step.seconds) for step in steps] == [
        ("copying", timedelta(seconds=1), 1),
        ("rewriting tables", timedelta(seconds=2), 1),
        ("counting and comparing", timedelta(seconds=3), 1),
        ("cutover", timedelta(seconds=5), 2),
        ("verifying", timedelta(seconds=7), 1),
    ]


def test_an_interrupted_step_has_no_end_and_a_new_run_begins_anew() -> None:
    steps = steps_of(entries("started", "started", "copied", "started", "rewritten"))
    assert [(step.name, step.begin - NOON) for step in steps] == [("copying", timedelta(seconds=2))]


def test_a_later_verification_is_no_part_of_the_cutover() -> None:
    log = entries("started", "copied", *RUN, verified(), verified(), "rollback-begun", "rolled-back")
    steps = steps_of(log)
    assert [step.name for step in steps][-1] == "rollback"
    during = last_cutover(steps)
    assert [step.name for step in during] == [
        "copying",
        "rewriting tables",
        "counting and comparing",
        "cutover",
        "verifying",
    ]
    assert during[0].begin == NOON + timedelta(seconds=3)  # that of the run which cut over
    assert last_cutover(steps_of(entries("started", "copied"))) == []


def test_the_fence_is_shown_around_the_cutover() -> None:
    log = entries("started", "copied", "fence-set", "fence-set", *RUN, verified(), "fence-lifted", "fence-lifted")
    fences = [step for step in last_cutover(steps_of(log)) if step.name.startswith("fence")]
    assert [(fence.begin - NOON).total_seconds() for fence in fences] == [3]
