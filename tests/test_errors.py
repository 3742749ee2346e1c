"""The text of an error: it has no secret and no traceback."""

from __future__ import annotations

import errno
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from migrator.cli import main
from migrator.errors import (
    CatalogError,
    MigratorError,
    NotFound,
    SourceChanged,
    StoreError,
    UnmappedPath,
    Unreadable,
    first_lines,
    first_names,
    internal_error,
    outside_error,
    redacted,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://joe:Marker@host/x and s3a://K:Marker@b/k", "at http://***@host/x and s3a://***@b/k"),
        ("postgresql+psycopg2://u:Mar:ker@h/db", "postgresql+psycopg2://***@h/db"),
        ("http://h/b?X-Amz-Signature=Marker&x=1", "http://h/b?X-Amz-Signature=***&x=1"),
        ("host=h password=Marker user=u", "host=h password=*** user=u"),
        ("s3://b/token=1/password=2/f@g://x", "s3://b/token=1/password=2/f@g://x"),  # partitions, no secrets
        ("s3://b/a@b.c/x", "s3://b/a@b.c/x"),
    ],
)
def test_secrets_in_urls_are_not_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/p.db"), "/x/p.db: No space left on device."),
        (PermissionError(errno.EACCES, "Permission denied", "plans"), "plans: Permission denied."),
        (MemoryError(), "There is not enough memory."),
        (KeyError("x"), "Internal error: KeyError: 'x'. This is a fault of migrator: please report it."),
        (RuntimeError("at http://u:Marker@h"), "Internal error: RuntimeError: at http://***@h."),
    ],
)
def test_no_traceback_reaches_the_user(monkeypatch: pytest.MonkeyPatch, error: Exception, says: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("migrator.api.show_plan", fail)
    result = CliRunner().invoke(main, ["show", "p.db"])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {says}") and "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_no_error(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def stop(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("migrator.api.show_plan", stop)
    result = CliRunner().invoke(main, ["show", "p.db"])
    assert result.exit_code == 130 and "Interrupted. Nothing is lost" in result.stderr


def test_a_developer_may_have_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATOR_DEBUG", "1")
    assert "Traceback" in internal_error(KeyError("x")) or "KeyError" in internal_error(KeyError("x"))
    assert outside_error(KeyError("x")) == ""


@pytest.mark.parametrize(
    "options",
    [
        ["--tps", "1e-300"],
        ["--tps", "nan"],
        ["--tps", "inf"],
        ["--tps", "-1"],
        ["--tps", "x"],
        ["--tps", "1e300"],
        ["--bandwidth", "1e-9"],
        ["--bandwidth", "1"],
        ["--bandwidth", "nan"],
        ["--bandwidth", "9" * 400],
        ["--bandwidth", "99999999T"],
        ["--concurrency", "1000000000"],
        ["--concurrency", "0"],
        ["--max-failures", "0"],
    ],
)
def test_absurd_bounds_are_a_mistake(tmp_path: Path, options: list[str]) -> None:
    result = CliRunner().invoke(main, ["migrate", str(tmp_path / "p.db"), *options])
    assert result.exit_code == 2 and options[0] in result.stderr, result.stderr


def test_a_long_list_shows_the_first_items_and_counts_the_others() -> None:
    assert first_lines("ab", 2) == "  a\n  b"
    assert first_lines("abc", 2) == "  a\n  b\n  … and 1 more"
    assert first_lines("ab", 2, count=1_234) == "  a\n  b\n  … and 1,232 more"
    assert first_names(["a", "b"], 2) == "a, b"
    assert first_names(["a", "b", "c"], 2, "; ") == "a; b and 1 more"


BROKEN = "s3://b/a\nError: \rall is lost"
"""A key with line breaks."""


@pytest.mark.parametrize(
    "error",
    [
        NotFound(f"{BROKEN} does not exist.", next_move=f"Restore {BROKEN}."),
        SourceChanged(f"{BROKEN} is gone since planning."),
        StoreError(f"{BROKEN}: refused."),
        Unreadable(BROKEN, "it is empty"),
        UnmappedPath(BROKEN, BROKEN),
        CatalogError(f"The table {BROKEN} could not be changed."),
        OSError(errno.ENOSPC, "No space left on device", BROKEN),
    ],
)
def test_a_key_cannot_add_a_line_to_a_message(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("migrator.api.show_plan", fail)
    shown = CliRunner().invoke(main, ["show", "p.db"]).stderr
    assert len(shown.splitlines()) == 1 and r"s3://b/a\nError: \rall is lost" in shown


def test_a_key_cannot_add_a_line_to_a_list() -> None:
    assert first_lines([MigratorError(BROKEN), "b"]) == f"  {escaped(BROKEN)}\n  b"
    assert first_names([BROKEN, "b"], 2) == f"{escaped(BROKEN)}, b"


def escaped(text: str) -> str:
    return text.replace("\n", r"\n").replace("\r", r"\r")


def test_the_lines_of_a_message_of_ours_stay_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MigratorError(f"Two:\n{first_lines(['a', 'b'])}\n", next_move="Mend them.")

    monkeypatch.setattr("migrator.api.show_plan", fail)
    assert CliRunner().invoke(main, ["show", "p.db"]).stderr == "Error: Two:\n  a\n  b\n Mend them.\n"
