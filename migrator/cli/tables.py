"""``migrator tables``"""

from __future__ import annotations

import click

from migrator.cli.options import LakeOptions, json_option, lake_options
from migrator.cli.terminal import progress, say, say_json
from migrator.errors import EXIT_FAILED


@click.command()
@lake_options
@json_option
def tables(lake: LakeOptions, as_json: bool) -> None:
    """List every Iceberg table, and whether it can be migrated.

    Shows the format, sizes, deletes, writers and features of each table.

    \b
    Example:
      migrator tables --endpoint-url http://minio:9000 --catalog iceberg

    Changes nothing. Exits with 3 if any table cannot be migrated.
    """
    from migrator import api
    from migrator.reporting.tables import tables_report

    listed = api.list_tables(lake.settings(), progress=progress(as_json=as_json))
    if as_json:
        say_json({"tables": listed})
    else:
        say(tables_report(listed))
    if not all(table["migratable"] for table in listed):
        raise click.exceptions.Exit(EXIT_FAILED)
