"""Texts that help refers to, installed with the package: the example configuration, an example of prices, and the
meaning of JSON keys."""

from __future__ import annotations

from importlib.resources import files

CONFIG_EXAMPLE = "lake.example.toml"
PRICES_EXAMPLE = "prices.example.toml"
JSON_KEYS = "json-keys.md"
NAMES = (CONFIG_EXAMPLE, PRICES_EXAMPLE, JSON_KEYS)
"""Every text that there is."""


def text(name: str) -> str:
    """The reference text called ``name``, one of :data:`NAMES`. Raises ValueError for another name."""
    if name not in NAMES:
        raise ValueError(f"There is no reference text {name!r}. There are: {', '.join(NAMES)}.")
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
