"""Describes a plan file: as one dictionary for JSON, as a status, and as the list of changes that its user must
make."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from migrator.cutover.pointers import count_pointers, needs_cutover
from migrator.cutover.unregistered import unregistered_tables
from migrator.findings import BLOCK
from migrator.inventory.features import TableFeatures
from migrator.layout import Layout, Rule
from migrator.planfile import log
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import (
    CUTOVER_BEGUN,
    CUTOVER_DONE,
    FINISHED,
    RETIRE_BEGUN,
    RETIRED,
    ROLLBACK_BEGUN,
    Journal,
)
from migrator.planfile.measured import Measured, prices_of
from migrator.planfile.queries import PENDING, PENDING_VERSIONS, TO_WRITE, below, count_objects, keys_under
from migrator.planfile.rows import (
    ACTIONS,
    CONFLICT,
    COPY,
    LATER,
    OVERWRITE,
    REWRITE,
    ROLE_LATER,
    ROLE_LOCAL,
    ROLE_VERSION_HINT,
    SAME,
    SKIP,
    PlannedTable,
)
from migrator.planfile.s3_reports import of_header
from migrator.planfile.wave import is_wave
from migrator.reporting.actual import actual
from migrator.reporting.description import (
    ROLLING_BACK,
    Actions,
    EstimatesDescription,
    InventoryDescription,
    LayoutDescription,
    PlanDescription,
    PrefixDescription,
    SecondsEstimate,
    ServerDescription,
    TableDescription,
)
from migrator.reporting.estimates import estimates, seconds_left
from migrator.reporting.workload import workload_of

POINTER = "pointer"
"""Listed like an action: version hints that are written at the cutover. They count as pointers, not as objects."""
BEFORE_CUTOVER = ("planned", "copying", "rewriting", "ready for cutover")
"""Phases in which the time that is left is estimated."""
MAX_CHECKPOINTS = 50
"""How many streaming checkpoints are listed among the changes."""


@dataclass(frozen=True)
class StatusSummary:
    """How far a plan has come. Sizes are in bytes. ``phase`` is one of: blocked, planned, copying,
    rewriting, ready for cutover, cutting over, cut over in part, cut over, finished, rolling back, rolled back in
    part, rolled back, retiring, retired.
    ``versions`` are older versions and delete markers."""

    plan: str
    phase: str
    objects: int
    objects_done: int
    bytes: int
    bytes_done: int
    versions: int
    versions_done: int
    pointers: int
    pointers_changed: int
    events: list[dict[str, Any]]
    tables: list[dict[str, Any]]
    """The tables whose pointers change: ``table``, ``catalog``, and ``cut_over``, which is true once that is done."""
    target_catalogs: dict[str, str] = field(default_factory=dict)
    """Catalog → the one to which its tables move; empty if pointers change in the catalog itself."""
    seconds_left: SecondsEstimate | None = None
    """How long the rest of the work takes by the plan's estimates; None if nothing is left, or if it is not known."""
    superseded_by: str | None = None
    """The newer plan that was carried out at the target, if there is one."""
    copy_carried_out: str | None = None
    """The copy of this plan file that was cut over or rolled back, if there is one; the log of this file lacks that."""
    not_checked: str | None = None
    """What could not be checked, and why."""

    @property
    def can_roll_back(self) -> bool:
        """True if a cutover has begun, and was not rolled back since."""
        return self.phase in ("cutting over", "cut over in part", "cut over", "finished", *ROLLING_BACK)

    @property
    def complete(self) -> bool:
        """True if nothing is left to copy, to rewrite or to re-point."""
        left = (self.objects - self.objects_done, self.versions - self.versions_done)
        return left == (0, 0) and self.pointers == self.pointers_changed

    def to_json(self) -> dict[str, Any]:
        """The keys and values of ``migrator status --json``."""
        return asdict(self)


@dataclass(frozen=True)
class Change:
    """Something outside the lake that the user must change: ``what``, before → after."""

    what: str
    before: str
    after: str


