"""The command line: parse, call, render, exit code. Everything else is somewhere else."""

from __future__ import annotations

import difflib
import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from migrator import api
from migrator._version import __version__
from migrator.config import Settings
from migrator.copying.concurrency_limit import MAX_BANDWIDTH, MAX_CONCURRENCY, MAX_TPS, MIN_BANDWIDTH, MIN_TPS, Limits
from migrator.copying.failed_list import read_list
from migrator.copying.options import AUTO, VERIFY, Options
from migrator.errors import (
    EXIT_CODES,
    EXIT_ERROR,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PENDING,
    ConfigError,
    MigratorError,
    internal_error,
    outside_error,
    redacted,
)
from migrator.execute import MAX_FAILURES
from migrator.findings import AT_MIGRATION, CODES
from migrator.plan.policy import mc_commands
from migrator.progress import Progress, TerminalProgress
from migrator.reporting import text as report

EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in EXIT_CODES.items())

Command = TypeVar("Command", bound=Callable[..., Any])


class _Main(click.Group):
    """Turns every error and Ctrl-C into one message and an exit code. No traceback ever reaches the user."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MigratorError as error:
            _say_error(str(error))
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("\nInterrupted. Nothing is lost: run the same command again to go on.", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:  # `migrator show … | head`: click ends it
                raise
            _say_error(outside_error(error) or internal_error(error))
            ctx.exit(EXIT_ERROR)


def _say_error(message: str) -> None:
    shown = "\n".join(report.printable(line) for line in redacted(message).split("\n"))
    _say(click.style("Error: ", fg="red", bold=True) + shown, err=True)


def _say(text: str, *, err: bool = False) -> None:
    """Print a report: wrapped where it goes to a terminal, and as it is everywhere else."""
    if (sys.stderr if err else sys.stdout).isatty():
        text = report.wrapped(text, shutil.get_terminal_size().columns)
    click.echo(text, err=err)


@click.group(cls=_Main, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="migrator")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Move a data lake from many S3 buckets into one, Iceberg tables included, and prove it.

    \b
    Example:
      migrator demo                                     # see it work, on a server of its own
      migrator plan --endpoint-url http://minio:9000    # read-only: what would happen
      migrator migrate plans/data-lake-….db             # do exactly that
      migrator verify plans/data-lake-….db              # prove it, with the old buckets gone

    Credentials come from the usual AWS places (AWS_PROFILE, AWS_ACCESS_KEY_ID, …) only.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False  # echo then leaves out all colours; https://no-color.org


def _lake_options(command: Command) -> Command:
    """The options that say which lake is meant."""
    for option in (
        click.option(
            "--catalog",
            "catalogs",
            multiple=True,
            metavar="NAME",
            help="A catalog of your pyiceberg configuration whose tables move. Repeatable.",
        ),
        click.option(
            "--target-endpoint-url", metavar="URL", help="Where the target bucket is.  [default: the same endpoint]"
        ),
        click.option("--target", metavar="BUCKET", help="The bucket that everything goes to.  [default: data-lake]"),
        click.option(
            "--endpoint-url", metavar="URL", help="The S3 endpoint.  [default: AWS_ENDPOINT_URL_S3, else AWS]"
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A lake.toml; plans/lake.example.toml explains it.",
        ),
    ):
        command = option(command)
    return command


def _plan_options(command: Command) -> Command:
    """The options that say how to plan."""
    for option in (
        click.option(
            "--leave",
            multiple=True,
            metavar="NAME",
            help="Leave this table of a catalog where it is: namespace.table or catalog.namespace.table. Repeatable.",
        ),
        click.option("--object-lock", is_flag=True, help="Also move retention and legal hold of objects."),
        click.option("--all-versions", is_flag=True, help="Also move older versions of objects, and delete markers."),
    ):
        command = option(command)
    return command


_preflight_option = click.option(
    "--no-preflight", is_flag=True, help="Do not try, while planning, what migrating will need."
)


def _copy_options(command: Command) -> Command:
    """The options that say how to copy."""
    for option in (
        click.option(
            "--files-from",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Copy only the objects listed in FILE, one s3:// URI a line, and stop there.",
        ),
        click.option(
            "--max-failures",
            type=click.IntRange(min=1),
            default=MAX_FAILURES,
            show_default=True,
            help="Stop when so many objects could not be copied.",
        ),
        click.option(
            "--verify-content",
            type=click.Choice(VERIFY),
            default=AUTO,
            show_default=True,
            help="Read every copy and its source and compare; or only where no ETag or checksum proves them equal.",
        ),
        click.option("--bandwidth", type=_Bytes(), metavar="SIZE", help="Bytes per second at most, such as 200M."),
        click.option("--tps", type=_PerSecond(), metavar="NUMBER", help="Requests per second at most."),
        click.option(
            "--concurrency",
            type=click.IntRange(1, MAX_CONCURRENCY),
            default=Limits().concurrency,
            show_default=True,
            help="Requests at once at most; what serves best is found out.",
        ),
    ):
        command = option(command)
    return command


class _Bytes(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes: 500000, 200M, 1.5G; units are powers of 1,024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?(?:/s)?", str(value), re.IGNORECASE)
        if match is None or not float(match[1]):
            self.fail(f"{value!r} is no size: write it like 200M.", param, ctx)
        exponent = " KMGT".index(match[2].upper() or " ")
        count = float(float(match[1]) * 1024**exponent)
        if not MIN_BANDWIDTH <= count <= MAX_BANDWIDTH:
            self.fail(f"{value!r} is out of bounds: between 1K and 1024T bytes per second.", param, ctx)
        return count


class _PerSecond(click.ParamType):  # type: ignore[type-arg]
    """How often per second."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            count = float(value)
        except ValueError:
            self.fail(f"{value!r} is no number.", param, ctx)
        if not MIN_TPS <= count <= MAX_TPS:  # what is not a number is not between them either
            self.fail(f"{value!r} is out of bounds: between {MIN_TPS:g} and {MAX_TPS:,.0f}.", param, ctx)
        return count


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON; plans/README.md documents the keys.")
_plan_argument = click.argument("plan", type=click.Path(path_type=Path))


