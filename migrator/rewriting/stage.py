"""The stage "rewriting": every file of a plan that carries paths, leaf first."""

from __future__ import annotations

from collections.abc import Callable

from migrator.errors import MigrationFailed, Occupied
from migrator.planfile.queries import count_objects, pending_rewrites
from migrator.planfile.rows import REWRITTEN_ROLES, PlannedObject
from migrator.results import Written
from migrator.rewriting.measured_files import JournalledFiles, plan_rewriter
from migrator.rewriting.rewriter import Job, Rewriter, rewriting
from migrator.run import Run


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
            run.each_object(f"rewriting {role}", where, _job(run, rewrite), workers=workers)


def _job(run: Run, rewrite: Callable[[Job], Written]) -> Callable[[PlannedObject], Written]:
    target = run.layout.target_bucket

    def job(planned: PlannedObject) -> Written:
        source = (planned.bucket, planned.key)
        replaces = run.plan.replaceable(planned.id)
        try:
            return rewrite(Job(planned.role, source, (target, planned.target or ""), planned.etag, replaces))
        except Occupied as error:
            if planned.target_etag is None:
                raise
            raise MigrationFailed(  # another plan would be no better
                f"s3://{target}/{planned.target} was there while planning already, and is not what migrator "
                f"writes there for {planned.place}. It is not overwritten.",
                next_move="Move it away.",
            ) from error

    return job
