"""Texts that help refers to, installed with the package: the example configuration, an example of prices, the meaning
of JSON keys, and what Grafana and Prometheus need to show the metrics."""

from __future__ import annotations

from importlib.resources import files

CONFIG_EXAMPLE = "lake.example.toml"
PRICES_EXAMPLE = "prices.example.toml"
JSON_KEYS = "json-keys.md"
DASHBOARD = "grafana-dashboard.json"
RULES = "prometheus-rules.yml"
NAMES = (CONFIG_EXAMPLE, PRICES_EXAMPLE, JSON_KEYS, DASHBOARD, RULES)
"""Every text that there is."""


def text(name: str) -> str:
    """The reference text called ``name``, one of :data:`NAMES`. Raises ValueError for another name."""
    if name not in NAMES:
        raise ValueError(f"There is no reference text {name!r}. There are: {', '.join(NAMES)}.")
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
