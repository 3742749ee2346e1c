"""``migrator relocate``"""

from __future__ import annotations

import re
from dataclasses import asdict

import click

from migrator.cli.options import endpoint_url_option, json_option
from migrator.cli.terminal import progress, say, say_json


@click.command()
@click.argument("metadata_json")
@click.option("--to", required=True, metavar="URI", help="The table's new location, such as s3://bucket/wh/db/table.")
@click.option(
    "--also",
    multiple=True,
    metavar="OLD=NEW",
    help="Another prefix that moves, for files outside the table's location. If OLD is not in S3, such as "
    "hdfs://host:8020/data, its files must already be at NEW. Repeatable.",
)
@click.option("--no-copy", is_flag=True, help="Do not copy data files: they are at the new place already, or will be.")
@endpoint_url_option
@json_option
def relocate(
    metadata_json: str, to: str, also: tuple[str, ...], no_copy: bool, endpoint_url: str | None, as_json: bool
) -> None:
    """Move one table, given the URI of its METADATA_JSON. Uses and changes no catalog.

    \b
    Example:
      migrator relocate s3://backup/wh/t/metadata/00007-….metadata.json --to s3://data-lake/wh/t

    The table may be a copy in which paths still name the original place. If --to is the place where the table
    is now, the data files stay, and the rewritten files go to a folder "relocated" next to them. Nothing is
    overwritten, and a place that is, contains or lies in the folder of another table is refused. Paths keep their
    scheme (s3, s3a, s3n). Paths of another file system (hdfs, file, gs, …) get the scheme of --to.
    """
    pairs = [_pair(text) for text in also]
    from migrator import api
    from migrator.reporting.relocation import relocation_report

    bars = progress(as_json=as_json)
    done = api.relocate_table(metadata_json, to, also=pairs, copy=not no_copy, endpoint_url=endpoint_url, progress=bars)
    if as_json:
        say_json(asdict(done))
    else:
        say(relocation_report(done))


def _pair(text: str) -> tuple[str, str]:
    """(old prefix, new prefix) of ``OLD=NEW``. Raises UsageError."""
    pair = re.fullmatch("(.+)=(s3[an]?://.*)", text, re.DOTALL)  # OLD may contain a "=", too
    if pair is None:
        raise click.UsageError(f"--also {text!r}: write it as OLD=NEW, such as s3://old/data=s3://new/data.")
    return pair[1], pair[2]