@main.command()
@_lake_options
@_plan_options
@_preflight_option
@click.option(
    "--accept",
    multiple=True,
    metavar="CODE",
    help="Take findings of this code for warnings, as [plan] accept does. Repeatable.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The plan file to write.  [default: plans/<target>-<time>.db]",
)
@_json_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 5 if there are changes to make.")
@click.pass_context
def plan(
    ctx: click.Context,
    config: Path | None,
    endpoint_url: str | None,
    target: str | None,
    target_endpoint_url: str | None,
    catalogs: tuple[str, ...],
    all_versions: bool,
    object_lock: bool,
    no_preflight: bool,
    leave: tuple[str, ...],
    accept: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    detailed_exitcode: bool,
) -> None:
    """Say what a migration would do, and write it to a plan file. Changes nothing.

    A preflight tries what migrating will need: it reads samples of the old buckets, writes some empty objects to
    the target and removes them again, and changes a pointer in a transaction that is rolled back.

    \b
    Example:
      migrator plan --endpoint-url http://minio:9000 --catalog iceberg -o plans/lake.db

    Exits with 3 if anything blocks the plan.
    """
    settings = _settings(config, endpoint_url, target, target_endpoint_url, catalogs).override(
        all_versions=all_versions,
        object_lock=object_lock,
        leave=leave,
        accept=accept,
        preflight=not no_preflight,
    )
    described = api.plan_lake(settings, output, progress=_progress(as_json))
    _show_plan(described, as_json)
    if described["blocked"]:
        ctx.exit(EXIT_FAILED)
    if detailed_exitcode and described["changes_pending"]:
        ctx.exit(EXIT_PENDING)


@main.command()
@_lake_options
@_json_option
@click.pass_context
def tables(
    ctx: click.Context,
    config: Path | None,
    endpoint_url: str | None,
    target: str | None,
    target_endpoint_url: str | None,
    catalogs: tuple[str, ...],
    as_json: bool,
) -> None:
    """List every Iceberg table: format, sizes, deletes, writers, features, and if it can be migrated.

    \b
    Example:
      migrator tables --endpoint-url http://minio:9000 --catalog iceberg

    Changes nothing. Exits with 3 if any table cannot be migrated.
    """
    found = api.list_tables(
        _settings(config, endpoint_url, target, target_endpoint_url, catalogs), progress=_progress(as_json)
    )
    if as_json:
        click.echo(report.to_json({"tables": found}))
    else:
        _say(report.tables_text(found, _style))
    if not all(table["migratable"] for table in found):
        ctx.exit(EXIT_FAILED)


@main.command()
@_plan_argument
@_json_option
def show(plan: Path, as_json: bool) -> None:
    """Print the report of a plan again.

    \b
    Example:
      migrator show plans/lake.db
    """
    _show_plan(api.show_plan(plan, progress=_progress(as_json)), as_json)


