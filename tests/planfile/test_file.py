from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.errors import PlanBusy, PlanDamaged, PlanStale, PlanUnusable
from migrator.findings import Finding
from migrator.planfile import connecting
from migrator.planfile.checks import check_plan
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.planfile.objects import object_at
from migrator.progress import Progress


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    path = tmp_path / "p.db"
    with PlanFile.create(path) as plan:
        plan.db.execute(
            "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action)"
            " VALUES ('b', 'k', 1, 'e', 0, 'STANDARD', 't', 'copy')"
        )
        plan.add_finding(Finding.of("bucket-settings", "s3://b/", "m"))
        plan.seal({"target_bucket": "data-lake", "layout": "{}"})
    return path


def edit(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


def test_a_sealed_plan_opens(plan_path: Path) -> None:
    with PlanFile.open(plan_path) as plan:
        assert [o.place for o in plan.objects()] == ["s3://b/k"]
        assert object_at(plan, "b", "k") is not None and object_at(plan, "b", "x") is None
        assert not plan.blocked


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE objects SET target = 'elsewhere'",
        "DELETE FROM objects",
        "DELETE FROM findings",
        "UPDATE header SET value = 'other' WHERE key = 'target_bucket'",
        "DELETE FROM header WHERE key = 'digest'",
        "INSERT INTO namespaces VALUES ('c', 'n', 'k', 'o', 'n')",
    ],
)
def test_a_plan_edited_by_hand_is_refused(plan_path: Path, statement: str) -> None:
    edit(plan_path, statement)
    with pytest.raises(PlanDamaged, match=r"was edited after planning\. .* Keep this file") as caught:
        PlanFile.open(plan_path)
    assert caught.value.exit_code == 1


def test_the_journal_is_no_edit(plan_path: Path) -> None:
    edit(plan_path, "INSERT INTO done VALUES (1, 1, 'e', 'etag')")
    PlanFile.open(plan_path).close()


def test_another_format_is_stale(plan_path: Path) -> None:
    edit(plan_path, "UPDATE header SET value = '99' WHERE key = 'format'")
    with pytest.raises(PlanStale, match="format 99") as caught:
        PlanFile.open(plan_path)
    assert caught.value.exit_code == 4
    assert 'run "migrator plan" again under another name' in caught.value.next_move


def test_a_plan_of_another_version_with_the_same_format_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.planfile.file.__version__", "9.9.9")
    with PlanFile.create(tmp_path / "p.db") as plan:
        plan.seal({"target_bucket": "data-lake", "layout": "{}"})
    monkeypatch.undo()
    with PlanFile.open(tmp_path / "p.db") as plan:
        assert plan.header()["tool_version"] == "9.9.9"


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(PlanDamaged):
        PlanFile.open(path)
    with pytest.raises(PlanDamaged, match="there is no such plan"):
        PlanFile.open(tmp_path / "none.db")


