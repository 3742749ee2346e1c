"""Finding single objects of a plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.planfile.file import PlanFile
from migrator.planfile.objects import object_at, object_named, objects_by_id

LAYOUT = {"s3://bronze/": "b/", "hdfs://nn:8020/wh/": "b/"}


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[PlanFile]:
    path = tmp_path / "p.db"
    with PlanFile.create(path) as new:
        new.db.executemany(
            "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action)"
            " VALUES ('bronze', ?1, 1, 'e', 0, 'STANDARD', 'b/' || ?1, 'copy')",
            [("t/a",), ("t/b",), ("t//b",), ("t/c",)],
        )
        new.seal({"target_bucket": "data-lake", "layout": json.dumps(LAYOUT)})
    with PlanFile.open(path, read_only=True) as opened:
        yield opened


def test_objects_come_in_the_order_of_their_ids(plan: PlanFile) -> None:
    ids = {planned.key: planned.id for planned in plan.objects()}
    assert [planned.key for planned in objects_by_id(plan, {ids["t/c"], ids["t/a"]})] == ["t/a", "t/c"]


def test_an_object_is_found_by_its_source(plan: PlanFile) -> None:
    planned = object_at(plan, "bronze", "t/a")
    assert planned is not None and planned.target == "b/t/a"
    assert object_at(plan, "bronze", "t/x") is None and object_at(plan, "other", "t/a") is None


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("s3a://bronze/t/a", "t/a"),
        ("s3://bronze/t//b", "t//b"),  # the literal key comes first
        ("s3://bronze/t//c", "t/c"),  # S3A wrote it here
        ("hdfs://nn:8020/wh/t/a", "t/a"),  # by the place that the layout gives it
        ("s3://bronze/t/x", None),
        ("hdfs://other:8020/wh/t/a", None),
    ],
)
def test_a_path_in_a_tables_metadata_names_an_object(plan: PlanFile, path: str, key: str | None) -> None:
    planned = object_named(plan, path)
    assert (planned and planned.key) == key
