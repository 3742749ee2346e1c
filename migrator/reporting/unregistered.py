"""The parts of reports about tables that were moved although no given catalog names them."""

from __future__ import annotations

from migrator.cutover.unregistered import register_commands
from migrator.findings import counted
from migrator.reporting.rendering import Report, and_more, line, unwrapped

TABLES = 10
"""How many unregistered tables are shown, with the commands for each."""


def unregistered_in_plan(tables: list[dict[str, str]]) -> Report:
    """The part of a plan's report about such tables: they are copied, and engines will not find them."""
    if not tables:
        return []
    one = len(tables) == 1
    text = (
        f"{counted(len(tables), 'table')} {'is' if one else 'are'} in no given catalog: copied and rewritten, but "
        f"not registered. Engines will not find {'it' if one else 'them'} at the target, and lose "
        f"{'it' if one else 'them'} with the old buckets."
    )
    move = "Name the catalog with --catalog or in [catalogs]; or register afterwards: migrate prints the commands."
    return [
        line(),
        line(text, style="red"),
        *(unwrapped(f"  {table['old_location']}") for table in tables[:TABLES]),
        *and_more(len(tables) - TABLES),
        line(f"  {move}"),
    ]


def unregistered_at_target(tables: list[dict[str, str]]) -> Report:
    """The end of a report on a migration or a verification: what is not registered at the target, and the commands
    that register it."""
    if not tables:
        return []
    verb, them = ("is", "it") if len(tables) == 1 else ("are", "them")
    text = (
        f"{counted(len(tables), 'table')} {verb} not registered: no given catalog has {them} at the target. Engines do "
        f"not find {them} there, and lose {them} with the old buckets. To register {them}:"
    )
    report: Report = [line(text, style="red")]
    for table in tables[:TABLES]:
        report.append(line(f"  {table['namespace'] or '<namespace>'}.{table['name']}"))
        report += [unwrapped(f"    {engine:<9}  {command}") for engine, command in register_commands(table)]
    if len(tables) > TABLES:
        report.append(line(f"  … and {len(tables) - TABLES:,} more; --json lists all"))
    return report
