"""Facts of a report made by hand, and a reader of pages that is independent of the code that writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

from migrator.planfile.log import Entry
from migrator.reporting.describe import StatusSummary
from migrator.reporting.html.facts import Proven, ReportFacts
from migrator.reporting.log import PlanLog
from reporting.described import plan, table

NOON = datetime(2026, 11, 27, 12, tzinfo=timezone.utc)
VOID = {"meta", "br", "link", "img", "input", "hr"}


def full_table(**changes: Any) -> dict[str, Any]:
    described = table(new_location="s3://data-lake/bronze/t", delete_bytes=0, buckets={}, snapshot_days={})
    return {**described, **changes}


def full_plan(**changes: Any) -> dict[str, Any]:
    described = plan(format=9, **changes)
    described["actions"] = {name: {"objects": 2, "bytes": 5} for name in described["actions"]}
    return described


def entries(*events: str | tuple[str, dict[str, Any]], who: str = "ann@host") -> tuple[Entry, ...]:
    """A log with these events, a second apart."""
    details = {"copied": {"proofs": {"etag": 3}}}
    named = [(event, details.get(event, {})) if isinstance(event, str) else event for event in events]
    return tuple(
        Entry(number, (NOON + timedelta(seconds=number)).isoformat().replace("+00:00", "Z"), event, detail, who, "0.1")
        for number, (event, detail) in enumerate(named, start=1)
    )


def verified(*, checked: int = 5, failed: int = 0, skipped: int = 0, **changes: Any) -> tuple[str, dict[str, Any]]:
    """The entry of a verification with one check."""
    result = "different" if failed else "not compared" if skipped or not checked else "same"
    check = {
        "name": "every object is there",
        "unit": "objects",
        "result": "different" if failed else "same" if checked else "not compared",
        "checked": checked,
        "failed": failed,
        "errors": 0,
        "not_compared": skipped,
        "reasons": {"too old": skipped} if skipped else {},
        "problems": ["- s3://data-lake/gone: missing"] if failed else [],
    }
    detail = {"ok": not failed, "result": result, "cut_over": True, "deep": False, "superseded": False}
    return "verified", {**detail, "left_behind": "", "unregistered": 0, "checks": [check], **changes}


def facts(log: tuple[Entry, ...] = (), **changes: Any) -> ReportFacts:
    """A plan with one prefix and one table; ``described``, ``status`` and ``log_changes`` replace parts of it."""
    prefix = {"source": "s3://bronze/", "target": "s3://data-lake/bronze/", "objects": 3, "bytes": 4096, "actions": {}}
    described = full_plan(**{"prefixes": [prefix], "tables": [full_table()], **changes.pop("described", {})})
    status = StatusSummary("plans/p.db", "planned", 3, 1, 4096, 10, 0, 0, 1, 0, [], [])
    made = ReportFacts(
        described,  # type: ignore[arg-type]
        replace(status, **changes.pop("status", {})),
        replace(PlanLog("plans/p.db", "2026-11-23", "d" * 64, log), **changes.pop("log_changes", {})),
        [Proven("etag", 3, 4096)],
        NOON,
    )
    return replace(made, **changes)


class Page(HTMLParser):
    """A page as a browser reads it: its elements with their attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        return " ".join("".join(text for tag, text in self.texts if tag not in ("style", "script")).split())