def describe_plan(plan: PlanFile) -> PlanDescription:
    """All of a plan except its object rows; ``migrator/reference/json-keys.md`` documents the keys."""
    header = plan.header()
    by_rule = _actions_by_rule(plan)
    actions = _summed(by_rule.values())
    rewrites, blocking = _rewrites(plan), {f.code for f in plan.findings() if f.severity == BLOCK}
    tables = plan.tables()
    versions = _versions(plan)
    pointers = count_pointers(plan)
    return {
        "plan": str(plan.path),
        "format": int(header["format"]),
        "tool_version": header["tool_version"],
        "created": header["created"],
        "digest": header["digest"],
        "first_digest": log.base(plan.db),
        "config": header["config"] or None,
        "phase": _phase(plan, Journal(plan)),
        **_servers(header),
        "target_bucket": header["target_bucket"],
        **_layout(plan.layout),
        "catalogs": json.loads(header["catalogs"]),
        "target_catalogs": json.loads(header["target_catalogs"]),
        "blocked": plan.blocked,
        "changes_pending": _is_to_write(actions) or versions[COPY]["keys"] > 0 or pointers.total > 0,
        "pointers": {**asdict(pointers), "total": pointers.total},
        "actions": actions,
        "later": _later(plan, tables) if is_wave(plan) else None,
        "s3_inventories": _inventories(header),
        "all_versions": json.loads(header["all_versions"]),
        "object_lock": json.loads(header.get("object_lock", "false")),
        "versions": versions,
        "prefixes": _prefixes(plan.layout, by_rule),
        "tables": [_table(table, *rewrites.get(table.id, (0, 0)), blocking) for table in tables],
        "unregistered": [table.to_json() for table in unregistered_tables(tables)],
        "namespaces": [asdict(change) for change in plan.namespaces()],
        "findings": [finding.to_json() for finding in plan.findings()],
        "estimates": describe_estimates(plan),
        "changes": [asdict(change) for change in changes(plan)],
    }


def _is_to_write(actions: Actions) -> bool:
    """True if any object is to be copied or rewritten."""
    return any(actions[name]["objects"] for name in (COPY, OVERWRITE, REWRITE))


def describe_estimates(plan: PlanFile) -> EstimatesDescription:
    """The estimates of the plan, and once it is finished, the actual time."""
    header = plan.header()
    measured = Measured.of_header(header)
    estimated = estimates(workload_of(plan, header, measured), measured, prices_of(header))
    estimated["actual"] = actual(Journal(plan).events(), estimated["seconds"]["total"])
    return estimated


def _layout(layout: Layout) -> LayoutDescription:
    whole = layout.whole.to_mapping()
    return {
        "layout": layout.to_mapping(),
        "rules": [rule.source for rule in layout.chosen],
        "later_rules": {rule.source: whole[rule.source] for rule in layout.later},
    }


def _later(plan: PlanFile, tables: Iterable[PlannedTable]) -> dict[str, int]:
    """The number of tables, objects and bytes that stay for a later wave."""
    objects, size = count_objects(plan.db, f"role = '{ROLE_LATER}'")
    return {"tables": sum(table.state == LATER for table in tables), "objects": objects, "bytes": size}


def _inventories(header: dict[str, str]) -> list[InventoryDescription]:
    """The S3 Inventory reports that the plan was made from. Their age is that at the time of the plan."""
    made = datetime.fromisoformat(header["created"]).timestamp()
    return [
        {
            "bucket": report.bucket,
            "manifest": report.manifest,
            "created": report.at.isoformat(timespec="seconds"),
            "age_seconds": round(made - report.created / 1000),
            "age": report.age(made),
            "objects": report.objects,
        }
        for report in of_header(header)
    ]


def _servers(header: dict[str, str]) -> ServerDescription:
    """The servers of the old buckets and of the target, and whether the bytes go through this machine."""
    return {
        "endpoint_url": header["endpoint_url"],
        "region": header["region"] or None,
        "profile": header["profile"] or None,
        "target_endpoint_url": header["target_endpoint_url"],
        "target_region": header["target_region"] or None,
        "target_profile": header["target_profile"] or None,
        "streamed": bool(header["streamed"]),
    }


