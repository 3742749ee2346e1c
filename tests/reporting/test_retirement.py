"""What ``migrator retire`` prints."""

from __future__ import annotations

from migrator.reporting.rendering import render
from migrator.reporting.retirement import command, retirement_report
from migrator.retiring.results import OBJECTS, OldBucket, Retirement
from migrator.verifying.checks import Verification


def retirement(bucket: OldBucket, *, done: bool = False) -> Retirement:
    return Retirement("plans/my lake.db", "data-lake", Verification(), done, buckets=[bucket])


def test_what_is_only_shown_ends_with_the_command_that_deletes_it() -> None:
    bucket = OldBucket("bronze", bytes=2048)
    bucket.counts[OBJECTS] = 3
    for number in range(7):
        bucket.stay("a reason", f"s3://bronze/{number}")
    shown = retirement(bucket)
    shown.accepted = {"delta-log": ["s3://bronze/d holds paths"]}
    text = render(retirement_report(shown, cooling="12h"))
    assert "Would be deleted" in text and "Nothing was deleted" in text and "7 stay: a reason" in text
    assert "s3://bronze/4" in text and "s3://bronze/5" not in text and "… and 2 more" in text
    whole = "migrator retire 'plans/my lake.db' --cooling 12h --accept delta-log --yes --confirm data-lake"
    assert text.endswith(whole) and command(shown, "12h") == whole


def test_what_could_not_be_deleted_is_said_and_not_called_done() -> None:
    bucket = OldBucket("bronze")
    bucket.fail("AccessDenied: no", "s3://bronze/\x1b[31mkey")
    text = render(retirement_report(retirement(bucket, done=True)))
    assert "1 could not be deleted: AccessDenied: no" in text and "Done" not in text and "\x1b" not in text
