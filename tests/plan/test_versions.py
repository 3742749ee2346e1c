"""Older versions and delete markers in a plan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from migrator.config import Settings
from migrator.errors import AccessDenied
from migrator.plan.build import build_plan
from migrator.planfile.file import PlanFile
from migrator.progress import Progress
from migrator.reporting.describe import describe_plan
from migrator.store import Content, Store

pytestmark = pytest.mark.slow

LAYOUT: dict[str, str | bool] = {"s3://bronze/": "bronze/", "s3://bronze/tmp/": False, "s3://plain/": "plain/"}


@pytest.fixture
def lake(mock_store: Store) -> Store:
    """A bucket that keeps versions, one that never did, and no target."""
    client = boto3.client("s3")
    for bucket in ("bronze", "plain"):
        mock_store.create_bucket(bucket)
    mock_store.put("bronze", "d/old", Content(b"null", ""))
    mock_store.put("plain", "x", Content(b"x", ""))
    mock_store.keep_versions("bronze")
    for data in (b"1", b"22"):
        mock_store.put("bronze", "d/a", Content(data, ""))
    mock_store.put("bronze", "d/gone", Content(b"1", ""))
    time.sleep(1.1)  # the mock sorts markers after all versions of the same second
    for key in ("d/a", "d/gone"):
        client.delete_object(Bucket="bronze", Key=key)
    time.sleep(1.1)
    mock_store.put("bronze", "d/a", Content(b"333", ""))
    mock_store.put("bronze", "tmp/t", Content(b"1", ""))
    mock_store.put("bronze", "tmp/t", Content(b"2", ""))
    return mock_store


def planned(store: Store, folder: Path, **settings: Any) -> tuple[list[str], dict[str, Any]]:
    """The older versions of the plan as lines, key by key, and the plan's description."""
    path = folder / f"{time.monotonic_ns()}.db"
    build_plan(path, Settings(**{"layout": LAYOUT, "all_versions": True, **settings}), store, {}, Progress())
    with PlanFile.open(path) as plan:
        lines = [
            f"{v.action} {v.bucket}/{v.key} {v.version_id} {v.ordinal}: {'marker' if v.marker else v.size}"
            f" -> {v.target}"
            for history in plan.histories()
            for v in history
        ]
        return lines, describe_plan(plan)


def messages(described: dict[str, Any], code: str) -> list[str]:
    return [f"{f['severity']}: {f['message']}. {f['next_move']}" for f in described["findings"] if f["code"] == code]


def test_older_versions_are_counted_below_the_rules(lake: Store, tmp_path: Path) -> None:
    lines, described = planned(lake, tmp_path, all_versions=False)
    assert lines == [] and not described["all_versions"]
    assert described["versions"]["copy"]["keys"] == 0
    assert messages(described, "versioned-bucket") == [
        "warn: is versioned: its 3 older versions (4 bytes) and 2 delete markers are not copied. "
        "To copy them, too: --all-versions."
    ]


