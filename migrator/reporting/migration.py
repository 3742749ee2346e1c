"""The report of a migration: what was done, what was verified, and what the user must do now."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from migrator.findings import counted
from migrator.planfile.copied import KIND_CHANGED, LOST
from migrator.reporting.description import PlanDescription
from migrator.reporting.plan import copies, nothing_to_do
from migrator.reporting.rendering import Grid, Report, line, printable, size, unwrapped
from migrator.reporting.unregistered import unregistered_at_target
from migrator.reporting.verification import check_lines, conclusion, not_compared

if TYPE_CHECKING:
    from migrator.migration import Migration
    from migrator.results import RunResult

CHECKSUMS = {
    KIND_CHANGED: "got a checksum over all bytes (FULL_OBJECT) instead of one over the parts (COMPOSITE): this server "
    "cannot copy parts into an upload with a checksum",
    LOST: "got no checksum, although the old server keeps one with the source",
}
"""Why the checksum of a copy is not that of its source. Follows "1 object" or "2 objects"."""


def migration_report(migration: Migration, plan: PlanDescription) -> Report:
    """How a migration ended, and what the user must do now. ``plan``: as described before the migration."""
    name = shlex.quote(printable(plan["plan"]))
    if migration.nothing_to_do:
        verify = line(f"To verify: migrator verify {name}")
        unregistered = unregistered_at_target(unregistered_tables(migration, plan))
        return [line(nothing_to_do(plan), style="green"), verify, *unregistered]
    if migration.verification is None:
        return _done(migration.outcome, plan) + not_compared(migration.compared) + _next_after_no_cutover(plan, name)
    checks, end = check_lines(migration.verification), conclusion(migration.verification)
    if not plan["changes_pending"]:
        return [line(nothing_to_do(plan), style="green"), line(), *checks, *end]
    rows = [(c["what"], c["before"], "→", c["after"]) for c in plan["changes"]]
    return [
        *_done(migration.outcome, plan),
        line(),
        *checks,
        line(),
        line("What you must change now", style="bold"),
        Grid(("", "before", "", "after"), rows),
        line("  Restart running engines: a session that has a table in its cache still writes to the old place."),
        line(),
        line(f"To verify again, at any time: migrator verify {name}"),
        *end,
    ]


def unregistered_tables(migration: Migration, plan: PlanDescription) -> list[dict[str, str]]:
    """The tables that no given catalog names at the target: found by the verification, or else by the plan."""
    if migration.verification is None:
        return list(plan["unregistered"])
    return [table.to_json() for table in migration.verification.unregistered]


def plan_command(plan: PlanDescription) -> str:
    """The ``migrator plan`` command with the options that this plan was made with."""
    words = ["migrator", "plan"]
    if plan["config"]:
        words += ["--config", plan["config"]]
    else:
        words += ["--endpoint-url", plan["endpoint_url"], "--target", plan["target_bucket"]]
        if plan["streamed"]:
            words += ["--target-endpoint-url", plan["target_endpoint_url"]]
        for catalog in plan["catalogs"]:
            words += ["--catalog", catalog]
    for rule in plan["rules"]:
        words += ["--rule", rule]
    if plan["all_versions"]:
        words.append("--all-versions")
    if plan["object_lock"]:
        words.append("--object-lock")
    return shlex.join(words)


def _done(done: RunResult, plan: PlanDescription) -> Report:
    """What this run did, compared with the numbers in the plan."""
    older = ""
    if done.copied_versions:
        older = f", {counted(done.copied_versions, 'older version')} ({size(done.copied_version_bytes)})"
    text = (
        f"Copied {counted(done.copied, 'object')} ({size(done.copied_bytes)}){older}, rewrote "
        f"{counted(done.rewritten, 'file')}, changed {counted(done.pointers_now, 'pointer')}."
    )
    if done.pointers_now < done.pointers:
        points = "1 pointer points" if done.pointers == 1 else f"{done.pointers:,} pointers point"
        text += f" Now {points} to the target: an earlier run changed the others."
    planned = copies(plan["actions"]), plan["actions"]["rewrite"]["objects"]
    if plan["phase"] != "planned" and (done.copied, done.rewritten) != planned:
        text += f" (Of {planned[0]:,} and {planned[1]:,} in the plan: earlier runs did the others.)"
    return [line(text), *proof_lines(done), *(line(note) for note in done.notes)]


def proof_lines(done: RunResult) -> Report:
    """The proofs of the copies, the checksums that changed, and the attributes that the target's server dropped."""
    report: Report = []
    if done.proofs:
        proofs = ", ".join(f"{proof} {count:,}" for proof, count in done.proofs.most_common())
        rate = f" at {done.copied / done.copy_seconds:,.0f} objects/s" if done.copy_seconds > 1 else ""
        report.append(line(f"Proven by {proofs}{rate}."))
    for fate, meaning in CHECKSUMS.items():
        if count := done.checksums[fate]:
            report.append(line(f"{counted(count, 'object')} {meaning}."))
    for kind, loss in sorted(done.dropped.items()):
        text = f"{counted(loss.objects, 'object')} lost {kind}, which the target's server does not keep, such as "
        report.append(line(f"{text}{printable(loss.example)}.", style="yellow"))
    return report


def _next_after_no_cutover(plan: PlanDescription, name: str) -> Report:
    """What to do after ``migrate --no-cutover``. Making a new plan also works if the lake was written to meanwhile."""
    return [
        line("No cutover yet: readers and writers still use the old buckets."),
        line("Next, once all writers have stopped, plan again and migrate the new plan:", style="bold"),
        unwrapped(f"  {plan_command(plan)} -o NEW.db"),
        unwrapped("  migrator migrate NEW.db"),
        line("That copies and rewrites only what is new."),
        line("If nothing was written to the old buckets since this plan was made, you can migrate this plan:"),
        unwrapped(f"  migrator migrate {name}"),
    ]
