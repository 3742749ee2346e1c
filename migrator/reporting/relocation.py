"""The report of ``migrator relocate``: what was written, and how to register the table in a catalog."""

from __future__ import annotations

from migrator.findings import counted
from migrator.reporting.rendering import Report, line, size, unwrapped
from migrator.rewriting.relocate import Relocation

NOTES = 10
"""How many notes are shown."""


def relocation_report(relocation: Relocation) -> Report:
    """What :func:`migrator.api.relocate_table` did with one table."""
    done = relocation
    location = done.metadata_location.replace("\\", "\\\\").replace("'", "\\'")
    already = f" ({done.there_already:,} were there already)" if done.there_already else ""
    return [
        line(
            f"Copied {counted(done.copied, 'object')} ({size(done.copied_bytes)}){already}, rewrote "
            f"{counted(done.rewritten, 'table file')}: {counted(done.snapshots, 'snapshot')}, v{done.format_version}."
        ),
        *(line(f"  note: {note}") for note in done.notes[:NOTES]),
        line(f"The table is at {done.metadata_location}", style="green"),
        unwrapped(
            "To register it: CALL <catalog>.system.register_table(table => '<namespace>.<name>', metadata_file => "
            f"'{location}')"
        ),
    ]
