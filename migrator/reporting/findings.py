"""The findings of a plan, grouped by code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from migrator.findings import CODES, FindingDescription, counted
from migrator.reporting.rendering import Report, and_more, line

SIGNS = {"block": ("✖", "red"), "warn": ("▲", "yellow"), "info": ("·", "cyan")}
"""Severity → (sign, style)."""
PLACES = 3
"""How many places are shown for each code."""


def finding_lines(findings: Sequence[FindingDescription]) -> Report:
    """For each code, in the order of the plan: how many places, the first of them, and what to do."""

    def kind(finding: FindingDescription) -> tuple[int, str]:
        return list(SIGNS).index(finding["severity"]), finding["code"]

    report: Report = []
    order = {key: number for number, key in enumerate(dict.fromkeys(map(kind, findings)))}
    for _, group in groupby(sorted(findings, key=lambda f: order[kind(f)]), key=kind):
        report += _lines_of_code(list(group))
    report.append(line('  "migrator explain CODE" says what a finding means and what to do.'))
    return report


def _lines_of_code(group: Sequence[FindingDescription]) -> Report:
    """``group``: the findings of one code."""
    code = group[0]["code"]
    sign, style = SIGNS[group[0]["severity"]]
    head = ("  ", (sign, style), " ", (code, style), ": ")
    report: Report = []
    if len(group) == 1:
        count = f" (×{group[0]['count']:,})" if group[0]["count"] > 1 else ""
        report.append(line(*head, f"{group[0]['place']} {group[0]['message']}{count}"))
    else:
        total = sum(finding["count"] for finding in group)
        report.append(line(*head, f"{counted(total, 'place')}: {CODES[code][1] if code in CODES else ''}"))
        shown = group[:PLACES]
        report += [line(f"      {f['place']} {f['message']}") for f in shown]
        report += and_more(total - sum(finding["count"] for finding in shown), " " * 6)
    moves = dict.fromkeys(finding["next_move"] for finding in group[:PLACES] if finding["next_move"])
    report += [line(f"      {move}") for move in moves]
    return report
