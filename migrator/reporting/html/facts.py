"""The facts for a report, read from the plan file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from migrator.planfile import log
from migrator.planfile.copied import MD5, NONE, PROOFS
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import PENDING, TO_WRITE, count_objects
from migrator.planfile.rows import REWRITE, ROLE_LOCAL, ROLE_VERSION_HINT, SAME
from migrator.reporting.describe import StatusSummary, describe_plan
from migrator.reporting.description import PlanDescription
from migrator.reporting.log import PlanLog

REWRITTEN, WAITING = "rewritten", "waiting"
"""Used like the names of proofs: for files that were rewritten, and for objects that are not at the target according to
the journal."""

_COPIED = (
    "SELECT d.proof, count(*), total(o.size) FROM objects o JOIN done d ON d.object_id = o.id"
    " WHERE o.action <> ? GROUP BY d.proof"
)
_DONE = "id IN (SELECT object_id FROM done)"


@dataclass(frozen=True)
class Proven:
    """How many objects have this proof; ``size`` in bytes. ``proof`` is one of
    :data:`migrator.planfile.copied.PROOFS`, "same", :data:`REWRITTEN` or :data:`WAITING`."""

    proof: str
    objects: int
    size: int


@dataclass(frozen=True)
class ReportFacts:
    """A plan, its status, its log, and the proofs of its copies. ``made``: when this was read. ``not_asked``: the
    target was not asked whether the log is complete, and whether a newer plan was carried out."""

    plan: PlanDescription
    status: StatusSummary
    log: PlanLog
    proofs: list[Proven]
    made: datetime
    log_head: str = ""
    """The digest of the last entry of the log."""
    not_asked: bool = False


def read_facts(plan: PlanFile, status: StatusSummary, found: PlanLog, *, asked: bool) -> ReportFacts:
    """Read the rest of a plan for its report. ``asked``: the target was asked for ``status`` and ``found``, the log."""
    now, (_, head) = datetime.now(timezone.utc), log.head(plan.db)
    return ReportFacts(describe_plan(plan), status, found, _proofs(plan), now, head, not_asked=not asked)


def _proofs(plan: PlanFile) -> list[Proven]:
    """Every object that is at the target, or will be, by its proof; proofs without objects are left out."""
    kinds: dict[str, tuple[int, int]] = dict.fromkeys((*PROOFS, "same", REWRITTEN, WAITING), (0, 0))

    def add(kind: str, objects: int, size: float) -> None:
        kinds[kind] = kinds[kind][0] + objects, kinds[kind][1] + int(size)

    for proof, count, size in plan.db.execute(_COPIED, (REWRITE,)):
        add(proof if proof in PROOFS else NONE, count, size)  # an unknown proof proves nothing
    rewritten = f"action = '{REWRITE}' AND role NOT IN ('{ROLE_LOCAL}', '{ROLE_VERSION_HINT}') AND {_DONE}"
    add(MD5, *count_objects(plan.db, f"action = '{REWRITE}' AND role = '{ROLE_LOCAL}' AND {_DONE}"))
    add(REWRITTEN, *count_objects(plan.db, rewritten))
    add("same", *count_objects(plan.db, f"action = '{SAME}'"))
    add(WAITING, *count_objects(plan.db, f"{TO_WRITE} AND role <> '{ROLE_VERSION_HINT}' AND {PENDING}"))
    return [Proven(name, objects, size) for name, (objects, size) in kinds.items() if objects]
