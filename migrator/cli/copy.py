"""``migrator copy``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import CopyOptions, copy_options, json_option, plan_argument
from migrator.cli.terminal import progress, say, say_json


@click.command()
@plan_argument
@copy_options
@json_option
def copy(plan: Path, copying: CopyOptions, as_json: bool) -> None:
    """Copy what is new, while the lake is in use.

    \b
    Example:
      migrator copy plans/lake.db        # while writers write
      migrator copy plans/lake.db        # again: only what is new

    Run it as often as you like. It also rewrites and compares the tables at the target as they are now, so that
    "migrator cutover" has less to do. That finishes the migration once the writers have stopped.

    Changes since the plan was made are taken in, by making the plan anew under the same name. That stops if tables came
    or went, or if something blocks now. No pointer changes.
    """
    from migrator import api
    from migrator.reporting.json_forms import migration_json
    from migrator.reporting.live import copy_report

    bars = progress(as_json=as_json)
    done = api.copy_lake(plan, copying=copying.settings(), progress=bars)
    described = api.show_plan(plan, progress=bars)
    if as_json:
        say_json(migration_json(done, described))
    else:
        say(copy_report(done, described))