def describe_status(plan: PlanFile) -> StatusSummary:
    """How far the plan has been carried out, from its journal."""
    journal = Journal(plan)
    query = (
        "SELECT count(*), total(o.size), count(d.object_id), total(CASE WHEN d.object_id IS NOT NULL THEN o.size END)"
        f" FROM objects o LEFT JOIN done d ON d.object_id = o.id WHERE {TO_WRITE}"
        f" AND o.role <> '{ROLE_VERSION_HINT}'"
    )
    objects, size, done, done_size = plan.db.execute(query).fetchone()
    versions, older, versions_done, older_done = plan.db.execute(
        "SELECT count(*), total(v.size), count(d.version_id), total(CASE WHEN d.version_id IS NOT NULL THEN v.size END)"
        f" FROM versions v LEFT JOIN versions_done d ON d.version_id = v.id WHERE v.action = '{COPY}'"
    ).fetchone()
    pointers = count_pointers(plan)
    tables, changed = _pointers_changed(plan, journal, pointers.hints)
    phase = _phase(plan, journal)
    left = 1 - (done + versions_done) / (objects + versions) if objects + versions else 0.0
    return StatusSummary(
        plan=str(plan.path),
        phase=phase,
        objects=objects,
        objects_done=done,
        bytes=int(size + older),
        bytes_done=int(done_size + older_done),
        versions=versions,
        versions_done=versions_done,
        pointers=pointers.total,
        pointers_changed=changed,
        events=journal.events(),
        tables=tables,
        target_catalogs=json.loads(plan.header()["target_catalogs"]),
        seconds_left=_seconds_left(plan, left) if phase in BEFORE_CUTOVER else None,
    )


def _pointers_changed(plan: PlanFile, journal: Journal, hints: int) -> tuple[list[dict[str, Any]], int]:
    """The tables whose pointers change, each with whether that is done, and the number of pointers changed. ``hints``:
    how many version hints of tables in no catalog the plan writes."""
    done_all, back = journal.has(CUTOVER_DONE), journal.put_back()
    single_back = journal.put_back_among(plan.tables())
    swapped, single = journal.swapped(), journal.swapped_among(plan.tables())
    tables = [
        {
            "table": t.identifier,
            "catalog": t.catalog,
            "cut_over": t.id not in single_back and (done_all or t.id in single),
        }
        for t in plan.tables()
        if needs_cutover(t)
    ]
    changed = sum(bool(t["cut_over"]) for t in tables)
    changed += sum(c.catalog not in back and (done_all or c.catalog in swapped) for c in plan.namespaces())
    changed += hints if done_all else 0
    return tables, changed


def _seconds_left(plan: PlanFile, share: float) -> SecondsEstimate | None:
    """The estimated time left. ``share``: the part of the objects that is not at the target yet."""
    return seconds_left(describe_estimates(plan)["seconds"], share)


def changes(plan: PlanFile) -> list[Change]:
    """What the user must change outside the lake once the tables are cut over."""
    header = plan.header()
    found = []
    if header["endpoint_url"] != header["target_endpoint_url"]:
        found.append(Change("fs.s3a.endpoint, s3.endpoint", header["endpoint_url"], header["target_endpoint_url"]))
    for what, key in (("region", "region"), ("credentials", "profile")):
        before, after = header[key], header[f"target_{key}"]
        if header["streamed"] and after and before != after:
            found.append(
                Change(f"{what} of the engines", f"{key} {before}" if before else "as it is", f"{key} {after}")
            )
    wave = is_wave(plan)
    staying = {table.catalog for table in plan.tables() if table.state == LATER and wave}
    for name, warehouse in json.loads(header["warehouses"]).items():
        if name in staying:
            continue  # its other tables are still in the old place
        new = plan.layout.map_uri(warehouse)
        if new is not None and new != warehouse:
            found.append(Change(f"spark.sql.catalog.{name}.warehouse", warehouse, new))
    for root in () if wave else _checkpoints(plan):
        new = plan.layout.map_uri(root)
        if new is not None:
            found.append(Change("checkpointLocation", root, new))
    for rule in sorted(plan.layout.rules, key=lambda r: (-len(r.prefix), r.bucket)):
        if rule.target is not None and not wave and _holds_objects(plan, rule):
            before = rule.source.replace("s3://", "s3a://", 1)
            found.append(Change("paths in jobs and scripts", before, plan.layout.map_uri(before) or ""))
    for recorded in plan.layout.recorded:
        if recorded.target is not None:
            after = plan.layout.map_uri(recorded.source) or ""
            found.append(Change("paths in jobs and scripts", recorded.source, after))
    return found


