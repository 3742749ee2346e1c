"""The page: what each part of a report says, put into the template. Pure.

Keys and names are untrusted: the template escapes every text, and control characters are shown as escapes.
"""

from __future__ import annotations

import hashlib
import shlex
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from migrator._version import __version__
from migrator.errors import ConfigError
from migrator.findings import FindingDescription, counted, meaning_of
from migrator.findings.explanations import EXPLANATIONS
from migrator.reporting.description import PlanDescription
from migrator.reporting.html import certificate as certificates
from migrator.reporting.html.certificate import MEANINGS, UNPROVEN, Certificate, certificate_of
from migrator.reporting.html.charts import (
    Chart,
    cutover_chart,
    flow_chart,
    size_chart,
    snapshot_chart,
    spanning_chart,
    table_bytes,
)
from migrator.reporting.html.facts import ReportFacts
from migrator.reporting.html.svg import NEXT, svg_of
from migrator.reporting.html.timeline import last_cutover, steps_of
from migrator.reporting.log import numbers_of
from migrator.reporting.plan import ACTIONS, STATES, UNREGISTERED_STATES, copies
from migrator.reporting.rendering import printable, size
from migrator.reporting.verification import amount
from migrator.reporting.what_it_takes import named_estimates

MARKER = "<!-- made by migrator report -->"
"""In the first line of every report, so that a new one may replace it."""
ROWS, PLACES, EVENTS = 200, 20, 100
"""At most so many rows of a table, places of a finding, and entries of the log; the page says what it leaves out."""
SEVERITIES = {
    "block": "Blocks the migration",
    "warn": "Warnings",
    "info": "For information",
}


@dataclass(frozen=True)
class Badge:
    """The state of a plan in a few words. ``tone``: good, wait or bad."""

    text: str
    tone: str


@dataclass(frozen=True)
class FindingGroup:
    """The findings of one code: what it means, where, and what to do."""

    code: str
    severity: str
    meaning: str
    why: str
    what_to_do: str
    count: int
    places: list[tuple[str, str]]
    more: int
    moves: list[str]


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
    )
    environment.filters.update(size=size, number="{:,}".format, amount=amount)
    style = files(__package__).joinpath("templates/style.css").read_text(encoding="utf-8")
    view = _view(facts)
    view["pictures"] = {chart.name: Markup(svg_of(chart.spec)) for chart in view["charts"].values()}
    page = environment.get_template("report.html.jinja").render(
        **view, marker=Markup(MARKER), style=Markup(style), style_hash=_hash(style)
    )
    return page if page.endswith("\n") else f"{page}\n"


def _hash(style: str) -> str:
    """For the page's Content-Security-Policy: no other style is applied."""
    return "sha256-" + b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _view(facts: ReportFacts) -> dict[str, Any]:
    """What the template shows."""
    plan, status = facts.plan, facts.status
    certificate = certificate_of(facts)
    steps = steps_of(facts.log.entries)
    made = [
        flow_chart(plan),
        size_chart(plan),
        spanning_chart(plan),
        snapshot_chart(plan),
        cutover_chart(last_cutover(steps)),
    ]
    return {
        "plan": plan,
        "status": status,
        "log": facts.log,
        "log_head": facts.log_head,
        "made": f"{facts.made:%Y-%m-%d %H:%M} UTC",
        "version": __version__,
        "badge": badge_of(plan, certificate),
        "summary": summary_of(plan),
        "next_moves": next_moves(plan, certificate),
        "figures": _figures(plan),
        "progress": _progress(facts),
        "estimates": named_estimates(plan["estimates"]),
        "charts": {chart.name: chart for chart in made if chart},
        "actions": _actions(plan),
        "tables": _tables(plan),
        "findings": finding_groups(plan["findings"]),
        "severities": SEVERITIES,
        "done": plan["phase"] in DONE,
        "certificate": certificate,
        "verdict": _VERDICTS[certificate.verdict],
        "proof_meanings": MEANINGS,
        "unproven": UNPROVEN,
        "steps": steps,
        "entries": [(e.at[:19].replace("T", " "), e.who, e.event, numbers_of(e.event, e.detail)) for e in _last(facts)],
        "rows": ROWS,
    }


def _last(facts: ReportFacts) -> Sequence[Any]:
    return facts.log.entries[-EVENTS:]


# -- in short ----------------------------------------------------------------------------------------------

