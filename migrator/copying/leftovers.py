"""Aborts the multipart uploads that a killed run left at the target.

Not every server lists all open uploads: MinIO lists only those of a given key. So we also list the uploads of each
object whose copy may have been running. A run copies in the order of its plan, so these are among the first objects
that are not copied yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.copying.options import SMALL, Options
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import PENDING_COPIES, PENDING_VERSIONS
from migrator.store import Store, Upload

CLOCKS_DIFFER = 3_600_000
"""Milliseconds by which our clock may be ahead of the server's."""

MAX_KEYS_ASKED = 4_096
"""For how many keys uploads are listed one by one: more than are ever copied at once."""


def drop_uploads(plan: PlanFile, store: Store, options: Options, begun: int) -> None:
    """Abort the uploads at the target, begun since ``begun`` (milliseconds since the epoch), of objects of the plan
    that are not copied yet."""
    bucket = plan.layout.target_bucket
    query = f"SELECT 1 FROM objects WHERE target = ?1 AND {PENDING_COPIES} UNION ALL SELECT 1 FROM versions"
    query += f" WHERE target = ?1 AND {PENDING_VERSIONS}"

    def abort_if_ours(upload: Upload, at: int) -> None:
        if at >= begun - CLOCKS_DIFFER and plan.lookup(query, (upload.key,)):
            store.uploads.abort(upload)

    for upload, at in store.uploads.list(bucket):
        abort_if_ours(upload, at)
    for outcome in run_in_threads(
        lambda key: store.uploads.of_key(bucket, key), _keys_in_parts(plan, store, options), workers=16
    ):
        if isinstance(outcome, Failed):
            raise outcome.error
        for upload, at in outcome.result:
            abort_if_ours(upload, at)


def _keys_in_parts(plan: PlanFile, store: Store, options: Options) -> Iterator[str]:
    """The target keys that a killed run may have been writing in parts."""
    old, new = store.ends
    large = "1" if old is not new else f"(etag LIKE '%-%' OR size > {min(options.whole_limit, new.multipart_above)})"
    objects = f"SELECT target FROM objects WHERE {PENDING_COPIES} AND size > {SMALL} AND {large}"
    versions = f"SELECT target FROM versions WHERE {PENDING_VERSIONS} AND size > {new.multipart_above}"
    for query in (objects, versions):
        yield from [key for (key,) in plan.db.execute(f"{query} ORDER BY id LIMIT {MAX_KEYS_ASKED}").fetchall()]
