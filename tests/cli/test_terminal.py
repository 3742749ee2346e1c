from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from migrator.cli import main
from migrator.cli.terminal import ask, progress, say, say_error
from migrator.errors import ConfigError
from migrator.progress import Progress, TerminalProgress
from migrator.reporting.rendering import Grid, line

KEY = "s3://bronze/" + "k" * 300
REPORT = [line("Title", style="bold"), Grid(("key",), [(KEY,)]), line("word " * 40)]


def pretend_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input, output and error are a terminal of 80 columns from now on."""
    for stream in (sys.stdout, sys.stderr, sys.stdin):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def test_a_pipe_gets_whole_lines_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    say(REPORT)
    assert capsys.readouterr().out == f"Title\n  key\n  {KEY}\n{('word ' * 40).rstrip()}\n"


def test_a_terminal_gets_colours_and_lines_that_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_terminal(monkeypatch)
    say(REPORT, err=True)
    shown = capsys.readouterr().err
    assert shown.startswith("\x1b[1mTitle\x1b[0m\n")
    assert all(len(click.unstyle(row)) <= 80 for row in shown.split("\n"))


def test_no_color_is_honoured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["explain"], standalone_mode=False) is None
    shown = capsys.readouterr().out
    assert "✖" in shown and "\x1b" not in shown
    monkeypatch.delenv("NO_COLOR")
    main(["explain"], standalone_mode=False)
    assert "\x1b[31m✖" in capsys.readouterr().out


def test_an_error_shows_no_password_and_no_escape(capsys: pytest.CaptureFixture[str]) -> None:
    say_error("postgresql://u:Marker@h \x1b[2J\nsecond")
    shown = capsys.readouterr().err
    assert shown == "Error: postgresql://***@h \\x1b[2J\nsecond\n"


def test_commands_in_errors_stay_in_one_piece(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_terminal(monkeypatch)
    command = "  migrator plan " + "x " * 60
    say_error(f"{'word ' * 30}\n{command}")
    assert f"\n{command.rstrip()}\n" in capsys.readouterr().err


def test_without_a_terminal_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(ConfigError, match="--yes"):
        ask("Start?")


def test_bars_are_drawn_unless_json_goes_to_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_terminal(monkeypatch)
    assert isinstance(progress(as_json=True), TerminalProgress)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert type(progress(as_json=True)) is Progress and isinstance(progress(as_json=False), TerminalProgress)


def test_a_reader_that_ends_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        command = [sys.executable, "-m", "migrator", "explain"]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, env=environ, timeout=120)
    assert done.stderr == b"" and done.returncode == 1


def test_an_unknown_code_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["explain", "no-such-code"]).exit_code == 2
