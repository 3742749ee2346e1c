"""``migrator settings``"""

from __future__ import annotations

import json
from pathlib import Path

import click

from migrator.cli.options import DecisionOptions, decision_options, json_option, plan_argument
from migrator.cli.terminal import progress, say, say_json
from migrator.errors import EXIT_FAILED
from migrator.settings.access import ROLES
from migrator.settings.commands import AWS, MC, commands


@click.command()
@plan_argument
@click.option("--apply", "apply_them", is_flag=True, help="Set this on the target. Without it, it is only shown.")
@decision_options
@click.option(
    "--commands",
    "kind",
    type=click.Choice((MC, AWS)),
    help="Print the commands of mc or of aws that set the same. For mc, replace ALIAS.",
)
@click.option(
    "--access",
    nargs=2,
    metavar="LAYER ROLE",
    help="Only print a policy for AWS IAM or MinIO: for the reader, writer or admin of a layer, such as bronze.",
)
@json_option
def settings(
    plan: Path,
    apply_them: bool,
    decided: DecisionOptions,
    kind: str | None,
    access: tuple[str, str] | None,
    as_json: bool,
) -> None:
    """Translate the settings of the old buckets of PLAN for the target.

    Bucket policies, lifecycle rules, encryption, versioning, tags, CORS, notifications and object lock: shown as a
    diff of the target's documents, with what cannot be carried over, and why. What the target has of its own stays.

    \b
    Example:
      migrator settings plans/lake.db
      migrator settings plans/lake.db --versioning enabled --without cors --apply
      migrator settings plans/lake.db --commands mc > settings.sh
      migrator settings plans/lake.db --access bronze reader > bronze-reader.json

    --apply reads each document again before it is set, and after. "migrator rollback" gives the old ones back.
    Notifications are set after the cutover: run it again then. Exits with 3 if something is left to a person.
    """
    if sum(map(bool, (apply_them, kind, access))) > 1:
        raise click.UsageError("Give one of --apply, --commands and --access.")
    from migrator import api
    from migrator.reporting.settings import applied_report, not_carried_report, settings_json, settings_report

    bars = progress(as_json=as_json)
    if access:
        if access[1] not in ROLES:
            raise click.UsageError(f"--access: {access[1]!r} is no role: there are {', '.join(ROLES)}.")
        click.echo(json.dumps(api.access_of_plan(plan, *access, progress=bars), indent=2))
        return
    decisions = decided.decisions()
    if apply_them:
        done = api.apply_settings(plan, decisions, progress=bars)
        if as_json:
            say_json(settings_json(done.translation, plan, done.states, done.reasons))
        else:
            say(applied_report(done, plan))
        ok = done.ok
    else:
        shown = api.show_settings(plan, decisions, progress=bars)
        if kind:
            settings_of = [(change.setting, change.after or {}) for change in shown.changes]
            click.echo(commands(kind, shown.target, settings_of, make=shown.missing), nl=False)
            say(not_carried_report(shown.not_carried), err=True)
        elif as_json:
            say_json(settings_json(shown, plan))
        else:
            say(settings_report(shown, plan))
        ok = shown.ok
    if not ok:
        raise click.exceptions.Exit(EXIT_FAILED)
