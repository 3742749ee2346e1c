"""A new generation of a plan: the same plan file, made anew from the lake as it is now, with the log of the old one.

What was copied is at the target and recognized there, and what was rewritten, counted and compared is carried over, so
the new generation does only what is new. It takes the place of the old one only if what was approved still holds: the
layout and the servers, which are those of the old one, the tables, and that nothing blocks (issue 14).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from migrator.errors import PlanStale, first_names
from migrator.planfile import log
from migrator.planfile.carry_over import carry_over
from migrator.planfile.connecting import connect
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_BEGUN, STARTED, Journal
from migrator.planfile.place import plan_lock
from migrator.planfile.rows import EARLIER, LATER
from migrator.progress import Progress

SHOWN = 10
SAME = ("endpoint_url", "target_endpoint_url", "target_bucket", "layout", "catalogs", "target_catalogs")
"""What the header of a new generation must have like the old one. None of it holds a secret."""


def renew(path: Path, build: Callable[[PlanFile, Path], None], progress: Progress) -> None:
    """Make the plan anew, unless it was not begun yet, or was cut over.

    ``build`` takes the old generation, and the path to which it writes a sealed plan with the same settings.

    Raises PlanStale if tables came or went since the plan was approved, or if a catalog is another one now. A plan with
    findings that block is made all the same; to carry it out is refused. After an error, or a kill, the old generation
    is still there.
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
                build(old, fresh)
            with PlanFile.open_unchecked(fresh) as new:
                _check_places(path, header, new.header())
                _check_tables(path, tables, _tables(new))
            _take_over(place, fresh)
            fresh.replace(place)
        finally:
            for left in (fresh, *(fresh.with_name(fresh.name + end) for end in ("-journal", "-wal", "-shm", ".lock"))):
                left.unlink(missing_ok=True)


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
            next_move='Mend the configuration, or run "migrator plan" again.',
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
    """Give the new generation the log of the old one, and what of its work still holds."""
    with closing(connect(new, "rw")) as db:
        with closing(connect(old, "ro")) as source:
            log.take_over(source, db)
            carry_over(source, db)
        db.execute("PRAGMA journal_mode=DELETE")
