"""``migrator report``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import json_option, plan_argument
from migrator.cli.terminal import progress, say, say_file, say_json


@click.command()
@plan_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write; - for standard output.  [default: PLAN with .html]",
)
@click.option("--offline", is_flag=True, help="Send no request to a server: the report says what it lacks.")
@json_option
def report(plan: Path, output: Path | None, offline: bool, as_json: bool) -> None:
    """Write PLAN, its progress and its certificate as one HTML file.

    \b
    Example:
      migrator report plans/lake.db -o report.html

    It is for people who decide on a plan or audit a migration. At every stage it shows what happens, what does not, and
    what to do next; after "migrator verify" also what was compared, by whom and when, what proves each copy, and what
    was not compared. The file needs no network. Needs the packages of: pip install 'lake-migrator[report]'
    """
    from migrator import api
    from migrator.reporting.rendering import line

    if output == Path("-"):
        say_file(api.report_page(plan, look=not offline, progress=progress(as_json=True)))
        return
    path = api.write_report(plan, output, look=not offline, progress=progress(as_json=as_json))
    if as_json:
        say_json({"report": str(path), "bytes": path.stat().st_size})
    else:
        say([line(f"Report: {path}")])
