"""One collection: a check of the lake, counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from migrator.checking.look import Checking, accepted, check
from migrator.findings import AT_CHECK, CHECK_TOO, INFO, WARN, Finding
from migrator.layout import Layout
from migrator.monitoring.measures import CountLimits, LakeMeasures
from migrator.monitoring.measuring import Measuring

OLD_NAMES = (
    "old-pointer",
    "old-namespace",
    "old-warehouse",
    "old-path",
    "old-path-in-log",
    "old-path-in-script",
    "path-in-text",
)
"""Codes of findings that say that something names an old bucket."""


def collect(asked: Checking, limits: CountLimits | None = None) -> LakeMeasures:
    """Check the lake and count it. Raises what :func:`migrator.checking.look.check` raises."""
    limits, layout = limits or CountLimits(), asked.layout
    measuring = Measuring(limits, layout.target_bucket, int(time.time() * 1000))
    # Findings are accepted here instead of in the check, because accepted findings about unreadable files also mean
    # that counts are missing.
    settings = replace(asked.settings, check_accept=())
    found = check(replace(asked, settings=settings, watch=measuring))
    unread = any(finding.code == "not-checked" and finding.severity != INFO for finding in found.findings)
    findings = list(accepted(found.findings, asked.settings.check_accept))
    _count_old(measuring, layout, findings)
    tables = list(measuring.tables.values())
    return LakeMeasures(
        layers=list(measuring.layers.values()),
        tables=tables,
        catalogs=measuring.catalogs,
        findings=_by_code(findings),
        target_exists=found.target_exists,
        complete=not unread,
        limits=limits,
    )


def _by_code(findings: Iterable[Finding]) -> dict[tuple[str, str], int]:
    """(code, severity) → places. Every code of a check is included, with 0 if there is no finding."""
    counts = Counter[tuple[str, str]]()
    for finding in findings:
        counts[finding.code, finding.severity] += finding.count
    severities = {code: severity for code, (severity, _) in AT_CHECK.items()} | dict.fromkeys(CHECK_TOO, WARN)
    for code, severity in severities.items():
        if not any(found == code for found, _ in counts):
            counts[code, severity] = 0
    return dict(sorted(counts.items()))


def _count_old(measuring: Measuring, layout: Layout, findings: Iterable[Finding]) -> None:
    """Count the places that name an old bucket, by layer."""
    tables = {".".join(identity): table.layer for identity, table in measuring.tables.items()}
    for finding in findings:
        if finding.code not in OLD_NAMES or finding.severity == INFO:
            continue
        if finding.place in tables:
            layer = measuring.layers[tables[finding.place]]
        else:
            layer = measuring.layer_of(layout.map_uri(finding.place) or finding.place)
        layer.old_paths += finding.count
