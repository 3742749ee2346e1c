"""One run of a migration: the values that all of its stages share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from migrator.catalogs import Catalog
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import PLAN_AGAIN, MigrationFailed, MigratorError, Occupied, PlanStale, SourceChanged, first_lines
from migrator.layout import Layout
from migrator.planfile.copied import MD5
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.planfile.queries import count_objects
from migrator.planfile.rows import ROLE_LOCAL, ROLE_VERSION_HINT, PlannedObject, PlannedTable
from migrator.progress import Progress
from migrator.results import RunResult, Written
from migrator.store import Conditional, Dropped, Store
from migrator.target import TargetGuard
from migrator.workers.engine import Engine
from migrator.workers.local import LocalEngine


@dataclass
class Run:
    """One plan on one store, with its journal. ``max_failures``: how many objects may fail before a stage stops.
    ``only``: nothing but these source objects (bucket, key) is copied."""

    plan: PlanFile
    store: Store
    catalogs: Mapping[str, Catalog]
    journal: Journal
    progress: Progress
    max_failures: int
    only: frozenset[tuple[str, str]] | None = None
    conditional: Conditional = field(default_factory=Conditional)
    """Which conditional writes the target honours; known when the run has begun."""
    dropped: Dropped | None = None
    """What the server of the target does not keep of an object from another server; None before it was tried."""
    result: RunResult = field(default_factory=RunResult)
    engine: Engine = field(default_factory=LocalEngine)
    """Where objects are copied, and large tables rewritten."""

    def __post_init__(self) -> None:
        self.guard = TargetGuard(self.plan, self.store, self.progress)

    @property
    def layout(self) -> Layout:
        """The layout of the plan."""
        return self.plan.layout

    def tables_to_move(self) -> list[PlannedTable]:
        """The tables that get new metadata at the target."""
        return [table for table in self.plan.tables() if table.moves]

    def live_tables(self) -> frozenset[int]:
        """The ids of the tables that an interrupted cutover has swapped: they are in use at the target."""
        hints = "SELECT table_id FROM objects JOIN done ON object_id = id WHERE role = ?"
        written = {table for (table,) in self.plan.db.execute(hints, (ROLE_VERSION_HINT,))}
        tables = self.tables_to_move()
        return frozenset(self.journal.swapped_among(tables) | {t.id for t in tables if t.id in written})

    def each_object(
        self, name: str, where: str, job: Callable[[PlannedObject], Written], *, workers: int, unit: str
    ) -> None:
        """Do ``job`` on every object that the SQL condition ``where`` selects, and journal each. ``unit``: what they
        are, in the plural.

        Goes on after a failure, up to ``max_failures``; raises MigrationFailed or PlanStale at the end.
        """
        count, size = count_objects(self.plan.db, where)
        if not count:
            return
        failures: list[MigratorError] = []
        with self.progress.stage(name, objects=count, size=size, unit=unit) as stage:
            for outcome in run_in_threads(job, self.plan.objects(where), workers=workers):
                if isinstance(outcome, Failed):
                    failures.append(outcome.error)
                    stage.failed()
                    if len(failures) >= self.max_failures:
                        break
                    continue
                written = outcome.result
                self.journal.done(outcome.item.id, written.size, written.etag, written.delete_file)
                self._count(outcome.item.role, written.size)
                stage.advance(1, outcome.item.size)
        self.journal.commit()
        if failures:
            raise stage_failed(name, failures)

    def _count(self, role: str, size: int) -> None:
        """Count one object that was written. A version hint is a pointer: see RunResult.pointers."""
        if role == ROLE_LOCAL:
            self.result.copied += 1
            self.result.copied_bytes += size
            self.result.proofs[MD5] += 1
        elif role != ROLE_VERSION_HINT:
            self.result.rewritten += 1


def stage_failed(name: str, failures: list[MigratorError], listed: str = "") -> MigratorError:
    """The error that ends a stage in which objects failed. ``listed``: a line that names the list of them."""
    message = f"{len(failures)} object(s) failed while {name}:\n{first_lines(failures)}\n{listed}"
    if need_new_plan(failures):
        return PlanStale(message, next_move=f"The lake moved on since planning. {PLAN_AGAIN}")
    return MigrationFailed(message, next_move="Fix the cause and run the same command again: it does what is left.")


def need_new_plan(failures: Iterable[MigratorError]) -> bool:
    """True if a failure cannot be repaired by running this plan again: a new plan is needed."""
    return all(isinstance(error, SourceChanged | Occupied) for error in failures)
