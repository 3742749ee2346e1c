"""``migrator log``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import json_option, plan_argument
from migrator.cli.terminal import progress, say, say_json
from migrator.errors import EXIT_FAILED


@click.command()
@plan_argument
@json_option
def log(plan: Path, as_json: bool) -> None:
    """Show the log of PLAN.

    \b
    Example:
      migrator log plans/lake.db
      migrator log plans/lake.db --json > audit.json

    It has everything that was done with the plan: when, by whom, with which numbers, and every pointer before and
    after. Entries are only appended, and each contains a digest of those before it. Exits with 3 if one was changed or
    removed.
    """
    from migrator import api
    from migrator.reporting.log import log_report

    found = api.plan_log(plan, progress=progress(as_json=as_json))
    if as_json:
        say_json(found.to_json())
    else:
        say(log_report(found))
    if not found.intact:
        raise click.exceptions.Exit(EXIT_FAILED)
