"""Other programs that tests need: downloaded once from a registry and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path


def jars(pom: Path, *, transitive: bool = False) -> list[Path]:
    """The jars that ``pom`` names, downloaded by Maven; with ``transitive`` also those that these need. Raises
    CalledProcessError if Maven cannot download them."""

    def bring(folder: Path) -> None:
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        _run([*command, f"-DexcludeTransitive={str(not transitive).lower()}", f"-DoutputDirectory={folder}"])

    return sorted(_cached(_jars_folder(pom), bring).glob("*.jar"))


def missing_for_jars(pom: Path) -> str:
    """Why what ``pom`` names cannot run here; "" if it can."""
    return _missing("java") if _jars_folder(pom).is_dir() else _missing("java", "mvn")


def go_program(module: str) -> Path:
    """The program of a Go module, as ``go install`` names it: PATH@VERSION. Raises CalledProcessError if Go fails."""

    def bring(folder: Path) -> None:
        _run(["go", "install", module], GOBIN=str(folder))

    (program,) = _cached(_go_folder(module), bring).iterdir()
    return program


def missing_for_go(module: str) -> str:
    """Why the program cannot be built here; "" if it can, or exists already."""
    return "" if _go_folder(module).is_dir() else _missing("go")


def _missing(*programs: str) -> str:
    absent = [program for program in programs if shutil.which(program) is None]
    return f"{' and '.join(absent)} not found" if absent else ""


def _cached(folder: Path, bring: Callable[[Path], None]) -> Path:
    """``folder``, filled by ``bring`` unless it exists already; it never has only a part of the files."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
            there = Path(partial) / "new"
            bring(there)
            try:
                there.rename(folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was faster, with the same files
                    raise
    return folder


def _run(command: list[str], **environ: str) -> None:
    subprocess.run(command, check=True, env={**os.environ, "HOME": str(_home()), **environ})


def _home() -> Path:
    return Path(pwd.getpwuid(os.getuid()).pw_dir)  # not $HOME: each test has its own


def _jars_folder(pom: Path) -> Path:
    return _cache() / f"jars-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"


def _go_folder(module: str) -> Path:
    return _cache() / module.rpartition("/")[2]


def _cache() -> Path:
    return _home() / ".cache" / "lake-migrator"
