"""Which files are read, and how a changed file replaces the old one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from migrator.errors import ConfigError
from migrator.scripts import files
from migrator.scripts.files import Skipped, decode, read_file, replace_file, walk


def walked(*paths: Path, configuration: Path | None = None) -> tuple[list[str], dict[str, str]]:
    """The names of the files to read, and the reasons why others are left out."""
    found = list(walk(paths, configuration))
    skipped = [one for one in found if isinstance(one, Skipped)]
    return [one.name for one in found if isinstance(one, Path)], {Path(one.path).name: one.reason for one in skipped}


def test_folders_are_read_in_order_and_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.py", "a.sh", "b/x.sql"):
        (tmp_path / name).write_text("x")
    assert walked(tmp_path, tmp_path / "a.sh")[0] == ["a.sh", "x.sql", "c.py"]


def test_what_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("s3a://bronze")
    for name in ("lake.toml", "mine.toml", "a.py.bak", "a.py.bak.1", "a.py"):
        (tmp_path / name).write_text("x")
    os.mkfifo(tmp_path / "pipe")
    read, skipped = walked(tmp_path, configuration=tmp_path / "mine.toml")
    assert read == ["a.py"]
    assert skipped == {
        ".git": files.IS_VERSION_CONTROL,
        "a.py.bak": files.IS_BACKUP,
        "a.py.bak.1": files.IS_BACKUP,
        "lake.toml": files.IS_CONFIGURATION,
        "mine.toml": files.IS_CONFIGURATION,
        "pipe": files.NO_FILE,
    }
    assert walked(tmp_path / "a.py.bak")[0] == ["a.py.bak"]  # it was asked for


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("gold.toml", '[target]\nbucket = "x"\n[layout]\n"s3://gold/" = "gold/"\n', True),
        ("jobs.toml", '[layouts]\nx = "s3://gold/"\n', False),
        ("gold.py", '[layout]\n"s3://gold/"\n', False),
    ],
)
def test_the_configuration_of_a_wave_is_left_alone(name: str, text: str, expected: bool) -> None:
    assert files.is_configuration(Path(name), text) is expected


def test_links_are_not_followed_out_of_the_given_paths(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "x.py").write_text("x")
    (inside / "file").symlink_to(outside / "x.py")
    (inside / "folder").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "gone").symlink_to(tmp_path / "nowhere")
    read, skipped = walked(inside)
    assert read == ["x.py"]
    assert skipped == {
        "file": files.LEADS_OUT,
        "folder": files.LEADS_OUT,
        "loop": files.IS_LINK,
        "gone": files.LEADS_NOWHERE,
    }
    unsure = [one.path for one in walk([inside]) if isinstance(one, Skipped) and one.unsure]
    assert [Path(path).name for path in unsure] == ["file", "folder"]


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'' does not exist"):
        list(walk([""]))
    with pytest.raises(ConfigError, match=r"'.*/none' does not exist"):
        list(walk([tmp_path, tmp_path / "none"]))


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = read_file(tmp_path / "gone")
    assert isinstance(gone, Skipped) and gone.unsure and "No such file" in gone.reason
    (tmp_path / "large").write_text("12345")
    monkeypatch.setattr(files, "MOST_BYTES", 4)
    large = read_file(tmp_path / "large")
    assert isinstance(large, Skipped) and large.unsure and large.reason == files.TOO_LARGE


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\r\nb\rc\n", "a\r\nb\rc\n"),
        (b"\xef\xbb\xbfa", "\ufeffa"),
        ("é\u2028".encode(), "é\u2028"),
        (b"", ""),
        (b"a\0b", None),
        (b"caf\xe9", None),
        ("a".encode("utf-16"), None),
    ],
)
def test_only_utf_8_is_text_and_comes_back_as_it_was(data: bytes, text: str | None) -> None:
    assert decode(data) == text
    assert text is None or text.encode() == data


def test_a_file_is_replaced_with_its_mode_and_a_backup(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_bytes(b"old")
    script.chmod(0o751)
    kept = [replace_file(script, b"old", b"new", backup=True), replace_file(script, b"new", b"newer", backup=True)]
    assert script.read_bytes() == b"newer" and script.stat().st_mode & 0o7777 == 0o751
    assert kept == [f"{script}.bak", f"{script}.bak.1"]
    assert [Path(name or "").read_bytes() for name in kept] == [b"old", b"new"]
    assert Path(kept[0] or "").stat().st_mode & 0o7777 == 0o751
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_that_was_given_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    script, link = tmp_path / "to" / "run.sh", tmp_path / "link.sh"
    script.write_bytes(b"old")
    link.symlink_to(script)
    assert walked(link)[0] == ["link.sh"]
    assert replace_file(link, b"old", b"new", backup=False) is None
    assert link.is_symlink() and script.read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 2


def test_a_file_that_somebody_changed_meanwhile_stays(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_bytes(b"theirs")
    with pytest.raises(OSError, match="somebody changed it"):
        replace_file(script, b"old", b"new", backup=True)
    assert script.read_bytes() == b"theirs" and list(tmp_path.iterdir()) == [script]


def test_a_write_that_fails_leaves_the_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "run.sh"
    script.write_bytes(b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(script, b"old", b"new", backup=True)
    assert script.read_bytes() == b"old" and list(tmp_path.iterdir()) == [script]
