from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from migrator.errors import CutoverIncomplete, MigrationFailed, PlanStale
from migrator.live.passes import PASSES, held_up, repeated
from migrator.planfile.log import Entry

DONE: Any = object()


def outcomes(*each: Any) -> tuple[list[str], Any, Any]:
    """The calls of ``renew`` and ``carry_out``. ``carry_out`` raises or returns these outcomes one after the other."""
    called: list[str] = []
    left = iter(each)

    def carry_out() -> Any:
        called.append("carry out")
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return called, lambda: called.append("renew"), carry_out


@pytest.mark.parametrize("stale", range(PASSES))
def test_a_lake_that_changes_meanwhile_is_planned_anew(stale: int) -> None:
    called, renew, carry_out = outcomes(*[PlanStale("changed")] * stale, DONE)
    assert repeated(renew, carry_out) is DONE
    assert called == ["renew", "carry out"] * (stale + 1)


def test_that_ends_at_some_time() -> None:
    called, renew, carry_out = outcomes(*[PlanStale("changed")] * PASSES)
    with pytest.raises(PlanStale, match="changed"):
        repeated(renew, carry_out)
    assert len(called) == 2 * PASSES


@pytest.mark.parametrize("error", [CutoverIncomplete("half"), MigrationFailed("no")])
def test_what_no_new_plan_mends_is_raised_at_once(error: Exception) -> None:
    called, renew, carry_out = outcomes(error)
    with pytest.raises(type(error)):
        repeated(renew, carry_out)
    assert called == ["renew", "carry out"]


def test_an_error_while_planning_anew_is_raised_at_once() -> None:
    def renew() -> None:
        raise PlanStale("tables came")

    called, _, carry_out = outcomes(DONE)
    with pytest.raises(PlanStale, match="tables came"):
        repeated(renew, carry_out)
    assert called == []


def test_writers_wait_until_the_pointer_of_their_table_changes() -> None:
    def entry(second: int, event: str, **detail: Any) -> Entry:
        return Entry(1, f"2026-11-26T10:00:{second:02}.500Z", event, detail, "ann@host", "0.1")

    entries = [
        entry(1, "catalog-swapped", catalog="lake", tables=["lake.db.earlier"]),  # of a cutover that was rolled back
        entry(12, "catalog-swapped", catalog="lake", tables=["lake.db.a", "lake.db.b"]),
        entry(14, "table-swapped", catalog="rest", namespace="db", table="c"),
        entry(15, "catalog-swapped", catalog="rest", tables=["rest.db.c"]),
        entry(16, "cutover-done", tables=3),
    ]
    since = datetime(2026, 11, 26, 10, 0, 10, tzinfo=timezone.utc)
    assert held_up(entries, since) == {"lake.db.a": 2.5, "lake.db.b": 2.5, "rest.db.c": 4.5}
    assert held_up(entries, None) == {}