_VERDICTS = {
    certificates.PROVEN: ("Verified: everything that was compared is as it must be.", "good"),
    certificates.PARTLY: (
        "Verified without a difference, but not everything is proven. See below what is not.",
        "wait",
    ),
    certificates.FAILED: ("Not proven: something differs, or could not be read.", "bad"),
    certificates.OUTDATED: (
        "Outdated: the plan was carried on after this verification. Verify again: what is below was true before.",
        "wait",
    ),
    certificates.EARLY: ("Verified before the cutover: the tables are still read from the old buckets.", "wait"),
    certificates.NEVER: ("Not verified yet: nothing is certified.", "wait"),
}
"""Verdict → what it says, and its tone."""
_PHASES = {
    "planned": Badge("Planned, nothing changed yet", "wait"),
    "copying": Badge("Copying has begun", "wait"),
    "rewriting": Badge("Copied; tables are being rewritten", "wait"),
    "ready for cutover": Badge("Ready for the cutover", "wait"),
    "cutting over": Badge("The cutover has begun", "bad"),
    "cut over in part": Badge("Cut over in part", "bad"),
    "cut over": Badge("Cut over, not verified yet", "wait"),
    "finished": Badge("Cut over and verified", "good"),
    "rolled back": Badge("Rolled back: the old buckets are in use", "wait"),
    "retiring": Badge("The old objects are being deleted", "wait"),
    "retired": Badge("Finished; the old objects are deleted", "good"),
}


def badge_of(plan: PlanDescription, certificate: Certificate) -> Badge:
    """Blocked and failed come first: nobody may take such a plan for a good one."""
    if plan["blocked"] and plan["phase"] in ("blocked", "planned"):
        return Badge("Blocked: see the findings", "bad")
    if certificate.verdict == certificates.FAILED:
        return Badge("The last verification found a difference, or could not read something", "bad")
    badge = _PHASES.get(plan["phase"], Badge(plan["phase"], "wait"))
    if badge.tone == "good" and certificate.verdict != certificates.PROVEN:
        return Badge(badge.text.replace("and verified", "and verified, with exceptions"), "wait")
    return badge


DONE = ("cut over", "finished", "retiring", "retired")
"""The phases in which everything that was planned is done."""


def summary_of(plan: PlanDescription) -> list[str]:
    """What happens, and what does not, in a few sentences; what happened, after the cutover."""
    done = plan["phase"] in DONE
    is_, are, have, change = ("was", "were", "have", "changed") if done else ("is", "are", "get", "change")
    moving = [p for p in plan["prefixes"] if p["target"] and p["objects"]]
    objects, total = sum(p["objects"] for p in moving), sum(p["bytes"] for p in moving)
    buckets = {p["source"].split("/")[2] for p in moving if p["source"].startswith("s3://")}
    target = f"s3://{plan['target_bucket']}/"
    must = "had to" if done else "must"
    where = "through the machine that runs migrator" if plan["streamed"] else "by the server itself"
    later = plan["later"]
    return [
        f"{counted(objects, 'object')} ({size(total)}) of {counted(len(buckets), 'bucket')} {have} their place in one "
        f"bucket, {target}: {_parts_of(plan, is_, are)}. Copies {are} made {where}.",
        "Iceberg tables name their files by absolute paths. Files with such paths get the new paths. Rows, snapshots "
        "and table names stay as they are.",
        f"Then {_pointers_of(plan)} {change} from the old metadata file to the new one. This is the cutover. Writers "
        f"{must} stop from the last copy until it {is_} verified; readers notice only the change.",
        "The old buckets are only read, and nothing is deleted, so there is a way back: “migrator rollback” points "
        "everything to the old place again. “migrator retire” deletes the old objects, days later, if you ask for it.",
        *(
            [f"{counted(later['tables'], 'table')} and {counted(later['objects'], 'object')} stay for a later wave."]
            if later
            else []
        ),
    ]


def _parts_of(plan: PlanDescription, is_: str, are: str) -> str:
    """``2 are copied as they are, 1 is rewritten``: parts that sum up to all objects."""
    counts = {name: total["objects"] for name, total in plan["actions"].items()}
    parts = [
        (copies(plan["actions"]), "copied as they are"),
        (counts["rewrite"], "rewritten"),
        (counts["pointer"], "written at the cutover (version hints)"),
    ]
    said = [f"{count:,} {is_ if count == 1 else are} {what}" for count, what in parts if count]
    if counts["same"]:
        said.append(f"{counts['same']:,} {'was' if counts['same'] == 1 else 'were'} there already")
    return ", ".join(said) or "nothing moves"


def _pointers_of(plan: PlanDescription) -> str:
    """``9 pointers in 2 catalogs (6 tables, 3 namespace properties)``."""
    pointers = plan["pointers"]
    names = (("tables", "table"), ("namespaces", "namespace property"), ("hints", "version hint"))
    kinds = [counted(pointers[key], name) for key, name in names if pointers[key]]
    where = f" in {counted(pointers['catalogs'], 'catalog')}" if pointers["catalogs"] else ""
    return f"{counted(pointers['total'], 'pointer')}{where}" + (f" ({', '.join(kinds)})" if kinds else "")


