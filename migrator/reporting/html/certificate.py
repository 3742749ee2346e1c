"""The certificate of a plan: what its last verification compared, who ran it and when, and what was not compared. Pure.

Only what an entry of the log proves is called proven. The certificate names everything that happened after that entry,
and everything that the entry lacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from migrator.findings import counted
from migrator.planfile.copied import CHECKSUM, ETAG, MD5, NONE, SHA256
from migrator.planfile.journal import (
    BROUGHT_BACK,
    COPIED,
    CUTOVER_BEGUN,
    CUTOVER_DONE,
    REPAIRED,
    ROLLBACK_BEGUN,
    ROLLED_BACK,
    STARTED,
    VERIFIED,
    VERIFY_FAILED,
)
from migrator.planfile.log import RENEWED, Entry
from migrator.progress.wording import counted as amount
from migrator.reporting.html.facts import REWRITTEN, WAITING, Proven, ReportFacts
from migrator.reporting.log import moment
from migrator.verifying.checks import DIFFERENT, ERROR, NOT_COMPARED, SAME

PROVEN, PARTLY, FAILED, OUTDATED, EARLY, NEVER = "proven", "partly", "failed", "outdated", "early", "never"
"""The verdicts of a certificate."""
MEANINGS = {
    ETAG: "the copy has the ETag of its source",
    CHECKSUM: "both servers keep the same checksum",
    MD5: "the MD5 of the bytes that were read or sent is the ETag",
    SHA256: "source and copy were both read and hashed",
    NONE: "not proven when it was copied",
    "same": "was at the target already, equal to its source, when the plan was made",
    REWRITTEN: "written by migrator with new paths, so never equal to the source: see the checks for what was compared",
    WAITING: "not at the target yet, according to the journal",
}
"""Proof → what it means."""
UNPROVEN = (NONE, WAITING)
CHANGING = (STARTED, RENEWED, CUTOVER_BEGUN, REPAIRED, ROLLBACK_BEGUN, BROUGHT_BACK, ROLLED_BACK)
"""Events after which an earlier verification proves nothing about the present target."""


@dataclass(frozen=True)
class CheckLine:
    """One check of a verification, with its numbers. ``result``: one of those of
    :class:`migrator.verifying.checks.Check`."""

    name: str
    unit: str
    result: str
    checked: int
    failed: int
    not_compared: int
    reasons: dict[str, int]
    problems: list[str]


@dataclass(frozen=True)
class Certificate:
    """``verdict``: one of :data:`PROVEN`, … ``exceptions``: sentences that say what is not proven, and why."""

    verdict: str
    at: str = ""
    who: str = ""
    version: str = ""
    deep: bool = False
    checks: list[CheckLine] = field(default_factory=list)
    proofs: list[Proven] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    earlier: str = ""
    """What an earlier verification with --deep compared in addition, if nothing was done with the plan since."""

    @property
    def compared(self) -> list[CheckLine]:
        """The checks that compared something."""
        return [check for check in self.checks if check.checked or check.failed]


def certificate_of(facts: ReportFacts) -> Certificate:
    """The certificate of a plan, from the log: the last verification since the last rollback."""
    entry, later, earlier = _last_verification(facts.log.entries)
    if entry is None:
        return Certificate(FAILED if facts.log.changed else NEVER, proofs=facts.proofs, exceptions=_from_log(facts))
    checks = [_check(check) for check in entry.detail.get("checks", [])]
    deep = bool(entry.detail.get("deep", False))
    exceptions = [
        *_from_checks(checks, deep=deep),
        *_from_entry(entry.detail),
        *_from_copies(facts.proofs),
        *_from_journal(facts),
        *_failed_later(facts.log.entries, entry),
        *_from_log(facts),
    ]
    verdict = _verdict(facts, entry.detail, checks, later, exceptions)
    more = _also_compared(earlier, checks) if earlier is not None and not deep else ""
    return Certificate(verdict, entry.at, entry.who, entry.version, deep, checks, facts.proofs, exceptions, more)


def _last_verification(entries: Sequence[Entry]) -> tuple[Entry | None, list[str], Entry | None]:
    """The last verification since the last rollback, the events after it, and the last one with --deep before it that
    still holds."""
    last: Entry | None = None
    earlier: Entry | None = None
    later: list[str] = []
    for entry in entries:
        if entry.event == VERIFIED:
            since = entry.detail.get("log_entries", entry.number - 1)
            missed = [one.event for one in entries[: entry.number] if since < one.number < entry.number]
            if ROLLED_BACK in missed:  # it read the target during a rollback
                last, later, earlier = None, [], None
                continue
            holds = last is not None and not set(later) & set(CHANGING)
            if last is not None and holds and last.detail.get("deep") and last.detail.get("ok"):
                earlier = last
            last, later = entry, [event for event in missed if event in CHANGING]
        elif entry.event == ROLLED_BACK:
            last, later, earlier = None, [], None
        else:
            later.append(entry.event)
            earlier = None if entry.event in CHANGING else earlier
    return last, later, earlier


def _also_compared(earlier: Entry, checks: Sequence[CheckLine]) -> str:
    """The sentence about what the earlier verification compared and this one did not."""
    known = {check.name for check in checks}
    more = [check for check in map(_check, earlier.detail["checks"]) if check.name not in known and check.checked]
    said = "; ".join(
        f"{check.name}: {amount(check.checked, check.unit)} compared, {check.failed:,} differ"
        + (f", {check.not_compared:,} not compared" if check.not_compared else "")
        for check in more
    )
    return (
        f"An earlier verification, {moment(earlier.at)} UTC by {earlier.who}, was with --deep. {said}." if said else ""
    )


def _check(detail: dict[str, Any]) -> CheckLine:
    """A check from the log. One by an older version of migrator has fewer keys: what is missing is not proven."""
    checked, failed, skipped = (int(detail.get(key, 0)) for key in ("checked", "failed", "not_compared"))
    result = str(detail.get("result", SAME if checked else NOT_COMPARED))
    if failed and result != ERROR:
        result = DIFFERENT
    reasons = detail.get("reasons") or ({"the log does not say why": skipped} if skipped else {})
    return CheckLine(
        str(detail.get("name", "")),
        str(detail.get("unit", "")),
        result,
        checked,
        failed,
        skipped,
        dict(reasons),
        list(detail.get("problems", [])),
    )


def _from_checks(checks: Sequence[CheckLine], *, deep: bool) -> list[str]:
    said = [
        f"{amount(count, check.unit)} not compared: {reason}. (Check: {check.name}.)"
        for check in checks
        for reason, count in check.reasons.items()
    ]
    if not deep:
        said.append(
            "This verification counted rows, but did not compare their values, and read no copied object again; "
            '"migrator verify --deep" does both. The table of proofs shows how each copy was proven when it was made.'
        )
    return said


def _from_entry(detail: Any) -> list[str]:
    said = []
    if "result" not in detail:
        said.append("The verification was made by an older version of migrator, whose log has fewer numbers.")
    if detail.get("superseded"):
        said.append("A newer plan was carried out at the target: verify that one.")
    if detail.get("left_behind"):
        said.append(f"Changes after planning were left behind in the old buckets: {detail['left_behind']}.")
    if detail.get("unregistered"):
        count = counted(detail["unregistered"], "table")
        said.append(f"{count} at the target in no catalog, so no engine reads them by a name until you register them.")
    return said


def _from_copies(proofs: Sequence[Proven]) -> list[str]:
    return [f"{counted(p.objects, 'object')}: {MEANINGS[p.proof]}." for p in proofs if p.proof in UNPROVEN]


def _from_journal(facts: ReportFacts) -> list[str]:
    """The journal is not part of the log's chain: it must not name more proofs than the runs in the log. This cannot be
    checked if a run was interrupted, because the log then lacks its numbers."""
    events = [entry.event for entry in facts.log.entries]
    if events.count(STARTED) > events.count(COPIED):
        return []
    logged: Counter[str] = Counter()
    for entry in facts.log.entries:
        if entry.event == COPIED:
            logged.update(entry.detail.get("proofs", {}))
    return [
        f"The journal names {counted(one.objects, 'object')} as proven by {one.proof}, the log only "
        f"{logged[one.proof]:,}: somebody else has changed the journal."
        for one in facts.proofs
        if one.proof in (ETAG, CHECKSUM, MD5, SHA256) and one.objects > logged[one.proof]
    ]


def _failed_later(entries: Sequence[Entry], verified: Entry) -> list[str]:
    """The exception for a later verification that could not be carried out; names the last one."""
    failed = [entry for entry in entries if entry.event == VERIFY_FAILED and entry.number > verified.number]
    return [
        f"A later verification, {moment(entry.at)} UTC, could not be carried out: {entry.detail.get('reason', '')}"
        for entry in failed[-1:]
    ]


def _from_log(facts: ReportFacts) -> list[str]:
    log, said = facts.log, []
    if log.changed:
        said.append(f"The log of the plan was changed: {log.changed}. So nothing in it proves anything.")
    if log.not_checked:
        said.append(f"The log was not compared with the target's record: {log.not_checked}")
    if facts.status.superseded_by:
        said.append(f"A newer plan was carried out at the target: {facts.status.superseded_by}. Verify that one.")
    if facts.not_asked:
        said.append("The target was not asked whether the log is complete, and whether a newer plan was carried out.")
    if facts.status.not_checked:
        said.append(f"Not checked: {facts.status.not_checked}")
    return said


def _verdict(
    facts: ReportFacts, detail: Any, checks: Sequence[CheckLine], later: Sequence[str], exceptions: Sequence[str]
) -> str:
    if facts.log.changed or any(check.failed for check in checks) or not detail.get("ok"):
        return FAILED
    if any(event in CHANGING for event in later):
        return OUTDATED
    cut_over = detail.get("cut_over", any(entry.event == CUTOVER_DONE for entry in facts.log.entries))
    if not cut_over:
        return EARLY
    deep_hint = 0 if detail.get("deep") else 1  # checks that only --deep does are no exception
    proven = detail.get("result") == SAME and len(exceptions) == deep_hint
    return PROVEN if proven else PARTLY
