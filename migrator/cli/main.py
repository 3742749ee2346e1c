"""The command ``migrator``: the group of all commands. Turns errors and Ctrl-C into messages and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, NoReturn

import click

from migrator._version import __version__
from migrator.cli.check import check
from migrator.cli.copy import copy
from migrator.cli.cutover import cutover
from migrator.cli.demo import demo
from migrator.cli.explain import explain
from migrator.cli.init import init
from migrator.cli.log import log
from migrator.cli.metrics import metrics
from migrator.cli.migrate import migrate
from migrator.cli.output import asks_for_json, log_error, output, with_output_options
from migrator.cli.pack import pack
from migrator.cli.plan import plan
from migrator.cli.policy import policy
from migrator.cli.relocate import relocate
from migrator.cli.repair import repair
from migrator.cli.report import report
from migrator.cli.retire import retire
from migrator.cli.rewrite_config import rewrite_config
from migrator.cli.rollback import rollback
from migrator.cli.settings import settings
from migrator.cli.show import show
from migrator.cli.status import status
from migrator.cli.streams import OutputUnwritable, prepare_streams
from migrator.cli.tables import tables
from migrator.cli.terminal import say_error, say_json_error
from migrator.cli.verify import verify
from migrator.errors import (
    EXIT_CODES,
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_OK,
    MigratorError,
    internal_error,
    outside_error,
)

COMMANDS = (
    plan,
    tables,
    show,
    report,
    relocate,
    settings,
    migrate,
    copy,
    cutover,
    status,
    verify,
    rewrite_config,
    rollback,
    repair,
    retire,
    check,
    metrics,
    log,
    policy,
    init,
    pack,
    explain,
    demo,
)
"""In the order in which ``--help`` lists them."""

INTERRUPTED, AGAIN = "Interrupted. Nothing is lost.", "Run the same command again to continue."
EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in EXIT_CODES.items())


class _Main(click.Group):
    """Turns every error and Ctrl-C into one message and an exit code. Users never see a traceback."""

    _asks_for_json = _result_as_json = False

    def main(self, *args: Any, **extra: Any) -> Any:
        """The whole command line. It is an error if ``--help`` or the like cannot be printed."""
        prepare_streams()
        try:
            return super().main(*args, **extra)
        except OutputUnwritable as error:
            show = log_error if self._asks_for_json else say_error
            show(error.message, error=type(error).__name__, exit_code=error.exit_code)
            sys.exit(error.exit_code)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MigratorError as error:
            self._end(ctx, type(error).__name__, error.exit_code, error.message, error.next_move)
        except (KeyboardInterrupt, click.Abort):
            _say_interrupted()
            if self._result_as_json:
                say_json_error(INTERRUPTED, next_move=AGAIN, error="Interrupted", exit_code=EXIT_INTERRUPTED)
            ctx.exit(EXIT_INTERRUPTED)
        except click.ClickException as error:
            _show_usage(error, as_json=output().json or self._asks_for_json, result_as_json=self._result_as_json)
        except click.exceptions.Exit:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:  # `migrator show … | head`: click handles it
                raise
            self._end(ctx, type(error).__name__, EXIT_ERROR, outside_error(error) or internal_error(error))

    def _end(self, ctx: click.Context, kind: str, exit_code: int, message: str, next_move: str = "") -> NoReturn:
        """Print an error, with ``--json`` as a document, too, and end."""
        say_error(message, next_move=next_move, error=kind, exit_code=exit_code)
        if self._result_as_json:
            say_json_error(message, next_move=next_move, error=kind, exit_code=exit_code)
        ctx.exit(exit_code)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Read the options before the name of the command. Errors in them are printed as JSON, too, with ``--log-format
        json``."""
        self._asks_for_json, self._result_as_json = asks_for_json(args), "--json" in args
        try:
            return super().make_context(info_name, args, *rest, **extra)
        except click.ClickException as error:
            _show_usage(error, as_json=self._asks_for_json, result_as_json=self._result_as_json)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added, which is that of a migration."""
        return list(self.commands)


def _show_usage(error: click.ClickException, *, as_json: bool, result_as_json: bool) -> NoReturn:
    """Raises ``error``, for click to show it; or shows it as JSON, and raises Exit."""
    context = getattr(error, "ctx", None)
    next_move = f"{context.command_path if context else 'migrator'} --help shows its options."
    kind = type(error).__name__
    if result_as_json:
        say_json_error(error.format_message(), next_move=next_move, error=kind, exit_code=error.exit_code)
    if not as_json:
        raise error
    log_error(error.format_message(), next_move=next_move, error=kind, exit_code=error.exit_code)
    raise click.exceptions.Exit(error.exit_code)


def _say_interrupted() -> None:
    shown = output()
    shown.hide_progress(KeyboardInterrupt)
    if not shown.json:
        click.echo("\nInterrupted. Nothing is lost: run the same command again to continue.", err=True)
        return
    log_error(INTERRUPTED, next_move=AGAIN, event="interrupted", exit_code=EXIT_INTERRUPTED)


@click.group(cls=_Main, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="migrator")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Move a data lake, with its Iceberg tables, from many S3 buckets into one.

    \b
    Example:
      migrator demo                                     # try it, on a local S3 server
      migrator plan --endpoint-url http://minio:9000    # show what would happen
      migrator migrate plans/data-lake-….db             # carry out that plan
      migrator verify plans/data-lake-….db              # compare the target with the plan

    Credentials come from the usual AWS places (AWS_PROFILE, AWS_ACCESS_KEY_ID, …) only.

    \b
    Completion in the shell (in zsh: zsh_source; in fish: fish_source):
      eval "$(_MIGRATOR_COMPLETE=bash_source migrator)"
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False  # click then prints no colours; https://no-color.org


for command in COMMANDS:
    main.add_command(with_output_options(command))
with_output_options(main)


if __name__ == "__main__":
    sys.exit(main() or EXIT_OK)
