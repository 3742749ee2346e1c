"""``migrator policy``"""

from __future__ import annotations

import json
from pathlib import Path

import click

from migrator.cli.options import optional_plan_argument


@click.command()
@optional_plan_argument
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Use this lake.toml instead of a PLAN.")
@click.option(
    "--side",
    type=click.Choice(("both", "source", "target")),
    default="both",
    show_default=True,
    help="Only the permissions to read the old buckets, or only those to write the target.",
)
@click.option(
    "--for-retire", is_flag=True, help="Only the permissions to delete the old objects, which retire needs in addition."
)
@click.option(
    "--for-settings", is_flag=True, help="Only the permissions that settings --apply needs in addition, at the target."
)
@click.option("--mc", is_flag=True, help="Print the mc commands that attach the policy to a MinIO user.")
def policy(plan: Path | None, config: Path | None, side: str, for_retire: bool, for_settings: bool, mc: bool) -> None:
    """Print a least-privilege policy for the migration of PLAN.

    The policy allows only what the migration needs. AWS IAM and MinIO accept it.

    \b
    Example:
      migrator policy plans/lake.db > policy.json
      migrator policy --config lake.toml --mc

    If the target belongs to another account, use the policy of --side target there. Only retire deletes objects in the
    old buckets: attach the policy of --for-retire only for that, and that of --for-settings only while the settings of
    the target change.
    """
    if (plan is None) == (config is None):
        raise click.UsageError("Give either a PLAN or --config.")
    from migrator import api
    from migrator.plan.policy import mc_commands

    name = "migrator-retire" if for_retire else "migrator-settings" if for_settings else "migrator"
    if for_retire or for_settings:
        if plan is None or side != "both" or (for_retire and for_settings):
            raise click.UsageError("--for-retire and --for-settings need a PLAN, no --side, and not each other.")
        least = api.retire_policy_of_plan(plan) if for_retire else api.settings_policy_of_plan(plan)
    elif plan is not None:
        least = api.policy_of_plan(plan, side)
    else:
        least = api.policy_of_settings(api.load_settings(config or ""), side)
    click.echo(mc_commands(least, name) if mc else json.dumps(least, indent=2), nl=not mc)
