"""The settings of the target: set, read back, restored, and left alone if somebody else has changed them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from e2e.crashes import die_at
from migrator.errors import PlanBlocked, PlanStale, StoreError
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_DONE, SETTING_SET, Journal
from migrator.settings.kinds import Decisions
from migrator.settings.translate import Translation
from migrator.store import Store
from migrator.store.setting_documents import read_document, write_document
from migrator.target import settings as stage
from migrator.target.settings import set_settings, settings_to_undo, translated_settings, undo_settings
from plan.handmade import LAYOUT, LOCATION, Named, data_file, planned, put, table

RULE = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}
TAGS = {"TagSet": [{"Key": "team", "Value": "bi"}]}
THEIRS = {"TagSet": [{"Key": "theirs", "Value": "x"}]}
SETTINGS = ("policy", "lifecycle", "tags")


@pytest.fixture
def lake(mock_store: Store) -> Store:
    for bucket in ("bronze", "warehouse", "data-lake"):
        mock_store.create_bucket(bucket)
    put(mock_store, "s3://bronze/tmp/a", b"a")
    statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "s3:GetObject",
                 "Resource": "arn:aws:s3:::bronze/*"}  # fmt: skip
    policy = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
    write_document(mock_store, "bronze", "policy", policy)
    write_document(mock_store, "bronze", "lifecycle", {"Rules": [RULE]})
    write_document(mock_store, "bronze", "tags", TAGS)
    write_document(mock_store, "data-lake", "tags", THEIRS)
    return mock_store


@pytest.fixture
def plan(lake: Store, tmp_path: Path) -> Iterator[PlanFile]:
    planned(lake, tmp_path, layout=LAYOUT)
    with PlanFile.open(tmp_path / "plan.db") as plan:
        yield plan


@pytest.fixture
def journal(plan: PlanFile) -> Journal:
    return Journal(plan)


def shown(plan: PlanFile, store: Store, **decisions: Any) -> Translation:
    return translated_settings(plan, store, Decisions(**decisions))


def present(store: Store) -> dict[str, Any]:
    return {setting: read_document(store, "data-lake", setting) for setting in SETTINGS}


BEFORE = {"policy": None, "lifecycle": None, "tags": THEIRS}


def test_all_is_set_read_back_and_given_back(plan: PlanFile, lake: Store, journal: Journal) -> None:
    done = set_settings(lake, journal, shown(plan, lake))
    assert done.ok and done.states == dict.fromkeys(SETTINGS, "set")
    now = present(lake)
    assert "arn:aws:s3:::data-lake/bronze/*" in now["policy"]["Policy"]
    assert [rule["Filter"] for rule in now["lifecycle"]["Rules"]] == [{"Prefix": "bronze/tmp/"}]
    assert now["tags"]["TagSet"] == [*THEIRS["TagSet"], *TAGS["TagSet"]]
    assert shown(plan, lake).changes == []
    events = [event for event in journal.events() if event["event"] == SETTING_SET]
    assert [(event["setting"], event["before"]) for event in events] == list(BEFORE.items())
    assert len(undo_settings(lake, journal).lines) == 3
    assert present(lake) == BEFORE and not settings_to_undo(journal)
    assert undo_settings(lake, journal).lines == []


def test_nothing_is_set_while_something_must_be_decided(plan: PlanFile, lake: Store, journal: Journal) -> None:
    lake.keep_versions("bronze")
    with pytest.raises(PlanBlocked, match="versioning: the old buckets differ"):
        set_settings(lake, journal, shown(plan, lake))
    assert present(lake) == BEFORE and not journal.events()
    assert set_settings(lake, journal, shown(plan, lake, versioning="enabled")).states["versioning"] == "set"
    (line,) = (line for line in undo_settings(lake, journal).lines if "ersioning" in line)
    assert "versioning cannot be removed" in line and not lake.keeps_versions("data-lake")


def test_a_document_that_was_changed_since_it_was_shown_is_left(plan: PlanFile, lake: Store, journal: Journal) -> None:
    translation = shown(plan, lake)
    write_document(lake, "data-lake", "lifecycle", {"Rules": [{**RULE, "ID": "new"}]})
    with pytest.raises(PlanStale, match="lifecycle of s3://data-lake/ was changed since it was shown"):
        set_settings(lake, journal, translation)
    assert present(lake)["lifecycle"]["Rules"][0]["ID"] == "new"
    undo_settings(lake, journal)
    assert present(lake)["policy"] is None


def test_what_others_have_changed_since_is_not_given_back(plan: PlanFile, lake: Store, journal: Journal) -> None:
    set_settings(lake, journal, shown(plan, lake))
    write_document(lake, "data-lake", "tags", TAGS)
    lines = undo_settings(lake, journal).lines
    assert sum("changed by somebody else" in line and "tags" in line for line in lines) == 1 and len(lines) == 3
    assert present(lake) == {**BEFORE, "tags": TAGS}
    assert undo_settings(lake, journal).lines == []


def test_what_was_set_in_two_steps_is_given_back_in_two(plan: PlanFile, lake: Store, journal: Journal) -> None:
    set_settings(lake, journal, shown(plan, lake))
    write_document(lake, "bronze", "tags", {"TagSet": [*TAGS["TagSet"], {"Key": "more", "Value": "y"}]})
    assert set_settings(lake, journal, shown(plan, lake)).states == {"tags": "set"}
    undo_settings(lake, journal)
    assert present(lake) == BEFORE


@pytest.mark.parametrize("requests", range(14))
def test_killed_before_any_request_a_rollback_gives_everything_back(
    plan: PlanFile, lake: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch, requests: int
) -> None:
    translation = shown(plan, lake)
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        die_at(patch, requests + 1, (stage, "read_document"), (stage, "write_document"))
        set_settings(lake, journal, translation)
        undo_settings(lake, journal)
    undo_settings(lake, journal)
    assert present(lake) == BEFORE and not settings_to_undo(journal)


def test_what_the_server_does_not_keep_is_as_before_and_the_rest_is_set(
    plan: PlanFile, lake: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server that drops the tags from the filters of lifecycle rules would."""
    limited = {**RULE, "Filter": {"And": {"Prefix": "tmp/", "Tags": [{"Key": "k", "Value": "v"}]}}}
    write_document(lake, "bronze", "lifecycle", {"Rules": [limited]})
    real = stage.write_document

    def forgetful(store: Store, bucket: str, setting: str, document: Any) -> None:
        if setting == "lifecycle" and document:
            rules = [{**rule, "Filter": {"Prefix": "bronze/tmp/"}} for rule in document["Rules"]]
            document = {"Rules": rules}
        real(store, bucket, setting, document)

    monkeypatch.setattr(stage, "write_document", forgetful)
    done = set_settings(lake, journal, shown(plan, lake))
    assert done.states == {"policy": "set", "lifecycle": "refused", "tags": "set"} and not done.ok
    assert "does not keep the lifecycle" in done.reasons["lifecycle"] and present(lake)["lifecycle"] is None
    assert [event["setting"] for event in settings_to_undo(journal)] == ["policy", "tags"]


