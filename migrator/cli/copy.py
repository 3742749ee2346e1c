"""``migrator copy``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import CopyOptions, WatchOptions, copy_options, plan_argument, watch_options
from migrator.cli.terminal import Watched, say, say_json
from migrator.errors import EXIT_FAILED


@click.command()
@plan_argument
@copy_options
@watch_options
def copy(plan: Path, copying: CopyOptions, watching: WatchOptions) -> None:
    """Copy what is new, while the lake is in use.

    \b
    Example:
      migrator copy plans/lake.db        # while writers write
      migrator copy plans/lake.db        # again: only what is new

    Run it as often as you like. It also rewrites and compares the tables at the target as they are now, so that
    "migrator cutover" has less to do. Run the cutover when the writers have stopped: it finishes the migration.

    Before each copy, the plan is made anew under the same name, so that it contains all changes. The command stops if
    tables were added or removed, or if a finding blocks the plan. No pointer changes.
    """
    from migrator import api
    from migrator.reporting.json_forms import migration_json
    from migrator.reporting.live import copy_report

    with Watched(watching, plan) as watched:
        done = api.copy_lake(plan, copying=copying.settings(), progress=watched.progress)
        described = api.show_plan(plan, progress=watched.progress)
        if watching.as_json:
            say_json(migration_json(done, described))
        else:
            say(copy_report(done, described))
    if not done.ok:
        raise click.exceptions.Exit(EXIT_FAILED)
