from __future__ import annotations

from dataclasses import replace

import pytest

from migrator.layout import Layout
from migrator.planfile.rows import LATER, LEFT, TO_REWRITE, PlannedTable
from migrator.planfile.wave import wave_folders

LAYOUT = Layout.from_mapping("lake", {"s3://old/": "a/", "s3://two/": "b/", "hdfs://nn/wh/": "a/wh/"})
TABLE = PlannedTable(
    1, "c", "sql", "n", "t", None, 2, None, None, "", None, TO_REWRITE, None, None, None, None, "{}", "[]", "table"
)


def folders(*places: tuple[str, str | None], state: str = TO_REWRITE) -> list[tuple[str, str]]:
    tables = [replace(TABLE, old_metadata=at, old_location=location, state=state) for at, location in places]
    return wave_folders(LAYOUT, tables)


@pytest.mark.parametrize(
    ("metadata", "location", "expected"),
    [
        ("s3://old/t/metadata/1.metadata.json", "s3a://old/t", [("old", "t/")]),
        ("s3://old/t/metadata/1.metadata.json", "s3://old/t/", [("old", "t/")]),
        ("s3://old/m/1.metadata.json", "s3://two/t", [("old", "m/"), ("two", "t/")]),
        ("s3://old/1.metadata.json", "s3://old/t", [("old", "")]),
        ("s3://old/t/metadata/1.metadata.json", None, [("old", "t/metadata/")]),
        ("hdfs://nn/wh/t/metadata/1.metadata.json", "hdfs://nn/wh/t", [("old", "wh/t/")]),
        ("s3://lake/a/t/metadata/1.metadata.json", "s3://lake/a/t", []),  # at the target
    ],
)
def test_the_folders_of_a_table(metadata: str, location: str | None, expected: list[tuple[str, str]]) -> None:
    assert folders((metadata, location)) == expected
    assert folders((metadata, location), state=LEFT) == folders((metadata, location), state=LATER) == []


def test_folders_are_sorted_and_none_lies_inside_of_another_one() -> None:
    places = [
        (f"s3://{at}/metadata/1.metadata.json", f"s3://{at}")
        for at in ("two/x", "old/t/u", "old/t", "old/t-2", "old/s")
    ]
    assert folders(*places) == [("old", "s/"), ("old", "t-2/"), ("old", "t/"), ("two", "x/")]
