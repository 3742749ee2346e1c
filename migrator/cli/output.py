"""What goes to standard error, and how: the options ``--quiet`` and ``--log-format``, which every command has.

They stand before or after the name of the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import click

from migrator.errors import MigratorError, redacted
from migrator.progress.json_lines import ERROR, speak_json, speaks_json, write_line
from migrator.progress.reporter import Reporter

TEXT, JSON = "text", "json"
_KEY = "migrator.output"


@dataclass
class Output:
    """What this call prints in addition to its result. ``shown``: the progress display, which must be removed before
    anything else is printed; ``answered``: the document of ``--json`` was printed."""

    quiet: bool = False
    log_format: str = TEXT
    shown: list[Reporter] = field(default_factory=list)
    answered: bool = False

    @property
    def json(self) -> bool:
        """True if only JSON lines may go to standard error."""
        return self.log_format == JSON

    def hide_progress(self, error: type[BaseException] = MigratorError) -> None:
        """Remove the progress display that is left after this error: a stage in a generator may still be open."""
        for one in self.shown:
            one.close(error)


def output() -> Output:
    """The values of the options of this call; the defaults outside of a command."""
    context = click.get_current_context(silent=True)
    if context is None:
        return Output()
    return output_of(context)


def _set_quiet(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        output_of(context).quiet = True


def _set_format(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        output_of(context).log_format = value
    if value == JSON and not speaks_json():
        context.find_root().call_on_close(speak_json())


def output_of(context: click.Context) -> Output:
    """The same as :func:`output`, while the options of a command are read."""
    found: Output = context.meta.setdefault(_KEY, Output())  # shared by the group and its command
    return found


def with_output_options(command: click.Command) -> click.Command:
    """Give a command the two options."""
    common: dict[str, Any] = {"is_eager": True, "expose_value": False}
    command.params += [
        click.Option(
            ["--quiet"], is_flag=True, callback=_set_quiet, help="No progress: only the result and errors.", **common
        ),
        click.Option(
            ["--log-format"],
            type=click.Choice((TEXT, JSON)),
            callback=_set_format,
            help="json: progress and errors are JSON on standard error, one object a line.  [default: text]",
            **common,
        ),
    ]
    return command


def asks_for_json(arguments: Sequence[str]) -> bool:
    """True if the command line asks for JSON lines: for an error that is found before the options are read."""
    pairs = pairwise(arguments)
    return f"--log-format={JSON}" in arguments or ("--log-format", JSON) in pairs


def log_error(message: str, *, next_move: str = "", event: str = "error", **more: Any) -> None:
    """Write an error as a JSON line."""
    write_line(ERROR, event, message=redacted(message), next_move=redacted(next_move), **more)
