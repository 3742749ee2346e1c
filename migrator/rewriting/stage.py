"""The stage "rewriting": every file of a plan that carries paths, leaf first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from migrator.carriers.checkpoints import COPIED_LAST
from migrator.errors import MigrationFailed, Occupied
from migrator.inventory.modified import ModifiedTimes
from migrator.inventory.versions import has_versions
from migrator.planfile.queries import count_objects, pending_rewrites, pending_uploads
from migrator.planfile.rows import (
    FILES,
    LOG_ROLES,
    REWRITTEN_ROLES,
    ROLE_DELETES,
    ROLE_MANIFEST,
    ROLE_SCRIPT,
    TIMED_ROLES,
    UNITS,
    PlannedObject,
)
from migrator.results import Written
from migrator.rewriting.carried_files import carried_files, carried_rewriter
from migrator.rewriting.local_files import upload
from migrator.rewriting.logs import LogRewriter
from migrator.rewriting.measured_files import JournalledFiles, plan_rewriter
from migrator.rewriting.rewriter import PARALLEL_ABOVE, THREADS, Job, Rewriter, rewriting
from migrator.rewriting.scripts import ScriptRewriter, script_names
from migrator.run import Run
from migrator.store import explicit_connection
from migrator.target.log_times import stale_logs
from migrator.workers.batched import in_batches, missing_modules

REMOTE_ROLES = (ROLE_DELETES, ROLE_MANIFEST)
"""The files that executors rewrite. The others need the sizes that the journal has of earlier files."""
REMOTE_MODULES = ("migrator.rewriting.carried_files", "pyarrow.parquet")
"""What executors must be able to import for it: packages with compiled parts, which "migrator pack" leaves out."""

_TIMED_LOGS_DONE = f"""
SELECT o.id, o.target, o.role, d.etag FROM objects o JOIN done d ON d.object_id = o.id
WHERE o.role IN {tuple(TIMED_ROLES)}
"""


def rewrite_tables(run: Run) -> None:
    """Rewrite the files of all tables, leaf first, so that each file gets the true sizes of the files that it names. A
    table's current metadata is written last: if it exists, the table is complete.

    Raises MigrationFailed or PlanStale when all other files are rewritten.
    """
    for role in REWRITTEN_ROLES:
        where = pending_rewrites(role)
        _, size = count_objects(run.plan.db, where)
        with _rewriting(run, role, size) as (rewrite, workers):
            job = _job(run, _of_table(run, rewrite))
            run.each_object(f"rewriting {role}", where, job, workers=workers, unit=UNITS[role])


@contextmanager
def _rewriting(run: Run, role: str, size: int) -> Iterator[tuple[Callable[[Job], Written], int]]:
    """The function that rewrites files of this role, and the number of threads to call it from. ``size``: the bytes of
    all of them. Large manifests and deletes are rewritten by the executors, if there are any."""
    if run.engine.remote and role in REMOTE_ROLES and size >= PARALLEL_ABOVE and not has_versions(run.plan):
        files = carried_files(run.plan)
        missing = missing_modules(run.engine, list(REMOTE_MODULES))
        if files is not None and not missing:
            how = (explicit_connection(run.store), run.conditional, files)
            with in_batches(run.engine, carried_rewriter, *how) as batched:
                yield batched, batched.threads
            return
        lacking = f"executors lack {', '.join(missing)}" if missing else "there are too many delete files to send"
        run.result.note(f"The files of tables were rewritten by the driver: {lacking}.")
    rewriter = Rewriter(run.store, run.layout.new_path, JournalledFiles(run.plan, run.store))
    if role == ROLE_MANIFEST:
        with rewriter.manifests_in_children(run.layout.new_path, size) as rewrite:
            yield rewrite, THREADS
        return
    worker = (plan_rewriter, run.plan.path, run.store.connection, run.conditional)
    with rewriting(rewriter, size, *worker) as (rewrite, workers):
        yield rewrite, workers


def upload_local_files(run: Run) -> None:
    """Upload the local files of the plan, except those of :func:`upload_checkpoints_last`. Raises as
    :func:`rewrite_tables`."""
    _upload(run, None)


def upload_checkpoints_last(run: Run) -> None:
    """Upload the offsets of local checkpoints, then their commits, then the files with the streams' ids. Raises as
    :func:`rewrite_tables`."""
    for rank in range(len(COPIED_LAST)):
        _upload(run, rank)


def _upload(run: Run, rank: int | None) -> None:
    job = _job(run, partial(upload, run.store, run.layout.target_bucket))
    run.each_object("uploading local files", pending_uploads(rank), job, workers=THREADS, unit=FILES)


def rewrite_scripts(run: Run) -> None:
    """Rewrite the scripts in the lake that name old paths. Raises as :func:`rewrite_tables`."""
    rewriter = ScriptRewriter(run.store, run.layout.target_bucket, script_names(run.plan))
    job = _job(run, rewriter)
    run.each_object("rewriting scripts", pending_rewrites(ROLE_SCRIPT), job, workers=THREADS, unit="scripts")


def rewrite_logs(run: Run) -> None:
    """Rewrite the logs of streams, and the manifests that list files for other engines. The files that they name must
    be copied. Raises as :func:`rewrite_tables`."""
    times = ModifiedTimes(run.store, run.layout.target_bucket)
    rewriter = LogRewriter(run.store, run.layout, times)
    _forget_stale_logs(run, times)
    for role in LOG_ROLES:
        job = _job(run, rewriter)
        run.each_object(f"rewriting {role}", pending_rewrites(role), job, workers=THREADS, unit=FILES)


def _forget_stale_logs(run: Run, times: ModifiedTimes) -> None:
    """Logs record when their files were copied: those whose files were copied since, by this run or by one that was
    killed, are rewritten again."""
    rows = run.plan.db.execute(_TIMED_LOGS_DONE).fetchall()
    etags = {row[0]: row[3] for row in rows}
    stale = stale_logs(run.store, run.layout.target_bucket, (row[:3] for row in rows), times.of)
    run.journal.may_replace((number, etags[number]) for number in stale)
    run.journal.forget(stale)
    run.journal.commit()


def _of_table(run: Run, rewrite: Callable[[Job], Written]) -> Callable[[PlannedObject, str | None], Written]:
    target = run.layout.target_bucket

    def rewritten(planned: PlannedObject, replaces: str | None) -> Written:
        source = (planned.bucket, planned.key)
        return rewrite(Job(planned.role, source, (target, planned.target or ""), planned.etag, replaces))

    return rewritten


def _job(run: Run, rewrite: Callable[[PlannedObject, str | None], Written]) -> Callable[[PlannedObject], Written]:
    """A function that calls ``rewrite`` with the ETag of the object that it may replace at the target."""
    target = run.layout.target_bucket

    def job(planned: PlannedObject) -> Written:
        try:
            return rewrite(planned, run.plan.replaceable(planned.id))
        except Occupied as error:
            if planned.target_etag is None:
                raise
            raise MigrationFailed(  # a new plan would not help
                f"s3://{target}/{planned.target} existed already while planning, and differs from the file that "
                f"migrator writes there for {planned.place}. It is not overwritten.",
                next_move="Move it away.",
            ) from error

    return job
