"""The reports of ``migrator explain``: all codes, or what one code means."""

from __future__ import annotations

from migrator.findings import AT_CHECK, AT_MIGRATION, AT_RETIRE, CODES, meaning_of
from migrator.findings.explanations import EXPLANATIONS
from migrator.reporting.findings import SIGNS
from migrator.reporting.rendering import Report, line, unwrapped


def explanation_report(code: str) -> Report:
    """What a code means, why it matters and what to do. KeyError for an unknown code."""
    severity, meaning = meaning_of(code)
    sign, style = SIGNS[severity]
    report: Report = [line((f"{sign} {code}", style), f" ({severity}): {meaning}.")]
    explanation = EXPLANATIONS.get(code)
    if explanation is None:
        return report
    report += [line(), line(f"Why it matters: {explanation.why}"), line()]
    report.append(line(f"What to do: {explanation.what_to_do}"))
    if explanation.example:
        report += [line(), line("Example:"), *(unwrapped(f"  {text}") for text in explanation.example.split("\n"))]
    return report


def codes_report() -> Report:
    """Every code with its meaning."""
    report: Report = []
    for code in (*AT_MIGRATION, *AT_RETIRE, *CODES, *AT_CHECK):
        severity, meaning = meaning_of(code)
        report.append(line("  ", SIGNS[severity], f" {code:<24} {meaning}"))
    return [*report, line('"migrator explain CODE" says more about one.')]
