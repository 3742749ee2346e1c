"""``migrator rewrite-config``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import json_option
from migrator.cli.terminal import say, say_diff, say_json
from migrator.errors import EXIT_FAILED


@click.command("rewrite-config")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--write", is_flag=True, help="Change the files. Without it, only a diff is printed.")
@click.option("--backup", is_flag=True, help="With --write: keep the old text of each changed file in FILE.bak.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Use the layout of this lake.toml.")
@click.option("--target", metavar="BUCKET", help="The bucket that everything is moved to.  [default: data-lake]")
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="URL",
    help="An S3 endpoint in whose URLs paths are rewritten. Repeatable.",
)
@click.option(
    "--alias", "aliases", multiple=True, metavar="NAME", help="An alias of mc that stands for the server. Repeatable."
)
@click.option("--checkpoints", metavar="FOLDER", help="The local folder of checkpoints.  [default: /tmp/checkpoints/]")
@json_option
def rewrite_config(
    paths: tuple[Path, ...],
    write: bool,
    backup: bool,
    config: Path | None,
    target: str | None,
    endpoints: tuple[str, ...],
    aliases: tuple[str, ...],
    checkpoints: str | None,
    as_json: bool,
) -> None:
    """Rewrite the old paths in scripts and settings.

    PATH is a file or a folder, in any language: jobs, shell scripts, SQL, YAML, notebooks. Certain paths are
    rewritten. Doubtful places are listed on standard error as file:line: reason: text, and stay as they are. Names of
    namespaces, tables and catalogs are never changed.

    \b
    Example:
      migrator rewrite-config jobs/ docker-compose.yml --alias myminio > paths.diff
      migrator rewrite-config jobs/ docker-compose.yml --alias myminio --write --backup
      migrator rewrite-config --config lake.toml --endpoint http://minio:9000 .

    "git apply" and "patch -p1" take the diff. Reads and writes local files only. Exits with 3 if a person must look at
    a place, or if a file could not be read or written.
    """
    if backup and not write:
        raise click.UsageError("--backup needs --write.")
    from migrator import api
    from migrator.config import Settings
    from migrator.reporting.scripts import rewritten_json, rewritten_report, summary_report

    settings = (api.load_settings(config) if config else Settings()).override(target=target)
    settings = settings.for_scripts(endpoints=endpoints, aliases=aliases, checkpoints=checkpoints)
    done = api.rewrite_config(paths, settings, write=write, backup=backup)
    if as_json:
        say_json(rewritten_json(done))
    else:
        if write:
            say(rewritten_report(done))
        else:
            say_diff("".join(file.diff for file in done.files))
        say(summary_report(done), err=True)
    if not done.ok:
        raise click.exceptions.Exit(EXIT_FAILED)
