from __future__ import annotations

from dataclasses import replace

from migrator.reporting.describe import StatusSummary
from migrator.reporting.rendering import render
from migrator.reporting.status import status_report

STATUS = StatusSummary(
    plan="plans/p.db",
    phase="copying",
    objects=3000,
    objects_done=1000,
    bytes=2048,
    bytes_done=1024,
    versions=0,
    versions_done=0,
    pointers=2,
    pointers_changed=0,
    events=[{"at": "2026-11-23T10:00:00Z", "event": "started"}],
    tables=[
        {"table": "c.db.a", "catalog": "c", "cut_over": False},
        {"table": "d.b", "catalog": "d", "cut_over": False},
    ],
)


def test_a_status_counts_what_is_done() -> None:
    assert render(status_report(STATUS)).split("\n") == [
        "plans/p.db: copying",
        "  objects   1,000 of 3,000 (33 %)",
        "  bytes     1.0 KiB of 2.0 KiB",
        "  pointers  0 of 2 changed",
        "  2026-11-23T10:00:00Z  started",
    ]
    assert "  versions  1 of 7\n" in render(status_report(replace(STATUS, versions=7, versions_done=1)))
    assert "(100 %)" in render(status_report(replace(STATUS, objects=0, objects_done=0)))


def test_tables_are_listed_only_while_some_are_cut_over_and_some_are_not() -> None:
    part = replace(STATUS, tables=[{**STATUS.tables[0], "cut_over": True}, STATUS.tables[1]])
    text = render(status_report(part))
    assert "  c.db.a: cut over, at the target\n  d.b: not cut over yet, in the old place\n" in text
    whole = replace(STATUS, tables=[{**table, "cut_over": True} for table in STATUS.tables])
    assert "c.db.a" not in render(status_report(whole))


def test_a_superseded_plan_and_what_was_not_checked_are_the_last_lines() -> None:
    text = render(status_report(replace(STATUS, copy_carried_out="copy.db")))
    assert text.endswith("\nA copy of this plan was carried out: copy.db. Use that one.")
    text = render(status_report(replace(STATUS, superseded_by="new.db", not_checked="the target: no answer")))
    assert text.endswith("\nSuperseded by a newer plan: new.db. Use that one.\nNot checked: the target: no answer")
