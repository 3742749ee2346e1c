from __future__ import annotations

from migrator.reporting.findings import PLACES
from migrator.reporting.plan import plan_report
from migrator.reporting.rendering import render
from reporting.described import EVIL, finding, plan


def test_findings_end_in_what_to_do_next() -> None:
    finding = {
        "severity": "block",
        "code": "unreadable",
        "place": EVIL,
        "message": "m",
        "next_move": "Mend it.",
        "count": 7,
    }
    text = render(plan_report(plan(findings=[finding], blocked=True)))
    assert "✖ unreadable: s3://bronze/" in text and "(×7)" in text and "\n      Mend it." in text
    assert text.endswith("Blocked: 1 finding to solve first. Nothing was changed.")


def test_findings_of_one_code_are_shown_together() -> None:
    many = [finding("path-in-text", number, next_move="Change it by hand.") for number in range(400)]
    many.insert(7, finding("open-uploads", 7, count=3))
    lines = render(plan_report(plan(findings=many))).split("\n")
    (head,) = [line for line in lines if "path-in-text" in line]
    assert "400 places" in head
    assert sum("s3://b/" in line for line in lines) == PLACES + 1
    assert sum("Change it by hand." in line for line in lines) == 1
    assert "      … and 397 more" in lines
    (other,) = [line for line in lines if "open-uploads" in line]
    assert "s3://b/7 m (×3)" in other
