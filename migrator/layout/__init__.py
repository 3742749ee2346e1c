"""The layout: locations, rules, and the function that maps an old path to a new one. Pure: no I/O."""

from migrator.layout.rules import (
    MEDALLION,
    MEDALLION_WAREHOUSES,
    Layout,
    Location,
    Rule,
    source_places,
)

__all__ = [
    "MEDALLION",
    "MEDALLION_WAREHOUSES",
    "Layout",
    "Location",
    "Rule",
    "source_places",
]
