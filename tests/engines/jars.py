"""The jars of ``pom.xml``, downloaded by Maven once and kept in the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import fetched

POM = Path(__file__).with_name("pom.xml")
REQUIRED = "MIGRATOR_REQUIRE_SPARK"
"""Set to 1 if the tests must not be skipped."""


def missing(*others: Path) -> str:
    """Why Spark, or the jars of other POMs, cannot run here; "" if all of them can."""
    return next(filter(None, map(fetched.missing_for_jars, (POM, *others))), "")


def require(*others: Path) -> None:
    """Skip the test if Spark, or the jars of other POMs, cannot run here, unless MIGRATOR_REQUIRE_SPARK=1."""
    if (why := missing(*others)) and os.environ.get(REQUIRED) != "1":
        pytest.skip(why)


def jars() -> list[Path]:
    """All jars. Raises CalledProcessError if Maven cannot download them."""
    return fetched.jars(POM)
