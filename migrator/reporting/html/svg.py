"""Renders a picture as SVG, with vl-convert, which needs no network, no browser and no font of the host."""

from __future__ import annotations

from typing import Any

from migrator.errors import ConfigError
from migrator.reporting.html.charts.common import VEGA_LITE

NEXT = "Install it: pip install 'lake-migrator[report]'"


def svg_of(spec: dict[str, Any]) -> str:
    """The picture as an ``<svg>`` element; Vega escapes its texts. Raises ConfigError without vl-convert."""
    try:
        import vl_convert
    except ImportError as error:
        raise ConfigError(
            "The package vl-convert-python, which draws the report's pictures, is missing.", next_move=NEXT
        ) from error
    if spec["$schema"] == VEGA_LITE:
        return str(vl_convert.vegalite_to_svg(spec, vl_version="6.1", allowed_base_urls=[]))
    return str(vl_convert.vega_to_svg(spec, allowed_base_urls=[]))
