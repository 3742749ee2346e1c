"""The jars of ``pom.xml``, brought by Maven once and kept in the user's cache folder."""

from __future__ import annotations

from pathlib import Path

import fetched

POM = Path(__file__).with_name("pom.xml")
REQUIRED = "MIGRATOR_REQUIRE_SPARK"
"""Set to 1 where the tests must not be skipped."""


def missing() -> str:
    """Why Spark cannot run here; "" if it can."""
    return fetched.missing_for_jars(POM)


def jars() -> list[Path]:
    """All jars. Raises CalledProcessError if Maven cannot bring them."""
    return fetched.jars(POM)
