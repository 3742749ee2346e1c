"""The texts that are installed with the package."""

from __future__ import annotations

import pytest

from migrator import reference


@pytest.mark.parametrize("name", reference.NAMES)
def test_each_text_can_be_read(name: str) -> None:
    assert reference.text(name).endswith("\n")


@pytest.mark.parametrize("name", ["lake.toml", "../config.py", "__init__.py", ""])
def test_nothing_else_is_read(name: str) -> None:
    with pytest.raises(ValueError, match=r"There are: lake\.example\.toml, prices\.example\.toml, json-keys\.md"):
        reference.text(name)
