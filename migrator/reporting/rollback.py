"""The report of ``migrator rollback``: which tables are in the old place again, and what the user must change back."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from migrator.findings import counted
from migrator.reporting.description import PlanDescription
from migrator.reporting.migration import plan_command
from migrator.reporting.rendering import Grid, Report, line, printable, size, unwrapped

if TYPE_CHECKING:
    from rich.text import Text

    from migrator.rollback.bring_back import BroughtBack
    from migrator.rollback.stage import Rollback


def rollback_question(
    plan: PlanDescription, *, discard_newer: bool, bring_back: bool, settings: Sequence[str] = (), pointers: bool = True
) -> str:
    """What ``rollback`` asks before it starts. ``settings``: those of the target that get their old documents back;
    ``pointers``: whether there are pointers to put back."""
    old = f"the target its old {', '.join(settings)} back"
    if not pointers:
        return f"Give {old}, now?"
    also = f", and give {old}" if settings else ""
    losing = ", also of tables that would lose commits" if discard_newer else ""
    first = "Copy what was committed since to the old buckets, and point" if bring_back else "Point"
    return f"{first} {counted(plan['pointers']['total'], 'pointer')} to the old buckets again{losing}{also}, now?"


def rollback_report(done: Rollback, plan: PlanDescription) -> Report:
    """How a rollback ended. ``plan``: as described before."""
    if done.nothing_to_do:
        nothing = "Nothing to roll back: this plan changed no pointer, or was rolled back already."
        return [line(nothing, style="green"), *map(line, done.fence), *map(line, done.settings)]
    report: Report = [
        line(
            f"Rolled back: {counted(len(done.put_back), 'table')} and {counted(done.namespaces, 'namespace property')} "
            "point to the old place again.",
            style="green",
        )
    ]
    if done.already:
        were = "was" if len(done.already) == 1 else "were"
        report.append(line(f"{counted(len(done.already), 'table')} {were} there already."))
    brought = {kept.table for kept in done.brought_back}
    if never := [name for name in done.by_hint if name not in brought]:
        report.append(line(f"{counted(len(never), 'table')} of Hadoop catalogs: their old place was never changed."))
    report += map(_brought_back, done.brought_back)
    if done.discarded:
        report.append(line("Given up, as requested; the files are still at the target:", style="yellow"))
        report += [line(f"  {place.lost}") for place in done.discarded]
    if done.kept_pointers:
        report.append(line("Set to something else in the old buckets since, and left so:", style="yellow"))
        report += [line(f"  {left}") for left in done.kept_pointers]
    if done.kept_properties:
        report.append(line("Set to something else since, and left unchanged:", style="yellow"))
        report += [line(f"  {left}") for left in done.kept_properties]
    report += map(line, [*done.fence, *done.settings])
    rows = [(c["what"], c["after"], "→", c["before"]) for c in plan["changes"]]
    return [
        *report,
        line(),
        line("What you must change back now", style="bold"),
        Grid(("", "now", "", "before"), rows),
        line("  Restart running engines: a session that has a table in its cache still writes to the target."),
        line(),
        *_to_migrate_again(done, plan),
    ]


def _brought_back(kept: BroughtBack) -> Text:
    unread = f" The rows were not counted: {kept.not_compared}." if kept.not_compared else ""
    return line(
        f"{kept.table} kept {counted(kept.commits, 'commit')}: copied {counted(kept.copied, 'file')} "
        f"({size(kept.copied_bytes)}) and rewrote {counted(kept.rewritten, 'file')} to the old place." + unread
    )


def _to_migrate_again(done: Rollback, plan: PlanDescription) -> Report:
    """After commits were given up or brought back, the plan no longer describes the target or the old tables; nor
    where somebody has set a table to something else."""
    if done.discarded or done.brought_back or done.kept_pointers:
        return [line("To migrate again, make a new plan:"), unwrapped(f"  {plan_command(plan)} -o NEW.db")]
    return [
        line("To migrate again: the same plan, or a new one if the old buckets were written to meanwhile:"),
        unwrapped(f"  migrator migrate {shlex.quote(printable(plan['plan']))}"),
    ]
