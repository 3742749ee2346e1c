"""``migrator rewrite-config``"""

from __future__ import annotations

import click

from migrator.cli.options import ScriptOptions, json_option, script_options
from migrator.cli.terminal import progress, say, say_diff, say_json
from migrator.errors import EXIT_FAILED
from migrator.layout.recorded import is_s3


@click.command("rewrite-config")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--write", is_flag=True, help="Change the files. Without it, only a diff is printed.")
@click.option("--backup", is_flag=True, help="With --write: keep the old text of each changed file in FILE.bak.")
@script_options
@json_option
def rewrite_config(paths: tuple[str, ...], write: bool, backup: bool, names: ScriptOptions, as_json: bool) -> None:
    """Rewrite the old paths in scripts and settings.

    PATH is a file, a folder, or a place in the lake such as s3://scripts/. Files of any language are read: jobs, shell
    scripts, SQL, YAML, notebooks. Certain paths are rewritten. Doubtful places are listed on standard error as
    file:line: reason: text, and stay as they are. Names of namespaces, tables and catalogs are never changed.

    \b
    Example:
      migrator rewrite-config jobs/ docker-compose.yml --alias myminio > paths.diff
      migrator rewrite-config jobs/ docker-compose.yml --alias myminio --write --backup
      migrator rewrite-config --config lake.toml --endpoint http://minio:9000 .
      migrator rewrite-config --config lake.toml s3://scripts/

    "git apply" and "patch -p1" take the diff. Only local files are written: "migrator migrate" writes the rewritten
    scripts of the lake to the target, and the old ones stay. Exits with 3 if a person must look at a place, or if a
    file could not be read or written.
    """
    if backup and not write:
        raise click.UsageError("--backup needs --write.")
    if write and any(is_s3(path) for path in paths):
        raise click.UsageError("--write changes local files only. At the target, migrate rewrites the lake's scripts.")
    from migrator import api
    from migrator.reporting.scripts import rewritten_json, rewritten_report, summary_report

    bars = progress(as_json=as_json)
    done = api.rewrite_config(paths, names.settings(), write=write, backup=backup, progress=bars)
    if as_json:
        say_json(rewritten_json(done))
    else:
        if write and (report := rewritten_report(done)):
            say(report)
        elif not write:
            say_diff("".join(file.diff for file in done.files))
        say(summary_report(done), err=True)
    if not done.ok:
        raise click.exceptions.Exit(EXIT_FAILED)
