from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from migrator.reporting.actual import actual

BEGIN = datetime(2026, 11, 23, 10, tzinfo=timezone.utc)
WHOLE = ("started 0", "copied 60", "rewritten 90", "compared 120", "cutover-begun 125", "cutover-done 130",
         "verified 150", "finished 150")  # fmt: skip


def events(*given: str, **detail: Any) -> list[dict[str, Any]]:
    """Events: name and second of each; ``detail`` is the detail of the verification."""
    found = []
    for text in given:
        name, second = text.split()
        at = (BEGIN + timedelta(seconds=int(second))).isoformat().replace("+00:00", "Z")
        found.append({"event": name, "at": at, **(detail if name == "verified" else {})})
    return found


def test_each_stage_lasts_from_the_event_before_it_to_its_own() -> None:
    took = actual(events(*WHOLE), {"low": 100, "likely": 120, "high": 200})
    assert took is not None and took["seconds"] == {
        "copying": 60, "rewriting": 30, "comparing": 30, "cutover": 10, "verifying": 20, "total": 150,
    }  # fmt: skip
    assert (took["runs"], took["complete"], took["as_estimated"]) == (1, True, True)


@pytest.mark.parametrize(("low", "high"), [(1, 149), (151, 300)])
def test_a_time_beside_the_estimate_is_said(low: float, high: float) -> None:
    took = actual(events(*WHOLE), {"low": low, "likely": low, "high": high})
    assert took is not None and took["as_estimated"] is False
    unknown = actual(events(*WHOLE), None)
    assert unknown is not None and unknown["as_estimated"] is None


def test_nothing_is_said_before_the_end() -> None:
    for count in range(len(WHOLE)):
        assert actual(events(*WHOLE[:count]), None) is None


def test_time_between_runs_is_not_counted() -> None:
    killed = actual(events("started 0", "copied 60", "started 5000", "copied 5010", *late(5000)), None)
    assert killed is not None and killed["seconds"]["copying"] == 70
    assert (killed["runs"], killed["complete"]) == (2, False)
    later = actual(events(*WHOLE[:4], "started 5000", "copied 5001", *late(5000)), None)
    assert later is not None and later["seconds"]["total"] == 120 + 1 + (150 - 1)
    assert (later["runs"], later["complete"]) == (2, True)


def late(by: int) -> list[str]:
    """The events after the copies, this many seconds later."""
    return [f"{name} {int(second) + by}" for name, second in (text.split() for text in WHOLE[2:])]


def test_a_verification_of_its_own_counts_as_long_as_it_took() -> None:
    """The previous run was killed after the cutover, and the next one only verifies: the log does not say when it
    began."""
    took = actual(events(*WHOLE[:6], "verified 9000", "finished 9000", seconds=12.5), None)
    assert took is not None and took["seconds"]["verifying"] == 12.5 and not took["complete"]


@pytest.mark.parametrize("name", ["rolled-back", "renewed"])
def test_only_what_came_since_counts(name: str) -> None:
    once = actual(events(*WHOLE), None)
    assert actual(events(*WHOLE, f"{name} 900"), None) is None
    again = [f"{event} {int(second) + 1000}" for event, second in (text.split() for text in WHOLE)]
    assert actual(events(*WHOLE, f"{name} 900", *again), None) == once
