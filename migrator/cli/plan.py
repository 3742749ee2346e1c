"""``migrator plan``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import LakeOptions, PlanOptions, json_option, lake_options, plan_options
from migrator.cli.terminal import progress, say_plan
from migrator.errors import EXIT_FAILED, EXIT_PENDING


@click.command()
@lake_options
@plan_options
@click.option("--no-preflight", is_flag=True, help="Skip the preflight described above.")
@click.option(
    "--accept",
    multiple=True,
    metavar="CODE",
    help="Treat findings of this code as warnings, like accept in [plan]. Repeatable.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The plan file to write.  [default: plans/<target>-<time>.db]",
)
@json_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 5 if there are changes to make.")
def plan(
    lake: LakeOptions,
    planning: PlanOptions,
    no_preflight: bool,
    accept: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    detailed_exitcode: bool,
) -> None:
    """Show what a migration would do, and write it to a plan file. Moves nothing.

    The preflight tests the permissions and features that the migration needs. It reads samples of the old buckets,
    writes some empty objects to the target and deletes them again, and changes a pointer in a transaction that is
    rolled back. Then it makes and deletes a few dozen small copies, to estimate how long the migration may take.

    \b
    Example:
      migrator plan --endpoint-url http://minio:9000 --catalog iceberg -o plans/lake.db
      migrator plan --inventory s3://reports/bronze/daily/2026-11-25T01-00Z/manifest.json

    A very large lake may have several plans: one for each rule of its layout, or for some rules together. A table with
    files below rules of two plans blocks both, and the finding says which rules to plan together.

    \b
    Example:
      migrator plan --config lake.toml --rule s3://bronze/ -o plans/bronze.db
      migrator plan --config lake.toml --rule s3://silver/ --rule s3://gold/ -o plans/rest.db
      migrator migrate plans/bronze.db plans/rest.db

    Exits with 3 if anything blocks the plan.
    """
    from migrator import api

    settings = lake.settings().override(**vars(planning), accept=accept, preflight=not no_preflight)
    described = api.plan_lake(settings, output, progress=progress(as_json=as_json))
    say_plan(described, as_json=as_json)
    if described["blocked"]:
        raise click.exceptions.Exit(EXIT_FAILED)
    if detailed_exitcode and described["changes_pending"]:
        raise click.exceptions.Exit(EXIT_PENDING)