def _actions_by_rule(plan: PlanFile) -> dict[int | None, Actions]:
    """What happens to the objects of each rule, by its number in the layout. An object counts for its longest rule.
    One pass over the plan, however many rules there are."""
    rules = sorted(enumerate(plan.layout.rules), key=lambda rule: -len(rule[1].prefix))
    cases = ""
    parameters: list[str] = []
    for number, rule in rules:
        condition, values = _under(rule)
        cases += f" WHEN {condition} THEN {number}"
        parameters += values
    rule_of = f"CASE{cases} END" if cases else "NULL"
    found: dict[int | None, Actions] = {}
    what = (
        f"CASE WHEN action <> '{REWRITE}' THEN action WHEN role = '{ROLE_VERSION_HINT}' THEN '{POINTER}'"
        f" WHEN role = '{ROLE_LOCAL}' THEN '{COPY}' ELSE action END"
    )
    query = f"SELECT {rule_of}, {what}, count(*), total(size) FROM objects GROUP BY 1, 2"
    for which, action, count, size in plan.db.execute(query, parameters):
        found.setdefault(which, _summed(()))[action] = {"objects": count, "bytes": int(size)}
    return found


def _summed(many: Iterable[Actions]) -> Actions:
    totals = {action: {"objects": 0, "bytes": 0} for action in (*ACTIONS, POINTER)}
    for actions in many:
        for action, counts in actions.items():
            for name, count in counts.items():
                totals[action][name] += count
    return totals


def _rewrites(plan: PlanFile) -> dict[int, tuple[int, int]]:
    """Table → how many files of it are rewritten, and their bytes."""
    query = (
        "SELECT table_id, count(*), total(size) FROM objects"
        f" WHERE action = '{REWRITE}' AND role <> '{ROLE_VERSION_HINT}' GROUP BY table_id"
    )
    return {table: (files, int(size)) for table, files, size in plan.db.execute(query)}


def _versions(plan: PlanFile) -> dict[str, dict[str, int]]:
    totals = {action: {"keys": 0, "versions": 0, "markers": 0, "bytes": 0} for action in (COPY, SAME)}
    query = (
        "SELECT action, count(CASE WHEN ordinal = 1 THEN 1 END), count(CASE WHEN NOT marker THEN 1 END), total(marker),"
        " total(size) FROM versions GROUP BY action"
    )
    for action, keys, versions, markers, size in plan.db.execute(query):
        totals[action] = {"keys": keys, "versions": versions, "markers": int(markers), "bytes": int(size)}
    return totals


def _prefixes(layout: Layout, by_rule: dict[int | None, Actions]) -> list[PrefixDescription]:
    return [_prefix(layout, rule, by_rule.get(number) or _summed(())) for number, rule in enumerate(layout.rules)]


def _prefix(layout: Layout, rule: Rule, actions: Actions) -> PrefixDescription:
    moved = [total for action, total in actions.items() if action not in (SKIP, CONFLICT)]
    return {
        "source": rule.source,
        "target": None if rule.target is None else f"s3://{layout.target_bucket}/" + f"{rule.target}/".lstrip("/"),
        "objects": sum(total["objects"] for total in moved),
        "bytes": sum(total["bytes"] for total in moved),
        "actions": actions,
    }


def _holds_objects(plan: PlanFile, rule: Rule) -> bool:
    where, parameters = _under(rule)
    return plan.db.execute(f"SELECT 1 FROM objects WHERE {where} LIMIT 1", parameters).fetchone() is not None


