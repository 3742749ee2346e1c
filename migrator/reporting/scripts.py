"""The report of ``migrator rewrite-config``: what changes, what a person must look at, and what was not read."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from migrator.findings import counted
from migrator.reporting.rendering import Report, line, printable, unwrapped
from migrator.scripts.stage import RewrittenFiles


def rewritten_report(done: RewrittenFiles) -> Report:
    """The files that were changed."""
    report: Report = []
    for file in done.files:
        if file.written:
            kept = f"; the old text is in {file.backup}" if file.backup else ""
            report.append(unwrapped(f"{file.path}: {counted(len(file.changes), 'place')}{kept}"))
    return report


def summary_report(done: RewrittenFiles) -> Report:
    """Every place that a person must look at, as ``file:line: reason: text``, and the totals."""
    report: Report = [
        unwrapped(f"{file.path}:{doubt.line}: {doubt.reason}: {doubt.text}")
        for file in done.files
        for doubt in file.doubts
    ]
    report += [unwrapped(f"{one.path}: {one.reason}") for one in done.unsure]
    left = Counter(one.reason for one in done.skipped if not one.unsure)
    if left:
        report.append(line("Left alone: ", "; ".join(f"{count:,} × {reason}" for reason, count in left.items()), "."))
    changed = [file for file in done.files if (file.written if done.written else file.changes)]
    places = sum(len(file.changes) for file in changed)
    verb = "Changed" if done.written else "Would change"
    report.append(line(f"{verb} {counted(places, 'place')} in {counted(len(changed), 'file')}."))
    if not done.ok:
        looks = [counted(done.doubts, "place")] if done.doubts else []
        looks += [counted(len(done.unsure), "file")] if done.unsure else []
        report.append(line((f"Look at {' and '.join(looks)} yourself: see above.", "yellow")))
    return report


def terminal_diff(diff: str) -> Report:
    """A diff for a terminal, in colours and without control characters."""
    return [_diff_line(row) for row in diff.split("\n")[:-1]]


def _diff_line(row: str) -> Any:
    style = {"+": "green", "-": "red", "@": "cyan"}.get(row[:1], "")
    shown = unwrapped("    ".join(printable(part) for part in row.removesuffix("\r").split("\t")))
    shown.style = "bold" if row.startswith(("--- ", "+++ ")) else style
    return shown


def rewritten_json(done: RewrittenFiles) -> dict[str, Any]:
    """What ``rewrite-config --json`` prints."""
    return {
        "ok": done.ok,
        "write": done.written,
        "changes": done.changes,
        "doubts": done.doubts,
        "unchanged": done.unchanged,
        "files": [
            {
                "path": file.path,
                "changes": [asdict(change) for change in file.changes],
                "doubts": [asdict(doubt) for doubt in file.doubts],
                "written": file.written,
                "backup": file.backup,
            }
            for file in done.files
        ],
        "skipped": [asdict(one) for one in done.skipped],
    }
