"""Do the copies have the bytes of their sources? For ``--deep``: both are read and hashed, on this machine or by the
workers of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import MigrationFailed
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import SAME_AS_SOURCE, count_objects
from migrator.planfile.rows import PlannedObject
from migrator.progress import OBJECTS, Progress
from migrator.store import Store, explicit_connection
from migrator.verifying.checks import Check, note_comparison
from migrator.verifying.content_comparer import Comparison, ContentComparer, comparer_of
from migrator.verifying.old_buckets import OldBuckets
from migrator.workers.batched import in_batches
from migrator.workers.engine import Engine


def check_contents(plan: PlanFile, store: Store, old: OldBuckets, progress: Progress, engine: Engine) -> Check:
    """Compare the bytes of every copied object with its source, if the source is still the one that was planned.
    ``old`` is asked by this process; each worker of ``engine`` has such an object for itself. Raises MigrationFailed if
    workers die and the engine cannot replace them."""
    check = Check("copied objects are the same byte for byte", "objects")
    bucket = plan.layout.target_bucket
    count, size = count_objects(plan.db, SAME_AS_SOURCE)
    with (
        _comparing(engine, store, old, bucket) as (compare, threads),
        progress.stage("comparing bytes", objects=count, size=size, unit=OBJECTS) as stage,
    ):
        objects = plan.objects(SAME_AS_SOURCE)
        for outcome in run_in_threads(lambda planned: compare(_comparison(planned)), objects, workers=threads):
            if isinstance(outcome, Failed) and isinstance(outcome.error, MigrationFailed):
                raise outcome.error  # of the engine, which says nothing about the object
            stage.advance(1, outcome.item.size)
            note_comparison(check, outcome, f"s3://{bucket}/{outcome.item.target}: bytes differ")
    return check


def _comparison(planned: PlannedObject) -> Comparison:
    """What is sent to a worker: without the rest of the planned object."""
    return Comparison(planned.target or "", planned.bucket, planned.key, planned.etag)


@contextmanager
def _comparing(
    engine: Engine, store: Store, old: OldBuckets, bucket: str
) -> Iterator[tuple[Callable[[Comparison], Any], int]]:
    """The function that compares, and the number of threads to call it from."""
    if not engine.takes_batches:
        yield ContentComparer(store, bucket, old), store.concurrency
        return
    connection = explicit_connection(store) if engine.remote else store.connection
    with in_batches(engine, comparer_of, connection, bucket) as batched:
        yield batched, batched.threads
