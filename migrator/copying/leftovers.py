"""What a killed run has left at the target: the parts of uploads that it did not finish.

Not every server lists all open uploads: MinIO names only those of a key that it is asked for. So the objects that may
have been under way are asked for one by one. A run works through its plan in order, so they are among the first that
are not done yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from migrator.concurrency.threads import Failed, each
from migrator.copying.copier import SMALL, Options
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import PENDING_COPIES, PENDING_VERSIONS
from migrator.store import Store, Upload

CLOCKS_DIFFER = 3_600_000
"""How much, in milliseconds, our clock may be ahead of the server's."""

ASKED = 4_096
"""How many objects are asked for one by one: more than are ever under way."""


def drop_uploads(plan: PlanFile, store: Store, options: Options, begun: int) -> None:
    """Abort the uploads at the target, begun since ``begun`` (milliseconds since the epoch), of objects of the plan
    that are not copied yet."""
    bucket = plan.layout.target_bucket
    query = f"SELECT 1 FROM objects WHERE target = ?1 AND {PENDING_COPIES} UNION ALL SELECT 1 FROM versions"
    query += f" WHERE target = ?1 AND {PENDING_VERSIONS}"

    def drop(upload: Upload, at: int) -> None:
        if at >= begun - CLOCKS_DIFFER and plan.lookup(query, (upload.key,)):
            store.abort_upload(upload)

    for upload, at in store.uploads(bucket):
        drop(upload, at)
    for outcome in each(lambda key: store.uploads_of(bucket, key), _keys(plan, store, options), workers=16):
        if isinstance(outcome, Failed):
            raise outcome.error
        for upload, at in outcome.result:
            drop(upload, at)


def _keys(plan: PlanFile, store: Store, options: Options) -> Iterator[str]:
    """The target keys of what may have been under way in parts."""
    old, new = store.ends
    large = "1" if old is not new else f"(etag LIKE '%-%' OR size > {min(options.whole_limit, new.multipart_above)})"
    objects = f"SELECT target FROM objects WHERE {PENDING_COPIES} AND size > {SMALL} AND {large}"
    versions = f"SELECT target FROM versions WHERE {PENDING_VERSIONS} AND size > {new.multipart_above}"
    for query in (objects, versions):
        yield from [key for (key,) in plan.db.execute(f"{query} ORDER BY id LIMIT {ASKED}").fetchall()]
