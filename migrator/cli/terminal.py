"""What commands print: reports, JSON, errors, questions and progress."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from migrator.cli.output import log_error, output
from migrator.errors import ConfigError, MigratorError, redacted
from migrator.progress import Progress, Several, TerminalProgress
from migrator.progress.json_lines import WARNING, JsonProgress, write_line
from migrator.progress.metrics_file import MetricsFile
from migrator.progress.reporter import Reporter

if TYPE_CHECKING:
    from migrator.cli.options import WatchOptions
    from migrator.reporting.description import PlanDescription
    from migrator.reporting.rendering import Report

# reporting is imported where something is printed: rich takes 0.1 s to load, which --help and completion do not need.


def say(report: Report, *, err: bool = False) -> None:
    """Print a report: wrapped and in colours in a terminal, and as plain lines everywhere else."""
    from migrator.reporting.rendering import render

    terminal = (sys.stderr if err else sys.stdout).isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    click.echo(render(report, width, colours=terminal), err=err)  # click drops the colours if NO_COLOR is set


def say_diff(diff: str) -> None:
    """Print a diff: in colours and without control characters in a terminal, and exactly as it is elsewhere."""
    from migrator.reporting.scripts import terminal_diff

    if sys.stdout.isatty():
        say(terminal_diff(diff))
    else:
        say_file(diff)


def say_file(text: str) -> None:
    """Print text that belongs in a file, such as a script: in UTF-8, whatever encoding the terminal has."""
    click.echo(text.encode("utf-8"), nl=False)


def say_json(value: Any) -> None:
    """Print the result of a command with ``--json``."""
    from migrator.reporting.json_forms import to_json

    output().answered = True
    click.echo(to_json(value))


def say_json_error(message: str, *, next_move: str = "", **more: Any) -> None:
    """Print the document of a command with ``--json`` that ends with an error, unless it has printed its result."""
    if not output().answered:
        told = {"message": redacted(message), "next_move": redacted(next_move), **more}
        say_json({"ok": False, "error": told})


def say_plan(described: PlanDescription, *, as_json: bool) -> None:
    """Print a plan that :func:`migrator.api.show_plan` described."""
    from migrator.reporting.plan import plan_report

    if as_json:
        say_json(described)
    else:
        say(plan_report(described))


def say_error(message: str, *, next_move: str = "", **more: Any) -> None:
    """Print an error on standard error, without the passwords in its URLs. ``more`` is only in the JSON line."""
    shown = output()
    shown.hide_progress()
    if shown.json:
        log_error(message, next_move=next_move, **more)
        return
    from migrator.reporting.rendering import line, unwrapped

    first, *others = redacted(f"{message} {next_move}".rstrip()).split("\n")
    is_command = "  migrator "
    lines = [unwrapped(text) if text.startswith(is_command) else line(text) for text in others]
    say([line(("Error: ", "bold red"), first), *lines], err=True)


def ask(question: str) -> None:
    """Ask before anything is changed. Raises ConfigError if there is no terminal.

    Raises MigratorError if the answer is no."""
    if output().json:
        raise ConfigError("With --log-format json, nothing is asked.", next_move="Add --yes.")
    if not sys.stdin.isatty():
        raise ConfigError("There is no terminal to ask whether to start.", next_move="Add --yes.")
    if not click.confirm(question, err=True):
        raise MigratorError("Not started; nothing was changed by this command.")


def progress(*, as_json: bool) -> Progress:
    """The progress that the options ask for: bars or lines on standard error, JSON lines, or nothing. Also nothing with
    ``--json`` in a pipe."""
    shown = output()
    if shown.quiet or (as_json and not shown.json and not sys.stderr.isatty()):
        return Progress()
    one: Reporter = JsonProgress() if shown.json else TerminalProgress()
    shown.shown.append(one)
    return one


class Watched:
    """The progress of a command that changes a lake, also in a metrics file, if one is asked for. Use it as a context
    manager around the whole command: its end is the end of the run."""

    def __init__(self, options: WatchOptions, plan: Path | None) -> None:
        """Raises ConfigError if the metrics file cannot be written."""
        self._file = options.metrics_file
        self._metrics = None if self._file is None else MetricsFile(self._file, str(plan or ""))
        shown = progress(as_json=options.as_json)
        self.progress = shown if self._metrics is None else Several(shown, self._metrics)

    def planned(self, plan: Path) -> None:
        """Call it when the plan was made."""
        if self._metrics is not None:
            self._metrics.plan = str(plan)

    def __enter__(self) -> Watched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._metrics is None:
            return
        self._metrics.finish(success=kind is None or (isinstance(error, click.exceptions.Exit) and not error.exit_code))
        if self._metrics.trouble is not None:
            reason = self._metrics.trouble.strerror or self._metrics.trouble
            _warn(f"{self._file} could not be written during the run: {reason}. The run itself went on without it.")


def _warn(message: str) -> None:
    from migrator.reporting.rendering import line

    shown = output()
    shown.hide_progress()
    if shown.json:
        write_line(WARNING, "warning", message=message)
    else:
        say([line(("Warning: ", "yellow"), message)], err=True)
