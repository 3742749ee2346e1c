"""Checks that a file is a plan, has the right format, and was not edited after planning."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

from migrator._version import __version__
from migrator.errors import MigratorError, PlanBusy, PlanDamaged, PlanStale, PlanUnusable
from migrator.planfile.schema import FORMAT, SEALED
from migrator.progress import Progress

KEEP = (
    'Restore it from a copy if you have one. Otherwise run "migrator plan" again under another name: copies at the '
    "target are recognized. Keep this file: its journal may contain the old catalog pointers."
)


def check_is_file(path: Path) -> None:
    """Raises PlanDamaged if there is no file, PlanUnusable if that cannot be checked."""
    try:
        found = path.is_file()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PlanUnusable(f"{path} cannot be read: {reason}.", next_move="Check the path.") from error
    if not found:
        what = "is not a file" if os.path.lexists(path) and not path.is_symlink() else "there is no such plan"
        raise PlanDamaged(f"{path}: {what}.", next_move="Check the path.")


def check_one_name(path: Path, opened: os.stat_result) -> None:
    """Raises PlanUnusable if the file that is open has several names: SQLite would keep a separate log for each of
    them."""
    if opened.st_nlink > 1:
        raise PlanUnusable(
            f"{path} has {opened.st_nlink} names (hard links); each would get a separate journal.",
            next_move="Remove the other names, or make a copy and use that.",
        )


def check_same_file(path: Path, opened: os.stat_result) -> None:
    """Raises PlanUnusable if the file that is open no longer has this name: anything written would be lost."""
    try:
        same = os.path.samestat(path.stat(), opened)
    except OSError:
        same = False
    if not same:
        raise PlanUnusable(
            f"{path} was deleted, moved or replaced while it was being carried out, and its journal with it: stopped.",
            next_move='Put it back, if you can, and run the same command again. If it is lost, run "migrator plan" '
            "again: copies at the target are recognized.",
        )


def damaged(path: Path, error: sqlite3.Error) -> PlanDamaged:
    """The error for a file that SQLite cannot read: a damaged plan, or another file."""
    if "not a database" not in str(error):  # its first bytes are those of a database
        return PlanDamaged(f"{path} is damaged ({error}).", next_move=KEEP)
    move = f"Check the path. If it was a plan: {KEEP[0].lower()}{KEEP[1:]}"
    return PlanDamaged(f"{path} is not a migrator plan, or is damaged at its beginning ({error}).", next_move=move)


def plan_trouble(path: Path, error: sqlite3.Error, what: str) -> MigratorError:
    """The error for an error of SQLite, with the plan's path and a next move. ``what``: what failed: "read", "written"
    or "used"."""
    said = str(error)
    if "locked" in said:
        return PlanBusy(f"{path} is in use by another process ({said}).", next_move="Wait for it, then run this again.")
    if "malformed" in said or "not a database" in said:
        return damaged(path, error)
    move = "Check its permissions and those of its folder, and the free space there and in the folder for temporary "
    move += "files. Then run the same command again: nothing in it is lost, and it does what is left."
    return PlanUnusable(f"{path} cannot be {what}: {said}.", next_move=move)


def check_plan(path: Path, db: sqlite3.Connection, progress: Progress) -> str:
    """Raises PlanDamaged if the database is not a plan, is incomplete or was edited, PlanStale if its format is another
    one. Which version of migrator made the plan does not matter. Reads all of it, and returns its digest."""
    header: dict[str, str] = dict(db.execute("SELECT key, value FROM header")) if _has_header(db) else {}
    if "format" not in header:
        raise PlanDamaged(f"{path} is not a migrator plan.", next_move="Check the path.")
    if header["format"] != str(FORMAT):
        raise PlanStale(
            f"{path} was written by migrator {header.get('tool_version')} in plan format {header['format']}; "
            f"this is migrator {__version__}, which reads format {FORMAT}.",
            next_move='Use that version, or run "migrator plan" again under another name.',
        )
    if "digest" not in header or header["digest"] != digest_of(db, progress):
        raise PlanDamaged(f"{path} is incomplete or was edited after planning.", next_move=KEEP)
    return header["digest"]


def _has_header(db: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'header'"
    return db.execute(query).fetchone() is not None


def digest_of(db: sqlite3.Connection, progress: Progress) -> str:
    """SHA-256, in hexadecimal, of the header and of all rows that are sealed."""
    digest = hashlib.sha256()
    (objects,) = db.execute("SELECT max(id) FROM objects").fetchone()
    ordered = {"header": "key <> 'digest' ORDER BY key", "target_metadata": "1 ORDER BY key"}
    selections = {"header": "", **dict.fromkeys(SEALED, "1 ORDER BY rowid"), **ordered}
    with progress.stage("checking the plan", objects=objects, unit="rows") as stage:
        for table, selection in selections.items():
            columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
            # SQLite writes a row as JSON three times as fast as Python reads its columns.
            rows = db.execute(f"SELECT json_array({columns}) FROM {table} WHERE {selection}")
            while page := rows.fetchmany(1000):
                digest.update("".join(row for (row,) in page).encode())
                if table == "objects":
                    stage.advance(len(page))
    return digest.hexdigest()