@main.command()
@click.argument("metadata_json")
@click.option("--to", required=True, metavar="URI", help="The table's new location, such as s3://bucket/wh/db/table.")
@click.option(
    "--also",
    multiple=True,
    metavar="OLD=NEW",
    help="Another prefix that moves, for files outside the table's location. OLD may be a path of any file system, "
    "such as hdfs://host:8020/data: then its files lie at NEW already. Repeatable.",
)
@click.option("--no-copy", is_flag=True, help="Only rewrite: the data files are at the new place, or will be.")
@click.option("--endpoint-url", metavar="URL", help="The S3 endpoint.  [default: AWS_ENDPOINT_URL_S3, else AWS]")
@_json_option
def relocate(
    metadata_json: str, to: str, also: tuple[str, ...], no_copy: bool, endpoint_url: str | None, as_json: bool
) -> None:
    """Move one table, given the URI of its METADATA_JSON. No catalog is asked or changed.

    \b
    Example:
      migrator relocate s3://backup/wh/t/metadata/00007-….metadata.json --to s3://data-lake/wh/t

    The table may be a copy whose paths still name the place that it was copied from, and --to may be the
    very place where it lies: then the data files stay, and what must be rewritten goes to a folder
    "relocated" beside them. Nothing is overwritten. Paths keep their scheme (s3, s3a, s3n); those of a
    table that came from another file system (hdfs, file, gs, …) get the scheme of --to.
    """
    pairs = [_pair(text) for text in also]
    progress = _progress(as_json)
    done = api.relocate_table(
        metadata_json, to, also=pairs, copy=not no_copy, endpoint_url=endpoint_url, progress=progress
    )
    click.echo(report.to_json(asdict(done)) if as_json else report.relocation_text(done, _style))


def _pair(text: str) -> tuple[str, str]:
    pair = re.fullmatch("(.+)=(s3[an]?://.*)", text, re.DOTALL)  # OLD may hold a "=", too
    if pair is None:
        raise click.UsageError(f"--also {text!r}: write it as OLD=NEW, such as s3://old/data=s3://new/data.")
    return pair[1], pair[2]


@main.command()
@click.argument("plan", type=click.Path(path_type=Path), required=False)
@_lake_options
@_plan_options
@click.option("--yes", is_flag=True, help="Do not ask before starting.")
@click.option("--no-cutover", is_flag=True, help="Copy and rewrite, but change no pointer yet.")
@click.option(
    "--accept-late", is_flag=True, help="Cut over although the old buckets changed since planning; leave that behind."
)
@click.option(
    "--accept",
    multiple=True,
    type=click.Choice(sorted(AT_MIGRATION)),
    help='Go on although such a thing was found before the cutover; "migrator explain" says what it means. Repeatable.',
)
@_copy_options
@_json_option
@click.pass_context
def migrate(
    ctx: click.Context,
    plan: Path | None,
    config: Path | None,
    endpoint_url: str | None,
    target: str | None,
    target_endpoint_url: str | None,
    catalogs: tuple[str, ...],
    all_versions: bool,
    object_lock: bool,
    leave: tuple[str, ...],
    yes: bool,
    no_cutover: bool,
    accept_late: bool,
    accept: tuple[str, ...],
    concurrency: int,
    tps: float | None,
    bandwidth: float | None,
    verify_content: str,
    max_failures: int,
    files_from: Path | None,
    as_json: bool,
) -> None:
    """Carry out PLAN: copy, rewrite, compare, cut over, verify. Without PLAN, make one first.

    \b
    Example:
      migrator migrate plans/lake.db
      migrator migrate --endpoint-url http://minio:9000 --catalog iceberg --yes

    Interrupted or killed, the same command goes on where it was. The old buckets are only read.
    """
    progress = _progress(as_json)
    options = Options(Limits(concurrency, tps, bandwidth), verify_content)
    copying = api.CopySettings(options, max_failures, read_list(files_from) if files_from else None)
    if plan is None:
        settings = _settings(config, endpoint_url, target, target_endpoint_url, catalogs).override(
            all_versions=all_versions, object_lock=object_lock, leave=leave
        )
        described = api.plan_lake(settings, progress=progress)
        plan = Path(described["plan"])
    elif any((config, endpoint_url, target, target_endpoint_url, catalogs, all_versions, object_lock, leave)):
        raise click.UsageError(
            "PLAN holds all of this already: leave out --config, --endpoint-url, --target, --target-endpoint-url, "
            "--catalog, --all-versions, --object-lock, --leave."
        )
    else:
        described = api.show_plan(plan, progress=progress)
    if described["blocked"]:
        _show_plan(described, as_json)
        ctx.exit(EXIT_FAILED)
    status = api.plan_status(plan, look=False, progress=progress)
    if not status.complete:
        _say(report.plan_text(described, _style, starting=True), err=True)
        if not yes:
            _ask(report.question(described, cutover=not no_cutover))
    migration = api.migrate_lake(
        plan,
        cutover=not no_cutover,
        accept_late=accept_late,
        accept=accept,
        copying=copying,
        progress=progress,
    )
    if as_json:
        click.echo(report.to_json(report.migration_json(migration, described)))
    else:
        _say(report.migration_text(migration, described, _style))
    if not migration.ok:
        ctx.exit(EXIT_FAILED)


