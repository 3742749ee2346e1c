from __future__ import annotations

from migrator.reporting.rendering import render
from migrator.reporting.verification import verification_report
from migrator.verifying.checks import Check, Verification
from reporting.described import LONELY


def test_a_verification_with_a_difference_never_says_all_is_well() -> None:
    good, bad = Check("good", "files", 5), Check("bad", "files", 5)
    bad.fail("- s3://data-lake/x: missing")
    assert Verification([], [good], cut_over=True).ok
    assert render(verification_report(Verification([], [good], cut_over=True))).endswith("Everything is as expected.")
    failed = Verification([], [good, bad], cut_over=True)
    assert not failed.ok and failed.result == "different"
    text = render(verification_report(failed))
    assert "✖ bad: 5 files checked, 1 wrong" in text and text.endswith("1 difference.")


def test_what_could_not_be_read_is_no_difference_and_not_well() -> None:
    check = Check("reads", "files", 5)
    check.error("! s3://data-lake/x: SlowDown")
    verification = Verification([], [check], cut_over=True)
    assert not verification.ok and verification.result == check.result == "error"
    text = render(verification_report(verification))
    assert "! reads: 5 files checked, 1 could not be read now" in text
    assert "difference" not in text and text.endswith("run the same command again.")


def test_a_check_that_compared_nothing_gets_no_tick() -> None:
    """It gets one line with counts and reasons, and the end of the report repeats it. Only a check that had nothing to
    do is left out."""
    good, nothing, part = Check("good", "files", 5), Check("nothing", "rows"), Check("part", "objects", 3)
    for _ in range(30):
        nothing.skip("the old bucket is gone")
    part.skip("the old bucket is gone", 2)
    part.skip("changed in the old bucket since planning")
    verification = Verification([], [good, nothing, part, Check("no tables", "tables")], cut_over=True)
    assert verification.ok and verification.result == nothing.result == "not compared" and part.result == "same"
    assert nothing.to_json()["not_compared"] == 30 and nothing.to_json()["reasons"] == {"the old bucket is gone": 30}
    text = render(verification_report(verification))
    assert "  – nothing: not compared: 30 rows (the old bucket is gone)" in text
    assert "  ✔ part: 3 objects checked, not compared: 3 objects\n      2: the old bucket is gone\n" in text
    assert "no tables" not in text and "Everything" not in text
    assert text.split("\n")[-1].startswith("Not compared: 30 rows: the old bucket is gone; 2 objects: the old bucket")
    empty = render(verification_report(Verification([], [Check("objects", "objects")], cut_over=True)))
    assert "✔" not in empty and "Everything" not in empty


def test_no_difference_is_said_only_where_something_was_compared() -> None:
    nothing = Check("objects", "objects")
    skipped = Check("rows", "rows")
    skipped.skip("the old bucket is gone", 3)
    for checks in ([nothing], [nothing, skipped], []):
        for verification in (
            Verification([], checks, cut_over=True),
            Verification([], checks, cut_over=True, unregistered=[LONELY]),
        ):
            assert "No difference" not in render(verification_report(verification))
    one = Verification([], [Check("objects", "objects", 1), skipped], cut_over=True)
    assert "No difference was found." in render(verification_report(one))


def test_only_the_first_problems_are_listed_but_all_are_counted() -> None:
    check = Check("c", "files")
    for number in range(1000):
        check.fail(f"problem {number}")
    assert check.failed == 1000 and len(check.problems) == 20