def test_buckets_without_versions_cost_no_listing(
    mock_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mock_store.create_bucket("bronze")
    mock_store.create_bucket("plain")
    monkeypatch.setattr(Store, "list_versions", None)
    _, described = planned(mock_store, tmp_path)
    assert described["all_versions"] and not messages(described, "versioned-bucket")


def test_the_plan_records_them_oldest_first(lake: Store, tmp_path: Path) -> None:
    lines, described = planned(lake, tmp_path)
    ids = [line.split()[2] for line in lines]
    assert lines == [
        f"copy bronze/d/a {ids[0]} 1: 1 -> bronze/d/a",
        f"copy bronze/d/a {ids[1]} 2: 2 -> bronze/d/a",
        f"copy bronze/d/a {ids[2]} 3: marker -> bronze/d/a",
        f"copy bronze/d/gone {ids[3]} 1: 1 -> bronze/d/gone",
        f"copy bronze/d/gone {ids[4]} 2: marker -> bronze/d/gone",
    ]
    assert described["versions"]["copy"] == {"keys": 2, "versions": 3, "markers": 2, "bytes": 4}
    assert not described["blocked"] and described["changes_pending"]
    (message,) = messages(described, "versioned-bucket")
    assert message.startswith("info: is versioned: its 3 older versions (4 bytes) and 2 delete markers are copied, too")
    (message,) = messages(described, "target-bucket-missing")
    assert "enable versioning" in message


def test_a_version_from_before_versioning_has_the_id_null(lake: Store, tmp_path: Path) -> None:
    lake.put("bronze", "d/old", Content(b"now", ""))
    lines, _ = planned(lake, tmp_path)
    assert "copy bronze/d/old null 1: 4 -> bronze/d/old" in lines


def test_a_target_that_keeps_no_versions_blocks(lake: Store, tmp_path: Path) -> None:
    lake.create_bucket("data-lake")
    _, described = planned(lake, tmp_path)
    (message,) = messages(described, "target-not-versioned")
    assert described["blocked"] and "Enable versioning on it" in message
    lake.keep_versions("data-lake")
    assert not planned(lake, tmp_path)[1]["blocked"]


def test_versions_of_two_sources_cannot_share_a_key(lake: Store, tmp_path: Path) -> None:
    lake.put("plain", "d/gone", Content(b"other", ""))
    _, described = planned(lake, tmp_path, layout={"s3://bronze/": "one/", "s3://plain/": "one/"})
    (message,) = messages(described, "key-collision")
    assert "with their older versions" in message and described["blocked"]
    _, described = planned(lake, tmp_path, layout={"s3://bronze/": "one/", "s3://plain/": "one/"}, all_versions=False)
    assert not described["blocked"]


def test_too_long_a_key_of_a_deleted_object_blocks(lake: Store, tmp_path: Path) -> None:
    key = "k" * 1020
    lake.put("bronze", key, Content(b"x", ""))
    boto3.client("s3").delete_object(Bucket="bronze", Key=key)
    _, described = planned(lake, tmp_path)
    (message,) = messages(described, "key-too-long")
    assert "1,024" in message


def test_what_the_target_has_without_its_history_stays_as_it_is(lake: Store, tmp_path: Path) -> None:
    lake.create_bucket("data-lake")
    lake.keep_versions("data-lake")
    lake.put("data-lake", "bronze/d/a", Content(b"333", ""))
    lines, described = planned(lake, tmp_path)
    assert [line.split()[1] for line in lines] == ["bronze/d/gone"] * 2
    (message,) = messages(described, "versions-too-late")
    assert message.startswith("warn:") and described["actions"]["same"]["objects"] == 1


def test_a_history_half_done_is_gone_on_with(lake: Store, tmp_path: Path) -> None:
    """Also if the version at the target is younger than the source's current version, and different."""
    lake.create_bucket("data-lake")
    lake.keep_versions("data-lake")
    lake.put("data-lake", "bronze/d/a", Content(b"1", ""))
    lines, described = planned(lake, tmp_path)
    assert len(lines) == 5 and all(line.startswith("copy") for line in lines) and not described["blocked"]
    assert described["actions"]["copy"]["objects"] == 3
    lake.put("data-lake", "bronze/d/a", Content(b"22", ""))
    time.sleep(1.1)
    boto3.client("s3").delete_object(Bucket="data-lake", Key="bronze/d/a")
    lines, described = planned(lake, tmp_path)
    assert [line.split()[0] for line in lines] == ["same"] * 3 + ["copy"] * 2
    assert described["actions"]["copy"]["objects"] == 3  # it comes after its history


def test_without_the_right_to_list_versions(lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise AccessDenied("s3://bronze: access denied.")

    monkeypatch.setattr(Store, "list_versions", denied)
    _, described = planned(lake, tmp_path, all_versions=False)
    (message,) = messages(described, "unchecked-bucket")
    assert "access denied" in message
    with pytest.raises(AccessDenied):
        planned(lake, tmp_path)


def test_a_listing_that_lacks_objects_is_completed(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SeaweedFS loses keys at the ends of pages."""
    whole = Store.list_versions

    def lossy(store: Store, bucket: str, prefix: str = "") -> Any:
        return (v for v in whole(store, bucket, prefix) if prefix or v.key != "d/a")

    monkeypatch.setattr(Store, "list_versions", lossy)
    lines, described = planned(lake, tmp_path)
    assert [line.split()[1] for line in lines] == ["bronze/d/a"] * 3 + ["bronze/d/gone"] * 2
    assert len(messages(described, "versions-unlisted")) == 1
