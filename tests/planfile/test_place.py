"""The place of a plan: an unsuitable place is reported at once, only the owner can read the plan, and nothing is
overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from migrator.errors import MigratorError, PlanBusy, PlanDamaged, PlanUnusable
from migrator.planfile import log
from migrator.planfile.file import PlanFile
from migrator.planfile.place import check_place, create_private, new_file, plan_lock

ODD = os.fsdecode(b"\xff.db")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def make(path: Path) -> None:
    with new_file(path) as partial, PlanFile.create(partial) as plan:
        plan.seal({"target_bucket": "data-lake", "layout": "{}"})


@pytest.mark.parametrize(
    "name", ["", ".", "folder", "file", "file/p.db", "folder/x/../../file/p.db", "x" * 250, "x" * 300, ODD, "dangling"]
)
def test_an_unsuitable_place_is_reported_at_once_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder" / "x").mkdir(parents=True)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    path = tmp_path / name if name else Path(name)
    for attempt in (check_place, make):
        with pytest.raises((PlanUnusable, PlanDamaged)) as caught:
            attempt(path)
        assert caught.value.exit_code in (1, 2) and len(str(caught.value)) < 1000
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["/proc/p.db", "/dev/full", "/dev/null/p.db", "\0"])
def test_a_place_that_is_no_place(name: str) -> None:
    with pytest.raises((PlanUnusable, PlanDamaged)):
        make(Path(name))


def test_folders_are_made_and_after_an_error_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_file(tmp_path / "a" / "b" / "p.db") as partial:
        partial.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    make(tmp_path / "a" / "b" / "p.db")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["p.db"]


@pytest.mark.parametrize("links", [True, False])
def test_what_came_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no hard links")))
    path = tmp_path / "p.db"
    with pytest.raises(PlanDamaged, match="made by another process meanwhile"), new_file(path) as partial:
        partial.write_text("mine")
        path.write_text("somebody's")
    assert path.read_text() == "somebody's"
    assert [p.name for p in tmp_path.iterdir()] == ["p.db"]
    path.unlink()
    with new_file(path) as partial:
        partial.write_text("mine")
    assert path.read_text() == "mine"


def test_only_one_process_makes_a_plan_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    program = f"from pathlib import Path; from planfile.test_place import make; make(Path({str(path)!r}))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with new_file(path) as partial:
        other = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True)
        assert "PlanBusy" in other.stderr and "is being made by another process" in other.stderr
        partial.write_text("mine")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o377])
def test_everything_is_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "p.db"
    with umask(mask):
        make(path)
        with PlanFile.open(path) as plan, plan.lock():
            log.append(plan.db, "started", {})
            names = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        os.close(create_private(tmp_path / "list"))
    assert names == dict.fromkeys(("p.db", "p.db-wal", "p.db-shm", "p.db.lock"), 0o600)
    assert (tmp_path / "list").stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["list", "p.db"]


def test_a_symbolic_link_shares_the_lock_and_hard_links_are_refused(tmp_path: Path) -> None:
    path, link, hard = tmp_path / "p.db", tmp_path / "link.db", tmp_path / "hard.db"
    make(path)
    (tmp_path / "folder").mkdir()
    link.symlink_to(path)
    (tmp_path / "folder" / "far.db").symlink_to(link)
    for other in (link, tmp_path / "folder" / "far.db"):
        busy = pytest.raises(PlanBusy, match="another process")
        with PlanFile.open(path) as first, PlanFile.open(other) as second, first.lock(), busy, second.lock():
            pass
    hard.hardlink_to(path)
    with PlanFile.open(hard) as plan, pytest.raises(PlanUnusable, match="2 names"), plan.lock():
        pass


def test_a_lock_whose_file_was_removed_is_not_held_by_two(tmp_path: Path) -> None:
    """The process that releases a lock removes its file; another process may have opened it just before."""
    path = tmp_path / "p.db"
    with plan_lock(path, "busy"):
        (tmp_path / "p.db.lock").unlink()
        with plan_lock(path, "busy"), pytest.raises(PlanBusy), plan_lock(path, "busy"):
            pass


def test_a_lock_does_not_open_another_file(tmp_path: Path) -> None:
    (tmp_path / "p.db.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(MigratorError), plan_lock(tmp_path / "p.db", "busy"):
        pass
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize("exists", [False, True])
def test_another_place_is_offered_for_a_new_plan_only(tmp_path: Path, exists: bool) -> None:
    """The commands that carry out a plan have no -o."""
    path = tmp_path / "p.db"
    (tmp_path / "p.db.lock").symlink_to(tmp_path / "precious")
    if exists:
        path.write_bytes(b"")
    with pytest.raises(PlanUnusable, match=r"p\.db cannot be written") as raised, plan_lock(path, "busy"):
        pass
    assert ("-o" in raised.value.next_move) is not exists and raised.value.next_move
