"""The report of ``migrator init``: what is made for a new lake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrator.reporting.rendering import Report, line, unwrapped
from migrator.reporting.settings import not_carried_report, settings_diffs, settings_json

if TYPE_CHECKING:
    from migrator.target.new_lake import MadeLake


def new_lake_report(made: MadeLake) -> Report:
    """What a new lake gets, or was given."""
    new, shown = made.new, made.settings
    there = "does not exist yet" if shown.missing else "exists; its settings stay"
    if made.applied is not None:
        there = "is there"
    report: Report = [line(f"s3://{new.bucket}/ {there}. Layers: {', '.join(new.layers)}.", style="bold")]
    report += [line(), *settings_diffs(new.bucket, shown.changes)]
    report += not_carried_report(shown.not_carried)
    if made.applied is None:
        report += [line(f"{made.file} is not written yet:")]
        report += [unwrapped(f"  {row}") for row in made.text.splitlines()]
        return [*report, line(), line("Nothing was made. To make this, add --yes.")]
    for setting, state in made.applied.states.items():
        if state == "set":
            report.append(line(f"Set, and read back: {setting}.", style="green"))
        else:
            reason = made.applied.reasons.get(setting, "")
            style = "yellow" if setting in made.by_default else "red"
            report.append(line(f"Refused by the server: {setting}: {reason}", style=style))
    report.append(line(f"Wrote {made.file}.", style="green"))
    return report


def new_lake_json(made: MadeLake) -> dict[str, Any]:
    """What ``init --json`` prints."""
    states = None if made.applied is None else made.applied.states
    reasons = None if made.applied is None else made.applied.reasons
    found = settings_json(made.settings, None, states, reasons)
    return {
        **{name: value for name, value in found.items() if name != "plan"},
        "ok": made.ok,
        "made": made.applied is not None,
        "layers": list(made.new.layers),
        "file": str(made.file),
    }
