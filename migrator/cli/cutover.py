"""``migrator cutover``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.cli.options import (
    CopyOptions,
    LiveOptions,
    WatchOptions,
    copy_options,
    live_options,
    plan_argument,
    watch_options,
)
from migrator.cli.terminal import Watched, ask, say, say_json
from migrator.errors import EXIT_FAILED
from migrator.findings import AT_MIGRATION
from migrator.progress import Progress

if TYPE_CHECKING:
    from migrator.live.passes import LiveCutover
    from migrator.reporting.description import PlanDescription


@click.command()
@plan_argument
@live_options
@click.option(
    "--accept",
    multiple=True,
    type=click.Choice(sorted(AT_MIGRATION)),
    help='Continue despite findings with this code before the cutover; see "migrator explain CODE". Repeatable.',
)
@click.option("--yes", is_flag=True, help="Do not ask before starting.")
@copy_options
@watch_options
def cutover(
    plan: Path,
    live: LiveOptions,
    accept: tuple[str, ...],
    yes: bool,
    copying: CopyOptions,
    watching: WatchOptions,
) -> None:
    """Wait until nobody writes, and cut over.

    \b
    Example:
      migrator cutover plans/lake.db
      migrator cutover plans/lake.db --quiet-for 30s --wait 1h --fence --yes

    Stop the writers first, or while this waits. Then it copies what is new, rewrites the tables, compares them, changes
    the pointers and verifies; it prints how long the writers had to wait. If it was interrupted, run it again.
    """
    from migrator import api
    from migrator.reporting.live import cutover_question

    if copying.files_from:
        raise click.UsageError("--files-from copies a part of the lake: use it with migrate or copy.")
    live.check()
    with Watched(watching, plan) as watched:
        bars = watched.progress
        if live.unfence:
            _unfence(plan, bars, watching.as_json)
            return
        if not yes:
            ask(cutover_question(api.show_plan(plan, progress=bars)))
        done = api.cutover_lake(
            plan,
            quiet_for=live.quiet_for,
            wait=live.wait,
            fence=live.how,
            accept=accept,
            copying=copying.settings(),
            progress=bars,
        )
        _say_cutover(done, api.show_plan(plan, progress=bars), as_json=watching.as_json)
        if not done.migration.ok or done.fence.still_on:
            raise click.exceptions.Exit(EXIT_FAILED)


def _say_cutover(done: LiveCutover, described: PlanDescription, *, as_json: bool) -> None:
    from migrator.reporting.json_forms import migration_json
    from migrator.reporting.live import cutover_report

    if as_json:
        since = done.quiet_since.isoformat(timespec="milliseconds") if done.quiet_since else None
        more = {"quiet_since": since, "held_up": dict(done.held_up), "fence": done.fence.lines}
        say_json({**migration_json(done.migration, described), **more})
    else:
        say(cutover_report(done, described))


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
