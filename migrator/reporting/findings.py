"""The findings of a plan, grouped by code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from migrator.findings import FindingDescription, counted, meaning_of
from migrator.reporting.rendering import Report, and_more, line

SIGNS = {"block": ("✖", "red"), "warn": ("▲", "yellow"), "info": ("·", "cyan")}
"""Severity → (sign, style)."""
PLACES = 3
"""How many places are shown for each code."""


EXPLAIN = '  "migrator explain CODE" says what a finding means and what to do.'


def finding_lines(findings: Sequence[FindingDescription]) -> Report:
    """For each code, in the order of the plan: how many places, the first of them, and what to do."""
    return [*grouped_findings(findings, PLACES), line(EXPLAIN)]


def grouped_findings(findings: Sequence[FindingDescription], places: int) -> Report:
    """The same without the last line. ``places``: how many places are shown for each code."""

    def kind(finding: FindingDescription) -> tuple[int, str]:
        return list(SIGNS).index(finding["severity"]), finding["code"]

    report: Report = []
    order = {key: number for number, key in enumerate(dict.fromkeys(map(kind, findings)))}
    for _, group in groupby(sorted(findings, key=lambda f: order[kind(f)]), key=kind):
        report += _lines_of_code(list(group), places)
    return report


def _lines_of_code(group: Sequence[FindingDescription], places: int) -> Report:
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
        report.append(line(*head, f"{counted(total, 'place')}: {_meaning(code)}"))
        shown = group[:places]
        report += [line(f"      {f['place']} {f['message']}") for f in shown]
        report += and_more(total - sum(finding["count"] for finding in shown), " " * 6)
    moves = dict.fromkeys(finding["next_move"] for finding in group[:places] if finding["next_move"])
    report += [line(f"      {move}") for move in moves]
    return report


def _meaning(code: str) -> str:
    """What a code means; "" for one that this version of migrator does not know."""
    try:
        return meaning_of(code)[1]
    except KeyError:
        return ""
