from __future__ import annotations

import pytest

from migrator.layout import Layout
from migrator.settings.places import others_at, pattern_places, places_of
from settings.lakes import lake

LAYOUT = Layout.from_mapping(
    "data-lake",
    {
        "s3://bronze/": "bronze/",
        "s3://bronze/wh/": "warehouse/",
        "s3://bronze/tmp/": False,
        "s3://warehouse/": "warehouse/",
    },
)


@pytest.mark.parametrize(
    ("prefix", "places"),
    [
        ("", [("bronze/", True), ("warehouse/", True)]),
        ("raw/", [("bronze/raw/", False)]),
        ("w", [("bronze/w", False), ("warehouse/", True)]),
        ("wh", [("bronze/wh", False), ("warehouse/", True)]),
        ("wh/", [("warehouse/", True)]),
        ("wh/db/", [("warehouse/db/", False)]),
        ("tmp/", []),
        ("tmp/x", []),
    ],
)
def test_where_the_keys_with_a_prefix_go(prefix: str, places: list[tuple[str, bool]]) -> None:
    assert [(place.prefix, place.whole) for place in places_of(lake(layout=LAYOUT), "bronze", prefix)] == places


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("*", ["bronze/*", "warehouse/*"]),
        ("raw/*.json", ["bronze/raw/*.json"]),
        ("wh/x", ["warehouse/x"]),
        ("wh/${aws:username}/*", ["warehouse/${aws:username}/*"]),
        ("tmp/*", []),
        ("tmp/x", []),
        ("*.json", None),
        ("?h/x", None),
    ],
)
def test_where_the_keys_of_a_pattern_go(pattern: str, keys: list[str] | None) -> None:
    found = pattern_places(lake(layout=LAYOUT), "bronze", pattern)
    assert (None if found is None else [key for _, key in found]) == keys


def test_who_shares_a_place() -> None:
    one = lake(layout=LAYOUT)
    (whole,) = places_of(one, "bronze", "wh/")
    assert others_at(one, whole, ()) == ["s3://warehouse/"]
    (raw,) = places_of(one, "bronze", "raw/")
    assert others_at(one, raw, ()) == []
