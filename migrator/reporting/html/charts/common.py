"""Functions that all pictures share. Colours are variables of the page's style sheet, for light and dark mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migrator.reporting.description import TableDescription
from migrator.reporting.rendering import printable

Spec = dict[str, Any]
"""A specification of Vega or Vega-Lite."""

WIDTH = 760
"""Of each picture, in pixels; narrow screens scroll."""
COLOURS = [f"var(--c{number})" for number in range(1, 9)]
INK = "var(--ink)"
FONT = "system-ui, sans-serif"
VEGA = "https://vega.github.io/schema/vega/v6.json"
VEGA_LITE = "https://vega.github.io/schema/vega-lite/v6.json"
CONFIG = {
    "background": None,
    "padding": {"left": 28, "top": 5, "right": 28, "bottom": 5},
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": "var(--soft)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 260,
    },
}
"""The style of the Vega-Lite pictures."""


@dataclass(frozen=True)
class Chart:
    """A picture: its title, its meaning in a sentence, its specification, and the same data as a table."""

    name: str
    title: str
    says: str
    spec: Spec
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def short(text: str, most: int = 44) -> str:
    """``text``, printable, with its middle left out if it is longer than ``most`` characters."""
    text = printable(text)
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def table_bytes(table: TableDescription) -> int:
    """The live files of a table, in bytes; 0 if it could not be read."""
    return (table["data_bytes"] or 0) + (table["delete_bytes"] or 0)


def text_mark(data: str, **channels: Any) -> Spec:
    """A text in a Vega picture. Screen readers skip it: the shape next to it has a description."""
    fixed = {"fontSize": 12, "font": FONT, "fill": INK, "aria": False}
    return {
        "type": "text",
        "from": {"data": data},
        "encode": {"enter": {**{name: {"value": value} for name, value in fixed.items()}, **channels}},
    }
