"""Protects the target bucket: no object that others wrote is overwritten there.

``lease``: one migration at a time. ``record``: which plans were carried out there. ``ledger``: which objects migrator
wrote. ``compare``: how the target differs from the plan. ``guard``: these checks in the order of a migration.
"""

from migrator.target.compare import Changes, holds_only_copies
from migrator.target.guard import TargetGuard
from migrator.target.ledger import Ledger
from migrator.target.record import GivenUp, PlanRecord, given_up, read_records, superseded_by

__all__ = [
    "Changes",
    "GivenUp",
    "Ledger",
    "PlanRecord",
    "TargetGuard",
    "given_up",
    "holds_only_copies",
    "read_records",
    "superseded_by",
]