def _under(rule: Rule) -> tuple[str, tuple[str, ...]]:
    if not rule.prefix:
        return "bucket = ?", (rule.bucket,)
    condition = "bucket = ? AND (key = ? OR (key >= ? AND key < ?))"
    return condition, (rule.bucket, rule.prefix, *keys_under(rule.prefix))


def _table(table: PlannedTable, files: int, size: int, blocking: set[str]) -> TableDescription:
    facts = TableFeatures(**json.loads(table.facts)) if table.facts != "{}" else None
    problems = json.loads(table.problems)
    return {
        "identifier": table.identifier,
        "catalog": table.catalog,
        "catalog_kind": table.catalog_kind,
        "namespace": table.namespace,
        "name": table.name,
        "uuid": table.uuid,
        "format_version": table.format_version,
        "old_location": table.old_location,
        "new_location": table.new_location,
        "old_metadata": table.old_metadata,
        "new_metadata": table.new_metadata,
        "state": table.state,
        "snapshots": table.snapshots,
        "manifests": table.manifests,
        "data_files": table.data_files,
        "delete_files": table.delete_files,
        "kind": table.kind,
        "rewrite_files": files,
        "rewrite_bytes": size,
        "data_bytes": facts.data_bytes if facts else None,
        "delete_bytes": facts.delete_bytes if facts else None,
        "deletes": facts.deletes if facts else [],
        "writers": facts.writers if facts else [],
        "features": facts.features if facts else [],
        "buckets": facts.buckets if facts else {},
        "snapshot_days": facts.snapshot_days if facts else {},
        "problems": problems,
        "migratable": blocking.isdisjoint(problems),
    }


def _checkpoints(plan: PlanFile) -> list[str]:
    """The roots of streaming checkpoints: folders with a file `metadata` and a folder `offsets/`."""
    root = "substr(o.key, 1, length(o.key) - 8)"  # "" for a bucket, else with the slash at its end
    offsets = below("x.key", f"{root} || 'offsets'")
    query = (
        f"SELECT DISTINCT 's3a://' || o.bucket || rtrim('/' || {root}, '/') FROM objects o"
        " WHERE (o.key = 'metadata' OR o.key GLOB '*/metadata') AND EXISTS (SELECT 1 FROM objects x"
        f" WHERE x.bucket = o.bucket AND {offsets})"
        " ORDER BY 1 LIMIT ?"
    )
    return [root for (root,) in plan.db.execute(query, (MAX_CHECKPOINTS,))]


def _phase(plan: PlanFile, journal: Journal) -> str:
    if journal.has(RETIRE_BEGUN):
        return "retired" if journal.last(RETIRED).get("ok") else "retiring"
    if journal.has(ROLLBACK_BEGUN):
        return "rolled back in part" if journal.put_back() else "rolling back"
    if journal.has(FINISHED):
        return "finished"
    if journal.has(CUTOVER_DONE):
        return "cut over"
    if journal.has(CUTOVER_BEGUN):
        return "cut over in part" if journal.swapped() or journal.swapped_tables() else "cutting over"
    if plan.blocked:
        return "blocked"
    if journal.was_rolled_back:
        return "rolled back"
    left = f"FROM objects WHERE {TO_WRITE} AND {PENDING}"
    copies = plan.db.execute(f"SELECT count(*) {left} AND role = ''").fetchone()[0]
    rewrites = plan.db.execute(f"SELECT count(*) {left} AND role NOT IN ('', '{ROLE_VERSION_HINT}')").fetchone()[0]
    copies += plan.db.execute(f"SELECT count(*) FROM versions WHERE {PENDING_VERSIONS}").fetchone()[0]
    done = "SELECT (SELECT count(*) FROM done) + (SELECT count(*) FROM versions_done)"
    if plan.db.execute(done).fetchone()[0] == 0 and (copies or rewrites):
        return "planned"
    return "copying" if copies else "rewriting" if rewrites else "ready for cutover"
