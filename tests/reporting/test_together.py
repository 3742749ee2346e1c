from __future__ import annotations

from typing import Any

from migrator.migration import Migration
from migrator.reporting.rendering import render
from migrator.reporting.together import how_far, plans_done, plans_json, plans_question, plans_report
from migrator.results import RunResult
from reporting.described import EVIL, finding, plan

NONE = {"objects": 0, "bytes": 0}


def of(name: str, copy: int, rewrite: int, pointers: int, **more: Any) -> Any:
    actions = {"copy": {"objects": copy, "bytes": copy * 1024}, "overwrite": NONE, "same": {"objects": 9, "bytes": 9}}
    actions |= {"rewrite": {"objects": rewrite, "bytes": 0}, "conflict": NONE, "skip": NONE, "pointer": NONE}
    changed = {"tables": pointers, "namespaces": 1, "hints": 0, "total": pointers + 1, "catalogs": 1}
    return plan(plan=name, actions=actions, pointers=changed, **more)


def test_one_row_for_each_plan_and_the_totals() -> None:
    plans = [of("a.db", 1000, 5, 2), of("b.db", 200, 3, 4, phase="finished")]
    rows = [line.split() for line in render(plans_report(plans)).split("\n")]
    assert ["a.db", "1,005", "1,000.0", "KiB", "5", "2", "3", "0", "planned"] in rows
    assert ["b.db", "203", "200.0", "KiB", "3", "4", "5", "0", "finished:", "only", "checked", "again"] in rows
    assert ["1,208", "1.2", "MiB", "8", "6", "8", "0"] in rows


def test_the_warnings_are_named_with_their_plan_and_the_rest_is_not() -> None:
    found = [finding("open-uploads", 1), finding("open-uploads", 2), finding("left-out", 3, "info")]
    text = render(plans_report([of("a.db", 1, 0, 0), of("b.db", 1, 0, 0, findings=found)]))
    assert "Findings of b.db" in text and "Findings of a.db" not in text
    assert "open-uploads" in text and "left-out" not in text and "explain CODE" in text


def test_the_question_sums_up_what_is_left() -> None:
    plans = [of("a.db", 1000, 5, 2), of("b.db", 1, 3, 4)]
    asked = plans_question(plans, cutover=True)
    assert "2 plans" in asked and "copy 1,001 objects and rewrite 8 files in all, then change 8 pointers" in asked
    assert "change no pointer yet" in plans_question(plans, cutover=False)


def test_how_far_a_run_came() -> None:
    plans = [of("a.db", 1, 0, 0), of("b c.db", 1, 0, 0), of("d.db", 1, 0, 0)]
    assert how_far(plans, 1).split("\n") == [
        "Done: a.db.",
        "Not done: b c.db.",
        "Not begun: d.db.",
        "To go on:",
        "  migrator migrate a.db 'b c.db' d.db",
    ]
    stale = how_far(plans, 1, stale=True)
    assert "Not done: b c.db." in stale and "a new plan NEW.db of the same rules in place of b c.db" in stale
    assert stale.endswith("\n  migrator migrate a.db NEW.db d.db")
    assert how_far(plans, 0).startswith("Done: none.") and "Not begun" not in how_far(plans, 2)
    assert "\x1b" not in how_far([of(EVIL, 1, 0, 0)], 0) + render(plans_report([of(EVIL, 1, 0, 0)]))


def test_the_end_and_the_document() -> None:
    plans = [of("a.db", 1, 0, 0), of("b.db", 1, 0, 0)]
    assert "All 2 plans are carried out: a.db, b.db." in render(plans_done(plans, cutover=True))
    assert "All 2 plans are copied" in render(plans_done(plans, cutover=False))
    done = [(Migration(RunResult(), [], None), plans[0])]
    document = plans_json(plans, done, 1)
    assert [one["plan"] for one in document["plans"]] == ["a.db"]
    assert (document["ok"], document["not_done"], document["not_begun"]) == (False, "b.db", [])
    document = plans_json(plans, [*done, (done[0][0], plans[1])], 2)
    assert (document["ok"], document["not_done"], document["not_begun"]) == (True, None, [])
