"""What commands print: reports, JSON, errors, questions and progress."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from migrator.errors import ConfigError, MigratorError, redacted
from migrator.progress import Progress, TerminalProgress

if TYPE_CHECKING:
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
        click.echo(diff.encode("utf-8"), nl=False)


def say_json(value: Any) -> None:
    """Print the result of a command with ``--json``."""
    from migrator.reporting.json_forms import to_json

    click.echo(to_json(value))


def say_plan(described: PlanDescription, *, as_json: bool) -> None:
    """Print a plan that :func:`migrator.api.show_plan` described."""
    from migrator.reporting.plan import plan_report

    if as_json:
        say_json(described)
    else:
        say(plan_report(described))


def say_error(message: str) -> None:
    """Print an error on standard error, without the passwords in its URLs."""
    from migrator.reporting.rendering import line, unwrapped

    first, *others = redacted(message).split("\n")
    is_command = "  migrator "
    lines = [unwrapped(text) if text.startswith(is_command) else line(text) for text in others]
    say([line(("Error: ", "bold red"), first), *lines], err=True)


def ask(question: str) -> None:
    """Ask before anything is changed. Raises ConfigError if there is no terminal: nobody could answer.

    Raises MigratorError if the answer is no."""
    if not sys.stdin.isatty():
        raise ConfigError("There is no terminal to ask whether to start.", next_move="Add --yes.")
    if not click.confirm(question, err=True):
        raise MigratorError("Not started; nothing was changed by this command.")


def progress(*, as_json: bool) -> Progress:
    """Bars on standard error; none with ``--json`` in a pipe."""
    return Progress() if as_json and not sys.stderr.isatty() else TerminalProgress()
