"""``migrator check``"""

from __future__ import annotations

import click

from migrator.cli.options import LakeOptions, json_option, lake_options
from migrator.cli.terminal import progress, say, say_json
from migrator.errors import EXIT_FAILED
from migrator.findings import ACCEPTABLE_AT_CHECK


@click.command()
@lake_options
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="A new layer that you want to add: shows where it goes, and what lake.toml needs. Repeatable.",
)
@click.option(
    "--accept",
    multiple=True,
    metavar="CODE",
    type=click.Choice(sorted(ACCEPTABLE_AT_CHECK)),
    help='Do not fail because of findings with this code; see "migrator explain CODE". Repeatable.',
)
@json_option
def check(lake: LakeOptions, layers: tuple[str, ...], accept: tuple[str, ...], as_json: bool) -> None:
    """Check the folder structure of a lake, and what still names an old bucket.

    Shows the folders of the target: namespaces, layers, one checkpoint per stream, one folder per application. Reports
    what lies outside of them, and the catalogs, tables, checkpoints, logs and scripts that name an old bucket. Needs no
    plan: run it before a migration, after it, or every night.

    \b
    Example:
      migrator check --config lake.toml
      migrator check --endpoint-url http://minio:9000 --catalog iceberg --json
      migrator check --config lake.toml --layer platinum

    Changes nothing. Exits with 0 if the structure is as expected and nothing names an old bucket, and with 3 if there
    is a warning.
    """
    from dataclasses import replace

    from migrator import api
    from migrator.reporting.check import check_json, check_report

    settings = lake.settings()
    settings = replace(settings, check_accept=(*settings.check_accept, *accept))
    found = api.check_lake(settings, layers=layers, progress=progress(as_json=as_json))
    if as_json:
        say_json(check_json(found))
    else:
        say(check_report(found))
    if not found.ok:
        raise click.exceptions.Exit(EXIT_FAILED)
