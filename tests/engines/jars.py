"""The jars of ``pom.xml``, brought by Maven once and kept in the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import fetched

POM = Path(__file__).with_name("pom.xml")
REQUIRED = "MIGRATOR_REQUIRE_SPARK"
"""Set to 1 where the tests must not be skipped."""


def missing(*others: Path) -> str:
    """Why Spark cannot run here, or what other POMs bring; "" if all of it can."""
    return next(filter(None, map(fetched.missing_for_jars, (POM, *others))), "")


def require(*others: Path) -> None:
    """Skip the test if Spark cannot run here, or what other POMs bring, unless MIGRATOR_REQUIRE_SPARK=1."""
    if (why := missing(*others)) and os.environ.get(REQUIRED) != "1":
        pytest.skip(why)


def jars() -> list[Path]:
    """All jars. Raises CalledProcessError if Maven cannot bring them."""
    return fetched.jars(POM)
