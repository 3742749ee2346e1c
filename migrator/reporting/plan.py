"""The report of a plan, and the question that ``migrate`` asks before it starts."""

from __future__ import annotations

import shlex

from migrator.errors import first_names
from migrator.findings import FindingDescription, counted
from migrator.reporting.description import (
    CARRIED_OUT,
    ROLLING_BACK,
    Actions,
    InventoryDescription,
    PlanDescription,
    PrefixDescription,
    TableDescription,
)
from migrator.reporting.findings import finding_lines
from migrator.reporting.log import moment
from migrator.reporting.rendering import Grid, Report, line, printable, size, to_finish_rollback
from migrator.reporting.unregistered import unregistered_in_plan
from migrator.reporting.what_it_takes import what_it_takes

STATES = {
    "rewrite": "to rewrite",
    "rewritten": "rewritten, not cut over yet",
    "migrated": "at the target already",
    "left": "left where it is",
    "later": "stays for a later wave",
    "earlier": "moved by an earlier wave",
}
"""The states of a table in a catalog."""
UNREGISTERED_STATES = {
    "rewrite": "to rewrite, not registered",
    "rewritten": "rewritten, not registered",
    "migrated": "at the target already",
    "later": "stays for a later wave",
}
"""The states of a table that no given catalog names: it has no cutover."""
ACTIONS = {
    "copy": "copied as they are",
    "overwrite": "copied over an older copy",
    "same": "at the target already",
    "rewrite": "files with paths in them, rewritten with the new paths",
    "conflict": "in conflict: see the findings",
    "skip": "left where they are",
    "pointer": "version hints, written at the cutover",
}
VERSION_ACTIONS = {
    "copy": "copied before the current version, the oldest first",
    "same": "at the target already",
}
BUCKETS = 100
"""How many buckets that are not part of the plan are named: the user may have forgotten one."""
PROPERTIES = 100
"""How many changed properties of namespaces are shown: a Hive table has one for each of its partitions."""
PLACES = 10
"""How many old places without an object are named."""
LEAVING = ("left-out", "left-table", "outside-table", "spanning-table")
"""The findings about a table, or other objects, that stay where they are."""


def plan_report(plan: PlanDescription, *, starting: bool = False) -> Report:
    """The report of a plan that :func:`~migrator.reporting.describe.describe_plan` described.

    ``starting``: the plan is carried out right afterwards, so the report names no next step."""
    report: Report = [
        line(f"Plan {plan['plan']}", style="bold"),
        line(f"  {_endpoints(plan)}   made {plan['created']} by migrator {plan['tool_version']}"),
        line(),
        line("What moves", style="bold"),
        _prefixes(plan),
        *_inventories(plan["s3_inventories"]),
        line(),
        line("What happens to the objects", style="bold"),
        *_actions(plan["actions"], streamed=plan["streamed"]),
        *_versions(plan["versions"]),
        *_later(plan["later"]),
    ]
    if plan["tables"]:
        report += [line(), line("Tables", style="bold"), _tables(plan["tables"])]
    for name, place in plan["target_catalogs"].items():
        report.append(line(f"  The tables of {name} are registered in {place}. In {name} nothing changes."))
    if plan["namespaces"]:
        report += [line(), line("Namespace properties", style="bold"), *_properties(plan["namespaces"])]
    if plan["changes_pending"]:
        report += [line(), line("What it takes (estimated)", style="bold"), *what_it_takes(plan["estimates"])]
    if plan["findings"]:
        report += [line(), line("Findings", style="bold"), *finding_lines(plan["findings"])]
    report += unregistered_in_plan(plan["unregistered"])
    return [*report, line(), line(_totals(plan), style="bold"), *_verdict(plan, starting=starting)]


def question(plan: PlanDescription, *, cutover: bool) -> str:
    """What ``migrate`` asks before it starts: what it will do, for a plan described as it is now."""
    pointers = counted(plan["pointers"]["total"], "pointer")
    catalogs = plan["pointers"]["catalogs"]
    change = f"change {pointers}" + (f" in {counted(catalogs, 'catalog')}" if catalogs else "")
    if plan["phase"] == "ready for cutover":
        done = "Everything is copied and rewritten."
        return f"{done} Compare it again and {change} now?" if cutover else f"{done} Compare it again now?"
    if plan["phase"] in ("cutting over", "cut over in part"):
        return f"The cutover has begun. Finish it ({change} in all) now?"
    actions = plan["actions"]
    work = f"opy {counted(copies(actions), 'object')} and rewrite {counted(actions['rewrite']['objects'], 'file')}"
    begin = f"C{work}" if plan["phase"] == "planned" else f"Continue: c{work} (finished work is not repeated)"
    return f"{begin}, then {change}, now?" if cutover else f"{begin} now, and change no pointer yet?"


