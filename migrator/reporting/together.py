"""The report of several plans that are approved and carried out together, and how far a run of them came."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from migrator.findings import counted
from migrator.reporting.description import CARRIED_OUT, PlanDescription
from migrator.reporting.findings import EXPLAIN, grouped_findings, groups_of
from migrator.reporting.json_forms import migration_json
from migrator.reporting.plan import copies
from migrator.reporting.rendering import Grid, Report, line, printable, size

if TYPE_CHECKING:
    from migrator.migration import Migration

Done = Sequence[tuple["Migration", PlanDescription]]
"""What was carried out, each with the plan as it was before."""


def plans_report(plans: Sequence[PlanDescription]) -> Report:
    """One row for each plan, the totals, and the warnings, which whoever starts accepts."""
    rows = [_row(plan["plan"], [plan], plan["phase"]) for plan in plans]
    rows.append(_row("", plans, ""))
    head = ("plan", "objects", "size", "to rewrite", "tables", "pointers", "findings to accept", "")
    report: Report = [
        line(f"{len(plans)} plans for s3://{plans[0]['target_bucket']}/", style="bold"),
        Grid(head, rows, numbers=range(1, 7)),
    ]
    for plan in plans:
        if found := _to_accept(plan):
            report += [line(), line(f"Findings of {plan['plan']}", style="bold"), *grouped_findings(found, 1)]
    if any(_to_accept(plan) for plan in plans):
        report.append(line(EXPLAIN))
    return [*report, line(), line('"migrator show PLAN" shows all of a plan. Nothing is deleted.')]


def plans_question(plans: Sequence[PlanDescription], *, cutover: bool) -> str:
    """What is asked before the first plan starts. ``plans``: those that are not finished."""
    objects = counted(sum(copies(plan["actions"]) for plan in plans), "object")
    files = counted(sum(plan["actions"]["rewrite"]["objects"] for plan in plans), "file")
    pointers = counted(sum(plan["pointers"]["total"] for plan in plans), "pointer")
    change = f"then change {pointers}" if cutover else "and change no pointer yet"
    which = f"Carry out {counted(len(plans), 'plan')} one after the other"
    return f"{which}: copy {objects} and rewrite {files} in all, {change}, now?"


def plans_done(plans: Sequence[PlanDescription], *, cutover: bool) -> Report:
    """The last lines after all plans were carried out."""
    done = f"All {len(plans)} plans are carried out" if cutover else f"All {len(plans)} plans are copied"
    return [line(), line(f"{done}: {', '.join(plan['plan'] for plan in plans)}.", style="bold")]


def how_far(plans: Sequence[PlanDescription], done: int, *, stale: bool = False) -> str:
    """Which plans are done, which one is not, which have not begun, and the command that goes on. ``done``: how many
    are done. ``stale``: the one that is not done cannot be carried out any more, so a new plan takes its place."""
    names = [printable(plan["plan"]) for plan in plans]
    said = [f"Done: {', '.join(names[:done]) or 'none'}.", f"Not done: {names[done]}."]
    said += [f"Not begun: {', '.join(names[done + 1 :])}."] if names[done + 1 :] else []
    if stale:
        go_on = f"To go on, with a new plan NEW.db of the same rules in place of {names[done]}:"
        names[done] = "NEW.db"
    else:
        go_on = "To go on:"
    return "\n".join([*said, go_on, f"  migrator migrate {shlex.join(names)}"])


def plans_json(plans: Sequence[PlanDescription], carried_out: Done, done: int) -> dict[str, Any]:
    """What ``migrate --json`` prints for several plans. ``carried_out``: those that ended without an error; ``done``:
    how many of them succeeded."""
    names = [plan["plan"] for plan in plans]
    return {
        "ok": done == len(names),
        "plans": [migration_json(migration, plan) for migration, plan in carried_out],
        "not_done": names[done] if done < len(names) else None,
        "not_begun": names[done + 1 :],
    }


def _row(name: str, plans: Sequence[PlanDescription], phase: str) -> tuple[str, ...]:
    actions = [plan["actions"][name] for plan in plans for name in ("copy", "overwrite", "rewrite")]
    return (
        name,
        f"{sum(total['objects'] for total in actions):,}",
        size(sum(total["bytes"] for total in actions)),
        f"{sum(plan['actions']['rewrite']['objects'] for plan in plans):,}",
        f"{sum(plan['pointers']['tables'] for plan in plans):,}",
        f"{sum(plan['pointers']['total'] for plan in plans):,}",
        f"{sum(len(groups_of(_to_accept(plan), 1)) for plan in plans):,}",
        f"{phase}: only checked again" if phase in CARRIED_OUT else phase,
    )


def _to_accept(plan: PlanDescription) -> list[Any]:
    return [finding for finding in plan["findings"] if finding["severity"] == "warn"]