def next_moves(plan: PlanDescription, certificate: Certificate) -> list[tuple[str, str]]:
    """(what to do, command) for the state that the plan is in; the command may be empty."""
    name, phase = shlex.quote(printable(plan["plan"])), plan["phase"]
    blocks = sum(finding["severity"] == "block" for finding in plan["findings"])
    if blocks and phase in ("blocked", "planned"):
        return [
            (
                f"Solve {counted(blocks, 'finding')} that block the plan (see Findings), then plan again.",
                "migrator plan",
            )
        ]
    if phase in DONE:
        return _after_cutover(plan, certificate, name)
    if phase == "rolled back":
        return [("To begin anew, make a new plan.", "migrator plan")]
    moves = [("Read the findings, and what you must change outside the lake.", "")]
    if phase == "planned":
        moves.append(
            ("While the lake is in use, copy as often as you like. No pointer changes.", f"migrator copy {name}")
        )
        stop = "Stop all writers, then: copy what is new, rewrite, compare, cut over, verify. Start them again "
        stop += "afterwards, with the new settings (see “What you change outside the lake”)."
        moves.append((stop, f"migrator migrate {name}"))
    else:
        moves.append(("Continue: what is done is not done again.", f"migrator migrate {name}"))
    return moves


def _after_cutover(plan: PlanDescription, certificate: Certificate, name: str) -> list[tuple[str, str]]:
    moves = []
    if certificate.verdict == certificates.FAILED:
        moves.append(("Verify again; if it still differs, go back or repair.", f"migrator verify {name}"))
        moves.append(("Move what engines have committed with old paths.", f"migrator repair {name}"))
        moves.append(("Or undo the cutover.", f"migrator rollback {name}"))
        return moves
    moves.append(("Change what is outside the lake, see below, and restart running engines.", ""))
    moves.append(("Verify again at any time, also with every row and byte.", f"migrator verify --deep {name}"))
    if plan["phase"] not in ("retiring", "retired"):
        back = "If something is wrong: go back. What was committed since is named, and lost only if you say so."
        moves.append((back, f"migrator rollback {name}"))
        last = "Days later, when every table is in a catalog and nothing uses the old paths: delete the old objects."
        moves.append((last, f"migrator retire {name}"))
    return moves


def _figures(plan: PlanDescription) -> list[tuple[str, str]]:
    moving = [p for p in plan["prefixes"] if p["target"]]
    moved = [t for t in plan["tables"] if t["state"] in ("rewrite", "rewritten", "migrated")]
    return [
        ("objects", f"{sum(p['objects'] for p in moving):,}"),
        ("bytes", size(sum(p["bytes"] for p in moving))),
        ("tables and views", f"{len(moved):,}"),
        ("pointers changed" if plan["phase"] in DONE else "pointers to change", f"{plan['pointers']['total']:,}"),
        ("deleted by the migration", "0"),
    ]


def _progress(facts: ReportFacts) -> list[tuple[str, int, int, str]]:
    """(what, done, of how many, text); empty before anything was done."""
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


# -- parts -------------------------------------------------------------------------------------------------


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


def finding_groups(findings: Iterable[FindingDescription]) -> dict[str, list[FindingGroup]]:
    """Severity → its groups, each with the findings of one code, in the order of the plan."""
    by_code: dict[tuple[str, str], list[FindingDescription]] = {}
    for finding in findings:
        by_code.setdefault((finding["severity"], finding["code"]), []).append(finding)
    groups: dict[str, list[FindingGroup]] = {severity: [] for severity in SEVERITIES}
    for (severity, code), found in by_code.items():
        groups[severity].append(_group(severity, code, found))
    return groups


def _group(severity: str, code: str, found: list[FindingDescription]) -> FindingGroup:
    try:
        meaning = meaning_of(code)[1]
    except KeyError:  # of another version of migrator
        meaning = ""
    explanation = EXPLANATIONS.get(code)
    total = sum(finding["count"] for finding in found)
    shown = found[:PLACES]
    return FindingGroup(
        code,
        severity,
        meaning,
        explanation.why if explanation else "",
        explanation.what_to_do if explanation else "",
        total,
        [(finding["place"], finding["message"]) for finding in shown],
        total - sum(finding["count"] for finding in shown),
        list(dict.fromkeys(finding["next_move"] for finding in shown if finding["next_move"])),
    )


__all__ = ["MARKER", "Badge", "Chart", "FindingGroup", "badge_of", "finding_groups", "html_report", "next_moves"]
