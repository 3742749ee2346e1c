"""Which tables have live files in which buckets."""

from __future__ import annotations

from collections import Counter
from typing import Any

from migrator.reporting.description import PlanDescription
from migrator.reporting.html.charts.common import COLOURS, CONFIG, INK, VEGA_LITE, Chart, Spec, short, table_bytes
from migrator.reporting.rendering import printable, size

TABLES, BUCKETS = 25, 8
"""At most this many are drawn, those with the most bytes."""
NOT_IN_S3 = "(not in S3)"


def spanning_chart(plan: PlanDescription) -> Chart | None:
    """The tables that have live files in several buckets. None if there is none."""
    spanning = sorted((t for t in plan["tables"] if len(t["buckets"]) > 1), key=lambda t: -table_bytes(t))
    if not spanning:
        return None
    drawn = spanning[:TABLES]
    totals: Counter[str] = Counter()
    for table in drawn:
        totals.update({bucket: sums["bytes"] + 1 for bucket, sums in table["buckets"].items()})
    buckets = {bucket for bucket, _ in totals.most_common(BUCKETS)}
    found = [(t["identifier"], bucket, sums) for t in drawn for bucket, sums in t["buckets"].items()]
    cells = [
        {"table": short(table, 36), "bucket": short(bucket or NOT_IN_S3, 16), "text": size(sums["bytes"])}
        for table, bucket, sums in found
        if bucket in buckets
    ]
    rows = [
        (printable(table), printable(bucket or NOT_IN_S3), f"{sums['files']:,}", size(sums["bytes"]))
        for table, bucket, sums in found
    ]
    says = f"{len(spanning)} of {len(plan['tables'])} tables have live files in more than one bucket."
    if len(spanning) > TABLES:
        says += f" The {TABLES} largest are shown."
    return Chart("spans", "Tables that span buckets", says, _spec(cells), ("table", "bucket", "files", "size"), rows)


def _spec(cells: list[dict[str, Any]]) -> Spec:
    return {
        "$schema": VEGA_LITE,
        "width": {"step": 90},
        "height": {"step": 28},
        "config": CONFIG,
        "data": {"values": cells},
        "encoding": {
            "y": {"field": "table", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "bucket", "type": "nominal", "title": None, "axis": {"orient": "top", "labelAngle": 0}},
        },
        "layer": [
            {"mark": {"type": "rect", "color": COLOURS[0], "opacity": 0.35}},
            {
                "mark": {"type": "text", "color": INK, "fontSize": 12, "aria": False},
                "encoding": {"text": {"field": "text"}},
            },
        ],
    }
