"""``migrator status``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import json_option, plan_argument
from migrator.cli.terminal import progress, say, say_json


@click.command()
@plan_argument
@json_option
def status(plan: Path, as_json: bool) -> None:
    """Show how far a plan has been carried out. Works while it is running, too.

    \b
    Example:
      migrator status plans/lake.db
    """
    from migrator import api
    from migrator.reporting.status import status_report

    summary = api.plan_status(plan, progress=progress(as_json=as_json))
    if as_json:
        say_json(summary.to_json())
    else:
        say(status_report(summary))
