"""Where everything goes: locations, rules, and the one function that maps a path. Pure: no I/O."""

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
