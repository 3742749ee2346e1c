"""Decides the action of each object: compares the old buckets with the target, and writes the result into the plan.

The comparison is SQL over the listings, so that memory stays flat. An object counts as the same if size and ETag are
equal. If only the ETag differs, the target's object may be an older copy that migrator made (the target's ledger has
it), or an equal one: an ETag depends on how an object was uploaded, and on the server's encryption. Then the bytes are
compared.
"""

from __future__ import annotations

from typing import Any

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import MigratorError, NotFound
from migrator.inventory.listing import TARGET
from migrator.layout import Layout, Location
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import same_etag
from migrator.planfile.rows import CONFLICT, COPY, LOCAL, MIGRATED, OVERWRITE, SAME, SKIP
from migrator.progress import OBJECTS, Progress
from migrator.store import Store, StoredObject
from migrator.target.ledger import Ledger, own, same

AMBIGUOUS = "ambiguous"
"""Same size and another ETag: only the bytes can show whether they are the same. Never in a finished plan."""

_IN_BUCKETS = f"action = '{AMBIGUOUS}' AND bucket <> '{LOCAL}'"
LEDGER_PAGE = 200_000
"""How many objects are looked up in the target's ledger at once."""

_COMPARE = f"""
UPDATE objects SET action = CASE
  WHEN p.size = objects.size AND {same_etag("p.etag", "objects.etag", "p")} THEN '{SAME}'
  WHEN p.size = objects.size THEN '{AMBIGUOUS}'
  ELSE '{CONFLICT}' END
FROM {TARGET} AS p WHERE p.key = objects.target AND objects.action = '{COPY}'
"""
_NOTE_TARGET = f"UPDATE objects SET target_etag = p.etag FROM {TARGET} AS p WHERE p.key = objects.target"


def note_target(plan: PlanFile) -> None:
    """Note the ETag at each object's target key now, so that `migrate` finds what was written there since."""
    plan.db.execute(_NOTE_TARGET)


def compare_listings(plan: PlanFile) -> None:
    """Compare size and ETag of each object with what is at its target key."""
    plan.db.execute(_COMPARE)


def recognize_copies(plan: PlanFile, ledger: Ledger) -> None:
    """Look up the objects that differ at the target in the ledger of earlier migrations.

    If the ledger has a proven copy of this object, the action is ``same``. If it has another object that migrator
    wrote, the action is ``overwrite``."""
    query = (
        "SELECT o.id, o.target, o.target_etag, o.bucket || '/' || o.key, o.etag FROM objects o"
        f" WHERE o.action IN ('{AMBIGUOUS}', '{CONFLICT}') AND o.id > ? ORDER BY o.id LIMIT {LEDGER_PAGE}"
    )
    last = -1
    while rows := plan.db.execute(query, (last,)).fetchall():
        last = rows[-1][0]
        prints = [(row[0], same(*row[1:]), own(row[1], row[2])) for row in rows]
        known = ledger.known({fingerprint for row in prints for fingerprint in row[1:]})
        found = [row for row in prints if known.intersection(row[1:])]
        actions = [(SAME if proven in known else OVERWRITE, id_) for id_, proven, _ in found]
        plan.db.executemany("UPDATE objects SET action = ? WHERE id = ?", actions)


def compare_contents(plan: PlanFile, store: Store, layout: Layout, progress: Progress) -> None:
    """Compare the bytes of the objects whose ETags differ though their sizes are equal: same, or a conflict."""
    count = plan.db.execute(f"SELECT count(*) FROM objects WHERE {_IN_BUCKETS}").fetchone()[0]
    query = (
        "SELECT id, target, bucket, key, size, etag, modified, storage_class, table_id IS NULL AND role = ''"
        f" FROM objects WHERE {_IN_BUCKETS} AND id > ? ORDER BY id LIMIT {LEDGER_PAGE}"
    )

    def is_same(row: tuple[Any, ...]) -> bool:
        return store.same_as_source((row[2], StoredObject(*row[3:8])), (layout.target_bucket, row[1]))

    with progress.stage("comparing contents", objects=count, unit=OBJECTS) as stage:
        last = -1
        while page := plan.db.execute(query, (last,)).fetchall():
            last = page[-1][0]
            for outcome in run_in_threads(is_same, page, workers=store.concurrency):
                if not isinstance(outcome, Failed):
                    action = SAME if outcome.result else CONFLICT
                    plan.db.execute("UPDATE objects SET action = ? WHERE id = ?", (action, outcome.item[0]))
                elif not _is_gone(store, outcome.item, outcome.error):
                    raise outcome.error
                else:
                    plan.db.execute("DELETE FROM objects WHERE id = ?", (outcome.item[0],))
                stage.advance(1)


def _is_gone(store: Store, row: tuple[Any, ...], error: MigratorError) -> bool:
    """True if this is a plain object that was deleted since it was listed, or since its S3 Inventory report."""
    return isinstance(error, NotFound) and bool(row[-1]) and store.find(row[2], row[3]) is None


def skip_doubled_markers(plan: PlanFile) -> None:
    """Copy only one of several empty directory markers for one prefix."""
    plan.db.execute(
        f"UPDATE objects SET action = '{SKIP}' WHERE size = 0 AND target LIKE '%/' AND action <> '{SKIP}' AND EXISTS"
        f" (SELECT 1 FROM objects x WHERE x.target = objects.target AND x.action <> '{SKIP}' AND x.id < objects.id)"
    )


def note_target_metadata(plan: PlanFile, layout: Layout) -> None:
    """Note the folders where tables go, and the metadata files there now, so that `migrate` finds newer ones."""
    for table in plan.tables():
        at = Location.parse(table.new_metadata or "")
        if at is not None and table.state != MIGRATED:
            folder = at.key.rpartition("/")[0]
            plan.db.execute("INSERT INTO target_folders VALUES (?, ?)", (table.id, folder))
            plan.db.execute(
                f"INSERT OR IGNORE INTO target_metadata SELECT key, etag FROM {TARGET}"
                " WHERE key > ? AND key < ? AND key GLOB '*.metadata.json*'",
                (f"{folder}/", f"{folder}0"),
            )
