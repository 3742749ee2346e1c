"""``migrator demo``"""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.terminal import progress, say


@click.command()
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep the plan and the server's data in DIR."
)
def demo(keep: Path | None) -> None:
    """Migrate a small example lake on a local S3 server.

    Creates a lake of several buckets, plans and migrates it, deletes the old buckets, and runs the same queries
    before and after. Takes under a minute and deletes everything that it created.

    \b
    Example:
      migrator demo
    """
    from migrator.demo.run import run_demo

    run_demo(keep, say, progress(as_json=False))
