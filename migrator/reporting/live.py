"""The reports of ``migrator copy`` and ``migrator cutover``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from migrator.findings import counted
from migrator.reporting.description import CARRIED_OUT, PlanDescription
from migrator.reporting.migration import migration_report, proof_lines
from migrator.reporting.rendering import Grid, Report, line, printable, size, unwrapped
from migrator.reporting.verification import not_compared

if TYPE_CHECKING:
    from migrator.live.passes import LiveCutover
    from migrator.migration import Migration

TABLES = 20
"""How many tables the report of a cutover names."""


def copy_report(done: Migration, plan: PlanDescription) -> Report:
    """What a pass copied, and what to do next; for a plan that was carried out, that nothing is to do."""
    if plan["phase"] in CARRIED_OUT:
        return migration_report(done, plan)
    result = done.outcome
    versions = f", {counted(result.copied_versions, 'older version')}" if result.copied_versions else ""
    copied = f"Copied {counted(result.copied, 'object')} ({size(result.copied_bytes)}){versions}."
    nothing = done.nothing_to_do or not (result.copied or result.copied_versions)
    report: Report = [line("Nothing new to copy.", style="green")] if nothing else [line(copied), *proof_lines(result)]
    if done.not_prepared:
        report.append(line(f"Left to the cutover: {done.not_prepared}", style="yellow"))
    elif done.outcome.rewritten:
        files = counted(result.rewritten, "file")
        report.append(line(f"Rewrote {files} and compared their tables, so that the cutover has less to do."))
    return [
        *report,
        *not_compared(done.compared),
        *_who_uses_what(plan),
    ]


def _who_uses_what(plan: PlanDescription) -> Report:
    """Where readers and writers are now, and what to do next."""
    name = shlex.quote(printable(plan["plan"]))
    there = sum(table["state"] == "migrated" for table in plan["tables"])
    if there and not plan["pointers"]["total"]:
        return [
            line("The lake is cut over: its catalogs point to the target. To verify:"),
            unwrapped(f"  migrator verify {name}"),
        ]
    but = f", but for {counted(there, 'table')} at the target already" if there else ""
    return [
        line(f"Readers and writers still use the old buckets{but}. Next:"),
        unwrapped(f"  migrator copy {name}       # again: only what is new"),
        unwrapped(f"  migrator cutover {name}    # once the writers have stopped"),
    ]


def cutover_question(plan: PlanDescription) -> str:
    """What ``cutover`` asks before it starts."""
    pointers = counted(plan["pointers"]["total"], "pointer")
    return f"Wait until nobody writes, copy what is new, and change {pointers}, now?"


def cutover_report(done: LiveCutover, plan: PlanDescription) -> Report:
    """The report of the migration, and how long the writers had to wait."""
    report = [*migration_report(done.migration, plan), *map(line, done.fence.lines)]
    if done.quiet_since is None or not done.held_up:
        return report
    longest = max(done.held_up.values())
    rows = sorted(done.held_up.items(), key=lambda item: -item[1])[:TABLES]
    more = len(done.held_up) - len(rows)
    return [
        *report,
        line(),
        line(f"Writers had to wait {longest:,.1f} s, from {done.quiet_since:%H:%M:%S} UTC on.", style="bold"),
        Grid(("table", "seconds until its pointer changed"), [(n, f"{s:,.1f}") for n, s in rows], numbers=(1,)),
        *([line(f"  … and {more:,} more")] if more else []),
    ]
