"""The report of ``migrator repair``: which tables name old buckets, which snapshots and writers did that, and what was
repaired."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.findings import counted
from migrator.reporting.rendering import Report, line, printable, size, unwrapped

if TYPE_CHECKING:
    from migrator.repair.stage import Repair, RepairedTable


def repair_report(done: Repair, plan: Path) -> Report:
    """How a repair ended, or what it would do."""
    if not done.tables:
        return [
            line(f"Nothing to repair: {counted(done.checked, 'table')} at the target name no old path.", style="green")
        ]
    report: Report = []
    for table in done.tables:
        report += _of_table(table)
    report.append(line())
    path = shlex.quote(printable(str(plan)))
    if not done.changed:
        report += [line("Nothing was changed. To repair, restart the engines that wrote this, then:")]
        return [*report, unwrapped(f"  migrator repair {path} --yes")]
    repaired = sum(table.new_metadata is not None for table in done.tables)
    style = "green" if done.ok else "red"
    report.append(line(f"Repaired {repaired} of {counted(len(done.tables), 'table')}. Now verify again:", style=style))
    return [*report, unwrapped(f"  migrator verify {path}")]


def _of_table(table: RepairedTable) -> Report:
    report: Report = [line(f"{table.table} names {counted(table.old_paths, 'old path')}:", style="yellow")]
    report += [line(f"  {example}") for example in table.examples]
    if table.old_paths > len(table.examples):
        report.append(line(f"  … and {table.old_paths - len(table.examples):,} more"))
    report += [line(f"  written by {snapshot}") for snapshot in table.snapshots]
    if table.trouble:
        report.append(line(f"  Not repaired: {table.trouble}", style="red"))
    elif table.new_metadata is not None:
        files = f"copied {counted(table.copied, 'file')} ({size(table.copied_bytes)})"
        report.append(line(f"  Repaired: {files}, rewrote {counted(table.rewritten, 'table file')}.", style="green"))
        if table.not_compared:
            report.append(line(f"  The rows were not compared: {table.not_compared}.", style="yellow"))
        if table.snapshot_id is not None:
            report.append(
                line(f"  Committed as snapshot {table.snapshot_id}; the snapshot before it has the tag {table.tag}.")
            )
    return report
