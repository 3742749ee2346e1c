"""How a stage in which objects failed ends."""

from __future__ import annotations

from migrator.errors import MigrationFailed, Occupied, PlanStale, SourceChanged, StoreError
from migrator.run import need_new_plan, stage_failed

GONE = SourceChanged("s3://b/new\nline is gone since planning.")
THERE = Occupied("s3://b/k was written by somebody else since planning; it is not overwritten.")
REFUSED = StoreError("s3://b/l: refused.")


def test_what_changed_since_planning_needs_a_new_plan() -> None:
    assert need_new_plan([GONE, THERE]) and not need_new_plan([GONE, REFUSED])
    error = stage_failed("copying", [GONE, THERE], "They are listed in l.txt.\n")
    assert isinstance(error, PlanStale) and 'Run "migrator plan" again' in str(error)
    assert error.message.split("\n")[1:] == [
        r"  s3://b/new\nline is gone since planning.",
        f"  {THERE}",
        "They are listed in l.txt.",
        "",
    ]


def test_what_was_refused_may_be_done_by_the_same_plan() -> None:
    error = stage_failed("copying", [GONE, REFUSED])
    assert isinstance(error, MigrationFailed) and "run the same command again" in str(error)
