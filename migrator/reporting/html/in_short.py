"""The first part of a report: the state of a plan, what happens and what does not, what to do next. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from migrator.findings import counted
from migrator.reporting.description import CARRIED_OUT, ROLLING_BACK, PlanDescription
from migrator.reporting.html import certificate as certificates
from migrator.reporting.html.certificate import Certificate
from migrator.reporting.plan import copies
from migrator.reporting.rendering import printable, size


@dataclass(frozen=True)
class Badge:
    """The state of a plan in a few words. ``tone``: good, wait or bad."""

    text: str
    tone: str


VERDICTS = {
    certificates.PROVEN: ("Verified: everything that was compared is as expected.", "good"),
    certificates.PARTLY: (
        "Verified without a difference, but not everything is proven. What is not proven is listed below.",
        "wait",
    ),
    certificates.FAILED: ("Not proven: something differs, or could not be read.", "bad"),
    certificates.OUTDATED: (
        "Outdated: the plan was continued after this verification. Verify again: the results below are older.",
        "wait",
    ),
    certificates.EARLY: ("Verified before the cutover: the tables are still read from the old buckets.", "wait"),
    certificates.NEVER: ("Not verified yet: nothing is certified.", "wait"),
}
"""Verdict → its text and its tone."""
_PHASES = {
    "planned": Badge("Planned, nothing changed yet", "wait"),
    "copying": Badge("Copying has begun", "wait"),
    "rewriting": Badge("Copied; tables are being rewritten", "wait"),
    "ready for cutover": Badge("Ready for the cutover", "wait"),
    "cutting over": Badge("The cutover has begun", "bad"),
    "cut over in part": Badge("Cut over in part", "bad"),
    "cut over": Badge("Cut over, not verified yet", "wait"),
    "finished": Badge("Cut over and verified", "good"),
    "rolling back": Badge("A rollback has begun", "bad"),
    "rolled back in part": Badge("Rolled back in part", "bad"),
    "rolled back": Badge("Rolled back: the old buckets are in use", "wait"),
    "retiring": Badge("The old objects are being deleted", "wait"),
    "retired": Badge("Finished; the old objects are deleted", "good"),
}


def badge_of(plan: PlanDescription, certificate: Certificate) -> Badge:
    """Blocked and failed come first, so that such a plan is never shown as good."""
    if plan["blocked"] and plan["phase"] in ("blocked", "planned"):
        return Badge("Blocked: see the findings", "bad")
    if certificate.verdict == certificates.FAILED:
        return Badge("The last verification found a difference, or could not read something", "bad")
    badge = _PHASES.get(plan["phase"], Badge(plan["phase"], "wait"))
    if badge.tone == "good" and certificate.verdict != certificates.PROVEN:
        return Badge(badge.text.replace("and verified", "and verified, with exceptions"), "wait")
    return badge


def summary_of(plan: PlanDescription) -> list[str]:
    """What happens, and what does not, in a few sentences; what happened, after the cutover."""
    done = plan["phase"] in CARRIED_OUT
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
        "The old buckets are only read, and nothing is deleted, so the cutover can be undone: “migrator rollback” "
        "points everything to the old place again. “migrator retire” deletes the old objects, days later, if you ask "
        "for it.",
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
    if phase in CARRIED_OUT:
        return _after_cutover(plan, certificate, name)
    if phase in ROLLING_BACK:
        return [("Finish the rollback: tables may be on both sides.", f"migrator rollback {name}")]
    if phase == "rolled back":
        return [("To start again, make a new plan.", "migrator plan")]
    moves = [("Read the findings, and what you must change outside the lake.", "")]
    if phase == "planned":
        moves.append(
            ("While the lake is in use, copy as often as you like. No pointer changes.", f"migrator copy {name}")
        )
        stop = "Stop all writers, then: copy what is new, rewrite, compare, cut over, verify. Start them again "
        stop += "afterwards, with the new settings (see “What you change outside the lake”)."
        moves.append((stop, f"migrator migrate {name}"))
    else:
        moves.append(("Continue: finished work is not repeated.", f"migrator migrate {name}"))
    return moves


def _after_cutover(plan: PlanDescription, certificate: Certificate, name: str) -> list[tuple[str, str]]:
    moves = []
    if certificate.verdict == certificates.FAILED:
        moves.append(("Verify again; if it still differs, undo the cutover or repair.", f"migrator verify {name}"))
        moves.append(("Move what engines have committed with old paths.", f"migrator repair {name}"))
        moves.append(("Or undo the cutover.", f"migrator rollback {name}"))
        return moves
    moves.append(("Change what is outside the lake, see below, and restart running engines.", ""))
    moves.append(("Verify again at any time, also with every row and byte.", f"migrator verify --deep {name}"))
    if plan["phase"] not in ("retiring", "retired"):
        back = (
            "If something is wrong, undo the cutover. Commits since then are listed, and lost only if you choose that."
        )
        moves.append((back, f"migrator rollback {name}"))
        last = "Days later, when every table is in a catalog and nothing uses the old paths: delete the old objects."
        moves.append((last, f"migrator retire {name}"))
    return moves


def figures_of(plan: PlanDescription) -> list[tuple[str, str]]:
    """(what, number) of the figures at the top."""
    moving = [p for p in plan["prefixes"] if p["target"]]
    moved = [t for t in plan["tables"] if t["state"] in ("rewrite", "rewritten", "migrated")]
    return [
        ("objects", f"{sum(p['objects'] for p in moving):,}"),
        ("bytes", size(sum(p["bytes"] for p in moving))),
        ("tables and views", f"{len(moved):,}"),
        (
            "pointers changed" if plan["phase"] in CARRIED_OUT else "pointers to change",
            f"{plan['pointers']['total']:,}",
        ),
        ("deleted by the migration", "0"),
    ]
