"""``migrator migrate``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.cli.options import (
    CopyOptions,
    CutoverOptions,
    LakeOptions,
    PlanOptions,
    WatchOptions,
    copy_options,
    cutover_options,
    is_given,
    lake_options,
    plan_options,
    plans_argument,
    watch_options,
)
from migrator.cli.output import output
from migrator.cli.terminal import Watched, ask, say, say_json, say_plan
from migrator.cli.together import migrate_together
from migrator.errors import EXIT_FAILED

if TYPE_CHECKING:
    from migrator.migration import Migration
    from migrator.reporting.description import PlanDescription


@click.command()
@plans_argument
@lake_options
@plan_options
@click.option("--yes", is_flag=True, help="Do not ask before starting.")
@cutover_options
@copy_options
@watch_options
def migrate(
    plans: tuple[Path, ...],
    lake: LakeOptions,
    planning: PlanOptions,
    yes: bool,
    cutover: CutoverOptions,
    copying: CopyOptions,
    watching: WatchOptions,
) -> None:
    """Carry out each PLAN: copy, rewrite, compare, cut over, verify. Without PLAN, make one first.

    \b
    Example:
      migrator migrate plans/lake.db
      migrator migrate --endpoint-url http://minio:9000 --catalog iceberg --yes
      migrator migrate plans/bronze.db plans/silver.db plans/gold.db

    Several plans, such as those of "plan --rule", are all checked before anything is written. You approve them once.
    They are carried out one after the other, until one fails.

    If it was interrupted or killed, run the same command again: it continues. The old buckets are only read.
    """
    from migrator import api

    if plans and (is_given(lake) or is_given(planning)):
        raise click.UsageError(
            "PLAN already contains these settings: leave out --config, --endpoint-url, --target, "
            "--target-endpoint-url, --catalog, --all-versions, --object-lock, --rule, --leave, --inventory."
        )
    if len(plans) > 1:
        migrate_together(plans, yes=yes, cutover=cutover, copying=copying, watching=watching)
        return
    plan = plans[0] if plans else None
    with Watched(watching, plan) as watched:
        bars, settings, described = watched.progress, copying.settings(), None
        if plan is None:
            described = api.plan_lake(lake.settings().override(**vars(planning)), progress=bars)
            plan = Path(described["plan"])
            watched.planned(plan)
        with api.open_plan(plan, progress=bars) as opened:
            described = described or opened.describe()
            _refuse_blocked(described, as_json=watching.as_json)
            if not opened.status().complete:
                _announce(described, cutover=not cutover.no_cutover, yes=yes)
            choices = api.Choices(not cutover.no_cutover, cutover.accept_late, cutover.accept)
            migration = opened.migrate(choices, settings)
        _say_migration(migration, described, as_json=watching.as_json)
        if not migration.ok:
            raise click.exceptions.Exit(EXIT_FAILED)


def _refuse_blocked(described: PlanDescription, *, as_json: bool) -> None:
    """Print a plan that is blocked, and end."""
    if described["blocked"]:
        say_plan(described, as_json=as_json)
        raise click.exceptions.Exit(EXIT_FAILED)


def _announce(described: PlanDescription, *, cutover: bool, yes: bool) -> None:
    """Print the plan, and ask whether to start, unless ``yes``."""
    from migrator.reporting.plan import plan_report, question

    shown = output()
    if not shown.json and not (shown.quiet and yes):
        say(plan_report(described, starting=True), err=True)
    if not yes:
        ask(question(described, cutover=cutover))


def _say_migration(migration: Migration, described: PlanDescription, *, as_json: bool) -> None:
    from migrator.reporting.json_forms import migration_json
    from migrator.reporting.migration import migration_report

    if as_json:
        say_json(migration_json(migration, described))
    else:
        say(migration_report(migration, described))
