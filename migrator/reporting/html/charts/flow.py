"""The flow of bytes: from each old prefix to its new one. A Sankey diagram of two stacks."""

from __future__ import annotations

from typing import Any

from migrator.reporting.description import PlanDescription
from migrator.reporting.html.charts.common import COLOURS, VEGA, WIDTH, Chart, Spec, short, text_mark
from migrator.reporting.rendering import printable, size

FLOWS = 12
"""At most this many; the others are drawn as one."""
SIDE, ROOM = 250, 22
"""In pixels: the labels on each side, and the height of one label."""
LEFT, RIGHT, MIDDLE = SIDE, WIDTH - SIDE, WIDTH // 2


def flow_chart(plan: PlanDescription) -> Chart | None:
    """From each old prefix to its new one, by bytes. None if no byte moves."""
    moving = sorted((p for p in plan["prefixes"] if p["target"] and p["objects"]), key=lambda p: -p["bytes"])
    flows = [(p["source"], p["target"] or "", p["objects"], p["bytes"]) for p in moving[:FLOWS]]
    if rest := moving[FLOWS:]:
        target = f"s3://{plan['target_bucket']}/"
        others = f"{len(rest)} more prefixes"
        flows.append((others, target, sum(p["objects"] for p in rest), sum(p["bytes"] for p in rest)))
    total = sum(flow[3] for flow in flows)
    if not total:
        return None
    rows = [(printable(source), printable(target), f"{count:,}", size(whole)) for source, target, count, whole in flows]
    says = (
        f"{size(total)} from {len(moving)} old prefixes to s3://{plan['target_bucket']}/. The thickness is the number "
    )
    says += "of bytes; thin flows are drawn thicker than they are."
    head = ("from", "to", "objects", "size")
    return Chart("flow", "Where the bytes go", says, _spec(flows, total), head, rows)


def _spec(flows: list[tuple[str, str, int, int]], total: int) -> Spec:
    height = 30 + 40 * len(flows)
    least = total * ROOM / (height - ROOM * (len(flows) - 1))  # so that each label has room
    targets = list(dict.fromkeys(flow[1] for flow in flows))
    values = [
        {
            "from": short(source, 34),
            "to": short(target, 34),
            "size": max(whole, least),
            "label": f"{short(source)} to {short(target)}: {size(whole)}",
            "text": size(whole),
            "order": order,
            "group": targets.index(target),
        }
        for order, (source, target, _, whole) in enumerate(flows)
    ]
    return {
        "$schema": VEGA,
        "width": WIDTH,
        "height": height,
        "padding": 4,
        "autosize": "none",
        "data": [{"name": "flows", "values": values, "transform": _transforms()}],
        "scales": [
            {"name": "y", "type": "linear", "domain": [0, sum(v["size"] for v in values)], "range": [0, height]},
            {"name": "colour", "type": "ordinal", "domain": list(range(len(targets))), "range": COLOURS},
        ],
        "marks": [
            _bands(),
            *_side("a", LEFT - 10, "right", LEFT - 16, "from"),
            *_side("b", RIGHT, "left", RIGHT + 16, "to"),
            _label("(datum.ya0 + datum.ya1 + datum.yb0 + datum.yb1) / 4", MIDDLE, "center", "text"),
        ],
    }


def _transforms() -> list[Spec]:
    """Where each flow begins (a0 to a1) and ends (b0 to b1), in pixels, and the shape between them."""
    curve = f"C{MIDDLE},"
    shape = (
        f"'M{LEFT},' + datum.ya0 + '{curve}' + datum.ya0 + ' {MIDDLE},' + datum.yb0 + ' {RIGHT},' + datum.yb0"
        f" + 'V' + datum.yb1 + '{curve}' + datum.yb1 + ' {MIDDLE},' + datum.ya1 + ' {LEFT},' + datum.ya1 + 'Z'"
    )
    edges: list[Spec] = [
        {"type": "formula", "as": f"y{edge}", "expr": f"scale('y', datum.{edge}) {gap}"}
        for edge, gap in (("a0", "+ 2"), ("a1", "- 2"), ("b0", "+ 2"), ("b1", "- 2"))
    ]
    return [
        {"type": "stack", "sort": {"field": "order"}, "field": "size", "as": ["a0", "a1"]},
        {"type": "stack", "sort": {"field": ["group", "order"]}, "field": "size", "as": ["b0", "b1"]},
        *edges,
        {"type": "formula", "as": "band", "expr": shape},
    ]


def _bands() -> Spec:
    enter: dict[str, Any] = {
        "path": {"field": "band"},
        "fill": {"scale": "colour", "field": "group"},
        "fillOpacity": {"value": 0.4},
        "description": {"field": "label"},
    }
    return {"type": "path", "from": {"data": "flows"}, "encode": {"enter": enter}}


def _side(end: str, x: float, align: str, text_x: float, label: str) -> list[Spec]:
    """The boxes of one side, each with its label."""
    enter: dict[str, Any] = {
        "x": {"value": x},
        "width": {"value": 10},
        "y": {"field": f"y{end}0"},
        "y2": {"field": f"y{end}1"},
        "fill": {"scale": "colour", "field": "group"},
        "aria": {"value": False},
    }
    box = {"type": "rect", "from": {"data": "flows"}, "encode": {"enter": enter}}
    return [box, _label(f"(datum.y{end}0 + datum.y{end}1) / 2", text_x, align, label)]


def _label(y: str, x: float, align: str, field: str) -> Spec:
    return text_mark(
        "flows",
        x={"value": x},
        y={"signal": y},
        align={"value": align},
        baseline={"value": "middle"},
        text={"field": field},
    )
