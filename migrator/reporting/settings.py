"""The report of ``migrator settings``: the target's documents as a diff, and what is not carried over."""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator.findings import BLOCK, INFO, WARN
from migrator.reporting.rendering import Report, line, printable, unwrapped
from migrator.reporting.scripts import terminal_diff
from migrator.settings.commands import readable
from migrator.settings.kinds import NotCarried
from migrator.settings.translate import Change, Translation

if TYPE_CHECKING:
    from migrator.target.settings import AppliedSettings

_STYLES = {BLOCK: "red", WARN: "yellow", INFO: ""}
_HEADS = {
    BLOCK: "Decide this before anything is set",
    WARN: "Not carried over: check these yourself",
    INFO: "Good to know",
}


def settings_report(shown: Translation, plan: Path) -> Report:
    """What would be set on the target, and what a person must decide."""
    report = settings_diffs(shown.target, shown.changes) + not_carried_report(shown.not_carried)
    if not shown.changes:
        return [line(f"Nothing to set on s3://{shown.target}/.", style="green"), *report]
    if not shown.blocked:
        report += [line(), line("Nothing was set. To set this:"), _command(plan, "--apply")]
    return report


def applied_report(done: AppliedSettings, plan: Path) -> Report:
    """What was set on the target, and what was not."""
    shown = done.translation
    report = settings_diffs(shown.target, shown.changes)
    for setting, state in done.states.items():
        if state == "set":
            report.append(line(f"Set, and read back: {setting}.", style="green"))
        elif state == "waits":
            report.append(
                line(f"Not set yet: {setting}. Each copy would send an event. Run this again after the cutover.")
            )
        else:
            report.append(line(f"Refused by the server: {setting}: {done.reasons[setting]}", style="red"))
    if not done.states:
        report.append(line(f"Nothing to set on s3://{shown.target}/.", style="green"))
    report += not_carried_report(shown.not_carried)
    if "set" in done.states.values():
        report += [line(), line("To undo this:"), unwrapped(f"  migrator rollback {shlex.quote(printable(str(plan)))}")]
    return report


def iam_report(shown: Translation) -> Report:
    """What is added to a policy of users."""
    report = settings_diffs(shown.target, shown.changes)
    if not shown.changes:
        report.append(line("Nothing to add to this policy.", style="green"))
    return report + not_carried_report(shown.not_carried)


def not_carried_report(found: Iterable[NotCarried]) -> Report:
    """What is not carried over, the most urgent first."""
    report: Report = []
    for severity, head in _HEADS.items():
        these = [one for one in found if one.severity == severity]
        if these:
            report += [line(), line(head, style="bold")]
        for one in these:
            part = f" {one.part}" if one.part else ""
            move = f" {one.next_move}" if one.next_move else ""
            report.append(line("  ", (f"{one.setting}", _STYLES[severity]), f" {one.place}{part}: {one.reason}.{move}"))
    return report


def diff_of(bucket: str, setting: str, before: Any, after: Any) -> str:
    """Two documents as a unified diff."""
    old, new = ([] if one is None else json.dumps(one, indent=2).split("\n") for one in (before, after))
    name = f"s3://{bucket}/ {setting}"
    lines = difflib.unified_diff(old, new, f"{name} (now)", f"{name} (then)", n=2, lineterm="")
    return "".join(f"{row}\n" for row in lines)


def settings_diffs(bucket: str, changes: Iterable[Change]) -> Report:
    """The documents of a bucket before and after."""
    report: Report = []
    for change in changes:
        before, after = (readable(change.setting, one) for one in (change.before, change.after))
        report += [*terminal_diff(diff_of(bucket, change.setting, before, after)), line()]
    return report


def _command(plan: Path, option: str) -> Any:
    return unwrapped(f"  migrator settings {shlex.quote(printable(str(plan)))} {option}")


def settings_json(
    shown: Translation,
    plan: Path | None,
    states: Mapping[str, str] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What ``settings --json`` prints. ``states`` and ``reasons``: those of an :class:`AppliedSettings`."""
    refused = any(state == "refused" for state in (states or {}).values())
    waits = any(state == "waits" for state in (states or {}).values())
    return {
        "plan": str(plan),
        "target": shown.target,
        "ok": shown.ok and not refused and not waits,
        "blocked": shown.blocked,
        "applied": states is not None,
        "changes": [
            {
                "setting": change.setting,
                "before": readable(change.setting, change.before),
                "after": readable(change.setting, change.after),
                "state": (states or {}).get(change.setting, "shown"),
                "reason": (reasons or {}).get(change.setting, ""),
            }
            for change in shown.changes
        ],
        "not_carried": [asdict(one) for one in shown.not_carried],
    }
