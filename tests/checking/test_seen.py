"""What is listed, and what is recorded for reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from checking.lake import Checked
from migrator.checking.seen import Seen
from migrator.layout import Layout
from migrator.progress import Progress
from migrator.store import Store

RULES = Layout.from_mapping(
    "data-lake",
    {
        "s3://bronze/": "bronze/",
        "s3://bronze/wh/": "warehouse/",
        "s3://bronze/tmp/": False,
        "s3://scripts/": "scripts/",
    },
)


@pytest.fixture
def filled(mock_store: Store) -> Checked:
    lake = Checked(mock_store)
    for key in (
        "bronze/b",
        "bronze/a",
        "scripts/x",
        "scripts/empty",
        "jobs/y.py",
        "s/_spark_metadata/0",
        ".migrator/z",
    ):
        lake.put(key, b"" if key.endswith("empty") else b"x")
    for key in ("wh/t", "raw", "tmp/x", "whatever"):
        lake.put(key, bucket="bronze")
    lake.put("etl", bucket="scripts")
    return lake


@pytest.fixture
def seen(filled: Checked) -> Iterator[Seen]:
    with closing(Seen(RULES, ["scripts"])) as made:
        made.list_target(filled.store, Progress())
        yield made


def test_the_target_in_order_without_what_migrator_keeps_there(seen: Seen) -> None:
    assert [key for key, _ in seen.at_target()] == [
        "bronze/a",
        "bronze/b",
        "jobs/y.py",
        "s/_spark_metadata/0",
        "scripts/empty",
        "scripts/x",
    ]


def test_what_is_to_be_read_is_noted(seen: Seen) -> None:
    list(seen.at_target())
    assert seen.scripts() == ([("data-lake", "jobs/y.py"), ("data-lake", "scripts/x")], 0)
    assert [(bucket, key, size) for bucket, key, size, _ in seen.carriers()] == [
        ("data-lake", "s/_spark_metadata/0", 1)
    ]


def test_old_buckets_by_their_places_in_the_target(seen: Seen, filled: Checked) -> None:
    """Only the rules that were asked for, and no object that another rule moves elsewhere or leaves."""
    asked = tuple(rule for rule in RULES.rules if rule.target in ("bronze", "scripts"))
    seen.list_old(filled.store, replace(RULES, rules=asked), Progress())
    assert list(seen.in_old_buckets()) == [("bronze/raw", 1), ("bronze/whatever", 1), ("scripts/etl", 1)]
    assert seen.scripts()[0] == [("scripts", "etl")]


def test_is_there_something_below_a_folder(seen: Seen) -> None:
    assert seen.has_below("bronze") and seen.has_below("s/_spark_metadata")
    assert not seen.has_below("bron") and not seen.has_below("bronze/a") and not seen.has_below("gold")


def test_the_newest_metadata_file_of_each_folder(seen: Seen, filled: Checked) -> None:
    for name in ("v9.metadata.json", "v10.metadata.json", "v2.gz.metadata.json", "version-hint.text"):
        filled.put(f"warehouse/db/t/metadata/{name}")
    filled.put("warehouse/db/u/metadata/00003-a.metadata.json")
    filled.put("warehouse/db/u/metadata/00012-b.metadata.json")
    with closing(Seen(RULES, [])) as again:
        again.list_target(filled.store, Progress())
        list(again.at_target())
        assert again.newest_metadata() == {
            "warehouse/db/t/metadata": "warehouse/db/t/metadata/v10.metadata.json",
            "warehouse/db/u/metadata": "warehouse/db/u/metadata/00012-b.metadata.json",
        }
