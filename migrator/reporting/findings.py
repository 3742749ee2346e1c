"""The findings of a plan, grouped by code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.findings import FindingDescription, counted, meaning_of
from migrator.reporting.rendering import Report, and_more, line

SIGNS = {"block": ("✖", "red"), "warn": ("▲", "yellow"), "info": ("·", "cyan")}
"""Severity → (sign, style)."""
PLACES = 3
"""How many places are shown for each code."""


EXPLAIN = '  "migrator explain CODE" shows what a finding means and what to do.'


def finding_lines(findings: Sequence[FindingDescription]) -> Report:
    """For each code, in the order of the plan: how many places, the first of them, and what to do."""
    return [*grouped_findings(findings, PLACES), line(EXPLAIN)]


def grouped_findings(findings: Sequence[FindingDescription], places: int) -> Report:
    """The same without the last line. ``places``: how many places are shown for each code."""

    return [part for group in groups_of(findings, places) for part in _lines_of_group(group)]


@dataclass(frozen=True)
class FindingGroup:
    """The findings of one code and severity. ``meaning``: "" for a code that this version of migrator does not know.
    ``shown``: the first of ``all``; ``total`` counts the places of all, ``more`` those that are not shown."""

    severity: str
    code: str
    meaning: str
    all: Sequence[FindingDescription]
    shown: Sequence[FindingDescription]
    total: int
    more: int
    moves: Sequence[str]
    """What to do about those that are shown, each once."""


def groups_of(findings: Sequence[FindingDescription], places: int) -> list[FindingGroup]:
    """The findings grouped by severity and code, in the order of the plan. ``places``: how many are shown of each."""
    by_code: dict[tuple[str, str], list[FindingDescription]] = {}
    for finding in findings:
        by_code.setdefault((finding["severity"], finding["code"]), []).append(finding)
    return [_group(severity, code, group, places) for (severity, code), group in by_code.items()]


def _group(severity: str, code: str, group: Sequence[FindingDescription], places: int) -> FindingGroup:
    try:
        meaning = meaning_of(code)[1]
    except KeyError:
        meaning = ""
    shown, total = group[:places], sum(finding["count"] for finding in group)
    more = total - sum(finding["count"] for finding in shown)
    moves = dict.fromkeys(finding["next_move"] for finding in shown if finding["next_move"])
    return FindingGroup(severity, code, meaning, group, shown, total, more, list(moves))


def _lines_of_group(group: FindingGroup) -> Report:
    sign, style = SIGNS[group.severity]
    head = ("  ", (sign, style), " ", (group.code, style), ": ")
    report: Report = []
    if len(group.all) == 1:
        (one,) = group.all
        count = f" (×{one['count']:,})" if one["count"] > 1 else ""
        report.append(line(*head, f"{one['place']} {one['message']}{count}"))
    else:
        report.append(line(*head, f"{counted(group.total, 'place')}: {group.meaning}"))
        report += [line(f"      {finding['place']} {finding['message']}") for finding in group.shown]
        report += and_more(group.more, " " * 6)
    return report + [line(f"      {move}") for move in group.moves]
