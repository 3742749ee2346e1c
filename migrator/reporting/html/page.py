"""The page: puts the parts of a report into the template. Pure.

Keys and names are untrusted: the template escapes every text, and control characters are shown as escapes.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from migrator._version import __version__
from migrator.errors import ConfigError
from migrator.findings import FindingDescription
from migrator.findings.explanations import EXPLANATIONS
from migrator.progress.wording import counted as amount
from migrator.reporting.description import CARRIED_OUT, PlanDescription
from migrator.reporting.findings import FindingGroup, groups_of
from migrator.reporting.html.certificate import MEANINGS, UNPROVEN, certificate_of
from migrator.reporting.html.charts import (
    cutover_chart,
    flow_chart,
    size_chart,
    snapshot_chart,
    spanning_chart,
    table_bytes,
)
from migrator.reporting.html.facts import ReportFacts
from migrator.reporting.html.in_short import VERDICTS, badge_of, figures_of, next_moves, summary_of
from migrator.reporting.html.svg import NEXT, svg_of
from migrator.reporting.html.timeline import last_cutover, steps_of
from migrator.reporting.log import moment, numbers_of
from migrator.reporting.plan import ACTIONS, STATES, UNREGISTERED_STATES
from migrator.reporting.rendering import printable, size
from migrator.reporting.what_it_takes import named_estimates

MARKER = "<!-- made by migrator report -->"
"""In the first line of every report, so that a new one may replace it."""
ROWS, PLACES, EVENTS = 200, 20, 100
"""At most this many rows of a table, places of a finding, and entries of the log; the page says how many it leaves
out."""
SEVERITIES = {
    "block": "Blocks the migration",
    "warn": "Warnings",
    "info": "For information",
}


def html_report(facts: ReportFacts) -> str:
    """The report as one HTML document that needs no network. Raises ConfigError if a package of the extra ``report`` is
    missing."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ConfigError("The package Jinja2, which writes the report, is missing.", next_move=NEXT) from error
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("migrator.reporting.html"),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(size=size, number="{:,}".format, amount=amount, moment=moment)
    style = files(__package__).joinpath("templates/style.css").read_text(encoding="utf-8")
    view = _view(facts)
    view["pictures"] = {chart.name: Markup(svg_of(chart.spec)) for chart in view["charts"].values()}
    return environment.get_template("report.html.jinja").render(
        **view, marker=Markup(MARKER), style=Markup(style), style_hash=_hash(style)
    )


def _hash(style: str) -> str:
    """The hash of the style, for the page's Content-Security-Policy: browsers apply no other style."""
    return "sha256-" + b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _view(facts: ReportFacts) -> dict[str, Any]:
    """The values for the template."""
    plan = facts.plan
    certificate = certificate_of(facts)
    made = [
        flow_chart(plan),
        size_chart(plan),
        spanning_chart(plan),
        snapshot_chart(plan),
        cutover_chart(last_cutover(steps_of(facts.log.entries))),
    ]
    return {
        "plan": plan,
        "log": facts.log,
        "log_head": facts.log_head,
        "made": f"{facts.made:%Y-%m-%d %H:%M} UTC",
        "version": __version__,
        "badge": badge_of(plan, certificate),
        "summary": summary_of(plan),
        "next_moves": next_moves(plan, certificate),
        "figures": figures_of(plan),
        "progress": _progress(facts),
        "estimates": named_estimates(plan["estimates"]),
        "charts": {chart.name: chart for chart in made if chart},
        "actions": _actions(plan),
        "tables": _tables(plan),
        "findings": _findings(plan["findings"]),
        "explanations": EXPLANATIONS,
        "severities": SEVERITIES,
        "done": plan["phase"] in CARRIED_OUT,
        "certificate": certificate,
        "verdict": VERDICTS[certificate.verdict],
        "proof_meanings": MEANINGS,
        "unproven": UNPROVEN,
        "entries": [(moment(e.at), e.who, e.event, numbers_of(e.event, e.detail)) for e in facts.log.entries[-EVENTS:]],
        "rows": ROWS,
    }


def _progress(facts: ReportFacts) -> list[tuple[str, int, int, str]]:
    """(what, number done, total, text); empty before anything was done."""
    status = facts.status
    if not any(entry.event == "started" for entry in facts.log.entries):
        return []
    rows = [
        ("objects", status.objects_done, status.objects, f"{status.objects_done:,} of {status.objects:,}"),
        ("bytes", status.bytes_done, status.bytes, f"{size(status.bytes_done)} of {size(status.bytes)}"),
        ("older versions", status.versions_done, status.versions, f"{status.versions_done:,} of {status.versions:,}"),
        ("pointers", status.pointers_changed, status.pointers, f"{status.pointers_changed:,} of {status.pointers:,}"),
    ]
    return [row for row in rows if row[2]]


# -- tables -------------------------------------------------------------------------------------------------


def _actions(plan: PlanDescription) -> list[tuple[str, str, str, str]]:
    return [
        (name, f"{total['objects']:,}", size(total["bytes"]), ACTIONS[name])
        for name, total in plan["actions"].items()
        if total["objects"]
    ]


def _tables(plan: PlanDescription) -> list[dict[str, Any]]:
    """The largest tables first."""

    def number(value: int | None) -> str:
        return "?" if value is None else f"{value:,}"

    ordered = sorted(plan["tables"], key=lambda t: (t["migratable"], -table_bytes(t), t["identifier"]))
    return [
        {
            "name": t["identifier"],
            "format": "view" if t["kind"] == "view" else f"v{t['format_version'] or '?'}",
            "snapshots": number(t["snapshots"]),
            "data": number(t["data_files"]),
            "deletes": number(t["delete_files"]),
            "size": size(table_bytes(t)) if t["data_bytes"] is not None else "?",
            "rewritten": number(t["rewrite_files"]),
            "state": (UNREGISTERED_STATES if t["catalog"] is None else STATES).get(t["state"], t["state"]),
            "problems": t["problems"],
            "new": t["new_location"] or "",
        }
        for t in ordered[:ROWS]
    ]


def _findings(findings: Sequence[FindingDescription]) -> dict[str, list[FindingGroup]]:
    """Severity → its groups."""
    groups = groups_of(findings, PLACES)
    return {severity: [group for group in groups if group.severity == severity] for severity in SEVERITIES}
