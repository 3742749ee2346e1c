"""``migrator init``"""

from __future__ import annotations

import json
from pathlib import Path

import click

from migrator.cli.options import NewLakeOptions, endpoint_url_option, json_option, new_lake_options
from migrator.cli.terminal import progress, say, say_file, say_json
from migrator.errors import EXIT_FAILED
from migrator.settings.access import ROLES, policy_of
from migrator.settings.commands import AWS, MC, commands
from migrator.settings.new_lake import NewLake


@click.command()
@new_lake_options
@click.option(
    "-o",
    "--output",
    default="lake.toml",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the configuration. Never overwritten.",
)
@click.option(
    "--commands",
    "kind",
    type=click.Choice((MC, AWS)),
    help="Only print the commands of mc or of aws that make the same bucket. For mc, replace ALIAS.",
)
@click.option(
    "--access",
    nargs=2,
    metavar="LAYER ROLE",
    help="Only print a policy for AWS IAM or MinIO: for the reader, writer or admin of a layer.",
)
@endpoint_url_option
@click.option("--yes", is_flag=True, help="Make it. Without it, it is only shown.")
@json_option
def init(
    asked: NewLakeOptions,
    output: Path,
    kind: str | None,
    access: tuple[str, str] | None,
    endpoint_url: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Make the bucket of a new lake, and a lake.toml.

    The bucket gets default encryption, and a lifecycle rule that removes the parts of unfinished uploads. Layers
    are folders: they appear as data is written. An existing bucket keeps its settings.

    \b
    Example:
      migrator init --endpoint-url http://minio:9000
      migrator init --expire logs=90 --layers bronze,silver,gold,warehouse,logs --yes
      migrator init --commands mc > create_buckets.sh
      migrator init --access bronze reader > bronze-reader.json

    Without --yes, only shows what it would make. For a lake that moves from other buckets, use
    "migrator plan" and "migrator settings" instead. Exits with 3 if the server refused what was asked for.
    """
    if sum(map(bool, (yes, kind, access))) > 1:
        raise click.UsageError("Give one of --yes, --commands and --access.")
    new = asked.new_lake()
    if access:
        click.echo(json.dumps(_access(new, *access), indent=2))
        return
    from migrator import api
    from migrator.config import Settings
    from migrator.reporting.new_lake import new_lake_json, new_lake_report
    from migrator.reporting.settings import not_carried_report
    from migrator.target.new_lake import check_free

    if not kind:
        check_free(output)
    settings = Settings().override(endpoint_url=endpoint_url)
    made = api.init_lake(new, output, settings, make=yes, progress=progress(as_json=as_json))
    if kind:
        documents = [(change.setting, change.after or {}) for change in made.settings.changes]
        say_file(commands(kind, new.bucket, documents, make=made.settings.missing))
        say(not_carried_report(made.settings.not_carried), err=True)
    elif as_json:
        say_json(new_lake_json(made))
    else:
        say(new_lake_report(made))
    if not made.ok:
        raise click.exceptions.Exit(EXIT_FAILED)


def _access(new: NewLake, layer: str, role: str) -> dict[str, object]:
    if layer.strip("/") not in new.layers:
        raise click.UsageError(f"--access: {layer!r} is no layer: there are {', '.join(new.layers)}.")
    if role not in ROLES:
        raise click.UsageError(f"--access: {role!r} is no role: there are {', '.join(ROLES)}.")
    return policy_of(new.bucket, layer.strip("/"), role)
