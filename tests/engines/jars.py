"""The jars of ``pom.xml``, brought by Maven once and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
REQUIRED = "MIGRATOR_REQUIRE_SPARK"
"""Set to 1 where the tests must not be skipped."""


def missing() -> str:
    """Why Spark cannot run here; "" if it can."""
    wanted = ["java"] if _folder().is_dir() else ["java", "mvn"]
    programs = [program for program in wanted if shutil.which(program) is None]
    return f"{' and '.join(programs)} not found" if programs else ""


def jars() -> list[Path]:
    """All jars. Raises CalledProcessError if Maven cannot bring them."""
    folder = _folder()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
            there = Path(partial) / "jars"
            command = ["mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies", "-DexcludeTransitive=true"]
            subprocess.run(
                [*command, f"-DoutputDirectory={there}"], check=True, env={**os.environ, "HOME": str(_home())}
            )
            there.rename(folder)
    return sorted(folder.glob("*.jar"))


def _home() -> Path:
    return Path(pwd.getpwuid(os.getuid()).pw_dir)  # not $HOME: tests have one of their own


def _folder() -> Path:
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    return _home() / ".cache" / "lake-migrator" / f"jars-{digest}"
