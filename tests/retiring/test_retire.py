"""What is deleted in the old buckets, and what is never deleted."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from migrator.errors import ConfigError, RetireRefused, StoreError, Unreachable
from migrator.planfile.file import PlanFile
from migrator.retiring import deleting
from migrator.retiring.old_objects import CHANGED, NO_RULE, NOT_PLANNED, NOT_PROVEN, WRITTEN_AGAIN
from migrator.store import Deletion, NotDeleted, Store
from retiring.conftest import OBJECTS, TARGET, Lake, bucket_of, reasons

Act = Callable[[Lake], None]


def test_without_confirmation_it_only_shows(finished: Lake) -> None:
    shown = finished.retire(confirm=None)
    assert not shown.carried_out and shown.ok
    assert (bucket_of(shown).counts["objects"], bucket_of(shown).bytes) == (3, 6)
    assert finished.contents() == set(OBJECTS)


@pytest.mark.parametrize("confirm", ["", "data", "bronze", "DATA-LAKE"])
def test_another_confirmation_deletes_nothing(finished: Lake, confirm: str) -> None:
    with pytest.raises(ConfigError, match="--confirm data-lake"):
        finished.retire(confirm=confirm)
    assert finished.contents() == set(OBJECTS)


def test_every_source_is_deleted_and_the_target_stays(finished: Lake) -> None:
    before = finished.contents(TARGET)
    done = finished.retire()
    assert done.carried_out and done.ok
    assert finished.contents() == set()
    assert finished.contents(TARGET) >= {place for place in before if ".migrator" not in place}
    assert finished.migrate(), "nothing is left to do"


def test_objects_that_were_the_same_at_the_target_are_deleted_too(lake: Lake) -> None:
    """A second plan copies only what is new; what an earlier plan copied is proven as well."""
    lake.plan()
    lake.migrate()
    (lake.folder / "plan.db").rename(lake.folder / "first.db")
    lake.put("bronze/late", b"late")
    lake.plan()
    lake.migrate()
    lake.retire()
    assert lake.contents() == set()


CHANGES: dict[str, tuple[Act, set[str], str]] = {
    "other bytes": (lambda lake: lake.put("bronze/a/1", b"other"), {"bronze/a/1"}, CHANGED),
    "same size": (lambda lake: lake.put("bronze/a/1", b"eno"), {"bronze/a/1"}, CHANGED),
    "an empty one filled": (lambda lake: lake.put("bronze/empty", b"x"), {"bronze/empty"}, CHANGED),
    "same bytes again": (lambda lake: lake.date("bronze/a/1", 60), {"bronze/a/1"}, WRITTEN_AGAIN),
    "new object": (lambda lake: lake.put("bronze/a/3", b"new"), {"bronze/a/3"}, NOT_PLANNED),
    "new object with known bytes": (lambda lake: lake.put("bronze/b", b"one"), {"bronze/b"}, NOT_PLANNED),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_planning_stays(finished: Lake, change: str) -> None:
    act, stays, reason = CHANGES[change]
    act(finished)
    shown = finished.retire(confirm=None)
    done = finished.retire()
    assert finished.contents() == stays
    assert reasons(shown) == reasons(done) == {reason: [f"s3://{place}" for place in stays]}
    if reason in (NOT_PLANNED, CHANGED):
        assert finished.migrate(), "what stays was shown: it is no reason to plan again"


def test_what_vanished_is_said_unless_an_earlier_run_deleted_it(finished: Lake) -> None:
    finished.drop("bronze/a/1")
    shown, done, again = finished.retire(confirm=None), finished.retire(), finished.retire()
    for one in (shown, done):
        assert (bucket_of(one).vanished.examples, bucket_of(one).gone) == (["s3://bronze/a/1"], 0)
    assert (bucket_of(again).vanished.count, bucket_of(again).gone) == (0, 3)


AT_TARGET: dict[str, Act] = {
    "gone": lambda lake: lake.drop(f"{TARGET}/bronze/a/1"),
    "changed": lambda lake: lake.put(f"{TARGET}/bronze/a/1", b"more"),
    "changed with the same size": lambda lake: lake.put(f"{TARGET}/bronze/a/1", b"eno"),
}


@pytest.mark.parametrize("act", AT_TARGET.values(), ids=AT_TARGET)
def test_an_original_whose_copy_is_not_there_is_the_last_one(finished: Lake, act: Act) -> None:
    act(finished)
    for confirm in (None, TARGET):
        with pytest.raises(RetireRefused, match=r"bronze/a/1.*changed-at-target"):
            finished.retire(confirm=confirm)
    assert finished.contents() == set(OBJECTS)
    done = finished.retire(accept=["changed-at-target"])
    assert finished.contents() == {"bronze/a/1"}
    assert reasons(done) == {NOT_PROVEN: ["s3://bronze/a/1"]}


def test_an_empty_target_deletes_nothing_even_if_accepted(finished: Lake) -> None:
    for place in finished.contents(TARGET):
        if ".migrator" not in place:
            finished.drop(place)
    finished.retire(accept=["changed-at-target"])
    assert finished.contents() == set(OBJECTS)


def test_a_rule_that_is_false_keeps_its_folder(lake: Lake) -> None:
    lake.put("bronze/kept/x", b"x")
    lake.plan(layout={"s3://bronze/": "bronze/", "s3://bronze/kept/": False, "s3://warehouse/": "warehouse/"})
    lake.migrate()
    lake.put("bronze/kept/y", b"y")
    done = lake.retire(remove_buckets=True)
    assert lake.contents("bronze") == {"bronze/kept/x", "bronze/kept/y"}
    assert reasons(done) == {NO_RULE: ["s3://bronze/kept/x", "s3://bronze/kept/y"]}
    assert "only a part" in bucket_of(done).kept and bucket_of(done, "warehouse").removed


def test_only_the_prefixes_of_the_layout_are_listed_and_deleted(lake: Lake) -> None:
    lake.put("bronze/a-neighbour", b"x")
    lake.plan(layout={"s3://bronze/a/": "a/"})
    lake.migrate()
    done = lake.retire(remove_buckets=True)
    assert lake.contents() == {"bronze/a-neighbour", "bronze/empty", "warehouse/w"}
    assert reasons(done) == {NO_RULE: ["s3://bronze/a-neighbour"]} and not bucket_of(done).removed


def test_what_hadoop_left_goes_with_its_folder(lake: Lake) -> None:
    """Empty folder markers are deleted. One with bytes is data, and a .crc file of a plain file is copied as it is."""
    lake.put("bronze/a_$folder$", b"")
    lake.put("bronze/b_$folder$", b"data")
    lake.put("bronze/a/.1.crc", b"crc")
    lake.plan()
    lake.migrate()
    done = lake.retire()
    assert lake.contents() == set()
    assert (bucket_of(done).counts["folder_markers"], bucket_of(done).counts["objects"]) == (1, 5)


def test_page_by_page(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "MOST_DELETIONS", 2)
    for number in range(9):
        lake.put(f"bronze/many/{number}", b"")
    lake.plan()
    lake.migrate()
    lake.put("bronze/many/5x", b"")
    done = lake.retire()
    assert lake.contents() == {"bronze/many/5x"}
    assert bucket_of(done).counts["objects"] == 12


ODD_KEYS = ("x\x01y", "line\nend", "tab\there", "ünï cödé", "a&b<c>'\"", "percent%20", "~", "\x7f", "return\rhere")


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys(lake: Lake, key: str) -> None:
    bronze = {"Bucket": "bronze"}
    lake.client.put_object(**bronze, Key=f"odd/{key}", Body=b"1")
    lake.plan()
    lake.migrate()
    assert lake.retire().ok
    assert lake.contents() == set()


# -- what the server may do ----------------------------------------------------------------------------------


def test_what_the_server_refuses_is_reported_and_the_rest_continues(
    finished: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = deleting.delete_objects

    def locked(store: Store, bucket: str, deletions: list[Deletion]) -> list[NotDeleted]:
        free = [deletion for deletion in deletions if deletion.key != "a/1"]
        refused = [NotDeleted(d, "AccessDenied: under retention") for d in deletions if d.key == "a/1"]
        return [*real(store, bucket, free), *refused] if free else refused

    monkeypatch.setattr(deleting, "delete_objects", locked)
    done = finished.retire()
    assert not done.ok and finished.contents() == {"bronze/a/1"}
    assert bucket_of(done).not_deleted["AccessDenied: under retention"].examples == ["s3://bronze/a/1"]
    monkeypatch.setattr(deleting, "delete_objects", real)
    again = finished.retire()
    assert again.ok and finished.contents() == set()


def test_a_whole_request_that_is_refused_does_not_stop_the_other_buckets(
    finished: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = deleting.delete_objects

    def denied(store: Store, bucket: str, deletions: list[Deletion]) -> list[NotDeleted]:
        if bucket == "bronze":
            raise StoreError("s3://bronze: SlowDown")
        return real(store, bucket, deletions)

    monkeypatch.setattr(deleting, "delete_objects", denied)
    done = finished.retire(remove_buckets=True)
    assert bucket_of(done).failed == 3 and not bucket_of(done).removed
    assert bucket_of(done, "warehouse").removed


def test_after_an_interruption_it_continues(finished: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    real = deleting.delete_objects

    asked: list[int] = []
    monkeypatch.setattr(deleting, "FIRST_PAUSE", 0.0)

    def dies(store: Store, bucket: str, deletions: list[Deletion]) -> list[NotDeleted]:
        asked.append(len(deletions))
        if len(asked) == 1:
            real(store, bucket, deletions[:1])
        raise Unreachable("the server is gone")

    with monkeypatch.context() as patched:
        patched.setattr(deleting, "delete_objects", dies)
        with pytest.raises(Unreachable, match=r"may be deleted already\..*same command again: it goes on"):
            finished.retire()
    assert asked == [3] + [2] * deleting.ATTEMPTS
    assert len(finished.contents()) == len(OBJECTS) - 1
    shown, done = finished.retire(confirm=None), finished.retire()
    assert finished.contents() == set() and done.ok
    assert (bucket_of(done).gone, bucket_of(done).vanished.count) == (1, 0)
    assert (bucket_of(shown).gone, bucket_of(shown).counts["objects"]) == (1, 2)


def lost_answer() -> StoreError:
    error = StoreError("s3://bronze: DeleteObjects failed (InternalError)")
    error.__cause__ = ClientError({"ResponseMetadata": {"HTTPStatusCode": 500}}, "DeleteObjects")  # type: ignore[typeddict-item]
    return error


@pytest.mark.parametrize("error", [Unreachable("reset"), lost_answer()], ids=["reset", "500"])
@pytest.mark.parametrize("before", ["nothing", "a part", "all"])
@pytest.mark.parametrize("versions", ["", "Enabled"])
def test_a_lost_answer_is_followed_by_a_new_look(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, error: StoreError, before: str, versions: str
) -> None:
    """What was deleted before the answer was lost counts as deleted, whatever it is. An object that somebody writes
    meanwhile at the same key stays, although this server does not honour an ETag as a condition."""
    if versions:
        lake.client.put_bucket_versioning(Bucket="bronze", VersioningConfiguration={"Status": versions})
    lake.plan()
    lake.migrate()
    real, asked = deleting.delete_objects, 0
    monkeypatch.setattr(deleting, "FIRST_PAUSE", 0.0)
    had = {"nothing": 0, "a part": 2, "all": 3}[before]

    def loses(store: Store, bucket: str, deletions: list[Deletion]) -> list[NotDeleted]:
        nonlocal asked
        asked += bucket == "bronze"
        if bucket != "bronze" or asked % 3 == 0:
            return real(store, bucket, deletions)
        if asked == 1 and had:
            real(store, bucket, deletions[:had])
            lake.put(f"bronze/{deletions[0].key}", b"new")
        raise error

    monkeypatch.setattr(deleting, "delete_objects", loses)
    done = lake.retire()
    assert done.ok and bucket_of(done).counts["objects"] == 3 and bucket_of(done).vanished.count == 0
    assert lake.contents() == ({"bronze/a/1"} if had else set())


def test_a_listing_with_keys_that_nobody_asked_for(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.plan(layout={"s3://bronze/a/": "a/"})
    lake.migrate()
    real = Store.list
    monkeypatch.setattr(
        Store, "list", lambda self, bucket, prefix="": real(self, bucket, "" if bucket == "bronze" else prefix)
    )
    with pytest.raises(StoreError, match="not asked for"):
        lake.retire()
    assert "bronze/empty" in lake.contents()


@pytest.mark.parametrize("name", [TARGET, "another-bucket"])
def test_no_request_deletes_in_any_other_bucket(finished: Lake, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if everything before were wrong."""
    monkeypatch.setattr(deleting, "prefixes_of", lambda layout: {name: ["bronze"]})
    finished.client.create_bucket(Bucket="another-bucket")
    with PlanFile.open(finished.path, read_only=True) as plan, pytest.raises(RetireRefused, match="no old bucket"):
        deleting.check_old_bucket(plan, name)
    before = finished.contents(TARGET)
    finished.retire()
    assert {place for place in before if ".migrator" not in place} <= finished.contents(TARGET)


