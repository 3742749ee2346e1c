from __future__ import annotations

import pytest

from migrator.reporting.plan import nothing_to_do, plan_report, question
from migrator.reporting.rendering import render
from reporting.described import finding, plan, table


def test_a_plan_says_what_happens_and_what_is_next() -> None:
    text = render(plan_report(plan()))
    assert "copy    1,234,567  3.0 TiB  copied as they are, on the server" in text
    assert text.endswith("Ready. Nothing was changed yet. Next: migrator migrate plans/p.db")
    assert "Nothing to do" in render(plan_report(plan(changes_pending=False)))


def test_a_plan_that_found_nothing_does_not_say_that_the_target_holds_everything() -> None:
    nothing = {action: {"objects": 0, "bytes": 0} for action in plan()["actions"]}
    empty = plan(changes_pending=False, actions=nothing)
    said = "Nothing to do: nothing was found in s3://bronze/. Check [layout] and the endpoint."
    assert render(plan_report(empty)).split("\n")[-1] == said
    assert nothing_to_do({**empty, "layout": {}}).startswith("Nothing to do: the plan names no old bucket. Check")
    one_table = plan(changes_pending=False, actions=nothing, tables=[table(state="migrated")])
    for done in (plan(changes_pending=False), one_table):
        assert nothing_to_do(done).startswith("Nothing to do: the target has everything, and every pointer")


@pytest.mark.parametrize("phase", ["cut over", "finished", "retiring", "retired"])
def test_of_a_plan_that_was_carried_out_before_only_the_pointers_are_known(phase: str) -> None:
    """The lake lives at the target since; only verify lists it."""
    said = nothing_to_do(plan(phase=phase))
    assert said.startswith("Nothing to do: the plan was carried out, and every pointer that it changed points")
    assert "has everything" not in said


def test_after_a_rollback_that_has_not_ended_its_command_is_named() -> None:
    said = nothing_to_do(plan(phase="rolling back"))
    assert "has everything" not in said and "To finish it: migrator rollback" in said


@pytest.mark.parametrize("code", ["left-out", "left-table", "outside-table", "spanning-table"])
def test_where_something_stays_nothing_to_do_does_not_say_that_every_pointer_points_to_the_target(code: str) -> None:
    stays = plan(changes_pending=False, findings=[finding(code, 1, "info", place="lake.db.t")])
    assert nothing_to_do(stays) == (
        "Nothing to do: everything that moves is at the target. The findings name what stays in its place."
    )


def test_a_plan_for_two_servers_names_both() -> None:
    there = {"target_endpoint_url": "http://new:9000", "target_profile": "new", "profile": "old", "streamed": True}
    text = render(plan_report(plan(**there)))
    assert "http://minio:9000 (profile old) → s3://data-lake/ at http://new:9000 (profile new)" in text
    assert "copied as they are, through this machine" in text
    assert "http://minio:9000 → s3://data-lake/   made" in render(plan_report(plan()))


def test_the_plan_ends_in_its_totals_and_names_the_buckets_beside_it() -> None:
    beside = [finding("bucket-beside", n, "info", place=f"s3://other-{n}/") for n in (1, 2)]
    actions = plan()["actions"] | {"rewrite": {"objects": 82, "bytes": 1}, "overwrite": {"objects": 3, "bytes": 1}}
    totals = render(plan_report(plan(findings=beside, actions=actions))).split("\n")[-2]
    assert totals == (
        "Plan: 1,234,570 to copy, 82 to rewrite, 7 pointers to change in 2 catalogs, 0 to delete. "
        "2 buckets are not part of it: other-1, other-2."
    )
    assert "not part of it" not in render(plan_report(plan()))
    many = [finding("bucket-beside", n, "info", place=f"s3://other-{n}/") for n in range(40)]
    totals = render(plan_report(plan(findings=many))).split("\n")[-2]
    assert "40 buckets" in totals and all(f"other-{n}" in totals for n in range(40))


def test_many_partitions_are_counted_after_the_first_ones() -> None:
    changes = [
        {
            "catalog": "lake",
            "namespace": "db.t",
            "key": f"location of partition n={n}",
            "old": "s3://a",
            "new": "s3://b",
        }
        for n in range(120)
    ]
    text = render(plan_report(plan(namespaces=changes[:100])))
    assert "n=99" in text and "more;" not in text
    text = render(plan_report(plan(namespaces=changes)))
    assert "n=99" in text and "n=100" not in text and "… and 20 more; migrator show --json has all" in text


def test_the_plan_counts_what_stays_for_a_later_wave() -> None:
    text = render(plan_report(plan(later={"tables": 1, "objects": 2000, "bytes": 2048})))
    assert "Left for a later wave: 2,000 objects, 2.0 KiB, 1 table" in text
    assert "later wave" not in render(plan_report(plan()))


@pytest.mark.parametrize("phase", ["copying", "rewriting", "ready for cutover", "cut over", "finished"])
def test_nothing_was_changed_is_said_only_before_anything_was(phase: str) -> None:
    text = render(plan_report(plan(phase=phase)))
    assert "Nothing was changed" not in text and "migrator " in text.split("\n")[-1]
    starting = render(plan_report(plan(phase=phase), starting=True))
    assert "Nothing was changed" not in starting and "migrator migrate" not in starting
    assert render(plan_report(plan(), starting=True)).split("\n")[-1].startswith("Plan: ")


def test_the_question_says_what_will_be_done() -> None:
    assert question(plan(), cutover=True) == (
        "Copy 1,234,567 objects and rewrite 0 files, then change 7 pointers in 2 catalogs, now?"
    )
    ready = question(plan(phase="ready for cutover"), cutover=True)
    assert "copied and rewritten" in ready and "change 7 pointers in 2 catalogs now?" in ready
    assert "change no pointer" in question(plan(), cutover=False)


def test_no_table_is_called_cut_over_before_it_is() -> None:
    shown = {s: render(plan_report(plan(tables=[table(state=s)]))) for s in ("rewrite", "rewritten", "migrated")}
    assert "rewritten, not cut over yet" in shown["rewritten"]
    unnamed = render(plan_report(plan(tables=[table(catalog=None, state="rewritten")])))
    assert "rewritten, not registered" in unnamed