def test_another_file_is_no_damaged_plan(tmp_path: Path) -> None:
    """Whoever gives lake.toml in place of the plan is told to check the path first."""
    (tmp_path / "lake.toml").write_text("[target]\nbucket = 'x'\n" * 100)
    with pytest.raises(PlanDamaged, match="is not a migrator plan") as caught:
        PlanFile.open(tmp_path / "lake.toml", read_only=True)
    assert caught.value.next_move.startswith("Check the path. If it was a plan: restore it")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_said_to_be_none(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x.db")
    with pytest.raises(PlanDamaged, match=r"x\.db: is not a file"):
        PlanFile.open(tmp_path / "x.db")


def test_one_writer_at_a_time(plan_path: Path) -> None:
    with (
        PlanFile.open(plan_path) as first,
        PlanFile.open(plan_path) as second,
        first.lock(),
        pytest.raises(PlanBusy, match="another process"),
        second.lock(),
    ):
        pass


# -- what may happen to a plan that is open, and how it is read ------------------------------------------


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def killed(path: Path) -> None:
    """Leave the journal as a killed run does: with its last entries in the write-ahead log next to the plan."""
    program = (
        "import os, sys; from pathlib import Path; from migrator.planfile.file import PlanFile\n"
        "from migrator.planfile.journal import Journal\n"
        "journal = Journal(PlanFile.open(Path(sys.argv[1]))); journal.event('started'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


@pytest.mark.parametrize("after_a_kill", [False, True])
@pytest.mark.parametrize("writable", [False, True])
def test_reading_needs_no_more_than_the_right_to_read_and_leaves_no_trace(
    plan_path: Path, monkeypatch: pytest.MonkeyPatch, after_a_kill: bool, writable: bool
) -> None:
    if after_a_kill:
        killed(plan_path)
        assert plan_path.with_name("p.db-wal").stat().st_size
    before = snapshot(plan_path.parent)
    if not writable:  # the error of SQLite if it may not write next to the file; root always may
        real = connecting.connect

        def connect(path: Path, mode: str, **more: bool) -> sqlite3.Connection:
            if path == plan_path and mode == "ro":
                raise sqlite3.OperationalError("unable to open database file")
            return real(path, mode, **more)

        monkeypatch.setattr(connecting, "connect", connect)
        monkeypatch.setattr("migrator.planfile.file.connect", connect)
    with PlanFile.open(plan_path, read_only=True) as plan:
        assert [o.place for o in plan.objects()] == ["s3://b/k"]
        assert object_at(plan, "b", "k") is not None
        assert Journal(plan).has("started") == after_a_kill
        with pytest.raises(PlanUnusable, match="cannot be written"):
            Journal(plan).event("never")
    after = snapshot(plan_path.parent)
    assert {name: data for name, data in after.items() if not name.endswith("-shm")} == {
        name: data for name, data in before.items() if not name.endswith("-shm")
    }


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The plans that were read from end to end, one entry for each time."""
    read: list[Path] = []

    def counted(path: Path, db: sqlite3.Connection, progress: Progress) -> str:
        read.append(path)
        return check_plan(path, db, progress)

    monkeypatch.setattr("migrator.planfile.file.check_plan", counted)
    return read


def test_a_plan_that_becomes_writable_is_not_read_twice(plan_path: Path, digests: list[Path]) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        assert plan.lookup("SELECT count(*) FROM done") == (0,)
        plan.allow_writing()
        with Journal(plan) as journal:
            journal.done(1, 1, "e")
        assert plan.lookup("SELECT count(*) FROM done") == (1,)
    assert digests == [plan_path]
    with PlanFile.open(plan_path, read_only=True) as plan:
        assert plan.lookup("SELECT count(*) FROM done") == (1,)


def test_what_somebody_else_wrote_since_the_plan_was_opened_is_checked(plan_path: Path, digests: list[Path]) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        edit(plan_path, "INSERT INTO done VALUES (1, 1, 'e', '')")  # its journal may grow
        plan.allow_writing()
        assert digests == [plan_path] * 2
    with PlanFile.open(plan_path, read_only=True) as plan:
        edit(plan_path, "UPDATE objects SET target = 'elsewhere'")
        with pytest.raises(PlanDamaged, match="was edited after planning"):
            plan.allow_writing()
        with pytest.raises(PlanUnusable, match="cannot be written"):
            Journal(plan).event("never")


def test_an_edit_while_the_plan_is_checked_is_found(plan_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def edited_meanwhile(path: Path, db: sqlite3.Connection, progress: Progress) -> str:
        digest = check_plan(path, db, progress)
        edit(path, "UPDATE objects SET target = 'elsewhere'")
        return digest

    with monkeypatch.context() as patched:
        patched.setattr("migrator.planfile.file.check_plan", edited_meanwhile)
        plan = PlanFile.open(plan_path, read_only=True)
    with plan, pytest.raises(PlanDamaged, match="was edited after planning"):
        plan.allow_writing()


def test_bytes_that_were_overwritten_since_the_plan_was_opened_are_found(plan_path: Path) -> None:
    """SQLite itself does not notice: no counter in the file changes."""
    data = plan_path.read_bytes()
    assert data.count(b"data-lake") == 1
    with PlanFile.open(plan_path, read_only=True) as plan:
        with plan_path.open("r+b") as file:
            file.write(data.replace(b"data-lake", b"elsewhere"))
        with pytest.raises(PlanDamaged, match="was edited after planning"):
            plan.allow_writing()


def test_another_plan_that_was_copied_over_the_opened_one_is_refused(plan_path: Path) -> None:
    other = plan_path.with_name("q.db")
    with PlanFile.create(other) as plan:
        plan.seal({"target_bucket": "lake-b", "layout": "{}"})
    with PlanFile.open(plan_path, read_only=True) as plan:
        with plan_path.open("r+b") as file:
            file.write(other.read_bytes())
            file.truncate()
        with pytest.raises((PlanStale, PlanDamaged)):
            plan.allow_writing()


def test_what_is_no_plan_any_more_is_not_written_to(plan_path: Path) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        with plan_path.open("r+b") as file:
            file.write(b"something else")
        with pytest.raises(PlanDamaged, match="not a migrator plan"):
            plan.allow_writing()
    assert plan_path.read_bytes().startswith(b"something else")


def test_a_damaged_journal_is_named_and_nothing_stays_open(plan_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(db: sqlite3.Connection, table: str) -> None:
        opened.append(db)
        raise sqlite3.DatabaseError("database disk image is malformed")

    opened: list[sqlite3.Connection] = []
    monkeypatch.setattr("migrator.planfile.file.shadow", damaged)
    with pytest.raises(PlanDamaged, match="Keep this file"):
        PlanFile.open(plan_path, read_only=True)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


def test_another_file_under_the_same_name_does_not_become_writable(plan_path: Path) -> None:
    with PlanFile.open(plan_path, read_only=True) as plan:
        copy = plan_path.read_bytes()
        plan_path.rename(plan_path.with_name("aside.db"))
        plan_path.write_bytes(copy)
        with pytest.raises(PlanUnusable, match="deleted, moved or replaced"):
            plan.allow_writing()


@pytest.mark.parametrize("what", ["deleted", "replaced", "moved"])
def test_a_plan_that_is_taken_away_stops_the_next_write(plan_path: Path, what: str) -> None:
    with pytest.raises(PlanUnusable, match=r"p\.db was deleted, moved or replaced") as caught:  # noqa: SIM117
        with PlanFile.open(plan_path) as plan, plan.lock(), Journal(plan) as journal:
            journal.done(1, 1, "e")
            copy = plan_path.read_bytes()
            plan_path.rename(plan_path.with_name("aside.db"))
            if what == "replaced":
                plan_path.write_bytes(copy)
            elif what == "deleted":
                plan_path.with_name("aside.db").unlink()
            journal.event("cutover-begun")
    assert caught.value.exit_code == 1
    assert plan_path.exists() == (what == "replaced")


def test_a_reader_never_makes_the_file_anew(plan_path: Path) -> None:
    with PlanFile.open(plan_path) as plan:
        plan_path.unlink()
        with pytest.raises(PlanUnusable, match="deleted"):
            list(plan.objects())
        with pytest.raises(sqlite3.Error):
            plan.lookup("SELECT 1")
    assert not plan_path.exists()


@pytest.mark.parametrize("said", ["database or disk is full", "disk I/O error"])
def test_a_full_disk_is_reported_and_nothing_is_lost(plan_path: Path, said: str) -> None:
    with pytest.raises(PlanUnusable, match=said) as caught:  # noqa: SIM117
        with PlanFile.open(plan_path) as plan, Journal(plan), plan.writing():
            raise sqlite3.OperationalError(said)
    assert str(plan_path) in str(caught.value)
    assert "migrator plan" not in str(caught.value) and "plan again" not in str(caught.value)


def test_pages_that_do_not_fit_are_reported_and_with_free_space_it_continues(plan_path: Path) -> None:
    """A real error of SQLite: the file may not grow."""
    with pytest.raises(PlanUnusable, match="full"), PlanFile.open(plan_path) as plan, Journal(plan) as journal:
        pages = plan.db.execute("PRAGMA page_count").fetchone()[0]
        plan.db.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(10_000):
            journal.done(number, 1, "e" * 32)
    with PlanFile.open(plan_path) as plan, Journal(plan) as journal:
        journal.done(1, 1, "e")
    with PlanFile.open(plan_path, read_only=True) as plan:
        assert plan.lookup("SELECT count(*) FROM done") == (1,)


def test_a_damaged_journal_is_kept(plan_path: Path) -> None:
    with plan_path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (plan_path.stat().st_size - 4096))
    with pytest.raises(PlanDamaged, match="Keep this file"):
        PlanFile.open(plan_path)


def test_secrets_in_urls_do_not_get_into_findings(plan_path: Path) -> None:
    with PlanFile.create(plan_path.with_name("q.db")) as plan:
        finding = Finding.of(
            "bucket-settings", "s3a://KEY:Marker@b/", "at http://u:Marker@h/", "postgresql://u:Marker@h"
        )
        plan.add_finding(finding)
        assert "Marker" not in str(plan.findings()) and "s3a://***@b/" in str(plan.findings())
