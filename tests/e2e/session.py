"""A live migration of a small lake, from the plan to the empty old buckets, as a terminal shows it.

    python tests/e2e/session.py

Prints every command and its output; docs/guide.md shows a shortened form. Somebody commits to a table before the second
pass, and again before the cutover.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from e2e.small_lake import OLD, TARGET, SmallLake
from migrator.demo.server import Server

PLAN = "lake.db"


def run(folder: Path, *arguments: str) -> None:
    """Run a command of migrator in a folder, and print it with what it printed. Raises CalledProcessError."""
    print(f"$ migrator {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "migrator", *arguments]
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.STDOUT)
    print(flush=True)


def main() -> None:
    """The session. Raises CalledProcessError for a command that fails."""
    with Server() as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(server.environ(), COLUMNS="110")
        lake = SmallLake(server, folder)
        run(folder, "plan", "--config", lake.config.name, "-o", PLAN)
        run(folder, "copy", PLAN)
        lake.tables[0].commit([5000])
        run(folder, "copy", PLAN)
        lake.tables[1].commit([6000])
        run(folder, "cutover", PLAN, "--quiet-for", "2s", "--yes")
        run(folder, "verify", PLAN)
        run(folder, "rollback", PLAN, "--yes")
        run(folder, "cutover", PLAN, "--quiet-for", "2s", "--yes")
        run(folder, "retire", PLAN, "--cooling", "0", "--yes", "--confirm", TARGET)
        run(folder, "log", PLAN)
        left = {bucket: len(lake.listing(bucket)) for bucket in OLD}
        print(f"Objects left in the old buckets: {left}")


if __name__ == "__main__":
    main()
