"""A new generation of a plan: the same plan file, made anew from the lake as it is now, with the log of the old one.

Copies at the target are recognized, and the results of rewriting, counting and comparing are carried over, so the new
generation does only what is new. It replaces the old one only if the layout, the servers, the catalogs and the tables
are the approved ones (issue 14).
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from migrator.errors import PlanStale, PlanUnusable, first_names
from migrator.planfile import log
from migrator.planfile.carry_over import carry_over
from migrator.planfile.connecting import connect
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_BEGUN, STARTED, Journal
from migrator.planfile.place import SAME_PLACE, plan_lock, unwritable
from migrator.planfile.rows import EARLIER, LATER
from migrator.progress import Progress

SHOWN = 10
SAME = ("endpoint_url", "target_endpoint_url", "target_bucket", "layout", "catalogs", "target_catalogs")
"""The header values that must not change in a new generation. None of them is a secret."""


def renew(path: Path, build: Callable[[PlanFile, Path], None], progress: Progress) -> None:
    """Make the plan anew, unless it was not begun yet, or was cut over.

    ``build`` takes the old generation, and the path to which it writes a sealed plan with the same settings.

    Raises PlanStale if tables came or went since the plan was approved, or if a catalog is another one now. A plan with
    blocking findings is made, too, but not carried out. After an error or a kill, the plan file still has the old
    generation.
    """
    place = Path(os.path.realpath(path))
    fresh = place.parent / f".{uuid.uuid4().hex}.generation"
    with plan_lock(place, "is being carried out by another process.", next_move="Wait for it."):
        try:
            with PlanFile.open(place, progress, read_only=True) as old:
                journal = Journal(old)
                if journal.first(STARTED) is None or journal.has(CUTOVER_BEGUN):
                    return
                tables, header = _tables(old), old.header()
                _build(build, old, path, fresh)
            with PlanFile.open_unchecked(fresh) as new:
                _check_places(path, header, new.header())
                _check_tables(path, tables, _tables(new))
            try:
                _take_over(place, fresh)
                fresh.replace(place)
            except (OSError, sqlite3.OperationalError) as error:
                raise unwritable(path, error) from error
        finally:
            for left in (fresh, *(fresh.with_name(fresh.name + end) for end in ("-journal", "-wal", "-shm", ".lock"))):
                left.unlink(missing_ok=True)


def _build(build: Callable[[PlanFile, Path], None], old: PlanFile, path: Path, fresh: Path) -> None:
    """Write the new generation. An error names the plan instead of the file, which has no name that a user chose."""
    try:
        build(old, fresh)
    except PlanUnusable as error:
        message = error.message.replace(str(fresh), str(path))
        raise PlanUnusable(f"{message} The plan stays as it was.", next_move=SAME_PLACE) from error


def _tables(plan: PlanFile) -> set[str]:
    """The tables and views that a catalog names, without those of other waves."""
    return {t.identifier for t in plan.tables() if t.catalog is not None and t.state not in (LATER, EARLIER)}


def _check_places(path: Path, approved: Mapping[str, str], now: Mapping[str, str]) -> None:
    """The servers, catalogs and layout are the approved ones: lake.toml may have been edited since."""
    changed = [name for name in SAME if approved[name] != now[name]]
    if changed:
        raise PlanStale(
            f"{path} was approved for {changed[0]} {approved[changed[0]]}, which is {now[changed[0]]} now. The plan "
            "stays as it was.",
            next_move='Correct the configuration, or run "migrator plan" again.',
        )


def _check_tables(path: Path, approved: set[str], now: set[str]) -> None:
    changes = [("new", sorted(now - approved)), ("gone", sorted(approved - now))]
    said = "; ".join(f"{what}: {first_names(names, SHOWN)}" for what, names in changes if names)
    if said:
        raise PlanStale(
            f"The catalogs do not have the tables that {path} was approved for: {said}. The plan stays as it was.",
            next_move='Run "migrator plan" again, and approve the new plan: what is copied already is recognized.',
        )


def _take_over(old: Path, new: Path) -> None:
    """Give the new generation the log of the old one, and the results that are still valid."""
    with closing(connect(new, "rw")) as db:
        with closing(connect(old, "ro")) as source:
            log.take_over(source, db)
            carry_over(source, db)
        db.execute("PRAGMA journal_mode=DELETE")
