"""The timeline of the run that made the cutover."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.reporting.html.charts.common import COLOURS, CONFIG, INK, VEGA_LITE, WIDTH, Chart, Spec
from migrator.reporting.html.timeline import Step
from migrator.reporting.what_it_takes import duration


def cutover_chart(steps: Sequence[Step]) -> Chart | None:
    """Its steps, from :func:`migrator.reporting.html.timeline.last_cutover`. None if there was none."""
    if not steps:
        return None
    begin = min(step.begin for step in steps)
    rows = [(step.name, f"{step.begin:%Y-%m-%d %H:%M:%S}", duration(step.seconds)) for step in steps]
    says = f"Seconds since {begin:%Y-%m-%d %H:%M:%S} UTC. Readers notice the cutover only."
    return Chart(
        "timeline", "From the copy to the verification", says, _spec(steps), ("step", "began (UTC)", "took"), rows
    )


def _spec(steps: Sequence[Step]) -> Spec:
    first = min(step.begin for step in steps)
    values = [
        {
            "step": step.name,
            "begin": (step.begin - first).total_seconds(),
            "end": (step.end - first).total_seconds(),
            "text": duration(step.seconds),
        }
        for step in steps
    ]
    cutover = {"condition": {"test": "datum.step === 'cutover'", "value": COLOURS[2]}, "value": COLOURS[0]}
    return {
        "$schema": VEGA_LITE,
        "width": WIDTH - 300,
        "height": {"step": 30},
        "config": CONFIG,
        "data": {"values": values},
        "encoding": {
            "y": {"field": "step", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "begin", "type": "quantitative", "title": "seconds"},
            "x2": {"field": "end"},
        },
        "layer": [
            {"mark": {"type": "bar", "opacity": 0.8}, "encoding": {"color": cutover}},
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "color": INK, "fontSize": 12, "aria": False},
                "encoding": {"x": {"field": "end", "type": "quantitative"}, "text": {"field": "text"}},
            },
        ],
    }
