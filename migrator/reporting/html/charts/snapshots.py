"""How many snapshots were made when."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from migrator.reporting.description import PlanDescription
from migrator.reporting.html.charts.common import COLOURS, CONFIG, VEGA_LITE, WIDTH, Chart, Spec

BARS = 60
"""At most this many."""


def snapshot_chart(plan: PlanDescription) -> Chart | None:
    """The snapshots of all tables together. None if they were all made on one day."""
    days: Counter[date] = Counter()
    for table in plan["tables"]:
        days.update({date.fromisoformat(day): count for day, count in table["snapshot_days"].items()})
    if len(days) < 2:
        return None  # one bar shows no change over time
    first, last = min(days), max(days)
    step = max(1, -(-((last - first).days + 1) // BARS))
    bars: Counter[date] = Counter()
    for day, count in days.items():
        bars[first + timedelta(days=(day - first).days // step * step)] += count
    each = "one day" if step == 1 else f"{step} days"
    rows = [(day.isoformat(), f"{count:,}") for day, count in sorted(bars.items())]
    says = (
        f"{sum(days.values()):,} snapshots from {first} to {last}; a bar is {each}. All of them can be read afterwards."
    )
    return Chart("snapshots", "Snapshots over time", says, _spec(bars, step), ("from", "snapshots"), rows)


def _spec(bars: Counter[date], step: int) -> Spec:
    width = timedelta(days=step)
    values = [
        {"begin": day.isoformat(), "end": (min(day, date.max - width) + width).isoformat(), "count": count}
        for day, count in sorted(bars.items())
    ]
    return {
        "$schema": VEGA_LITE,
        "width": WIDTH - 120,
        "height": 180,
        "config": CONFIG,
        "data": {"values": values, "format": {"parse": {"begin": "utc:'%Y-%m-%d'", "end": "utc:'%Y-%m-%d'"}}},
        "mark": {"type": "bar", "color": COLOURS[0], "opacity": 0.8},
        "encoding": {
            "x": {
                "field": "begin",
                "type": "temporal",
                "scale": {"type": "utc"},
                "title": None,
                "axis": {"format": "%Y-%m-%d", "tickCount": 6, "labelOverlap": True},
            },
            "x2": {"field": "end"},
            "y": {"field": "count", "type": "quantitative", "title": "snapshots", "axis": {"tickMinStep": 1}},
        },
    }
