from __future__ import annotations

from typing import Any

import pytest

from migrator import report
from migrator.plan.file import ACTIONS
from migrator.verify import Check, PrefixTotal, Verification

EVIL = "s3://bronze/\x1b[2J\x1b]0;owned\x07\nOK\u202e"


def plan(**changes: Any) -> dict[str, Any]:
    nothing = {action: {"objects": 0, "bytes": 0} for action in ACTIONS}
    described: dict[str, Any] = {
        "plan": "plans/p.db",
        "endpoint_url": "http://minio:9000",
        "region": None,
        "profile": None,
        "target_endpoint_url": "http://minio:9000",
        "target_region": None,
        "target_profile": None,
        "streamed": False,
        "target_bucket": "data-lake",
        "created": "2026-11-23",
        "tool_version": "0.1.0",
        "actions": {**nothing, "copy": {"objects": 1234567, "bytes": 3 * 1024**4}},
        "versions": {},
        "prefixes": [{"source": EVIL, "target": "s3://data-lake/bronze/", "objects": 1234567, "bytes": 3 * 1024**4}],
        "tables": [],
        "namespaces": [],
        "findings": [],
        "blocked": False,
        "changes_pending": True,
    }
    return {**described, **changes}


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (3 * 1024**4, "3.0 TiB")]
)
def test_size(count: int, text: str) -> None:
    assert report.size(count) == text


def test_a_plan_says_what_happens_and_what_is_next() -> None:
    text = report.plan_text(plan())
    assert "copy    1,234,567  3.0 TiB  copied as they are, on the server" in text
    assert text.endswith("Ready. Nothing was changed yet. Next: migrator migrate plans/p.db")
    assert "Nothing to do" in report.plan_text(plan(changes_pending=False))


def test_a_plan_for_two_servers_names_both() -> None:
    there = {"target_endpoint_url": "http://new:9000", "target_profile": "new", "profile": "old", "streamed": True}
    text = report.plan_text(plan(**there))
    assert "http://minio:9000 (profile old) → s3://data-lake/ at http://new:9000 (profile new)" in text
    assert "copied as they are, through this machine" in text
    assert "http://minio:9000 → s3://data-lake/   made" in report.plan_text(plan())


def test_findings_end_in_what_to_do_next() -> None:
    finding = {
        "severity": "block",
        "code": "unreadable",
        "place": EVIL,
        "message": "m",
        "next_move": "Mend it.",
        "count": 7,
    }
    text = report.plan_text(plan(findings=[finding], blocked=True))
    assert "✖ unreadable: s3://bronze/" in text and "(×7)" in text and "\n      Mend it." in text
    assert text.endswith("Blocked: 1 finding to solve first. Nothing was changed.")


def test_names_cannot_move_the_cursor() -> None:
    finding = {"severity": "warn", "code": "x", "place": EVIL, "message": EVIL, "next_move": EVIL, "count": 1}
    texts = [
        report.plan_text(plan(plan=EVIL, findings=[finding])),
        report.verification_text(
            Verification([PrefixTotal(EVIL, 1, 1, 1, 1)], [Check("c", "u", 1, 1, [EVIL], [EVIL])])
        ),
    ]
    for text in texts:
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert "\\x1b[2J" in text


def test_a_verification_with_a_difference_never_says_all_is_well() -> None:
    good, bad = Check("good", "files", 5), Check("bad", "files", 5)
    bad.fail("- s3://data-lake/x: missing")
    assert Verification([], [good], cut_over=True).ok
    assert "Everything is as it must be." in report.verification_text(Verification([], [good], cut_over=True))
    failed = Verification([], [good, bad], cut_over=True)
    assert not failed.ok
    text = report.verification_text(failed)
    assert "✖ bad: 5 files checked, 1 wrong" in text and text.endswith("1 difference.")


def test_only_the_first_problems_are_listed_but_all_are_counted() -> None:
    check = Check("c", "files")
    for number in range(1000):
        check.fail(f"problem {number}")
    assert check.failed == 1000 and len(check.problems) == 20
