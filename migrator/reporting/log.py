"""The report of ``migrator log``: everything that was done with a plan, and whether the log was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migrator.findings import counted
from migrator.planfile import log
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import COMPARED, COPIED, RETIRE_BEGUN, RETIRED, SETTING_SET, SETTING_UNDONE, VERIFIED
from migrator.reporting.rendering import Grid, Report, line, printable, size

MAX_VALUE = 200
"""How many characters of one value a report shows; the JSON has all."""


@dataclass(frozen=True)
class PlanLog:
    """The log of a plan. ``changed``: how it differs from what migrator wrote; empty if it does not. ``not_checked``:
    why it could not be compared with the target's record; None if it was."""

    plan: str
    created: str
    digest: str
    entries: tuple[log.Entry, ...]
    changed: str = ""
    not_checked: str | None = None

    @property
    def intact(self) -> bool:
        """False if an entry was changed, removed or inserted."""
        return not self.changed

    def to_json(self) -> dict[str, Any]:
        """The keys and values of ``migrator log --json``."""
        return {
            "plan": self.plan,
            "created": self.created,
            "digest": self.digest,
            "intact": self.intact,
            "changed": self.changed or None,
            "not_checked": self.not_checked,
            "entries": [entry.to_json() for entry in self.entries],
        }


def read_log(plan: PlanFile) -> PlanLog:
    """The log of a plan, checked entry by entry."""
    header, entries = plan.header(), tuple(log.entries(plan.db))
    return PlanLog(str(plan.path), header["created"], header["digest"], entries, log.difference(plan.db))


def log_report(found: PlanLog) -> Report:
    """One line per entry: when, who, what, and its numbers."""
    rows = [(moment(e.at), printable(e.who), e.event, numbers_of(e.event, e.detail)) for e in found.entries]
    report: Report = [line(f"{found.plan}: made {found.created}, digest {found.digest[:16]}…", style="bold")]
    report.append(Grid(("UTC", "who", "what", ""), rows))
    if found.changed:
        report.append(line(f"The log was changed: {found.changed}.", style="red"))
    else:
        report.append(line(f"The log was not changed: {len(rows):,} entries, chained by SHA-256.", style="green"))
    if found.not_checked:
        report.append(line(f"Not compared with the target's record: {found.not_checked}", style="yellow"))
    return report


def moment(at: str) -> str:
    """When an entry was written, in UTC and without parts of a second: ``2026-11-27 12:00:07``."""
    return at[:19].replace("T", " ")


def numbers_of(event: str, detail: Mapping[str, Any]) -> str:
    """The details of an entry in one line."""
    if event == COPIED:
        proofs = ", ".join(f"{proof} {count:,}" for proof, count in detail["proofs"].items())
        objects, versions = counted(detail["objects"], "object"), counted(detail["versions"], "older version")
        copied = f"{objects} ({size(detail['bytes'])}), {versions}"
        return f"{copied}; proven by {proofs}" if proofs else copied
    if event in (COMPARED, VERIFIED):
        checks = detail["checks"]
        counts = {key: sum(check[key] for check in checks) for key in ("checked", "failed", "not_compared")}
        deep = "with --deep, " if detail.get("deep") else ""
        numbers = f"{deep}{len(checks)} checks: {counts['checked']:,} compared, {counts['failed']:,} differ"
        return f"{numbers}, {counts['not_compared']:,} not compared"
    if event in (RETIRE_BEGUN, RETIRED):
        buckets = detail["buckets"].values()
        total, bytes_ = (sum(bucket[key] for bucket in buckets) for key in ("objects", "bytes"))
        failed = sum(bucket.get("not_deleted", 0) for bucket in buckets)
        numbers = f"{counted(total, 'object')} ({size(bytes_)}) of {counted(len(buckets), 'bucket')}"
        return f"{numbers}, {failed:,} not deleted" if failed else numbers
    if event in (SETTING_SET, SETTING_UNDONE):  # the documents are in the JSON
        how = f": {detail['how']}" if "how" in detail else ""
        return f"{detail['setting']} of {printable(detail['bucket'])}{how}"
    if event == log.RENEWED:
        return f"digest of the plan {detail['digest'][:16]}…"
    return ", ".join(f"{key} {_short(value)}" for key, value in detail.items() if value != [])


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and all(isinstance(v, Mapping) for v in value.values()):  # pointers
        return f"of {len(value):,} tables" if len(value) != 1 else f"of {printable(next(iter(value)))}"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return printable(text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…")
