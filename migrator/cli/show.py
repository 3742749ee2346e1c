"""``migrator show``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import json_option, plan_argument
from migrator.cli.terminal import progress, say_plan


@click.command()
@plan_argument
@json_option
def show(plan: Path, as_json: bool) -> None:
    """Print the report of a plan again.

    \b
    Example:
      migrator show plans/lake.db
    """
    from migrator import api

    say_plan(api.show_plan(plan, progress=progress(as_json=as_json)), as_json=as_json)
