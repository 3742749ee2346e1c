"""Writes a report to a file; replaces only an older report."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from migrator.errors import ConfigError
from migrator.reporting.html.page import MARKER


def report_path(plan: Path) -> Path:
    """The path of a plan's report: that of the plan with the suffix ``.html``."""
    return plan.with_suffix(".html")


def write_page(page: str, path: Path) -> None:
    """Write the report atomically; if ``path`` is a link, to the file that it leads to. Raises ConfigError if the file
    exists and is no report, or cannot be written."""
    another = "Choose another name with -o."
    try:
        if path.exists() and not (path.is_file() and _is_report(path)):
            raise ConfigError(f"{path} exists and is not a report of migrator; it was not changed.", next_move=another)
        place = Path(os.path.realpath(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
        unfinished = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(page)
            unfinished.chmod(0o644 & ~_umask())
            unfinished.replace(place)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.", next_move=another) from error


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MARKER)) == MARKER.encode()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