@pytest.mark.parametrize("arrived", [True, False])
def test_an_error_is_only_one_if_nothing_has_changed(
    plan: PlanFile, lake: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    real = stage.write_document

    def failing(store: Store, bucket: str, setting: str, document: Any) -> None:
        if arrived:
            real(store, bucket, setting, document)
        raise StoreError("it broke")

    with monkeypatch.context() as patch:
        patch.setattr(stage, "write_document", failing)
        done = set_settings(lake, journal, shown(plan, lake))
    assert set(done.states.values()) == {"set" if arrived else "refused"}
    assert len(settings_to_undo(journal)) == (3 if arrived else 0)
    undo_settings(lake, journal)
    assert present(lake) == BEFORE


def test_notifications_wait_for_the_cutover(plan: PlanFile, lake: Store, journal: Journal) -> None:
    queue = {"Id": "q", "QueueArn": "arn:aws:sqs:us-east-1:1:q", "Events": ["s3:ObjectCreated:*"]}
    write_document(lake, "bronze", "notifications", {"QueueConfigurations": [queue]})
    done = set_settings(lake, journal, shown(plan, lake))
    assert done.states["notifications"] == "waits" and not done.ok
    assert read_document(lake, "data-lake", "notifications") is None
    journal.event(CUTOVER_DONE)
    assert set_settings(lake, journal, shown(plan, lake)).states == {"notifications": "set"}


def test_the_tables_of_the_plan_do_not_expire(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    write_document(lake, "bronze", "lifecycle", {"Rules": [{**RULE, "Filter": {"Prefix": ""}}]})
    planned(lake, tmp_path, Named(f"{LOCATION}/metadata/00000-a.metadata.json"), layout=LAYOUT)
    with PlanFile.open(tmp_path / "plan.db") as plan:
        translation = shown(plan, lake)
        assert translation.blocked
        (block,) = (one for one in translation.not_carried if one.severity == "block")
        assert block.reason == "it deletes objects by age, also of bronze/t/"
        assert not shown(plan, lake, expire_tables=True).blocked


def test_a_place_without_an_object_belongs_to_no_bucket(lake: Store, tmp_path: Path) -> None:
    layout = {"s3://bronze/": "bronze/", "s3://bronze/wh/": "warehouse/", "s3://warehouse/": "warehouse/"}
    write_document(lake, "warehouse", "policy", {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": "W", "Effect": "Allow", "Principal": {"AWS": "1"}, "Action": "s3:GetObject",
         "Resource": "arn:aws:s3:::warehouse/*"}]})})  # fmt: skip
    put(lake, "s3://warehouse/a", b"a")
    for name, carried in (("empty", True), ("used", False)):
        (tmp_path / name).mkdir()
        planned(lake, tmp_path / name, layout=layout)
        with PlanFile.open(tmp_path / name / "plan.db") as plan:
            policy = next(change.after for change in shown(plan, lake).changes if change.setting == "policy")
        assert ("WarehouseW" in str(policy)) is carried
        put(lake, "s3://bronze/wh/x", b"x")


def test_a_gone_target_needs_nothing_back(plan: PlanFile, lake: Store, journal: Journal) -> None:
    set_settings(lake, journal, shown(plan, lake))
    lake.client.delete_bucket(Bucket="data-lake")
    assert undo_settings(lake, journal).lines == [] and not settings_to_undo(journal)
