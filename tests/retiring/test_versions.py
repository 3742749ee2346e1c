"""Old buckets that keep versions: exactly the planned versions are deleted, by their ids."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from migrator.retiring.old_objects import CHANGED, KEY_CHANGED, NOT_PLANNED, OLDER
from retiring.conftest import TARGET, Lake, bucket_of, reasons


@pytest.fixture
def versioned(lake: Lake) -> Lake:
    """The bucket bronze keeps versions: ``a/1`` has an older one, ``gone`` was deleted. Each is a minute younger than
    the one before."""
    lake.store.keep_versions("bronze")
    lake.put("bronze/a/1", b"newer")
    lake.date("bronze/a/1", 60)
    lake.put("bronze/gone", b"gone")
    lake.drop("bronze/gone")
    return lake


@pytest.fixture(params=[False, True], ids=["current", "all versions"])
def all_versions(request: pytest.FixtureRequest, versioned: Lake) -> bool:
    """Whether the plan copied the older versions, too. It is carried out."""
    versions = bool(request.param)
    if versions:
        versioned.store.keep_versions(TARGET)
    versioned.plan(all_versions=versions)
    versioned.migrate()
    return versions


def test_what_the_plan_copied_is_deleted_for_good(versioned: Lake, all_versions: bool) -> None:
    before = versioned.versions("bronze")
    done = versioned.retire()
    left = versioned.versions("bronze")
    counts = bucket_of(done).counts
    if all_versions:
        assert left == [] and (counts["objects"], counts["older_versions"], counts["delete_markers"]) == (3, 2, 1)
    else:
        assert {key for key, _ in left} == {"a/1", "gone"} and len(left) == 3 and set(left) <= set(before)
        assert counts["objects"] == 3 and reasons(done)[OLDER][0].startswith("s3://bronze/a/1 (version ")
    assert versioned.migrate(), "what stays was shown: it is no reason to plan again"


def test_no_delete_marker_is_made(versioned: Lake, all_versions: bool) -> None:
    markers = {v.version_id for v in versioned.store.list_versions("bronze") if v.marker}
    versioned.retire()
    assert {v.version_id for v in versioned.store.list_versions("bronze") if v.marker} <= markers


def written(lake: Lake, data: bytes | None) -> None:
    """Write the key, or delete it, two minutes later."""
    if data is None:
        lake.drop("bronze/a/1")
    else:
        lake.put("bronze/a/1", data)
    lake.date("bronze/a/1", 120)


CHANGES: dict[str, Sequence[bytes | None]] = {
    "new version": [b"newest"],
    "new version with the same bytes": [b"newer"],
    "deleted": [None],
    "deleted and created again": [None, b"newer"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_key_that_was_written_to_stays_with_all_its_versions(
    versioned: Lake, all_versions: bool, change: str
) -> None:
    for data in CHANGES[change]:
        written(versioned, data)
    before = [version for version in versioned.versions("bronze") if version[0] == "a/1"]
    done = versioned.retire()
    assert [version for version in versioned.versions("bronze") if version[0] == "a/1"] == before
    assert reasons(done) and bucket_of(done).counts["objects"] == 2
    assert {"a/2", "empty"}.isdisjoint(key for key, _ in versioned.versions("bronze"))


def test_a_new_key_stays(versioned: Lake, all_versions: bool) -> None:
    versioned.put("bronze/new", b"new")
    done = versioned.retire()
    assert "bronze/new" in versioned.contents("bronze") and NOT_PLANNED in reasons(done)


def test_a_deleted_key_that_was_created_again_stays(versioned: Lake, all_versions: bool) -> None:
    versioned.put("bronze/gone", b"again")
    before = [version for version in versioned.versions("bronze") if version[0] == "gone"]
    done = versioned.retire()
    assert [version for version in versioned.versions("bronze") if version[0] == "gone"] == before
    assert {CHANGED, KEY_CHANGED, NOT_PLANNED, OLDER} & set(reasons(done))


def test_an_older_version_with_the_same_bytes_is_not_taken_for_the_planned_one(lake: Lake) -> None:
    """It shows when the planned one is deleted, also to the next run of the same command."""
    lake.store.keep_versions("bronze")
    lake.put("bronze/twice", b"same")
    older = lake.versions("bronze")[-1]
    lake.put("bronze/twice", b"same")
    lake.date("bronze/twice", 60)
    lake.plan()
    lake.migrate()
    lake.retire()
    lake.retire()
    assert lake.versions("bronze") == [older]


def test_a_bucket_with_older_versions_is_not_removed(versioned: Lake, all_versions: bool) -> None:
    done = versioned.retire(remove_buckets=True)
    assert bucket_of(done).removed == all_versions == (not versioned.store.bucket_exists("bronze"))


def test_versioning_that_is_suspended(lake: Lake) -> None:
    lake.store.keep_versions("bronze")
    lake.put("bronze/a/1", b"versioned")
    lake.client.put_bucket_versioning(Bucket="bronze", VersioningConfiguration={"Status": "Suspended"})
    lake.put("bronze/a/2", b"null")
    lake.plan()
    lake.migrate()
    lake.put("bronze/empty", b"overwritten")
    lake.retire()
    assert lake.contents("bronze") >= {"bronze/empty"}
    assert lake.store.get("bronze", "empty").data == b"overwritten"
    assert "a/2" not in {key for key, _ in lake.versions("bronze")}
