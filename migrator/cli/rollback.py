"""``migrator rollback``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import json_option, plan_argument
from migrator.cli.terminal import ask, progress, say, say_json


@click.command()
@plan_argument
@click.option(
    "--bring-back",
    is_flag=True,
    help="Keep what was committed at the target since the cutover: copy and rewrite it to the old buckets first.",
)
@click.option(
    "--discard-newer",
    is_flag=True,
    help="Also go back for tables with commits at the target since the cutover. The tables lose these commits; "
    "their files stay at the target. With --bring-back: only of tables whose commits cannot be kept.",
)
@click.option("--yes", is_flag=True, help="Do not ask before starting.")
@json_option
def rollback(plan: Path, bring_back: bool, discard_newer: bool, yes: bool, as_json: bool) -> None:
    """Undo the cutover of PLAN.

    \b
    Example:
      migrator rollback plans/lake.db
      migrator rollback plans/lake.db --bring-back
      migrator rollback plans/lake.db --discard-newer --yes

    Every table, view and namespace points to its old place again. Stop the writers first. Refuses, with the snapshots
    that would be lost, if something was committed at the target since: choose --bring-back or --discard-newer. The
    target gets back the settings that "migrator settings --apply" has changed. Nothing is deleted. If it was
    interrupted, run the same command again: it continues.
    """
    from migrator import api
    from migrator.reporting.rollback import rollback_question, rollback_report

    with api.open_plan(plan, progress=progress(as_json=as_json)) as opened:
        described = opened.describe()
        status = opened.status()
        settings, pointers = opened.settings_set(), status.can_roll_back
        if (pointers or settings) and not yes:
            newer = {"discard_newer": discard_newer, "bring_back": bring_back}
            ask(rollback_question(described, **newer, settings=settings, pointers=pointers))
        done = opened.roll_back(discard_newer=discard_newer, bring_back=bring_back)
    if as_json:
        say_json({"plan": described["plan"], **done.to_json()})
    else:
        say(rollback_report(done, described))