@main.command()
@_plan_argument
@_json_option
def status(plan: Path, as_json: bool) -> None:
    """Say how far a plan has been carried out. Works while it is running, too.

    \b
    Example:
      migrator status plans/lake.db
    """
    summary = api.plan_status(plan, progress=_progress(as_json))
    if as_json:
        click.echo(report.to_json(summary.to_json()))
    else:
        _say(report.status_text(summary, _style))


@main.command()
@_plan_argument
@click.option("--deep", is_flag=True, help="Also compare every row, and the bytes of every copied object.")
@_json_option
@click.pass_context
def verify(ctx: click.Context, plan: Path, deep: bool, as_json: bool) -> None:
    """Compare the target with PLAN: every object, every file of every table, every snapshot's rows.

    \b
    Example:
      migrator verify --deep plans/lake.db

    Needs nothing from the old buckets; only --deep compares with them, as far as they exist. Exits with 3 if
    anything differs or cannot be read. What could not be compared is counted, and said with the reason.
    """
    verification = api.verify_lake(plan, deep=deep, progress=_progress(as_json))
    if as_json:
        click.echo(report.to_json(report.verification_json(verification)))
    else:
        _say(report.verification_text(verification, _style))
    if not verification.ok:
        ctx.exit(EXIT_FAILED)


@main.command()
@click.argument("plan", type=click.Path(path_type=Path), required=False)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A lake.toml, before there is a plan.")
@click.option(
    "--side",
    type=click.Choice(("both", "source", "target")),
    default="both",
    show_default=True,
    help="Only what reading the old buckets needs, or only what writing the target needs.",
)
@click.option("--mc", is_flag=True, help="Print the commands that give it to a MinIO user.")
def policy(plan: Path | None, config: Path | None, side: str, mc: bool) -> None:
    """Print the least policy that migrating the buckets of PLAN needs, for AWS IAM and MinIO.

    \b
    Example:
      migrator policy plans/lake.db > policy.json
      migrator policy --config lake.toml --mc

    Where the target is under another account, give that one the policy of --side target.
    """
    if (plan is None) == (config is None):
        raise click.UsageError("Name either a PLAN or a --config.")
    least = api.policy_of_plan(plan, side) if plan else api.policy_of_settings(api.load_settings(config or ""), side)
    click.echo(mc_commands(least) if mc else json.dumps(least, indent=2), nl=not mc)


@main.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what a finding's CODE means, why it matters and what to do. Without CODE, list all codes.

    \b
    Example:
      migrator explain uncatalogued-table
    """
    known = [*CODES, *AT_MIGRATION]
    if code is None:
        _say(report.codes_text(_style))
    elif code in known:
        _say(report.explanation_text(code, _style))
    else:
        near = difflib.get_close_matches(code, known, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise click.UsageError(f'There is no finding {code!r}.{hint} "migrator explain" lists all.')


@main.command()
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep the plan and the server's data in DIR."
)
def demo(keep: Path | None) -> None:
    """Watch a migration: a real S3 server, an old-style lake, the plan, the move, the old buckets deleted,
    and the same queries before and after. Takes under a minute and leaves nothing behind.

    \b
    Example:
      migrator demo
    """
    from migrator.demo.run import run_demo

    run_demo(keep, _style, click.echo, TerminalProgress())


def _settings(
    config: Path | None,
    endpoint_url: str | None,
    target: str | None,
    target_endpoint_url: str | None,
    catalogs: tuple[str, ...],
) -> Settings:
    settings = api.load_settings(config) if config else Settings()
    return settings.override(
        endpoint_url=endpoint_url,
        target=target,
        target_endpoint_url=target_endpoint_url,
        catalogs=catalogs,
    )


def _show_plan(described: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(report.to_json(described))
    else:
        _say(report.plan_text(described, _style))


def _ask(question: str) -> None:
    """Ask before anything is changed. Without a terminal there is nobody to ask: refuse rather than guess."""
    if not sys.stdin.isatty():
        raise ConfigError("There is no terminal to ask whether to start.", next_move="Add --yes.")
    if not click.confirm(question, err=True):
        raise MigratorError("Not started; nothing was changed by this command.")


def _progress(as_json: bool) -> Progress:
    return Progress() if as_json and not sys.stderr.isatty() else TerminalProgress()


def _style(text: str, colour: str) -> str:
    return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)


if __name__ == "__main__":
    sys.exit(main() or EXIT_OK)
