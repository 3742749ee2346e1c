"""The report of a verification: what was compared, with counts, and what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from migrator.findings import counted
from migrator.progress.wording import counted as amount
from migrator.reporting.rendering import Grid, Report, and_more, line, size
from migrator.reporting.unregistered import unregistered_at_target
from migrator.results import SourceChanges
from migrator.verifying.checks import DIFFERENT, ERROR, NOT_COMPARED, Check, PrefixTotal, Verification

SIGNS = {DIFFERENT: ("✖", "red"), ERROR: ("!", "red"), NOT_COMPARED: ("–", "yellow")}
"""Result of a check → (sign, style); any other has passed."""
PASSED = ("✔", "green")
NOTES = 10
"""How many notes of a check are shown."""
REASONS = 3
"""How many reasons why something was not compared are in the last lines."""


def verification_report(verification: Verification) -> Report:
    """Each check with its counts and problems; at the end, the result of all checks together."""
    return check_lines(verification) + conclusion(verification)


def check_lines(verification: Verification) -> Report:
    """The totals of each prefix, and each check."""
    report: Report = [line("Verification", style="bold")]
    if verification.prefixes:
        head = ("prefix", "planned", "size", "present", "size")
        report.append(Grid(head, [_totals(total) for total in verification.prefixes], numbers=(1, 2, 3, 4)))
    for check in verification.checks:
        report += _lines_of_check(check)
    return report


def conclusion(verification: Verification) -> Report:
    """The last lines. They say "everything" only if everything was compared and nothing is left to do."""
    report = _failures(verification) + not_compared(verification.checks)
    if verification.superseded_by:
        text = f"This plan is superseded by a newer plan: {verification.superseded_by}. Verify that one."
        report.append(line(text, style="red"))
    if verification.late:
        report.append(line(_left_behind(verification.late), style="yellow"))
    compared = any(check.checked for check in verification.checks)
    if not report and not compared:
        report.append(line("Nothing was compared: the plan puts nothing at the target.", style="yellow"))
    unregistered = unregistered_at_target([table.to_json() for table in verification.unregistered])
    if not report and not unregistered:
        done = "Everything is as expected." if verification.cut_over else "Everything so far is as expected."
        report.append(line(done, style="green"))
    elif verification.ok and compared:
        report.insert(0, line("No difference was found.", style="green"))
    if verification.not_recorded:
        text = "The plan's log has no entry for this verification, so reports do not include it: "
        unregistered.append(line(text, verification.not_recorded, style="" if verification.ok else "red"))
    return report + unregistered


def not_compared(checks: Iterable[Check]) -> Report:
    """One line that sums up what could not be compared, and why."""
    reasons: Counter[tuple[str, str]] = Counter()
    for check in checks:
        for reason, count in check.reasons.items():
            reasons[check.unit, reason] += count
    if not reasons:
        return []
    shown = "; ".join(f"{amount(count, unit)}: {reason}" for (unit, reason), count in reasons.most_common(REASONS))
    more = f"; and for {len(reasons) - REASONS} more reasons, listed above" if len(reasons) > REASONS else ""
    return [line(f"Not compared: {shown}{more}.", style="yellow")]


def _failures(verification: Verification) -> Report:
    errors = sum(check.errors for check in verification.checks)
    differences = sum(check.failed for check in verification.checks) - errors
    report: Report = []
    if differences:
        report.append(line(f"{counted(differences, 'difference')}.", style="red"))
    if verification.cut_over and any(check.failed for check in verification.checks if check.unit == "paths"):
        report.append(line('Old paths were committed after the cutover: "migrator repair PLAN" moves their files.'))
    if errors:
        text = f"{counted(errors, 'read')} failed, so something could not be compared: run the same command again."
        report.append(line(text, style="red"))
    return report


def _left_behind(late: SourceChanges) -> str:
    return f"Left behind in the old buckets: {late}; these changes were made after planning."


def _totals(total: PrefixTotal) -> tuple[str, ...]:
    return (
        total.prefix or "/",
        f"{total.planned_objects:,}",
        size(total.planned_bytes),
        f"{total.present_objects:,}",
        size(total.present_bytes),
    )


def _lines_of_check(check: Check) -> Report:
    """The lines of one check, with a tick only if it compared something. A check that had nothing to do is left out."""
    if not (check.checked or check.failed or check.reasons):
        return []
    report: Report = [line("  ", SIGNS.get(check.result, PASSED), f" {check.name}: {', '.join(_counts(check))}")]
    if len(check.reasons) > 1:
        report += [line(f"      {count:,}: {reason}") for reason, count in check.reasons.most_common()]
    report += [line(f"      {problem}") for problem in check.problems]
    report += and_more(check.failed - len(check.problems), " " * 6)
    report += [line(f"      note: {note}") for note in check.notes[:NOTES]]
    if len(check.notes) > NOTES:
        report.append(line(f"      note: and {len(check.notes) - NOTES} more"))
    return report


def _counts(check: Check) -> list[str]:
    """``5 files checked``, ``1 wrong``, …: all counts that are not zero."""
    counts = [f"{amount(check.checked, check.unit)} checked"] if check.checked or check.failed else []
    differences = check.failed - check.errors
    counts += [f"{differences:,} wrong"] if differences else []
    counts += [f"{check.errors:,} could not be read now"] if check.errors else []
    if check.reasons:
        only = f" ({next(iter(check.reasons))})" if len(check.reasons) == 1 else ""
        counts.append(f"not compared: {amount(check.not_compared, check.unit)}{only}")
    return counts
