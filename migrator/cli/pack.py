"""``migrator pack``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import json_option
from migrator.cli.terminal import say, say_json


@click.command()
@click.option(
    "-o",
    "--output",
    default="migrator-executors.zip",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it. A file that this command has written before is replaced, no other.",
)
@json_option
def pack(output: Path, as_json: bool) -> None:
    """Pack what the executors of --engine spark need, in one file.

    That is migrator, boto3 and the packages that boto3 needs, all in pure Python. The executors need the same version
    of Python as the driver. Name the file in lake.toml ([engine] pack), or give it to spark-submit --py-files. It
    contains no credentials.

    
    Example:
      migrator pack -o migrator-executors.zip
    """
    from migrator import api
    from migrator.reporting.packing import packed_json, packed_report

    packed = api.pack_executors(output)
    if as_json:
        say_json(packed_json(packed))
    else:
        say(packed_report(packed))
