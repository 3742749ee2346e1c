"""The report of ``migrator tables``: each Iceberg table, and whether it can be migrated."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.findings import counted
from migrator.reporting.description import TableDescription
from migrator.reporting.rendering import Report, line, size


def tables_report(tables: Sequence[TableDescription]) -> Report:
    """The tables of a lake, from :func:`migrator.api.list_tables`."""
    report: Report = []
    for table in tables:
        report.append(line((table["identifier"], "bold"), f"  {_numbers(table)}"))
        writers = "written by " + ", ".join(table["writers"]) if table["writers"] else ""
        about = "; ".join(filter(None, [", ".join(table["features"]), writers]))
        if about:
            report.append(line(f"    {about}"))
        if table["state"] == "migrated":
            report.append(line("    already at the target"))
        elif table["migratable"]:
            report.append(line("    ", ("can be migrated", "green")))
        else:
            report.append(line("    ", (f"blocked: {', '.join(table['problems'])}", "red")))
    blocked = sum(1 for table in tables if not table["migratable"])
    total = counted(len(tables), "table") + (f", {blocked} of them blocked" if blocked else "")
    return [*report, line(), line(total + ('; "migrator plan" says why.' if blocked else "."))]


def _numbers(table: TableDescription) -> str:
    """``v2, 3 snapshots, 12 data files (1.5 MiB), 1 delete file``, without unknown numbers."""
    if table["kind"] == "view":
        return "view"
    if table["data_files"] is None:
        return f"v{table['format_version'] or '?'}"
    deletes = f", {counted(table['delete_files'], 'delete file')}" if table["delete_files"] else ""
    return (
        f"v{table['format_version']}, {counted(table['snapshots'] or 0, 'snapshot')}, "
        f"{counted(table['data_files'], 'data file')} ({size(table['data_bytes'] or 0)}){deletes}"
    )
