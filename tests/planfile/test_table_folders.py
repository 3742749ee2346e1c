from __future__ import annotations

import pytest

from migrator.planfile.table_folders import folders_of


@pytest.mark.parametrize(
    "metadata, location, folders",
    [
        ("s3://b/t/metadata/v1.metadata.json", "s3://b/t", [("b", "t/metadata/"), ("b", "t/data/")]),
        ("s3://b/t/metadata/v1.metadata.json", None, [("b", "t/metadata/"), ("b", "t/data/")]),
        ("s3://b/other/v1.metadata.json", None, [("b", "other/")]),
        ("s3://b/m/v1.metadata.json", "s3a://c/t/", [("b", "m/"), ("c", "t/data/"), ("c", "t/metadata/")]),
        ("s3://b/v1.metadata.json", None, []),  # a whole bucket is not the folder of a table
        ("", "s3://b/t", [("b", "t/data/"), ("b", "t/metadata/")]),
    ],
)
def test_the_folders_of_one_table(metadata: str, location: str | None, folders: list[tuple[str, str]]) -> None:
    assert folders_of(metadata, location) == folders
