"""``migrator verify``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import engine_option, json_option, plan_argument
from migrator.cli.terminal import progress, say, say_json
from migrator.errors import EXIT_FAILED


@click.command()
@plan_argument
@click.option("--deep", is_flag=True, help="Also compare every row, and the bytes of every copied object.")
@engine_option("Where --deep compares the bytes of objects")
@json_option
def verify(plan: Path, deep: bool, engine: str | None, as_json: bool) -> None:
    """Compare the target with PLAN.

    Compares every object, every file of every table, and the number of rows of every snapshot. Does not compare user
    metadata, other headers and tags of objects.

    \b
    Example:
      migrator verify --deep plans/lake.db

    Does not need the old buckets. Only --deep reads them, where they still exist. Exits with 3 if anything differs
    or cannot be read at the target. What could not be compared, because an old bucket is gone or cannot be read, is
    counted, with the reason; it does not change the exit code.
    """
    from migrator import api
    from migrator.reporting.json_forms import verification_json
    from migrator.reporting.verification import verification_report

    if engine and not deep:
        raise click.UsageError("--engine needs --deep: only that compares the bytes of objects.")
    verification = api.verify_lake(plan, deep=deep, engine=engine, progress=progress(as_json=as_json))
    if as_json:
        say_json(verification_json(verification))
    else:
        say(verification_report(verification))
    if not verification.ok:
        raise click.exceptions.Exit(EXIT_FAILED)
