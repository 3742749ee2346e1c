"""``migrator settings``"""

from __future__ import annotations

import json
from pathlib import Path

import click

from migrator.cli.options import DecisionOptions, decision_options, json_option, plan_argument
from migrator.cli.terminal import progress, say, say_file, say_json
from migrator.errors import EXIT_FAILED, ConfigError
from migrator.progress import Progress
from migrator.settings.access import ROLES
from migrator.settings.commands import AWS, MC, commands
from migrator.settings.kinds import Decisions


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
@click.option(
    "--iam",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Only print this policy of AWS IAM or MinIO, with the same permissions added for the new places.",
)
@json_option
def settings(
    plan: Path,
    apply_them: bool,
    decided: DecisionOptions,
    kind: str | None,
    access: tuple[str, str] | None,
    iam: Path | None,
    as_json: bool,
) -> None:
    """Translate the settings of the old buckets of PLAN for the target.

    Bucket policies, lifecycle rules, encryption, versioning, tags, CORS, notifications and object lock: shown as a diff
    of the target's documents, with what cannot be carried over, and why. Settings that only the target has stay.

    \b
    Example:
      migrator settings plans/lake.db
      migrator settings plans/lake.db --versioning enabled --without cors --apply
      migrator settings plans/lake.db --commands mc > settings.sh
      migrator settings plans/lake.db --access bronze reader > bronze-reader.json
      migrator settings plans/lake.db --iam analysts.json

    --apply reads each document again before it is set, and after. "migrator rollback" gives the old ones back.
    Notifications are set after the cutover: run it again then. Exits with 3 if something is left to a person.
    """
    if sum(map(bool, (apply_them, kind, access, iam))) > 1:
        raise click.UsageError("Give one of --apply, --commands, --access and --iam.")
    bars, decisions = progress(as_json=as_json), decided.decisions()
    if access:
        _say_access(plan, *access, bars)
        return
    if apply_them:
        ok = _apply(plan, decisions, bars, as_json=as_json)
    elif iam:
        ok = _show_iam(plan, iam, decisions, bars, as_json=as_json)
    else:
        ok = _show(plan, kind, decisions, bars, as_json=as_json)
    if not ok:
        raise click.exceptions.Exit(EXIT_FAILED)


def _say_access(plan: Path, layer: str, role: str, bars: Progress) -> None:
    from migrator import api

    if role not in ROLES:
        raise click.UsageError(f"--access: {role!r} is no role: there are {', '.join(ROLES)}.")
    click.echo(json.dumps(api.access_of_plan(plan, layer, role, progress=bars), indent=2))


def _apply(plan: Path, decisions: Decisions, bars: Progress, *, as_json: bool) -> bool:
    from migrator import api
    from migrator.reporting.settings import applied_report, settings_json

    done = api.apply_settings(plan, decisions, progress=bars)
    if as_json:
        say_json(settings_json(done.translation, plan, done.states, done.reasons))
    else:
        say(applied_report(done, plan))
    return done.ok


def _show_iam(plan: Path, file: Path, decisions: Decisions, bars: Progress, *, as_json: bool) -> bool:
    from migrator import api
    from migrator.reporting.settings import iam_report, settings_json

    shown = api.iam_policy_of_plan(plan, _text_of(file), decisions, progress=bars)
    if as_json:
        say_json(settings_json(shown, plan))
    else:
        say(iam_report(shown))
    return shown.ok


def _show(plan: Path, kind: str | None, decisions: Decisions, bars: Progress, *, as_json: bool) -> bool:
    from migrator import api
    from migrator.reporting.settings import not_carried_report, settings_json, settings_report

    shown = api.show_settings(plan, decisions, progress=bars)
    if kind:
        documents = [(change.setting, change.after or {}) for change in shown.changes]
        say_file(commands(kind, shown.target, documents, make=shown.missing))
        say(not_carried_report(shown.not_carried), err=True)
    elif as_json:
        say_json(settings_json(shown, plan))
    else:
        say(settings_report(shown, plan))
    return shown.ok


def _text_of(file: Path) -> str:
    """The text of a file. Raises ConfigError if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{file} cannot be read: {reason}.", next_move="Check --iam.") from None
