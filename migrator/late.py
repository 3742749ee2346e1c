"""What has changed in the old buckets since the plan was made: asked once more before the cutover.

Between the two moments writers may have added plain files, which no pointer names. A cutover would leave them
behind, silently. So the buckets are listed again and held against the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from migrator.layout import source_places
from migrator.plan.file import PlanFile
from migrator.progress import Progress
from migrator.store import Store

EXAMPLES = 10


@dataclass
class Late:
    """Counts, and the first places of each kind."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    examples: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        counts = f"{self.added:,} added, {self.changed:,} changed, {self.removed:,} removed"
        return f"{counts} ({', '.join(self.examples)})" if self.examples else counts

    def example(self, what: str, place: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{what} {place}")


def find_late(
    plan: PlanFile, store: Store, progress: Progress, places: Sequence[tuple[str, str]] | None = None
) -> Late:
    """Compare the old buckets, as they are now, with the plan. Memory stays flat.

    ``places``: the (bucket, prefix) pairs to list, if not all.
    """
    late = Late()
    layout, db = plan.layout, plan.db
    db.execute("CREATE TEMP TABLE IF NOT EXISTS seen (id INTEGER PRIMARY KEY)")
    db.execute("DELETE FROM seen")
    with progress.stage("listing the old buckets") as stage:
        for bucket, page in store.list_all(source_places(layout) if places is None else places):
            db.execute("BEGIN")
            for found in page:
                query = "SELECT id, etag FROM objects WHERE bucket = ? AND key = ?"
                known = db.execute(query, (bucket, found.key)).fetchone()
                if known is not None:
                    db.execute("INSERT OR IGNORE INTO seen VALUES (?)", known[:1])
                if known is None and layout.map_key(bucket, found.key) is not None:
                    late.added += 1
                    late.example("+", f"s3://{bucket}/{found.key}")
                elif known is not None and known[1] != found.etag:
                    late.changed += 1
                    late.example("*", f"s3://{bucket}/{found.key}")
            db.execute("COMMIT")
            stage.advance(len(page), sum(found.size for found in page))
    gone = "FROM objects WHERE id NOT IN (SELECT id FROM seen)"
    (late.removed,) = db.execute(f"SELECT count(*) {gone}").fetchone()
    for bucket, key in db.execute(f"SELECT bucket, key {gone} LIMIT {EXAMPLES}").fetchall():
        late.example("-", f"s3://{bucket}/{key}")
    return late
