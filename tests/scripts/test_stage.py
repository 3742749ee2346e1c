"""Files and folders: the mission's repository, what is not text, and what goes wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from migrator.scripts.files import NOT_TEXT, NOT_TEXT_BUT_OLD, NOT_WRITTEN
from migrator.scripts.stage import rewrite_files
from scripts.lake import NAMES

REPOSITORY = Path(__file__).parent / "repository"
"""The files before, in ``old``, and after, in ``new``; what a person must look at is in ``doubts.txt``."""


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_repository_of_the_mission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(REPOSITORY / "old", tmp_path / "x")
    monkeypatch.chdir(tmp_path / "x")
    shown = rewrite_files(["."], NAMES, write=False, backup=False)
    text = (tmp_path / "x" / "docker-compose.yml").read_text().splitlines()
    lines = {file.path: [doubt.line for doubt in file.doubts] for file in shown.files}["docker-compose.yml"]
    assert "myminio/bronze" in text[lines[0] - 1] and "/tmp/checkpoints" in text[lines[1] - 1]
    assert tree(tmp_path / "x") == tree(REPOSITORY / "old")
    done = rewrite_files(["."], NAMES, write=True, backup=False)
    assert [file.changes for file in done.files] == [file.changes for file in shown.files]
    new = tree(tmp_path / "x")
    for name, data in tree(REPOSITORY / "new").items():
        assert new.pop(name).decode() == data.decode(), name
    assert not new
    doubts = [f"{file.path}:{doubt.line}: {doubt.reason}: {doubt.text}" for file in done.files for doubt in file.doubts]
    assert doubts == (REPOSITORY / "doubts.txt").read_text().splitlines()
    again = rewrite_files(["."], NAMES, write=True, backup=False)
    assert not again.changes and again.doubts == done.doubts and tree(tmp_path / "x") == tree(REPOSITORY / "new")


def test_what_is_not_text_is_never_changed_and_read_all_the_same(tmp_path: Path) -> None:
    held = {
        "latin.py": b"# caf\xe9\nx = 's3a://bronze/x'\n",
        "utf16.sql": "LOCATION 's3a://bronze/x'".encode("utf-16"),
        "picture.png": b"\x89PNG\0\0",
        "other.py": b"caf\xe9 s3a://bronze-archive",
    }
    for name, data in held.items():
        (tmp_path / name).write_bytes(data)
    done = rewrite_files([tmp_path], NAMES, write=True, backup=False)
    assert tree(tmp_path) == dict(sorted(held.items())) and not done.files and not done.ok
    assert {Path(one.path).name: one.reason for one in done.skipped} == {
        "latin.py": NOT_TEXT_BUT_OLD,
        "utf16.sql": NOT_TEXT_BUT_OLD,
        "picture.png": NOT_TEXT,
        "other.py": NOT_TEXT,
    }
    assert [Path(one.path).name for one in done.unsure] == ["latin.py", "utf16.sql"]


def test_bytes_around_a_path_stay(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffé\r\n\x0b\r's3a://bronze'\r\n\u2028x".encode())
    done = rewrite_files([tmp_path / "a"], NAMES, write=True, backup=True)
    assert (tmp_path / "a").read_bytes() == "\ufeffé\r\n\x0b\r's3a://data-lake/bronze'\r\n\u2028x".encode()
    assert done.files[0].written and done.files[0].backup == str(tmp_path / "a.bak") and done.ok


def test_a_file_that_cannot_be_written_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("s3a://bronze")
    replace = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if target.name == "a":
            raise OSError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    done = rewrite_files([tmp_path], NAMES, write=True, backup=False)
    assert [file.written for file in done.files] == [False, True] and not done.ok
    assert [one.reason for one in done.unsure] == [f"{NOT_WRITTEN}: Permission denied"]
    assert tree(tmp_path) == {"a": b"s3a://bronze", "b": b"s3a://data-lake/bronze"}


def test_the_diff_names_files_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a").write_text("s3a://bronze")
    monkeypatch.chdir(tmp_path)
    for given in (Path("jobs"), tmp_path / "jobs", Path("jobs/../jobs/a")):
        done = rewrite_files([given], NAMES, write=False, backup=False)
        assert done.files[0].diff.startswith("--- a/jobs/a\n+++ b/jobs/a\n@@ -1,1 +1,1 @@\n")
    monkeypatch.chdir(tmp_path / "jobs")
    outside = rewrite_files(["../jobs/a"], NAMES, write=False, backup=False)
    assert outside.files[0].diff.startswith("--- a/a\n")
