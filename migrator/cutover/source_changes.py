"""Finds what has changed in the old buckets since the plan was made. The cutover is refused if anything has changed.

Between planning and cutover, writers may have added plain files, which no pointer names. A cutover would leave them
behind, and nobody would notice. So the old buckets are listed again and compared with the plan.

What the plan leaves where it is may change: objects under a rule ``= false``, the files of tables that are
left out, what is not part of this wave, Hadoop's empty directory markers, and the checksum files of what is rewritten.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from migrator.inventory.listing import SOURCE_PAGE, Listing, list_sources
from migrator.inventory.local_files import local_folders, read_folder
from migrator.layout import Layout, source_places
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import PLACE, is_checksum, is_hadoop_marker
from migrator.planfile.rows import LOCAL, REWRITE, ROLE_CHECKSUM, ROLE_LATER, ROLE_LEFT, SKIP
from migrator.planfile.table_folders import left_folders
from migrator.planfile.wave import is_wave, wave_folders
from migrator.progress import Progress
from migrator.results import EXAMPLES, SourceChanges
from migrator.store import Store

_MINDED = f"target IS NOT NULL AND role NOT IN ('{ROLE_CHECKSUM}', '{ROLE_LEFT}', '{ROLE_LATER}')"
"""Which objects of a plan must not change until the cutover."""
_SEEN = f"""
INSERT OR IGNORE INTO seen
SELECT o.id FROM {SOURCE_PAGE} l CROSS JOIN objects o WHERE o.bucket = ? AND o.key = l.key
"""
# Listed objects that are not in the plan, or that have another ETag there and must not change; with the planned size,
# if any.
_DIFFERENT = f"""
SELECT l.key, l.size, o.size, o.id FROM {SOURCE_PAGE} l LEFT JOIN objects o ON o.bucket = ? AND o.key = l.key
WHERE o.id IS NULL OR o.{_MINDED} AND o.etag <> l.etag ORDER BY l.key
"""


def find_source_changes(
    plan: PlanFile, store: Store, progress: Progress, places: Sequence[tuple[str, str]] | None = None
) -> SourceChanges:
    """Compare the old buckets, as they are now, with the plan. Memory stays flat.

    ``places``: the (bucket, prefix) pairs to list, if not all.
    """
    changes = SourceChanges()
    layout, db = plan.layout, plan.db
    left = left_folders(plan)
    wave = wave_folders(layout, plan.tables()) if is_wave(plan) else None
    for table in ("seen", "altered"):
        db.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY)")
        db.execute(f"DELETE FROM {table}")
    listing = Listing(db, SOURCE_PAGE)
    for bucket, page in list_sources(store, source_places(layout) if places is None else places, progress):
        listing.clear()
        listing.add(page)
        db.execute(_SEEN, (bucket,))
        for key, size, known, object_id in db.execute(_DIFFERENT, (bucket,)).fetchall():
            if known is None and _in_wave(wave, bucket, key) and _moves(plan, layout, left, bucket, key, size):
                changes.added += 1
                changes.example("+", f"s3://{bucket}/{key}")
            elif known is not None and not is_hadoop_marker(key, size + known):
                changes.changed += 1
                db.execute("INSERT OR IGNORE INTO altered VALUES (?)", (object_id,))
                changes.example("*", f"s3://{bucket}/{key}")
    if wave is None:  # local files are part of no wave
        _find_local_changes(plan, changes, left_out=places is not None)
    gone = f"FROM objects WHERE {_MINDED} AND action <> '{SKIP}' AND id NOT IN (SELECT id FROM seen)"
    (changes.removed,) = db.execute(f"SELECT count(*) {gone}").fetchone()
    for (place,) in db.execute(f"SELECT {PLACE} {gone} LIMIT {EXAMPLES}").fetchall():
        changes.example("-", place)
    return changes


def _find_local_changes(plan: PlanFile, changes: SourceChanges, *, left_out: bool) -> None:
    """Compare the local folders that are uploaded with the plan. ``left_out``: folders that are gone are left out."""
    rows = plan.db.execute(f"SELECT key, id, etag FROM objects WHERE bucket = '{LOCAL}'")
    planned = {key: (number, etag) for key, number, etag in rows}
    for folder in local_folders(plan.layout):
        for _, stored in read_folder(folder, plan.layout).files:
            number, etag = planned.get(stored.key, (None, ""))
            if number is None:
                changes.added += 1
                changes.example("+", f"file:///{stored.key}")
                continue
            plan.db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (number,))
            if etag != stored.etag:
                changes.changed += 1
                plan.db.execute("INSERT OR IGNORE INTO altered VALUES (?)", (number,))
                changes.example("*", f"file:///{stored.key}")
    if left_out:
        plan.db.execute(f"INSERT OR IGNORE INTO seen SELECT id FROM objects WHERE bucket = '{LOCAL}'")


def is_lost(plan: PlanFile, object_id: int) -> bool:
    """True if the last :func:`find_source_changes` did not find this planned object, or found another in its place."""
    query = "SELECT ? NOT IN (SELECT id FROM seen) OR ? IN (SELECT id FROM altered)"
    return bool(plan.db.execute(query, (object_id, object_id)).fetchone()[0])


def _in_wave(wave: list[tuple[str, str]] | None, bucket: str, key: str) -> bool:
    """True if an object with this key moves with a table of the wave. ``wave``: the folders of these tables, as
    :func:`wave_folders` gives them; None if everything moves."""
    if wave is None:
        return True
    at = bisect_right(wave, (bucket, key)) - 1  # sorted folders, none inside another: no other one can contain the key
    return at >= 0 and wave[at][0] == bucket and key.startswith(wave[at][1])


def _moves(plan: PlanFile, layout: Layout, left: list[tuple[str, str]], bucket: str, key: str, size: int) -> bool:
    """True if the migration would have moved this object if it had existed while planning."""
    if layout.map_key(bucket, key) is None or is_hadoop_marker(key, size):
        return False
    if any(bucket == at and key.startswith(folder) for at, folder in left):
        return False
    folder, slash, name = key.rpartition("/")
    if name.startswith(".") and name.endswith(".crc"):  # Hadoop's checksum of the file with the name without .crc
        beside = f"{folder}{slash}{name[1:-4]}"
        query = f"SELECT 1 FROM objects WHERE bucket = ? AND key = ? AND action = '{REWRITE}'"
        return plan.db.execute(f"{query} AND {is_checksum('?', 'size')}", (bucket, beside, size)).fetchone() is None
    return True
