"""The stage "rewriting": every file of a plan that carries paths, leaf first."""

from __future__ import annotations

from collections.abc import Callable

from migrator.errors import MigrationFailed, Occupied
from migrator.planfile.objects import sink_folders
from migrator.planfile.queries import count_objects, pending_rewrites
from migrator.planfile.rows import LOG_ROLES, REWRITTEN_ROLES, ROLE_SCRIPT, ROLE_SOURCE_LOG, PlannedObject
from migrator.results import Written
from migrator.rewriting.logs import LogRewriter
from migrator.rewriting.measured_files import JournalledFiles, plan_rewriter
from migrator.rewriting.rewriter import THREADS, Job, Rewriter, rewriting
from migrator.rewriting.scripts import ScriptRewriter, script_names
from migrator.run import Run

_SOURCE_LOGS_DONE = f"""
SELECT o.id, d.etag FROM objects o JOIN done d ON d.object_id = o.id WHERE o.role = '{ROLE_SOURCE_LOG}'
"""


def rewrite_tables(run: Run) -> None:
    """Rewrite the files of all tables, leaf first, so that each parent learns its children's true sizes. A table's
    current metadata is written last: if it exists, the table is complete.

    Raises MigrationFailed or PlanStale after all that could be rewritten was.
    """
    rewriter = Rewriter(run.store, run.layout.new_path, JournalledFiles(run.plan, run.store))
    for role in REWRITTEN_ROLES:
        where = pending_rewrites(role)
        _, size = count_objects(run.plan.db, where)
        worker = (plan_rewriter, run.plan.path, run.store.connection, run.conditional)
        with rewriting(rewriter, size, *worker) as (rewrite, workers):
            run.each_object(f"rewriting {role}", where, _job(run, _of_table(run, rewrite)), workers=workers)


def rewrite_scripts(run: Run) -> None:
    """Rewrite the scripts in the lake that name old paths. Raises as :func:`rewrite_tables`."""
    rewriter = ScriptRewriter(run.store, run.layout.target_bucket, script_names(run.plan))
    run.each_object("rewriting scripts", pending_rewrites(ROLE_SCRIPT), _job(run, rewriter), workers=THREADS)


def rewrite_logs(run: Run) -> None:
    """Rewrite the logs of streams, and the manifests that list files for other engines. The files that they name must
    be copied. Raises as :func:`rewrite_tables`."""
    rewriter = LogRewriter(run.store, run.layout, sink_folders(run.plan))
    if run.result.copied:  # the logs of file sources record when the files were copied
        done = run.plan.db.execute(_SOURCE_LOGS_DONE).fetchall()
        run.journal.may_replace(done)
        run.journal.forget(number for number, _ in done)
        run.journal.commit()
    for role in LOG_ROLES:
        run.each_object(f"rewriting {role}", pending_rewrites(role), _job(run, rewriter), workers=THREADS)


def _of_table(run: Run, rewrite: Callable[[Job], Written]) -> Callable[[PlannedObject, str | None], Written]:
    target = run.layout.target_bucket

    def rewritten(planned: PlannedObject, replaces: str | None) -> Written:
        source = (planned.bucket, planned.key)
        return rewrite(Job(planned.role, source, (target, planned.target or ""), planned.etag, replaces))

    return rewritten


def _job(run: Run, rewrite: Callable[[PlannedObject, str | None], Written]) -> Callable[[PlannedObject], Written]:
    """``rewrite`` with the ETag of what it may replace at the target."""
    target = run.layout.target_bucket

    def job(planned: PlannedObject) -> Written:
        try:
            return rewrite(planned, run.plan.replaceable(planned.id))
        except Occupied as error:
            if planned.target_etag is None:
                raise
            raise MigrationFailed(  # another plan would be no better
                f"s3://{target}/{planned.target} was there while planning already, and is not what migrator "
                f"writes there for {planned.place}. It is not overwritten.",
                next_move="Move it away.",
            ) from error

    return job
