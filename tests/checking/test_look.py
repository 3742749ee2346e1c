"""The whole check on a mocked S3: before a migration, after it, a year later, and with what cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from checking.lake import TIDY, Checked
from migrator.checking import old_names, seen
from migrator.errors import AccessDenied, NotFound, Unreachable
from migrator.layout import MEDALLION
from migrator.progress import Progress
from migrator.store import OWN_PREFIX, Store
from plan.handmade import CURRENT, Named, data_file, table


def test_a_tidy_lake_passes(lake: Checked) -> None:
    found = lake.check()
    assert found.ok and found.findings == [] and found.scripts_read == 1
    assert found.old_buckets == dict.fromkeys(sorted(MEDALLION), "gone")
    assert found.result == "The structure is as expected, and nothing names an old bucket."


def test_what_migrator_keeps_for_itself_is_no_part_of_the_lake(lake: Checked) -> None:
    lake.put(f"{OWN_PREFIX}x")
    lake.put(".migrator-lock")
    assert lake.check().ok


def test_nothing_is_written(lake: Checked) -> None:
    before = list(lake.store.list("data-lake"))
    lake.check("platinum")
    assert list(lake.store.list("data-lake")) == before
    assert lake.store.bucket_names() == ["data-lake"]


# -- before and after ----------------------------------------------------------------------------------------


def test_before_a_migration_the_old_buckets_are_shown_as_they_will_be(mock_store: Store) -> None:
    lake = Checked(mock_store)
    lake.put("iceberg-warehouse/bronze.db/x", bucket="bronze")
    lake.put("raw_events/a", bucket="bronze")
    lake.put("etl/load.py", b"read('s3a://bronze/raw_events/')", bucket="scripts")
    found = lake.check()
    assert not found.ok and not found.target_exists
    folders = {folder.name: (folder.state, folder.objects) for folder in found.folders}
    assert folders["warehouse"] == ("in old buckets", 1) and folders["bronze"] == ("in old buckets", 1)
    assert folders["silver"] == ("missing", 0)
    assert {finding.code for finding in found.failed} == {"target-bucket-missing", "not-migrated", "old-path-in-script"}
    assert "s3://scripts/etl/load.py" in {finding.place for finding in found.failed}
    assert not mock_store.bucket_exists("data-lake")


def test_before_a_migration_with_an_empty_target(mock_store: Store) -> None:
    lake = Checked(mock_store)
    lake.put("x/a", bucket="gold")
    mock_store.create_bucket("data-lake")
    assert lake.failed() == [("not-migrated", "s3://data-lake/gold/")]


def test_after_a_migration_the_old_buckets_may_wait_for_their_end(lake: Checked) -> None:
    lake.put("raw_events/a", bucket="bronze")
    lake.put("etl/load.py", b"read('s3a://bronze/raw_events/')", bucket="scripts")
    lake.store.create_bucket("gold")
    found = lake.check()
    assert found.ok
    assert {(f.code, f.place) for f in found.findings} == {
        ("old-bucket", f"s3://{bucket}/") for bucket in ("bronze", "gold", "scripts")
    }
    assert found.old_buckets["bronze"] == "has objects" and found.old_buckets["gold"] == "empty"


def test_a_part_that_was_forgotten(lake: Checked) -> None:
    for key in TIDY:
        if key.startswith("checkpoints/"):
            lake.store.erase("data-lake", key)
    lake.put("bronze/metadata", bucket="checkpoints")
    assert lake.failed() == [("not-migrated", "s3://data-lake/checkpoints/")]


def test_a_custom_layout(lake: Checked) -> None:
    lake.settings["layout"] = {"s3://raw/": "bronze/", "s3://raw/tmp/": False}
    lake.put("tmp/x", bucket="raw")
    found = lake.check()
    assert found.old_buckets == {"raw": "has objects"}
    assert {finding.code for finding in found.failed} == {"stray-folder"}
    lake.put("scripts/a.py", b"'s3://raw/x' 's3://raw/tmp/y' 's3://gold/z'")
    assert "s3://raw/x" in lake.only("old-path-in-script").message


def test_there_is_no_such_lake(mock_store: Store) -> None:
    with pytest.raises(NotFound, match="Neither the target 'data-lake' nor any old bucket exists"):
        Checked(mock_store).check()


# -- a year later --------------------------------------------------------------------------------------------


def test_a_year_later(lake: Checked) -> None:
    lake.put("platinum/kpi/a")
    lake.put("tmp/a")
    assert lake.failed() == [("stray-folder", "s3://data-lake/platinum/"), ("stray-folder", "s3://data-lake/tmp/")]
    lake.settings["check_layers"] = ("platinum",)
    assert lake.failed() == [("stray-folder", "s3://data-lake/tmp/")]
    lake.settings["check_accept"] = ("stray-folder",)
    found = lake.check()
    assert found.ok and [finding.severity for finding in found.findings] == ["info"]


def test_a_wanted_layer_does_not_fail_the_check(lake: Checked) -> None:
    found = lake.check("archive")
    assert found.ok and [finding.code for finding in found.findings] == ["new-layer"]


LOGS = {
    "a checkpoint of files": (
        "checkpoints/files/sources/0/3",
        b'v1\n{"path":"s3a://bronze/in/x.json","timestamp":1}\n',
    ),
    "a sink": ("gold/out/_spark_metadata/0", b'v1\n{"path":"s3a://gold/out/x.json","size":1}\n'),
    "a Delta log": ("silver/d/_delta_log/00.json", b'{"add":{"path":"s3://silver/d/x.parquet"}}\n'),
}


@pytest.mark.parametrize("case", LOGS)
def test_logs_and_checkpoints_that_name_an_old_bucket(lake: Checked, case: str) -> None:
    key, data = LOGS[case]
    lake.put("checkpoints/files/metadata")
    lake.put(key, data)
    assert lake.failed() == [("old-path-in-log", f"s3://data-lake/{key}")]
    lake.put(key, data.replace(b"://", b"://data-lake/"))
    assert lake.failed() == []


SCRIPTS = {
    "a path": (b"\nread('s3a://bronze/raw_events/')", "line 2 names s3a://bronze/raw_events/"),
    "several": (b"'s3://gold/a'\n's3://gold/b'\n's3://data-lake/c'", "line 1 names s3://gold/a and 1 more place"),
    "a local folder of checkpoints": (
        b'.option("checkpointLocation", "/tmp/checkpoints/bronze")',
        "line 1 names /tmp/checkpoints/bronze",
    ),
    "a bucket without a path": (b"get_object(Bucket='bronze')", "line 1: the name of an old bucket without a path"),
    "the server's URL": (b"curl http://minio:9000/bronze/x", "line 1 names http://minio:9000/bronze/x"),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_scripts_that_name_an_old_place(lake: Checked, case: str) -> None:
    lake.settings["script_endpoints"] = ("http://minio:9000",)
    text, said = SCRIPTS[case]
    lake.put("scripts/etl/load.py", text)
    finding = lake.only("old-path-in-script")
    assert finding.place == "s3://data-lake/scripts/etl/load.py"
    assert finding.message.startswith(said), finding.message
    assert not lake.check().ok


def test_a_script_elsewhere_in_the_lake(lake: Checked) -> None:
    lake.put("gold/reports/daily.sql", b"SELECT * FROM parquet.`s3a://gold/x`")
    assert lake.failed() == [("old-path-in-script", "s3://data-lake/gold/reports/daily.sql")]


def test_scripts_that_are_in_order_or_doubtful(lake: Checked) -> None:
    lake.put("scripts/new.py", b"'s3a://data-lake/bronze/'; iceberg.bronze.raw_events; bronze-archive")
    lake.put("scripts/lake.toml", b'[layout]\n"s3://bronze/" = "bronze/"\n')
    lake.put("scripts/library.jar", b"\0s3a://bronze/")
    lake.put("scripts/template.py", b"path = f's3a://{layer}/events'")
    found = lake.check()
    assert found.ok
    assert [(f.code, f.place) for f in found.findings] == [
        ("doubtful-script", "s3://data-lake/scripts/library.jar"),
        ("doubtful-script", "s3://data-lake/scripts/template.py"),
    ]


def test_scripts_that_are_too_large_or_too_many_are_counted(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        lake.put(f"scripts/{number}.py", b"x" * 10)
    lake.put("scripts/large.py", b"x" * (old_names.MOST_SCRIPT_BYTES + 1))
    assert (lake.only("not-checked").count, lake.check().ok) == (1, True)
    monkeypatch.setattr(seen, "MOST_SCRIPTS_TOTAL", 35)
    assert (lake.only("not-checked").count, lake.check().scripts_read) == (4, 3)
    monkeypatch.setattr(seen, "MOST_SCRIPTS", 2)
    assert lake.check().scripts_read == 2


# -- what cannot be read -------------------------------------------------------------------------------------


def refusing(store: Store, key: str, error: Exception) -> Callable[..., Any]:
    real = store.get

    def get(bucket: str, asked: str, **options: Any) -> Any:
        if asked == key:
            raise error
        return real(bucket, asked, **options)

    return get


def test_one_unreadable_script_is_a_finding(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put("scripts/other.py", b"'s3://gold/x'")
    refused = refusing(lake.store, "scripts/etl/load.py", AccessDenied("may not be read", next_move="Ask."))
    monkeypatch.setattr(lake.store, "get", refused)
    assert lake.failed() == [
        ("not-checked", "s3://data-lake/scripts/etl/load.py"),
        ("old-path-in-script", "s3://data-lake/scripts/other.py"),
    ]


def test_a_server_that_does_not_answer_ends_the_check(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake.store, "get", refusing(lake.store, "scripts/etl/load.py", Unreachable("no answer")))
    with pytest.raises(Unreachable):
        lake.check()


def test_an_old_bucket_that_may_not_be_listed(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    real = lake.store.bucket_exists

    def exists(bucket: str) -> bool:
        if bucket == "gold":
            raise AccessDenied("denied")
        return real(bucket)

    monkeypatch.setattr(lake.store, "bucket_exists", exists)
    found = lake.check()
    assert found.ok and found.old_buckets["gold"] == "unknown"
    assert [(f.code, f.place) for f in found.findings] == [("old-bucket", "s3://gold/")]


def test_an_old_bucket_that_may_not_be_listed_while_its_folder_is_empty(
    lake: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its objects were migrated is not known, so not everything is as expected."""
    for key in TIDY:
        if key.startswith("gold/"):
            lake.store.erase("data-lake", key)
    lake.put("a", bucket="gold")
    assert lake.failed() == [("not-migrated", "s3://data-lake/gold/")]
    real = lake.store.bucket_exists

    def exists(bucket: str) -> bool:
        if bucket == "gold":
            raise AccessDenied("denied", next_move="Ask.")
        return real(bucket)

    monkeypatch.setattr(lake.store, "bucket_exists", exists)
    assert lake.failed() == [("not-checked", "s3://gold/")]


# -- progress ------------------------------------------------------------------------------------------------


class Noted(Progress):
    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, name: str, *, objects: int | None = None, size: int | None = None, unit: str = "") -> Progress:
        self.stages.append(name)
        return self


def test_each_step_is_a_stage(lake: Checked) -> None:
    table(lake.store, data_file(lake.store, "s3a://data-lake/bronze/t/data/a"), location="s3a://data-lake/bronze/t")
    lake.catalogs.append(Named(re.sub("://bronze", "://data-lake/bronze", CURRENT)))
    lake.put("a", bucket="bronze")
    for key in TIDY:
        if key.startswith("gold/"):
            lake.store.erase("data-lake", key)
    lake.put("a", bucket="gold")
    noted = Noted()
    lake.check(progress=noted)
    assert noted.stages == [
        "listing the target",
        "comparing the folders",
        "listing the old buckets",
        "comparing the folders",
        "reading catalogs",
        "reading tables",
        "reading logs",
        "reading scripts",
    ]
