"""A pytest plugin: says who may hold the lock when a test meets "database is locked" in SQLite.

That has happened in few of many runs, in tests that share their database with no other program. The cause is not known.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import sqlalchemy as sa

LOCKED = "database is locked"


@sa.event.listens_for(sa.Engine, "handle_error")
def _describe(context: sa.ExceptionContext) -> None:
    if LOCKED in str(context.original_exception) and context.engine is not None:
        print(described(context.engine.url.database or ""), file=sys.stderr)


def described(database: str) -> str:
    """Every lock on the machine, the SQLite files that this process has open, and what its threads are doing.

    ``database``: the path of the file, or SQLite's URI of it.
    """
    path = Path(database.removeprefix("file:"))
    lines = [f"{LOCKED}: {path}, inode {path.stat().st_ino if path.exists() else 'unknown'}", *_locks(), *_open_files()]
    for thread, frame in sys._current_frames().items():
        lines += [f"thread {thread}:", *(line.rstrip() for line in traceback.format_stack(frame)[-6:])]
    return "\n".join(lines)


def _locks() -> list[str]:
    try:
        return Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []


def _open_files() -> list[str]:
    found = []
    for link in Path("/proc/self/fd").glob("*"):
        try:
            name = str(link.readlink())
        except OSError:  # closed meanwhile
            continue
        if ".db" in name:
            found.append(f"open: {name}")
    return found
