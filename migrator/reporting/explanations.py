"""The reports of ``migrator explain``: all codes, or what one code means."""

from __future__ import annotations

from migrator.findings import AT_MIGRATION, AT_RETIRE, CODES
from migrator.findings.explanations import EXPLANATIONS
from migrator.reporting.findings import SIGNS
from migrator.reporting.rendering import Report, line, unwrapped


def explanation_report(code: str) -> Report:
    """What a code means, why it matters and what to do. KeyError for an unknown code."""
    severity, meaning = CODES.get(code) or ("block", {**AT_MIGRATION, **AT_RETIRE}[code])
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
    known = {**{code: ("block", meaning) for code, meaning in {**AT_MIGRATION, **AT_RETIRE}.items()}, **CODES}
    report: Report = []
    for code, (severity, meaning) in known.items():
        report.append(line("  ", SIGNS[severity], f" {code:<24} {meaning}"))
    return [*report, line('"migrator explain CODE" says more about one.')]