def nothing_to_do(plan: PlanDescription) -> str:
    """The line for a plan without changes: everything is at the target, or everything that moves, or nothing was
    found."""
    if plan["phase"] in ROLLING_BACK:
        begun = "A rollback has begun and has not ended; it changed no pointer."
        return f"{begun} {to_finish_rollback(plan['plan'])}"
    if plan["phase"] in CARRIED_OUT:
        done = "Nothing to do: the plan was carried out, and every pointer that it changed points to the target."
        return f"{done} The objects there were not listed again."
    if any(finding["code"] in LEAVING for finding in plan["findings"]):
        return "Nothing to do: everything that moves is at the target. The findings name what stays in its place."
    found = [total["objects"] for total in plan["actions"].values()]
    if any(found) or plan["tables"] or plan["later"] or plan["unregistered"]:
        return "Nothing to do: the target has everything, and every pointer points to it."
    places = [source for source, target in plan["layout"].items() if target is not False]
    where = f"nothing was found in {first_names(places, PLACES)}" if places else "the plan names no old bucket"
    return f"Nothing to do: {where}. Check [layout] and the endpoint."


def copies(actions: Actions) -> int:
    """How many objects the plan copies."""
    return actions["copy"]["objects"] + actions["overwrite"]["objects"]


def _endpoints(plan: PlanDescription) -> str:
    """``http://minio:9000 → s3://data-lake/``; of two servers, both, each with its region and profile."""

    def endpoint(url: str, region: str | None, profile: str | None) -> str:
        known = {"region": region, "profile": profile} if plan["streamed"] else {}
        details = ", ".join(f"{key} {value}" for key, value in known.items() if value)
        return f"{url} ({details})" if details else url

    source = endpoint(plan["endpoint_url"], plan["region"], plan["profile"])
    target = endpoint(plan["target_endpoint_url"], plan["target_region"], plan["target_profile"])
    route = f"{source} → s3://{plan['target_bucket']}/"
    return f"{route} at {target}" if plan["streamed"] else route


def _prefixes(plan: PlanDescription) -> Grid:
    prefixes = plan["prefixes"]
    rows = [(p["source"], "→", _new_place(p, plan), f"{p['objects']:,}", size(p["bytes"])) for p in prefixes]
    total = sum(p["objects"] for p in prefixes), sum(p["bytes"] for p in prefixes)
    rows.append(("", "", "", f"{total[0]:,}", size(total[1])))
    return Grid(("from", "", "to", "objects", "size"), rows, numbers=(3, 4))


def _new_place(prefix: PrefixDescription, plan: PlanDescription) -> str:
    if prefix["target"] is None and prefix["source"] in plan["later_rules"]:
        return "(left to another plan)"
    return prefix["target"] or "(left where it is)"


def _inventories(reports: list[InventoryDescription]) -> Report:
    """``s3://bronze/ from the S3 Inventory report of 2026-11-25, 41 hours old``: the age at the time of planning."""
    return [
        line(
            f"  s3://{one['bucket']}/ from the S3 Inventory report of {moment(one['created'])[:16]} UTC, "
            + (f"{one['age']} when planned" if one["age"] else "which is in the future")
        )
        for one in reports
    ]


def _actions(actions: Actions, *, streamed: bool) -> Report:
    meanings = {**ACTIONS, "copy": ACTIONS["copy"] + (", through this machine" if streamed else ", on the server")}
    rows = [
        (name, f"{total['objects']:,}", size(total["bytes"]), meanings[name])
        for name, total in actions.items()
        if total["objects"]
    ]
    if not rows:
        return [line("  nothing: no objects were found")]
    return [Grid(("action", "objects", "size", ""), rows, numbers=(1, 2))]


