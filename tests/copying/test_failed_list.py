"""A list of objects is the same after it was written and read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from migrator.copying.failed_list import failed_list, list_failures, read_list, write_list
from migrator.errors import ConfigError

KEYS = ["a", "b c", " spaces ", "line\nbreak", '"quoted"', "é", "tab\t", "ends in return\r", "s3://b/k"]


def test_every_key_is_read_back(tmp_path: Path) -> None:
    path = failed_list(tmp_path / "plan.db")
    assert path.name == "plan.db.failed.txt"
    said = list_failures(path, [f"s3://bucket/{key}" for key in KEYS])
    assert said.startswith(f"They are listed in {path}") and "--files-from" in said
    assert read_list(path) == {("bucket", key) for key in KEYS}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_list_that_the_plan_cannot_copy_is_only_named(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    assert list_failures(path, ["s3://b/gone"], again=False) == f"They are listed in {path}.\n"
    assert read_list(path) == {("b", "gone")}


def test_a_second_list_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    for key in ("first", "second"):
        write_list(path, [f"s3://b/{key}"])
    assert read_list(path) == {("b", "second")}


def test_a_list_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    assert "could not be listed in" in list_failures(tmp_path / "no such folder" / "list.txt", ["s3://b/k"])


def test_lists_made_on_windows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffs3://b/k\r\n\r\ns3://b/l".encode())
    assert read_list(path) == {("b", "k"), ("b", "l")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no object"),
        ("\n \n", "lists no object"),
        ("s3://b/k\nb/k", r"line 2: 'b/k' is no object's URI"),
        ("s3://b/", "line 1"),
        ('"s3://b/k', "line 1"),
    ],
)
def test_what_is_no_list_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_list(path)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_list(tmp_path / "none.txt")
