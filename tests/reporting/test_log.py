from __future__ import annotations

from dataclasses import replace

from migrator.planfile.log import Entry
from migrator.reporting.log import PlanLog, log_report
from migrator.reporting.rendering import render


def entry(number: int, event: str, **detail: object) -> Entry:
    return Entry(number, f"2026-11-26T10:00:0{number}.123Z", event, detail, "ann@host", "0.1.0")


LOG = PlanLog(
    "plans/p.db",
    "2026-11-26T09:00:00+00:00",
    "0123456789abcdef0123",
    (
        entry(1, "started"),
        entry(2, "copied", objects=1200, bytes=2048, versions=0, proofs={"ETag": 1200}),
        entry(3, "compared", checks=[{"name": "a", "checked": 7, "failed": 0, "not_compared": 1, "unit": "x"}]),
        entry(4, "cutover-begun", pointers={"lake.db.t": {"old": "s3://a/x", "new": "s3://b/x"}}),
        entry(5, "catalog-swapped", catalog="lake", tables=["lake.db.t"]),
    ),
)


def test_a_line_per_entry_with_its_numbers() -> None:
    text = render(log_report(LOG))
    assert "2026-11-26 10:00:02  ann@host  copied" in text
    assert "1,200 objects (2.0 KiB), 0 older versions; proven by ETag 1,200" in text
    assert "1 checks: 7 compared, 0 differ, 1 not compared" in text
    assert "catalog lake, tables lake.db.t" in text
    assert "The log was not changed: 5 entries" in text


def test_a_changed_log_is_never_called_intact() -> None:
    changed = replace(LOG, changed="entry 3 is not the one that migrator wrote there")
    text = render(log_report(changed))
    assert "The log was changed: entry 3" in text and "was not changed" not in text
    assert changed.to_json()["intact"] is False and changed.to_json()["changed"].startswith("entry 3")


def test_hostile_text_in_a_detail_is_escaped() -> None:
    assert "\x1b" not in render(log_report(replace(LOG, entries=(entry(1, "x", tables=["\x1b[31mred"]),))))
