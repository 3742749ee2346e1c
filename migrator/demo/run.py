"""``migrator demo``: one migration from beginning to end, with the old buckets really deleted."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from migrator import api
from migrator.demo import lake as old_lake
from migrator.demo.server import Server
from migrator.errors import MigrationFailed
from migrator.progress import Progress
from migrator.reporting.migration import migration_report
from migrator.reporting.plan import plan_report
from migrator.reporting.rendering import Grid, Report, line
from migrator.reporting.verification import verification_report
from migrator.verifying.pyiceberg_reader import digest_rows, open_table

Say = Callable[[Report], Any]
"""Prints a report."""


def run_demo(keep: Path | None, say: Say, progress: Progress) -> None:
    """Run the demo. ``keep`` keeps the plan, the configuration and the server's data in that folder.

    Raises MigratorError if anything is not as it was before.
    """
    folder = keep.absolute() if keep else Path(tempfile.mkdtemp(prefix="migrator-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _terminable():
            _run(folder, keep is not None, say, progress)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if keep is not None:
        say([line(f"Kept in {keep}: the plan, lake.toml, the catalog and the server's data.")])


def _run(folder: Path, keep: bool, say: Say, progress: Progress) -> None:
    say([line("1. A real S3 server, and a lake the old way: seven buckets, two Iceberg warehouses", style="bold")])
    with Server(folder / "server" if keep else None) as server, _environment(server.environ()):
        lake = old_lake.build(server, folder, progress=progress)
        config, plan = folder / "lake.toml", folder / "plan.db"
        config.write_text(lake.toml(server))
        say([line(f"   {lake.objects:,} objects and {len(lake.tables)} tables at {server.endpoint_url}"), line()])
        say([line("2. The plan", style="bold")])
        described = api.plan_lake(api.load_settings(config), plan, progress=progress)
        say([*plan_report(described), line()])
        before = _query({t["identifier"]: t["old_metadata"] for t in described["tables"]}, server)
        say([line("3. The migration", style="bold")])
        migration = api.migrate_lake(plan, progress=progress)
        say([*migration_report(migration, described), line()])
        say([line("4. The old buckets are deleted", style="bold")])
        old_lake.delete_buckets(server.client())
        left = ", ".join(b["Name"] for b in server.client().list_buckets()["Buckets"])
        say([line(f"   Buckets that are left: {left}"), line()])
        say([line("5. Verified again, with nothing but the new bucket", style="bold")])
        verification = api.verify_lake(plan, progress=progress)
        say([*verification_report(verification), line()])
        say([line("6. The same queries before and after", style="bold")])
        after = _query({t["identifier"]: t["new_metadata"] or "" for t in described["tables"]}, server)
        same = _show_queries(before, after, say)
    if not (migration.ok and verification.ok and same):
        raise MigrationFailed("The demo did not end as expected.", next_move="Please report this with its output.")
    say([line(), line("Every table reads as before, and the old buckets are gone.", style="green")])


def _query(tables: dict[str, str], server: Server) -> dict[str, tuple[int, int, str]]:
    """Table → (snapshots, rows in the current one, digest over all its rows)."""
    answers = {}
    for name, metadata in tables.items():
        table = open_table(metadata, server.properties())
        current = table.current_snapshot()
        rows, digest = digest_rows(table, current.snapshot_id) if current else (0, "-")
        answers[name] = (len(table.metadata.snapshots), rows, digest)
    return answers


def _show_queries(before: dict[str, tuple[int, int, str]], after: dict[str, tuple[int, int, str]], say: Say) -> bool:
    rows = []
    for name, (snapshots, count, digest) in before.items():
        new = after[name]
        same = "the same" if new == (snapshots, count, digest) else "DIFFERENT"
        rows.append((name, str(snapshots), str(count), digest[:12], str(new[1]), new[2][:12], same))
    head = ("table", "snapshots", "rows before", "digest", "rows after", "digest", "")
    say([Grid(head, rows, numbers=(1, 2, 4))])
    return before == after


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set the server's address and keys in the environment, where AWS clients read them, inside the context."""
    hidden = dict.fromkeys(("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"))
    old = {name: os.environ.get(name) for name in {**variables, **hidden}}
    try:
        for name in hidden:
            os.environ.pop(name, None)
        os.environ.update(variables)
        yield
    finally:
        for name, value in old.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM end the demo like Ctrl-C, so that it removes everything."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
