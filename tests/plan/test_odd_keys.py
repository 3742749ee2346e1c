from __future__ import annotations

import pytest

from migrator.plan.odd_keys import DOT, DOTS, LONG, SLASHES, shape_of


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("a/b", None),
        ("folder/", None),
        ("a//b", (SLASHES, 2)),
        ("/a", (SLASHES, 0)),
        ("a/./b", (DOT, 2)),
        ("a/b/..", (DOTS, 4)),
        ("a/.hidden/..b", None),
        ("a/" + "ü" * 128, (LONG, 2)),
        ("a/" + "x" * 255, None),
        ("x//", (SLASHES, 2)),
    ],
)
def test_odd_keys(key: str, shape: object) -> None:
    assert shape_of(key) == shape
