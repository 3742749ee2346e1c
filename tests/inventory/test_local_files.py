"""The files of a local folder that go to the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.inventory.local_files import local_folders, read_folder
from migrator.layout import Layout


@pytest.mark.parametrize(
    ("beside", "name", "size", "left_out"),
    [
        ({"part": 513}, ".part.crc", 16, True),  # 8 bytes, and 4 for each 512 bytes
        ({"part": 0}, ".part.crc", 8, True),
        ({"part": 513}, ".part.crc", 17, False),  # data of a user
        ({}, ".part.crc", 16, False),
        ({"part": 1}, ".crc", 12, False),
        ({"part": 1}, ".part.1f2e.tmp", 3, True),
        ({"part": 1}, ".part", 3, False),
        ({"part": 1}, "part.crc", 12, False),
    ],
)
def test_only_files_of_hadoop_are_left_out(
    tmp_path: Path, beside: dict[str, int], name: str, size: int, left_out: bool
) -> None:
    for each, length in {**beside, name: size}.items():
        (tmp_path / each).write_bytes(b"x" * length)
    layout = Layout.from_mapping("lake", {"s3://bronze/": "bronze/", f"file://{tmp_path}/": "local/"})
    (folder,) = local_folders(layout)
    found = {path.name for path, _ in read_folder(folder, layout).files}
    assert found == ({*beside} if left_out else {*beside, name})
