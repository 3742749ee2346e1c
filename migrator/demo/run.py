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
from migrator.reporting import text as report
from migrator.reporting.text import Style
from migrator.verifying.pyiceberg_reader import digest_rows, open_table

Say = Callable[[str], Any]


def run_demo(keep: Path | None, style: Style, say: Say, progress: Progress) -> None:
    """Run the demo. ``keep`` keeps the plan, the configuration and the server's data in that folder.

    Raises MigratorError if anything is not as it was before.
    """
    folder = keep.absolute() if keep else Path(tempfile.mkdtemp(prefix="migrator-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _terminable():
            _run(folder, keep is not None, style, say, progress)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if keep is not None:
        say(f"Kept in {keep}: the plan, lake.toml, the catalog and the server's data.")


def _run(folder: Path, keep: bool, style: Style, say: Say, progress: Progress) -> None:
    say(style("1. A real S3 server, and a lake the old way: seven buckets, two Iceberg warehouses", "bold"))
    with Server(folder / "server" if keep else None) as server, _environment(server.environ()):
        lake = old_lake.build(server, folder, progress=progress)
        config, plan = folder / "lake.toml", folder / "plan.db"
        config.write_text(lake.toml(server))
        say(f"   {lake.objects:,} objects and {len(lake.tables)} tables at {server.endpoint_url}\n")
        say(style("2. The plan", "bold"))
        described = api.plan_lake(api.load_settings(config), plan, progress=progress)
        say(report.plan_text(described, style) + "\n")
        before = _query({t["identifier"]: t["old_metadata"] for t in described["tables"]}, server)
        say(style("3. The migration", "bold"))
        migration = api.migrate_lake(plan, progress=progress)
        say(report.migration_text(migration, described, style) + "\n")
        say(style("4. The old buckets are deleted", "bold"))
        old_lake.delete_buckets(server.client())
        left = ", ".join(b["Name"] for b in server.client().list_buckets()["Buckets"])
        say(f"   Buckets that are left: {left}\n")
        say(style("5. Verified again, with nothing but the new bucket", "bold"))
        verification = api.verify_lake(plan, progress=progress)
        say(report.verification_text(verification, style) + "\n")
        say(style("6. The same queries before and after", "bold"))
        after = _query({t["identifier"]: t["new_metadata"] for t in described["tables"]}, server)
        same = _show_queries(before, after, style, say)
    if not (migration.ok and verification.ok and same):
        raise MigrationFailed("The demo did not end as it must.", next_move="Please report this with its output.")
    say(style("\nEvery table reads as before, and the old buckets are gone.", "green"))


def _query(tables: dict[str, str], server: Server) -> dict[str, tuple[int, int, str]]:
    """Table → (snapshots, rows in the current one, digest over all its rows)."""
    answers = {}
    for name, metadata in tables.items():
        table = open_table(metadata, server.properties())
        current = table.current_snapshot()
        rows, digest = digest_rows(table, current.snapshot_id) if current else (0, "-")
        answers[name] = (len(table.metadata.snapshots), rows, digest)
    return answers


def _show_queries(
    before: dict[str, tuple[int, int, str]], after: dict[str, tuple[int, int, str]], style: Style, say: Say
) -> bool:
    rows = []
    for name, (snapshots, count, digest) in before.items():
        new = after[name]
        same = "the same" if new == (snapshots, count, digest) else "DIFFERENT"
        rows.append((name, str(snapshots), str(count), digest[:12], str(new[1]), new[2][:12], same))
    head = ("table", "snapshots", "rows before", "digest", "rows after", "digest", "")
    for line in report.grid(head, rows, right="124"):
        say(line)
    return before == after


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """The server's address and keys, where any AWS client looks for them, for as long as this lasts."""
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
    """Let SIGTERM end the demo as Ctrl-C does, so that it leaves nothing behind either."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
