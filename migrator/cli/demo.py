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
    """Watch a migration: a real S3 server, an old-style lake, the plan, the move, the old buckets deleted,
    and the same queries before and after. Takes under a minute and leaves nothing behind.

    \b
    Example:
      migrator demo
    """
    from migrator.demo.run import run_demo

    run_demo(keep, say, progress(as_json=False))