def _versions(versions: dict[str, dict[str, int]]) -> Report:
    rows = [
        (
            name,
            f"{total['keys']:,}",
            f"{total['versions']:,}",
            f"{total['markers']:,}",
            size(total["bytes"]),
            VERSION_ACTIONS[name],
        )
        for name, total in versions.items()
        if total["keys"]
    ]
    head = ("action", "objects", "versions", "markers", "size", "")
    return [line(), line("Older versions", style="bold"), Grid(head, rows, numbers=(1, 2, 3, 4))] if rows else []


def _later(later: dict[str, int] | None) -> Report:
    if later is None:
        return []
    rest = f"{counted(later['objects'], 'object')}, {size(later['bytes'])}, {counted(later['tables'], 'table')}"
    return [line(f"  Left for a later wave: {rest}")]


def _tables(tables: list[TableDescription]) -> Grid:
    def number(value: int | None) -> str:
        return "?" if value is None else f"{value:,}"

    rows = [
        (
            t["identifier"],
            "view" if t["kind"] == "view" else f"v{t['format_version'] or '?'}",
            number(t["snapshots"]),
            number(t["data_files"]),
            number(t["delete_files"]),
            number(t["rewrite_files"]),
            (UNREGISTERED_STATES if t["catalog"] is None else STATES).get(t["state"], t["state"]),
        )
        for t in tables
    ]
    head = ("table", "format", "snapshots", "data files", "deletes", "to rewrite", "")
    return Grid(head, rows, numbers=(2, 3, 4, 5))


def _properties(changes: list[dict[str, str]]) -> Report:
    rows = [(n["catalog"], n["namespace"], n["key"], f"{n['old']} → {n['new']}") for n in changes[:PROPERTIES]]
    report: Report = [Grid(("catalog", "namespace", "key", "change"), rows)]
    if more := len(changes) - len(rows):
        report.append(line(f"  … and {more:,} more; migrator show --json has all"))
    return report


def _totals(plan: PlanDescription) -> str:
    """``Plan: 390 to copy, 82 to rewrite, 7 pointers to change in 2 catalogs, 0 to delete.``"""
    actions, pointers = plan["actions"], plan["pointers"]
    older = sum(plan["versions"].get("copy", {}).get(kind, 0) for kind in ("versions", "markers"))
    where = f" in {counted(pointers['catalogs'], 'catalog')}" if pointers["catalogs"] else ""
    work = [
        f"{copies(actions):,} to copy",
        *([f"{counted(older, 'older version')} to copy"] if older else []),
        f"{actions['rewrite']['objects']:,} to rewrite",
        f"{counted(pointers['total'], 'pointer')} to change{where}",
    ]
    return f"Plan: {', '.join(work)}, 0 to delete.{_other_buckets(plan['findings'])}"


def _other_buckets(findings: list[FindingDescription]) -> str:
    """`` 2 buckets are not part of it: a, b.``; or "" if there is none."""
    others = [finding for finding in findings if finding["code"] == "bucket-beside"]
    if not others:
        return ""
    count = max(sum(finding["count"] for finding in others), len(others))
    names = ", ".join(finding["place"].removeprefix("s3://").rstrip("/") for finding in others[:BUCKETS])
    more = ", …" if count > len(others[:BUCKETS]) else ""
    return f" {counted(count, 'bucket')} {'is' if count == 1 else 'are'} not part of it: {names}{more}."


def _verdict(plan: PlanDescription, *, starting: bool) -> Report:
    """How far the plan has been carried out, and the next command."""
    blocks = sum(1 for finding in plan["findings"] if finding["severity"] == "block")
    name, phase = shlex.quote(printable(plan["plan"])), plan["phase"]
    if blocks:
        return [line(f"Blocked: {counted(blocks, 'finding')} to solve first. Nothing was changed.", style="red")]
    if not plan["changes_pending"]:
        return [line(nothing_to_do(plan), style="green")]
    if phase == "planned":
        ready = f"Ready. Nothing was changed yet. Next: migrator migrate {name}"
        return [] if starting else [line(ready, style="green")]
    if phase in CARRIED_OUT:
        return [line(f"Carried out ({phase}). To verify: migrator verify {name}", style="green")]
    if phase in ROLLING_BACK:
        return [line(f"A rollback has begun and has not ended ({phase}). {to_finish_rollback(plan['plan'])}")]
    states = {"ready for cutover": "Copied and rewritten; only the cutover is left."}
    state = states.get(phase, f"In progress ({phase}): finished work is not repeated.")
    return [line(state if starting else f"{state} To continue: migrator migrate {name}", style="green")]
