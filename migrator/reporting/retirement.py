"""The report of ``migrator retire``: what is deleted of each old bucket, what stays, and why."""

from __future__ import annotations

import shlex

from migrator.findings import counted
from migrator.reporting.rendering import Grid, Report, line, printable, size, unwrapped
from migrator.retiring.results import EXAMPLES, KINDS, OldBucket, Reason, Retirement

NAMES = ("objects", "older versions", "delete markers", "folder markers", ".crc files")
"""How the report names the kinds of :data:`migrator.retiring.results.KINDS`."""


def retirement_report(retirement: Retirement, *, cooling: str = "7d") -> Report:
    """One row per old bucket, then what stays in it. If nothing was deleted, the command that deletes it."""
    done = retirement.carried_out
    report: Report = [line("Deleted from the old buckets" if done else "Would be deleted", style="bold")]
    shown = [(kind, name) for kind, name in zip(KINDS, NAMES, strict=True) if _total(retirement, kind)]
    shown = shown or [(KINDS[0], NAMES[0])]
    rows = [
        (bucket.name, *(f"{bucket.counts[kind]:,}" for kind, _ in shown), size(bucket.bytes))
        for bucket in retirement.buckets
    ]
    report.append(Grid(("bucket", *(name for _, name in shown), "size"), rows, range(1, len(shown) + 2)))
    for bucket in retirement.buckets:
        report += _notes(bucket, retirement)
    for code, lines in sorted(retirement.accepted.items()):
        report.append(line(f"Accepted [{code}]: {counted(len(lines), 'finding')}, such as {lines[0]}", style="yellow"))
    return report + _old_catalogs(retirement) + _end(retirement, cooling)


def _old_catalogs(retirement: Retirement) -> Report:
    """What happens to the entries in old catalogs of tables that moved to another catalog."""
    report: Report = []
    if entries := retirement.old_entries:
        done = retirement.carried_out
        said = ("were removed" if done else "would be removed") if retirement.remove_old_entries else ""
        said = said or (
            "stay, and name missing files" if done else "would stay, and name missing files: --remove-old-entries"
        )
        text = f"Old catalogs: the entries of {counted(len(entries), 'table')} that moved to another catalog {said}"
        report += [line(text), *_first(entries)]
    if retirement.old_namespaces:
        text = "Old catalogs: properties of namespaces that name an old place, and stay"
        report += [line(text), *_first(retirement.old_namespaces)]
    return report


def _first(lines: list[str]) -> Report:
    return _examples(Reason(len(lines), lines[:EXAMPLES]))


def _total(retirement: Retirement, kind: str) -> int:
    return sum(bucket.counts[kind] for bucket in retirement.buckets)


def _notes(bucket: OldBucket, retirement: Retirement) -> Report:
    report: Report = []
    if bucket.missing:
        report.append(line(f"  {bucket.name}: the bucket does not exist any more"))
    if bucket.gone and not bucket.missing:
        report.append(line(f"  {bucket.name}: {bucket.gone:,} were deleted by an earlier run"))
    if bucket.vanished.count and not bucket.missing:
        text = f"  {bucket.name}: {bucket.vanished.count:,} vanished since planning; migrator did not delete them"
        report += [line(text, style="yellow"), *_examples(bucket.vanished)]
    for reason, which in bucket.stays.items():
        verb = "stays" if which.count == 1 else "stay"
        report += [line(f"  {bucket.name}: {which.count:,} {verb}: {reason}"), *_examples(which)]
    for reason, which in bucket.not_deleted.items():
        report.append(line(f"  ✖ {bucket.name}: {which.count:,} could not be deleted: {reason}", style="red"))
        report += _examples(which)
    if bucket.removed:
        report.append(line(f"  {bucket.name}: the empty bucket was removed"))
    elif bucket.kept:
        said = "the bucket stays" if retirement.carried_out else "the bucket would stay"
        report.append(line(f"  {bucket.name}: {said}: {bucket.kept}"))
    return report


def _examples(which: Reason) -> Report:
    more = which.count - len(which.examples)
    lines = [line(f"      {place}") for place in which.examples]
    return [*lines, line(f"      … and {more:,} more")] if more else [*lines]


def _end(retirement: Retirement, cooling: str) -> Report:
    if retirement.carried_out:
        if not retirement.ok:
            text = "Not everything could be deleted. Fix the cause and run the same command again."
            return [line(text, style="red")]
        name = shlex.quote(printable(retirement.plan))
        return [line(f"Done. The target was not changed. To verify: migrator verify {name}", style="green")]
    if not any(_total(retirement, kind) for kind in KINDS) and not retirement.remove_buckets:
        return [line("There is nothing to delete.", style="green")]
    return [
        line(f"Verified just now: {retirement.verification.result}. Nothing was deleted. To delete this for good:"),
        unwrapped(f"  {command(retirement, cooling)}"),
    ]


def command(retirement: Retirement, cooling: str = "7d") -> str:
    """The command line that deletes what was shown."""
    parts = ["migrator", "retire", printable(retirement.plan)]
    parts += ["--cooling", cooling] if cooling != "7d" else []
    for code in sorted(retirement.accepted):
        parts += ["--accept", code]
    parts += ["--remove-old-entries"] if retirement.remove_old_entries else []
    parts += ["--remove-buckets"] if retirement.remove_buckets else []
    return shlex.join([*parts, "--yes", "--confirm", retirement.target])
