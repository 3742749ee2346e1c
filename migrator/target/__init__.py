"""What migrator knows about the target bucket, so that nothing of anybody's is overwritten there.

``record``: which plans were carried out there. ``ledger``: which objects migrator wrote. ``compare``: how the target
differs from what was planned. ``guard``: all of that, in the order in which a migration needs it.
"""

from migrator.target.compare import Changes, holds_only_copies
from migrator.target.guard import TargetGuard, superseded_error
from migrator.target.ledger import Ledger
from migrator.target.record import PlanRecord, read_records, superseded_by

__all__ = [
    "Changes",
    "Ledger",
    "PlanRecord",
    "TargetGuard",
    "holds_only_copies",
    "read_records",
    "superseded_by",
    "superseded_error",
]
