"""The report of ``migrator pack``."""

from __future__ import annotations

from typing import Any

from migrator.reporting.rendering import Report, line, printable, size, unwrapped
from migrator.workers.pack import Packed


def packed_report(packed: Packed) -> Report:
    """The file, and how to use it."""
    name = printable(str(packed.path))
    return [
        line(f"Wrote {name} ({size(packed.size)}): migrator {packed.version}, for Python {packed.python}."),
        line("Next, in lake.toml:", style="bold"),
        unwrapped("  [engine]"),
        unwrapped(f'  pack = "{name}"'),
        line("Or give it to spark-submit:"),
        unwrapped(f"  spark-submit --py-files {name} …"),
    ]


def packed_json(packed: Packed) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "file": str(packed.path),
        "bytes": packed.size,
        "migrator_version": packed.version,
        "python_version": packed.python,
    }
