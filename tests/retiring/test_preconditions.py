"""When nothing may be deleted, for any content of the buckets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from migrator.errors import ConfigError, PlanBusy, PlanStale, RetireRefused
from migrator.planfile import log
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_DONE, FINISHED, ROLLBACK_BEGUN, ROLLED_BACK, Journal
from migrator.retiring.preconditions import check_finished, parse_cooling
from migrator.store import Store
from migrator.target import read_records
from migrator.target.lease import lease
from migrator.target.record import write_record
from retiring.conftest import OBJECTS, TARGET, Lake

EVENTS = (CUTOVER_DONE, FINISHED)


def test_a_plan_that_is_not_carried_out(lake: Lake) -> None:
    lake.plan()
    with pytest.raises(RetireRefused, match="is not cut over"):
        lake.retire()
    assert lake.contents() == set(OBJECTS)


@pytest.mark.parametrize(
    ("events", "refusal"),
    [
        ([CUTOVER_DONE], "did not pass"),
        ([*EVENTS, ROLLBACK_BEGUN], "rollback"),
        ([*EVENTS, ROLLBACK_BEGUN, ROLLED_BACK], "is not cut over"),
        ([*EVENTS, ROLLED_BACK, CUTOVER_DONE], "did not pass"),
        ([*EVENTS, ROLLED_BACK, *EVENTS], ""),
    ],
)
def test_only_what_came_since_the_last_rollback_counts(lake: Lake, events: list[str], refusal: str) -> None:
    lake.plan()
    with PlanFile.open(lake.path) as plan, Journal(plan) as journal:
        for event in events:
            journal.event(event)
        if not refusal:
            return check_finished(plan, journal, timedelta(0))
        with pytest.raises(RetireRefused, match=refusal):
            check_finished(plan, journal, timedelta(0))


@pytest.mark.parametrize(
    ("age", "cooling", "refusal"),
    [
        (timedelta(days=8), "7d", ""),
        (timedelta(days=6, hours=23), "7d", "are kept until"),
        (timedelta(hours=13), "12h", ""),
        (timedelta(hours=11), "12h", "are kept until"),
        (timedelta(seconds=1), "0", ""),
        (timedelta(days=-1), "0", "in the future"),
        (timedelta(days=-1), "7d", "in the future"),
    ],
)
def test_the_cooling_time(finished: Lake, age: timedelta, cooling: str, refusal: str) -> None:
    now = datetime.now(timezone.utc) + age
    with PlanFile.open(finished.path) as plan, Journal(plan) as journal:
        if not refusal:
            return check_finished(plan, journal, parse_cooling(cooling), now)
        with pytest.raises(RetireRefused, match=refusal):
            check_finished(plan, journal, parse_cooling(cooling), now)


@pytest.mark.parametrize("text", ["7", "d", "-1d", "1.5h", "7 days", "", "1d2h", "9999999d"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time"):
        parse_cooling(text)


def edited(lake: Lake, *statements: str) -> None:
    with closing(sqlite3.connect(lake.path)) as db:
        for trigger in ("events_stay", "events_last"):
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            db.execute(statement)
        db.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET at = '2020-01-01T00:00:00.000Z' WHERE event = 'finished'",
        "UPDATE events SET who = 'nobody@nowhere'",
        "DELETE FROM events WHERE event = 'copied'",
    ],
)
def test_a_log_that_was_changed(finished: Lake, statement: str) -> None:
    edited(finished, statement)
    with pytest.raises(RetireRefused, match=r"log of .* was changed"):
        finished.retire()
    assert finished.contents() == set(OBJECTS)


def test_a_log_that_is_shorter_than_the_targets_record(finished: Lake) -> None:
    """Entries that were removed from the end, and written anew, are chained properly: only the record shows it."""
    first = "(SELECT id FROM events WHERE event = 'cutover-done')"
    edited(finished, f"DELETE FROM events WHERE id >= {first}")
    with closing(sqlite3.connect(finished.path, isolation_level=None)) as db:
        for event in EVENTS:
            log.append(db, event, {})
    with pytest.raises(RetireRefused, match="target's record"):
        finished.retire()
    assert finished.contents() == set(OBJECTS)


def test_a_target_that_does_not_know_the_plan(finished: Lake) -> None:
    for found in list(finished.store.list(TARGET, ".migrator/plans/")):
        finished.drop(f"{TARGET}/{found.key}")
    with pytest.raises(RetireRefused, match="does not know it"):
        finished.retire()
    assert finished.contents() == set(OBJECTS)


def test_a_plan_that_a_newer_one_replaced(finished: Lake) -> None:
    (record,) = read_records(finished.store, TARGET)
    newer = replace(record, plan_id=f"{record.plan_id}-newer", plan="newer.db")
    write_record(finished.store, TARGET, newer)
    for confirm in (None, TARGET):
        with pytest.raises(PlanStale, match=r"superseded.*newer\.db"):
            finished.retire(confirm=confirm)
    assert finished.contents() == set(OBJECTS)


def test_a_target_that_is_being_migrated_to(finished: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "age", lambda *_: 1.0)  # the mock does not say the time
    with lease(finished.store, TARGET, finished.folder / "other.db"), pytest.raises(PlanBusy):
        finished.retire()
    assert finished.contents() == set(OBJECTS)


def test_what_was_done_is_in_the_log_and_at_the_target(finished: Lake) -> None:
    finished.put("bronze/new", b"new")
    finished.retire()
    with PlanFile.open(finished.path, read_only=True) as plan:
        *_, begun, retired = log.entries(plan.db)
        number, digest = log.head(plan.db)
        assert log.first_changed(plan.db) is None
    assert (begun.event, retired.event) == ("retire-begun", "retired")
    assert begun.detail["buckets"]["bronze"] == {"objects": 3, "bytes": 6} and begun.detail["target"] == TARGET
    assert retired.detail["ok"] and retired.detail["buckets"]["bronze"]["objects"] == 3
    assert list(retired.detail["buckets"]["bronze"]["stays"].values()) == [1]
    (record,) = read_records(finished.store, TARGET)
    assert (record.log_entries, record.log_digest) == (number, digest)
