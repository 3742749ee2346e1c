"""``migrator repair``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import json_option, plan_argument
from migrator.cli.terminal import progress, say, say_json
from migrator.errors import EXIT_FAILED


@click.command()
@plan_argument
@click.option("--yes", is_flag=True, help="Repair. Without it, only show what would be repaired.")
@json_option
def repair(plan: Path, yes: bool, as_json: bool) -> None:
    """Move to the target what was committed with paths in the old buckets after PLAN was cut over.

    \b
    Example:
      migrator repair plans/lake.db      # shows which tables name old buckets, and who wrote that
      migrator repair plans/lake.db --yes

    An engine that had a table in its cache during the cutover may write new files to the old bucket and commit them to
    the table at the target. Repair copies these files to the target and commits metadata that names the copies; the
    snapshot before the repair gets a tag. pyiceberg must count the same rows before and after. Restart such engines
    first. Nothing is deleted or overwritten. Exit code 3 if a table names, or still names, an old bucket.
    """
    from migrator import api
    from migrator.reporting.repair import repair_report

    done = api.repair_lake(plan, change=yes, progress=progress(as_json=as_json))
    if as_json:
        say_json({"plan": str(plan), **done.to_json()})
    else:
        say(repair_report(done, plan))
    if not done.ok:
        raise click.exceptions.Exit(EXIT_FAILED)
