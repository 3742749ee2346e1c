"""``migrator cutover``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import CopyOptions, Duration, copy_options, json_option, plan_argument
from migrator.cli.terminal import ask, progress, say, say_json
from migrator.errors import EXIT_FAILED
from migrator.findings import AT_MIGRATION


@click.command()
@plan_argument
@click.option(
    "--quiet-for",
    type=Duration(),
    default="10s",
    show_default=True,
    help="How long nobody must have written to the old buckets.",
)
@click.option("--wait", type=Duration(), default="10m", show_default=True, help="How long to wait for that.")
@click.option(
    "--accept",
    multiple=True,
    type=click.Choice(sorted(AT_MIGRATION)),
    help='Continue even if this was found before the cutover; see "migrator explain CODE". Repeatable.',
)
@click.option("--yes", is_flag=True, help="Do not ask before starting.")
@copy_options
@json_option
def cutover(
    plan: Path, quiet_for: float, wait: float, accept: tuple[str, ...], yes: bool, copying: CopyOptions, as_json: bool
) -> None:
    """Wait until nobody writes, and cut over.

    \b
    Example:
      migrator cutover plans/lake.db
      migrator cutover plans/lake.db --quiet-for 30s --wait 1h --yes

    Stop the writers first, or while this waits. Then it copies what is new, rewrites the tables, compares them, changes
    the pointers and verifies; it prints how long writers were held up. If it was interrupted, run it again.
    """
    from migrator import api
    from migrator.reporting.json_forms import migration_json
    from migrator.reporting.live import cutover_question, cutover_report

    if copying.files_from:
        raise click.UsageError("--files-from copies a part of the lake: use it with migrate or copy.")
    bars = progress(as_json=as_json)
    described = api.show_plan(plan, progress=bars)
    if not yes:
        ask(cutover_question(described))
    done = api.cutover_lake(
        plan, quiet_for=quiet_for, wait=wait, accept=accept, copying=copying.settings(), progress=bars
    )
    described = api.show_plan(plan, progress=bars)
    if as_json:
        since = done.quiet_since.isoformat(timespec="milliseconds") if done.quiet_since else None
        say_json({**migration_json(done.migration, described), "quiet_since": since, "held_up": dict(done.held_up)})
    else:
        say(cutover_report(done, described))
    if not done.migration.ok:
        raise click.exceptions.Exit(EXIT_FAILED)
