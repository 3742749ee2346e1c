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
    copy_options,
    cutover_options,
    is_given,
    json_option,
    lake_options,
    optional_plan_argument,
    plan_options,
)
from migrator.cli.terminal import ask, progress, say, say_json, say_plan
from migrator.errors import EXIT_FAILED

if TYPE_CHECKING:
    from migrator.migration import Migration
    from migrator.reporting.description import PlanDescription


@click.command()
@optional_plan_argument
@lake_options
@plan_options
@click.option("--yes", is_flag=True, help="Do not ask before starting.")
@cutover_options
@copy_options
@json_option
def migrate(
    plan: Path | None,
    lake: LakeOptions,
    planning: PlanOptions,
    yes: bool,
    cutover: CutoverOptions,
    copying: CopyOptions,
    as_json: bool,
) -> None:
    """Carry out PLAN: copy, rewrite, compare, cut over, verify. Without PLAN, make one first.

    \b
    Example:
      migrator migrate plans/lake.db
      migrator migrate --endpoint-url http://minio:9000 --catalog iceberg --yes

    If it was interrupted or killed, run the same command again: it continues. The old buckets are only read.
    """
    from migrator import api

    bars, settings = progress(as_json=as_json), copying.settings()
    described = None
    if plan is None:
        described = api.plan_lake(lake.settings().override(**vars(planning)), progress=bars)
        plan = Path(described["plan"])
    elif is_given(lake) or is_given(planning):
        raise click.UsageError(
            "PLAN already contains these settings: leave out --config, --endpoint-url, --target, "
            "--target-endpoint-url, --catalog, --all-versions, --object-lock, --leave."
        )
    with api.open_plan(plan, progress=bars) as opened:
        described = described or opened.describe()
        if described["blocked"]:
            say_plan(described, as_json=as_json)
            raise click.exceptions.Exit(EXIT_FAILED)
        if not opened.status().complete:
            _announce(described, cutover=not cutover.no_cutover, yes=yes)
        choices = api.Choices(not cutover.no_cutover, cutover.accept_late, cutover.accept)
        migration = opened.migrate(choices, settings)
    _say_migration(migration, described, as_json=as_json)
    if not migration.ok:
        raise click.exceptions.Exit(EXIT_FAILED)


def _announce(described: PlanDescription, *, cutover: bool, yes: bool) -> None:
    """Print the plan, and ask whether to start, unless ``yes``."""
    from migrator.reporting.plan import plan_report, question

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