def test_an_old_bucket_that_is_the_target_under_another_name(finished: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Store.find
    alias = lambda self, bucket, key: real(self, TARGET if bucket == "warehouse" else bucket, key)  # noqa: E731
    monkeypatch.setattr(Store, "find", alias)
    with pytest.raises(RetireRefused, match="under another name"):
        finished.retire()
    assert finished.contents() == set(OBJECTS)


def test_an_old_bucket_that_does_not_exist_any_more(finished: Lake) -> None:
    finished.drop("warehouse/w")
    finished.client.delete_bucket(Bucket="warehouse")
    done = finished.retire(remove_buckets=True)
    assert bucket_of(done, "warehouse").missing and bucket_of(done).removed
    again = finished.retire(remove_buckets=True)
    assert all(bucket.missing for bucket in again.buckets) and finished.migrate()


# -- buckets -------------------------------------------------------------------------------------------------


def test_only_empty_buckets_are_removed(finished: Lake) -> None:
    finished.put("warehouse/new", b"new")
    done = finished.retire(remove_buckets=True)
    assert finished.store.bucket_names() == [TARGET, "warehouse"]
    assert bucket_of(done).removed and "s3://warehouse/new" in bucket_of(done, "warehouse").kept


def test_a_bucket_with_an_open_upload_stays(finished: Lake) -> None:
    finished.client.create_multipart_upload(Bucket="bronze", Key="open")
    done = finished.retire(remove_buckets=True)
    assert "open multipart upload" in bucket_of(done).kept and finished.store.bucket_exists("bronze")


def test_without_the_option_no_bucket_is_removed(finished: Lake) -> None:
    finished.retire()
    assert finished.store.bucket_names() == ["bronze", TARGET, "warehouse"]


def test_the_result_is_json(finished: Lake) -> None:
    finished.put("bronze/new", b"new")
    shown = json.loads(json.dumps(finished.retire(confirm=None).to_json()))
    assert shown["carried_out"] is False and shown["verified"] == "same"
    bronze = shown["buckets"][0]
    assert (bronze["bucket"], bronze["objects"], bronze["bytes"]) == ("bronze", 3, 6)
    assert bronze["stays"] == [{"reason": NOT_PLANNED, "count": 1, "examples": ["s3://bronze/new"]}]
