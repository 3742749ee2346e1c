"""Which plans were carried out at a target: one small JSON object per plan, below ``.migrator/plans/``.

A plan that is older than one of these is refused, because it does not know the present state of the target. A record
holds no secrets, only names of plans, hosts, buckets and tables. Only the holder of the target's lease writes one.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from typing import Any

from migrator._version import __version__
from migrator.errors import MigrationFailed, NotFound, first_names
from migrator.layout import Layout, Location
from migrator.layout.choice import shared_place
from migrator.planfile.file import PlanFile
from migrator.planfile.wave import is_wave
from migrator.store import OWN_PREFIX, Content, Store

RECORDS = f"{OWN_PREFIX}plans/"

COPYING, CUTTING_OVER, CUT_OVER, ROLLED_BACK = "copying", "cutting over", "cut over", "rolled back"
"""States of a record, in their order. "cutting over": some catalogs may be swapped and others not."""


@dataclass(frozen=True)
class PlanRecord:
    """One plan that was carried out at a target, at least in part.

    ``plan_id`` sorts by the time of planning; ``plan`` is the name of the plan file that was carried out last, on
    ``host``. ``tables`` lists the tables that were cut over, each with ``table`` (its identifier), ``uuid``, ``old``
    and ``new`` metadata locations.
    """

    plan_id: str
    plan: str
    host: str
    tool_version: str
    created: str
    started: str
    updated: str
    state: str
    layout: Mapping[str, str | bool]
    tables: Sequence[Mapping[str, str | None]] = field(default_factory=list)
    discarded: Sequence[str] = ()
    """The metadata files at the target that a rollback gave up: commits after the cutover."""
    moves: Sequence[str] | None = None
    """The identifiers of the tables that the plan moves, also before its cutover; None if an older version of migrator
    wrote the record."""
    log_entries: int = 0
    log_digest: str = ""
    """How many entries the log of the plan had when this record was written, and the digest of the last one."""

    def __str__(self) -> str:
        moved = [str(table["table"]) for table in self.tables]
        named = first_names(moved, 5)
        which = f"{self.plan} (made {self.created}, {self.state} on {self.updated}"
        return f"{which}; tables: {named})" if named else f"{which})"


def now() -> str:
    """The present time (UTC) in ISO 8601, as records store it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def new_record(plan: PlanFile) -> PlanRecord:
    """The record of a plan that is about to be carried out for the first time."""
    header, at = plan.header(), now()
    return PlanRecord(
        plan_id=header["plan_id"],
        plan=plan.path.name,
        host=socket.gethostname(),
        tool_version=__version__,
        created=header["created"],
        started=at,
        updated=at,
        state=COPYING,
        layout=plan.layout.to_mapping(),
        moves=_moves(plan),
    )


def _moves(plan: PlanFile) -> list[str]:
    return [table.identifier for table in plan.tables() if table.moves]


def read_records(store: Store, bucket: str) -> list[PlanRecord]:
    """Every record at the target, the oldest plan first; none if there is no such bucket.

    Raises MigrationFailed for a record that cannot be read, StoreError if the server does not answer.
    """
    records = []
    try:
        for found in store.list(bucket, RECORDS):
            records.append(_parsed(store.get(bucket, found.key).data, f"s3://{bucket}/{found.key}"))
    except NotFound:
        return []
    return sorted(records, key=lambda record: record.plan_id)


def write_record(store: Store, bucket: str, record: PlanRecord) -> None:
    """Write the record of one plan; it replaces the record's earlier state."""
    store.put(bucket, f"{RECORDS}{record.plan_id}.json", Content(json.dumps(asdict(record), indent=1).encode(), ""))


@dataclass(frozen=True)
class GivenUp:
    """What rollbacks have given up at a target, as keys: ``tables`` are the metadata files that a cutover pointed to,
    ``commits`` those that were written on top of them. A later plan does not treat them as the table's present state.
    """

    tables: frozenset[str] = frozenset()
    commits: frozenset[str] = frozenset()


def given_up(records: Iterable[PlanRecord]) -> GivenUp:
    """What rollbacks have given up, by these records. ``records``: the oldest plan first."""
    tables: set[str] = set()
    commits: set[str] = set()
    for record in records:
        named = _keys(str(table["new"]) for table in record.tables)
        if record.state == ROLLED_BACK:
            tables |= named
            commits |= _keys(record.discarded)
        else:
            tables -= named
    return GivenUp(frozenset(tables), frozenset(commits))


def _keys(uris: Iterable[str]) -> set[str]:
    return {at.key for uri in uris if (at := Location.parse(uri)) is not None}


def superseded_by(records: Iterable[PlanRecord], plan: PlanFile) -> PlanRecord | None:
    """The newest plan that was made later than ``plan``, moves some of the same places, and was carried out. A later
    plan that moves none of the tables of a wave does not count: it does not change that wave."""
    mine, target = plan.header()["plan_id"], plan.layout.target_bucket
    wave = frozenset(_moves(plan)) if is_wave(plan) else None
    newer = [
        r
        for r in records
        if r.plan_id > mine
        and shared_place(plan.layout, Layout.from_mapping(target, r.layout))
        and not _is_apart(r, wave)
    ]
    return max(newer, key=lambda record: record.plan_id, default=None)


def _is_apart(record: PlanRecord, wave: frozenset[str] | None) -> bool:
    """True if the plan of the record moves none of the tables of a wave. ``wave``: None if everything moves."""
    return wave is not None and record.moves is not None and wave.isdisjoint(record.moves)


def both_move(one: PlanFile, other: PlanFile) -> str:
    """A place that two plans for one target both move, or a table; "" if there is none, so that they may be carried out
    in any order."""
    place = shared_place(one.layout, other.layout)
    if place and is_wave(one) and is_wave(other):
        return next(iter(sorted({*_moves(one)} & {*_moves(other)})), "")
    return place


def _parsed(data: bytes, place: str) -> PlanRecord:
    try:
        given: dict[str, Any] = json.loads(data)
        names = [f.name for f in fields(PlanRecord) if f.name in given or f.default is MISSING]
        record = PlanRecord(**{name: given[name] for name in names})
        record = replace(record, discarded=tuple(record.discarded))
        Layout.from_mapping("bucket-of-the-target", record.layout)
        [str(table["table"]) for table in record.tables]
        if not all(isinstance(getattr(record, name), str) for name in ("plan_id", "plan", "created", "updated")):
            raise TypeError("a name is not text")
        if record.moves is not None and not all(isinstance(name, str) for name in [*record.moves]):
            raise TypeError("the name of a table is not text")
        if not all(isinstance(uri, str) for uri in record.discarded):
            raise TypeError("a discarded metadata file is not text")
        if not isinstance(record.log_entries, int) or not isinstance(record.log_digest, str):
            raise TypeError("the end of the log is not a number and a digest")
    except Exception as error:
        raise MigrationFailed(
            f"{place} cannot be read ({type(error).__name__}): it is migrator's record of an earlier migration.",
            next_move="Restore it, or remove it if you know that no newer plan was carried out at this target.",
        ) from error
    return record
