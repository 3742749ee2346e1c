"""The report of ``migrator status``: how far a plan has been carried out."""

from __future__ import annotations

from migrator.reporting.describe import StatusSummary
from migrator.reporting.description import ROLLING_BACK
from migrator.reporting.rendering import Report, line, size, to_finish_rollback, unwrapped
from migrator.reporting.what_it_takes import between

TABLE_PLACES = {True: "cut over, at the target", False: "not cut over yet, in the old place"}
"""Where a table is if some tables are cut over and others are not."""
PLACES_IN_ROLLBACK = {True: "at the target", False: "in the old place again"}
"""The same after a rollback that has not ended."""


def status_report(status: StatusSummary) -> Report:
    """Counts, the tables of an incomplete cutover, and the events of the journal."""
    percent = 100 * status.objects_done // status.objects if status.objects else 100
    report: Report = [
        line(f"{status.plan}: {status.phase}", style="bold"),
        line(f"  objects   {status.objects_done:,} of {status.objects:,} ({percent} %)"),
        *([line(f"  versions  {status.versions_done:,} of {status.versions:,}")] if status.versions else []),
        line(f"  bytes     {size(status.bytes_done)} of {size(status.bytes)}"),
        line(f"  pointers  {status.pointers_changed} of {status.pointers} changed"),
    ]
    if status.seconds_left is not None:
        report.append(line(f"  left      {between(status.seconds_left)} (estimated)"))
    report += [line(f"  {name}: its tables move to {place}") for name, place in status.target_catalogs.items()]
    if 0 < sum(t["cut_over"] for t in status.tables) < len(status.tables):
        places = PLACES_IN_ROLLBACK if status.phase in ROLLING_BACK else TABLE_PLACES
        report += [line(f"  {t['table']}: {places[t['cut_over']]}") for t in status.tables]
    report += [line(f"  {event['at']}  {event['event']}") for event in status.events]
    if status.phase in ROLLING_BACK:
        report.append(line("A rollback has begun and has not ended: tables may be on both sides.", style="red"))
        report.append(unwrapped(to_finish_rollback(status.plan)))
    if status.superseded_by:
        report.append(line(f"Superseded by a newer plan: {status.superseded_by}. Use that one.", style="red"))
    if status.copy_carried_out:
        text = f"A copy of this plan was carried out: {status.copy_carried_out}. Use that one."
        report.append(line(text, style="red"))
    if status.not_checked:
        report.append(line(f"Not checked: {status.not_checked}", style="yellow"))
    return report
