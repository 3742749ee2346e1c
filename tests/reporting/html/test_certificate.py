"""The certificate says "proven" only if the log does, and names everything that it does not prove."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.planfile.journal import CUTOVER_DONE, ROLLED_BACK, STARTED
from migrator.reporting.html.certificate import (
    CHANGING,
    EARLY,
    FAILED,
    NEVER,
    OUTDATED,
    PARTLY,
    PROVEN,
    certificate_of,
)
from migrator.reporting.html.facts import Proven
from reporting.html.made import entries, facts, verified

RUN = (STARTED, "copied", "rewritten", "compared", "cutover-begun", CUTOVER_DONE)


def test_nothing_is_certified_before_a_verification() -> None:
    for log in ((), RUN):
        certificate = certificate_of(facts(entries(*log)))
        assert (certificate.verdict, certificate.checks, certificate.at) == (NEVER, [], "")


def test_a_verification_of_everything_is_proven() -> None:
    certificate = certificate_of(facts(entries(*RUN, verified(deep=True), "finished")))
    assert certificate.verdict == PROVEN and certificate.exceptions == []
    assert (certificate.who, certificate.version, certificate.deep) == ("ann@host", "0.1", True)
    assert certificate.at == "2026-11-27T12:00:07Z"


def test_without_deep_it_says_what_was_not_read() -> None:
    certificate = certificate_of(facts(entries(*RUN, verified())))
    (said,) = certificate.exceptions
    assert certificate.verdict == PROVEN and "--deep" in said and "did not compare their values" in said


@pytest.mark.parametrize(
    ("entry", "changes", "says"),
    [
        (verified(skipped=3), {}, "3 objects not compared: too old"),
        (verified(unregistered=2), {}, "2 tables at the target in no catalog"),
        (verified(left_behind="1 added"), {}, "left behind in the old buckets: 1 added"),
        (verified(superseded=True), {}, "newer plan"),
        (verified(), {"proofs": [Proven("none", 7, 9)]}, "7 objects: not proven"),
        (verified(), {"proofs": [Proven("waiting", 7, 9)]}, "7 objects: not at the target yet"),
        (verified(), {"not_asked": True}, "The target was not asked"),
        (verified(), {"status": {"not_checked": "whether a newer plan was carried out: no answer"}}, "no answer"),
        (verified(), {"status": {"superseded_by": "plans/new.db"}}, "plans/new.db"),
        (verified(), {"log_changes": {"not_checked": "no such bucket"}}, "no such bucket"),
        (("verified", {"ok": True, "checks": [{"name": "c", "unit": "files", "checked": 1}]}), {}, "older version"),
    ],
)
def test_what_is_not_proven_is_named(entry: tuple[str, Any], changes: dict[str, Any], says: str) -> None:
    certificate = certificate_of(facts(entries(*RUN, entry), **changes))
    assert certificate.verdict == PARTLY
    assert any(says in sentence for sentence in certificate.exceptions), certificate.exceptions


def test_an_earlier_deep_verification_is_named_as_long_as_it_holds() -> None:
    rows = verified(deep=True)
    rows[1]["checks"].append({**rows[1]["checks"][0], "name": "every row is the same", "unit": "rows", "checked": 70})
    said = certificate_of(facts(entries(*RUN, rows, "finished", verified()))).earlier
    assert "12:00:07 UTC by ann@host" in said and "every row is the same: 70 rows compared, 0 differ" in said
    assert "every object is there" not in said
    for between in ("repaired", "rolled-back", STARTED):
        assert certificate_of(facts(entries(*RUN, rows, between, verified()))).earlier == ""
    failed = (rows[0], {**rows[1], "ok": False})
    assert certificate_of(facts(entries(*RUN, failed, verified()))).earlier == ""


def test_a_difference_fails_it_and_is_shown() -> None:
    certificate = certificate_of(facts(entries(*RUN, verified(failed=1))))
    assert certificate.verdict == FAILED
    assert certificate.checks[0].problems == ["- s3://data-lake/gone: missing"]
    assert certificate.checks[0].result == "different"


def test_a_log_that_was_changed_proves_nothing() -> None:
    certificate = certificate_of(facts(entries(*RUN, verified()), log_changes={"changed": "entry 3 is not the one"}))
    assert certificate.verdict == FAILED and any("entry 3" in said for said in certificate.exceptions)


def test_before_the_cutover_it_is_early() -> None:
    assert certificate_of(facts(entries(STARTED, "copied", verified(cut_over=False)))).verdict == EARLY


@pytest.mark.parametrize("event", CHANGING)
def test_what_happened_afterwards_makes_it_outdated(event: str) -> None:
    verdict = certificate_of(facts(entries(*RUN, verified(), event))).verdict
    assert verdict == (NEVER if event == ROLLED_BACK else OUTDATED)


@pytest.mark.parametrize(
    ("meanwhile", "verdict"), [("repaired", OUTDATED), ("renewed", OUTDATED), (ROLLED_BACK, NEVER)]
)
def test_what_others_did_while_it_was_verified_counts(meanwhile: str, verdict: str) -> None:
    """The entry of the verification is after theirs in the log, but it began before."""
    log = entries(*RUN, meanwhile, verified(log_entries=len(RUN)))
    assert certificate_of(facts(log)).verdict == verdict
    assert certificate_of(facts(entries(*RUN, meanwhile, verified(log_entries=len(RUN) + 1)))).verdict == PROVEN


def test_a_later_attempt_that_failed_is_named() -> None:
    log = entries(*RUN, verified(), ("verify-failed", {"reason": "access denied"}))
    certificate = certificate_of(facts(log))
    assert certificate.verdict == PARTLY and any("access denied" in said for said in certificate.exceptions)
    assert certificate_of(facts(entries(*RUN, ("verify-failed", {"reason": "x"}), verified()))).verdict == PROVEN


def test_the_journal_must_not_name_more_proofs_than_the_log() -> None:
    forged = certificate_of(facts(entries(*RUN, verified()), proofs=[Proven("sha256", 3, 9)]))
    assert forged.verdict == PARTLY and any("3 objects as proven by sha256" in said for said in forged.exceptions)
    interrupted = entries(STARTED, *RUN, verified())
    assert certificate_of(facts(interrupted, proofs=[Proven("etag", 9, 9)])).verdict == PROVEN


EVENTS = st.one_of(
    st.sampled_from(
        [*RUN, "finished", "repaired", "rollback-begun", ROLLED_BACK, "retired", "renewed", "late-changes"]
    ),
    st.builds(
        verified,
        checked=st.integers(0, 3),
        failed=st.integers(0, 1),
        skipped=st.integers(0, 2),
        deep=st.booleans(),
        cut_over=st.booleans(),
        unregistered=st.integers(0, 1),
    ),
)


@given(st.lists(EVENTS, max_size=12), st.booleans())
def test_whatever_is_in_the_log_proven_is_only_what_the_last_verification_proved(
    events: list[Any], asked: bool
) -> None:
    """The test decides this itself: from the last entry of a verification, and the entries after it."""
    certificate = certificate_of(facts(entries(*events), not_asked=not asked))
    names = [event if isinstance(event, str) else event[0] for event in events]
    if certificate.verdict != PROVEN:
        return
    last = len(names) - 1 - names[::-1].index("verified")
    detail = events[last][1]
    assert asked and detail["ok"] and detail["cut_over"] and not detail["unregistered"]
    assert all(check["checked"] and not check["failed"] and not check["not_compared"] for check in detail["checks"])
    assert not set(names[last + 1 :]) & {STARTED, "renewed", "repaired", "rollback-begun", ROLLED_BACK, "cutover-begun"}
