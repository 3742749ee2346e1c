"""``migrator retire``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import AlsoRemove, also_remove_options, json_option, plan_argument
from migrator.cli.terminal import progress, say, say_json
from migrator.errors import EXIT_FAILED
from migrator.findings import ACCEPTABLE_AT_RETIRE


@click.command()
@plan_argument
@click.option(
    "--cooling",
    metavar="TIME",
    default="7d",
    show_default=True,
    help="How long ago the migration must have been finished: 7d, 12h, 0.",
)
@click.option(
    "--accept",
    multiple=True,
    metavar="CODE",
    type=click.Choice(sorted(ACCEPTABLE_AT_RETIRE)),
    help='Delete despite findings with this code; see "migrator explain CODE". Repeatable.',
)
@also_remove_options
@click.option("--yes", is_flag=True, help="Delete. Without it, only show what would be deleted.")
@click.option("--confirm", metavar="TARGET", help="With --yes: the name of the target bucket, to confirm.")
@json_option
def retire(
    plan: Path,
    cooling: str,
    accept: tuple[str, ...],
    also: AlsoRemove,
    yes: bool,
    confirm: str | None,
    as_json: bool,
) -> None:
    """Delete what PLAN has moved from the old buckets.

    \b
    Example:
      migrator retire plans/lake.db      # shows what would be deleted
      migrator retire plans/lake.db --yes --confirm data-lake
      migrator retire plans/lake.db --yes --confirm data-lake --remove-buckets

    Verifies all copies again first. Deletes only what the plan knows and what has not changed since. Refuses while a
    table, view, namespace, checkpoint or script names an old place. This cannot be undone, and there is no rollback
    after it.
    """
    from migrator import api
    from migrator.reporting.retirement import retirement_report

    if confirm is not None and not yes:
        raise click.UsageError("--confirm needs --yes. Without both, nothing is deleted.")
    retirement = api.retire_lake(
        plan,
        confirm=(confirm or "") if yes else None,
        cooling=cooling,
        accept=accept,
        remove_buckets=also.remove_buckets,
        remove_old_entries=also.remove_old_entries,
        progress=progress(as_json=as_json),
    )
    if as_json:
        say_json(retirement.to_json())
    else:
        say(retirement_report(retirement, cooling=cooling))
    if not retirement.ok:
        raise click.exceptions.Exit(EXIT_FAILED)
