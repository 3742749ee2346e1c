from __future__ import annotations

from dataclasses import replace

import pytest

from migrator.config import Prices
from migrator.planfile.measured import Measured
from migrator.reporting.estimates import estimates
from migrator.reporting.plan import plan_report
from migrator.reporting.rendering import render
from migrator.reporting.what_it_takes import amount, between, duration, rounded, what_it_takes
from reporting.described import estimated, plan
from reporting.test_estimates import MEASURED, WORK


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "under 0.1 s"),
        (3.14, "3.1 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (7500, "2 h 5 min"),
        (360_000, "4 d 4 h"),
    ],
)
def test_a_time_that_was_taken(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.2, "0.1 to 0.2 s"),
        (2.2, 19.4, "2 to 19 s"),
        (40, 300, "40 s to 5 min"),
        (5.1, 5.2, "5 s"),
        (120, 7200, "2 to 120 min"),
        (3600 * 10, 86400 * 3, "10 h to 3 d"),
    ],
)
def test_an_estimated_time_is_no_more_exact_than_it_is(low: float, high: float, said: str) -> None:
    said = said.replace("2 to 120 min", "2 min to 2 h")
    assert between({"low": low, "likely": low, "high": high}) == said


def test_numbers_that_are_estimated_are_rounded() -> None:
    assert [rounded(number) for number in (0, 7, 45, 463, 1_284_999)] == [0, 7, 45, 460, 1_300_000]
    assert [amount(money) for money in (0, 0.00001, 0.0021, 0.5, 1234.5)] == [
        "0.00", "under 0.0001", "0.0021", "0.50", "1,234.50",
    ]  # fmt: skip


def test_the_section_says_it_all_in_80_columns() -> None:
    prices = Prices("EUR", 1, 1, 1, 1)
    given = estimates(replace(WORK, streamed=True), replace(MEASURED, read_bytes=1e6), prices)
    given["actual"] = {"seconds": {"total": 3.2}, "runs": 2, "complete": False, "as_estimated": False}
    text = render(what_it_takes(given))
    assert max(map(len, text.split("\n"))) <= 80
    for said in ("most likely", "copying", "took      at least 3.2 s in 2 runs: shorter than estimated (", "EUR",
                 "for transfer", "about", "GET", "read here", "48 at once", "the journal"):  # fmt: skip
        assert said in text, said


def test_what_is_not_known_is_said_with_the_reason() -> None:
    text = render(what_it_takes(estimates(WORK, Measured(why_not="it was skipped"), None)))
    assert "time      not known: it was skipped" in text and "measured  it was skipped" in text
    assert 'migrator explain --prices-example" prints' in " ".join(text.split())


@pytest.mark.parametrize(("total", "said"), [(50.0, "longer than estimated"), (2.0, "shorter than estimated")])
def test_how_right_it_was(total: float, said: str) -> None:
    seconds = {"total": {"low": 10.0, "likely": 20.0, "high": 40.0}}
    took = {"seconds": {"total": total}, "runs": 1, "complete": True, "as_estimated": False}
    assert said in render(what_it_takes(estimated(seconds=seconds, actual=took)))
    right = {**took, "seconds": {"total": 21.0}, "as_estimated": True}
    assert "took      21 s: as estimated (10 to 40 s)" in render(
        what_it_takes(estimated(seconds=seconds, actual=right))
    )


def test_a_plan_with_nothing_to_do_has_no_such_section() -> None:
    assert "What it takes (estimated)" in render(plan_report(plan()))
    assert "What it takes" not in render(plan_report(plan(changes_pending=False)))
