"""The map of sizes: the layers of the target, and in each its tables, as boxes. A treemap."""

from __future__ import annotations

from collections import Counter
from typing import Any

from migrator.reporting.description import PlanDescription
from migrator.reporting.html.charts.common import COLOURS, VEGA, WIDTH, Chart, Spec, short, table_bytes, text_mark
from migrator.reporting.rendering import printable, size

LAYERS, TABLES = 12, 60
"""At most this many; other tables of a layer are part of :data:`REST`."""
HEIGHT = 380
REST = "everything else"
_PLACE = {"x": {"field": "x0"}, "x2": {"field": "x1"}, "y": {"field": "y0"}, "y2": {"field": "y1"}}


def size_chart(plan: PlanDescription) -> Chart | None:
    """Boxes by size. None if there are no bytes."""
    layers = _layers(plan)
    total = sum(layers.values())
    if not total:
        return None
    parts = _parts(plan, layers)
    rows = [
        (printable(layer), printable(name), size(number)) for layer, inside in parts.items() for name, number in inside
    ]
    says = (
        f"{size(total)} in {len(layers)} prefixes of the target. A table counts for the prefix of its location, with"
        f" the live files of its present snapshot; older snapshots and all other objects are “{REST}”."
    )
    spec = _spec(_boxes(plan, layers, parts), len(layers))
    return Chart("sizes", "What takes the room", says, spec, ("prefix", "table", "size"), rows)


def _layers(plan: PlanDescription) -> dict[str, int]:
    """Target prefix → bytes, those with the most first."""
    layers: Counter[str] = Counter()
    for prefix in plan["prefixes"]:
        if prefix["target"] and prefix["bytes"]:
            layers[prefix["target"]] += prefix["bytes"]
    return dict(layers.most_common(LAYERS))


def _parts(plan: PlanDescription, layers: dict[str, int]) -> dict[str, list[tuple[str, int]]]:
    """Target prefix → (table, bytes), the largest first, and what is left."""
    parts: dict[str, list[tuple[str, int]]] = {layer: [] for layer in layers}
    for table in sorted(plan["tables"], key=lambda t: -table_bytes(t))[:TABLES]:
        location = table["new_location"] or ""
        layer = max((one for one in layers if location.startswith(one)), key=len, default=None)
        if layer is not None and table_bytes(table):
            parts[layer].append((table["identifier"], table_bytes(table)))
    for layer, inside in parts.items():
        rest = layers[layer] - sum(number for _, number in inside)
        if rest > 0:
            inside.append((REST, rest))
    return parts


def _boxes(
    plan: PlanDescription, layers: dict[str, int], parts: dict[str, list[tuple[str, int]]]
) -> list[dict[str, Any]]:
    boxes: list[dict[str, Any]] = [{"id": "lake"}]
    for number, (layer, whole) in enumerate(layers.items()):
        name = short(layer.removeprefix(f"s3://{plan['target_bucket']}/") or "/", 30)
        boxes.append({"id": f"l{number}", "parent": "lake", "text": f"{name}  {size(whole)}", "layer": number})
        boxes += [
            {
                "id": f"l{number}.{child}",
                "parent": f"l{number}",
                "text": short(part, 40),
                "size": bytes_,
                "label": f"{name}: {short(part)}, {size(bytes_)}",
                "layer": number,
                "rest": part == REST,
            }
            for child, (part, bytes_) in enumerate(parts[layer])
        ]
    return boxes


def _spec(boxes: list[dict[str, Any]], layers: int) -> Spec:
    tree: list[Spec] = [
        {"type": "stratify", "key": "id", "parentKey": "parent"},
        {
            "type": "treemap",
            "field": "size",
            "sort": {"field": "value", "order": "descending"},
            "paddingInner": 2,
            "paddingTop": 20,
            "round": True,
            "size": [WIDTH, HEIGHT],
        },
    ]
    enter: dict[str, Any] = {
        **_PLACE,
        "fill": {"scale": "colour", "field": "layer"},
        "fillOpacity": {"signal": "datum.rest ? 0.2 : 0.45"},
        "description": {"field": "label"},
    }
    return {
        "$schema": VEGA,
        "width": WIDTH,
        "height": HEIGHT,
        "padding": 4,
        "data": [
            {"name": "tree", "values": boxes, "transform": tree},
            {"name": "leaves", "source": "tree", "transform": [{"type": "filter", "expr": "datum.size > 0"}]},
            {"name": "layers", "source": "tree", "transform": [{"type": "filter", "expr": "datum.parent == 'lake'"}]},
        ],
        "scales": [{"name": "colour", "type": "ordinal", "domain": list(range(layers)), "range": COLOURS}],
        "marks": [
            {"type": "rect", "from": {"data": "leaves"}, "encode": {"enter": enter}},
            _name("layers", "bold"),
            _name("leaves", "normal"),
        ],
    }


def _name(data: str, weight: str) -> Spec:
    """The text in a box, if there is room for it."""
    return text_mark(
        data,
        x={"signal": "datum.x0 + 5"},
        y={"signal": "datum.y0 + 14"},
        text={"field": "text"},
        limit={"signal": "max(1, datum.x1 - datum.x0 - 8)"},
        opacity={"signal": "datum.x1 - datum.x0 > 34 && datum.y1 - datum.y0 > 15 ? 1 : 0"},
        fontWeight={"value": weight},
    )
