"""``migrator cutover``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import CopyOptions, LiveOptions, copy_options, json_option, live_options, plan_argument
from migrator.cli.terminal import ask, progress, say, say_json
from migrator.errors import EXIT_FAILED
from migrator.findings import AT_MIGRATION
from migrator.progress import Progress


@click.command()
@plan_argument
@live_options
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
    plan: Path, live: LiveOptions, accept: tuple[str, ...], yes: bool, copying: CopyOptions, as_json: bool
) -> None:
    """Wait until nobody writes, and cut over.

    \b
    Example:
      migrator cutover plans/lake.db
      migrator cutover plans/lake.db --quiet-for 30s --wait 1h --fence --yes

    Stop the writers first, or while this waits. Then it copies what is new, rewrites the tables, compares them, changes
    the pointers and verifies; it prints how long writers were held up. If it was interrupted, run it again.
    """
    from migrator import api
    from migrator.reporting.json_forms import migration_json
    from migrator.reporting.live import cutover_question, cutover_report

    if copying.files_from:
        raise click.UsageError("--files-from copies a part of the lake: use it with migrate or copy.")
    live.check()
    bars = progress(as_json=as_json)
    if live.unfence:
        _unfence(plan, bars, as_json)
        return
    described = api.show_plan(plan, progress=bars)
    if not yes:
        ask(cutover_question(described))
    done = api.cutover_lake(
        plan,
        quiet_for=live.quiet_for,
        wait=live.wait,
        fence=live.how,
        accept=accept,
        copying=copying.settings(),
        progress=bars,
    )
    described = api.show_plan(plan, progress=bars)
    if as_json:
        since = done.quiet_since.isoformat(timespec="milliseconds") if done.quiet_since else None
        more = {"quiet_since": since, "held_up": dict(done.held_up), "fence": done.fence.lines}
        say_json({**migration_json(done.migration, described), **more})
    else:
        say(cutover_report(done, described))
    if not done.migration.ok or done.fence.still_on:
        raise click.exceptions.Exit(EXIT_FAILED)


def _unfence(plan: Path, bars: Progress, as_json: bool) -> None:
    from migrator import api
    from migrator.reporting.rendering import line

    lifted = api.unfence_lake(plan, progress=bars)
    if as_json:
        say_json({"plan": str(plan), "fence": lifted.lines})
    else:
        say([line(text) for text in lifted.lines or ["No old bucket of this plan is fenced."]])
    if lifted.still_on:
        raise click.exceptions.Exit(EXIT_FAILED)
