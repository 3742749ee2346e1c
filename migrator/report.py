"""Plans, progress and verifications as text that a person wants to read. Pure: no I/O.

Keys and names are untrusted: whatever could move the cursor or change colours is shown escaped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from migrator.api import Migration
from migrator.plan.summary import StatusSummary
from migrator.relocate import Relocation
from migrator.verify import Check, PrefixTotal, Verification

Style = Callable[[str, str], str]
"""(text, colour name) → text. The command line passes one that colours; tests and files get plain text."""

_SIGNS = {"block": ("✖", "red"), "warn": ("▲", "yellow"), "info": ("·", "cyan")}
_STATES = {
    "rewrite": "rewrite",
    "rewritten": "rewritten, cut over",
    "migrated": "already there",
    "left": "left where it is",
}


def plain(text: str, colour: str) -> str:
    """No colours."""
    return text


def printable(text: str) -> str:
    """``text`` with every control and other unprintable character as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def size(count: int) -> str:
    """A number of bytes for people: ``1.5 GiB``."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            return f"{amount:,.0f} B" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} PiB"


def counted(count: int, noun: str) -> str:
    """``1 table``, ``2 tables``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def to_json(value: Any) -> str:
    return json.dumps(value, indent=2)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> list[str]:
    """Rows in aligned columns. ``right`` holds the indexes of the columns of numbers, as digits."""
    cells = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        padded = (
            c.rjust(w) if str(i) in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  " + "  ".join(padded).rstrip())
    return lines


# -- the plan --------------------------------------------------------------------------------------------


def plan_text(plan: dict[str, Any], style: Style = plain) -> str:
    """The report of a plan, from :func:`migrator.plan.summary.describe_plan`."""
    lines = [
        style(f"Plan {printable(plan['plan'])}", "bold"),
        f"  {_ends(plan)}   made {plan['created']} by migrator {plan['tool_version']}",
        "",
        style("What moves", "bold"),
        *_prefix_lines(plan),
        "",
        style("What happens to the objects", "bold"),
        *_action_lines(plan["actions"], streamed=plan["streamed"]),
    ]
    lines += _version_lines(plan["versions"], style)
    if plan["tables"]:
        lines += ["", style("Tables", "bold"), *_table_lines(plan["tables"])]
    if plan["namespaces"]:
        rows = [(n["catalog"], n["namespace"], n["key"], f"{n['old']} → {n['new']}") for n in plan["namespaces"]]
        lines += ["", style("Namespace properties", "bold"), *grid(("catalog", "namespace", "key", "change"), rows)]
    if plan["findings"]:
        lines += ["", style("Findings", "bold"), *_finding_lines(plan["findings"], style)]
    return "\n".join([*lines, "", _verdict(plan, style)])


def _ends(plan: dict[str, Any]) -> str:
    """From where to where, each with what tells it from the other."""

    def end(which: str) -> str:
        known = (f"{key} {plan[which + key]}" for key in ("region", "profile") if plan[which + key])
        details = ", ".join(known) if plan["streamed"] else ""
        return printable(f"{plan[which + 'endpoint_url']} ({details})" if details else plan[f"{which}endpoint_url"])

    target = f"s3://{printable(plan['target_bucket'])}/"
    return f"{end('')} → {target} at {end('target_')}" if plan["streamed"] else f"{end('')} → {target}"


def _prefix_lines(plan: dict[str, Any]) -> list[str]:
    rows = [
        (p["source"], "→", p["target"] or "(left where it is)", f"{p['objects']:,}", size(p["bytes"]))
        for p in plan["prefixes"]
    ]
    total = sum(p["objects"] for p in plan["prefixes"]), sum(p["bytes"] for p in plan["prefixes"])
    rows.append(("", "", "", f"{total[0]:,}", size(total[1])))
    return grid(("from", "", "to", "objects", "size"), rows, right="34")


_MEANINGS = {
    "copy": "copied as they are",
    "overwrite": "copied over an older copy",
    "same": "at the target already",
    "rewrite": "table files, rewritten with the new paths",
    "conflict": "in conflict: see the findings",
    "skip": "left where they are",
}


_VERSION_MEANINGS = {
    "copy": "copied before what is current, the oldest first",
    "same": "at the target already",
}


def _action_lines(actions: dict[str, dict[str, int]], *, streamed: bool) -> list[str]:
    meanings = {**_MEANINGS, "copy": _MEANINGS["copy"] + (", through this machine" if streamed else ", on the server")}
    rows = [
        (name, f"{total['objects']:,}", size(total["bytes"]), meanings[name])
        for name, total in actions.items()
        if total["objects"]
    ]
    return grid(("action", "objects", "size", ""), rows, right="12") if rows else ["  nothing: no objects were found"]


def _version_lines(versions: dict[str, dict[str, int]], style: Style) -> list[str]:
    rows = [
        (
            name,
            f"{total['keys']:,}",
            f"{total['versions']:,}",
            f"{total['markers']:,}",
            size(total["bytes"]),
            _VERSION_MEANINGS[name],
        )
        for name, total in versions.items()
        if total["keys"]
    ]
    head = ("action", "objects", "versions", "markers", "size", "")
    return ["", style("Older versions", "bold"), *grid(head, rows, right="1234")] if rows else []


def _table_lines(tables: list[dict[str, Any]]) -> list[str]:
    def number(value: int | None) -> str:
        return "?" if value is None else f"{value:,}"

    rows = [
        (
            t["identifier"],
            "view" if t["kind"] == "view" else f"v{t['format_version'] or '?'}",
            number(t["snapshots"]),
            number(t["data_files"]),
            number(t["delete_files"]),
            number(t["rewrite_files"]),
            _STATES[t["state"]],
        )
        for t in tables
    ]
    head = ("table", "format", "snapshots", "data files", "deletes", "to rewrite", "")
    return grid(head, rows, right="2345")


def _finding_lines(findings: list[dict[str, Any]], style: Style) -> list[str]:
    lines = []
    for finding in findings:
        sign, colour = _SIGNS[finding["severity"]]
        count = f" (×{finding['count']:,})" if finding["count"] > 1 else ""
        what = f"{printable(finding['place'])} {printable(finding['message'])}{count}"
        lines.append(f"  {style(sign, colour)} {style(finding['code'], colour)}: {what}")
        if finding["next_move"]:
            lines.append(f"      {printable(finding['next_move'])}")
    return lines


def _verdict(plan: dict[str, Any], style: Style) -> str:
    blocks = sum(1 for f in plan["findings"] if f["severity"] == "block")
    if blocks:
        return style(f"Blocked: {counted(blocks, 'finding')} to solve first. Nothing was changed.", "red")
    if not plan["changes_pending"]:
        return style("Nothing to do: the target holds all of it, and every pointer leads there.", "green")
    return style(f"Ready. Nothing was changed yet. Next: migrator migrate {printable(plan['plan'])}", "green")


# -- tables ----------------------------------------------------------------------------------------------


def tables_text(tables: list[dict[str, Any]], style: Style = plain) -> str:
    """What was found, table by table, from :func:`migrator.api.list_tables`."""
    lines = []
    for table in tables:
        lines.append(style(printable(table["identifier"]), "bold") + f"  {_table_numbers(table)}")
        about = [", ".join(table["features"]), "written by " + ", ".join(table["writers"]) if table["writers"] else ""]
        if any(about):
            lines.append("    " + printable("; ".join(filter(None, about))))
        if table["state"] == "migrated":
            lines.append("    already lives at the target")
        elif table["migratable"]:
            lines.append("    " + style("can be migrated", "green"))
        else:
            lines.append("    " + style(f"blocked: {', '.join(table['problems'])}", "red"))
    stuck = sum(1 for table in tables if not table["migratable"])
    total = counted(len(tables), "table") + (f", {stuck} of them blocked" if stuck else "")
    return "\n".join([*lines, "", total + ('; "migrator plan" says why.' if stuck else ".")])


def _table_numbers(table: dict[str, Any]) -> str:
    if table["kind"] == "view":
        return "view"
    if table["data_files"] is None:
        return f"v{table['format_version'] or '?'}"
    deletes = f", {counted(table['delete_files'], 'delete file')}" if table["delete_files"] else ""
    return (
        f"v{table['format_version']}, {counted(table['snapshots'], 'snapshot')}, "
        f"{counted(table['data_files'], 'data file')} ({size(table['data_bytes'])}){deletes}"
    )


def relocation_text(relocation: Relocation, style: Style = plain) -> str:
    """What was written, and how a catalog learns of it."""
    done = relocation
    quoted = done.metadata_location.replace("\\", "\\\\").replace("'", "\\'")
    there = f" ({done.there_already:,} were there already)" if done.there_already else ""
    lines = [
        f"Copied {counted(done.copied, 'object')} ({size(done.copied_bytes)}){there}, rewrote "
        f"{counted(done.rewritten, 'table file')}: {counted(done.snapshots, 'snapshot')}, v{done.format_version}.",
        *(f"  note: {printable(note)}" for note in done.notes[:10]),
        style(f"The table is at {printable(done.metadata_location)}", "green"),
        "To register it: CALL <catalog>.system.register_table(table => '<namespace>.<name>', metadata_file => "
        f"'{printable(quoted)}')",
    ]
    return "\n".join(lines)


_WHERE = {True: "cut over, lives at the target", False: "not cut over yet, lives in the old place"}


# -- status, migration, verification ---------------------------------------------------------------------


def status_text(status: StatusSummary, style: Style = plain) -> str:
    percent = 100 * status.objects_done // status.objects if status.objects else 100
    lines = [
        style(f"{printable(status.plan)}: {status.phase}", "bold"),
        f"  objects   {status.objects_done:,} of {status.objects:,} ({percent} %)",
        *([f"  versions  {status.versions_done:,} of {status.versions:,}"] if status.versions else []),
        f"  bytes     {size(status.bytes_done)} of {size(status.bytes)}",
        f"  pointers  {status.pointers_changed} of {status.pointers} changed",
    ]
    if 0 < sum(t["cut_over"] for t in status.tables) < len(status.tables):
        lines += [f"  {printable(t['table'])}: {_WHERE[t['cut_over']]}" for t in status.tables]
    lines += [f"  {event['at']}  {event['event']}" for event in status.events]
    if status.superseded_by:
        lines.append(style(f"Superseded by a newer plan: {printable(status.superseded_by)}. Use that one.", "red"))
    if status.not_checked:
        lines.append(style(f"Not checked: {printable(status.not_checked)}", "yellow"))
    return "\n".join(lines)


def migration_text(migration: Migration, plan: str, changes: list[dict[str, str]], style: Style = plain) -> str:
    """How a migration ended, and what is left to do by hand."""
    if migration.nothing_to_do:
        message = "Nothing to do: the target holds all of it, and every pointer leads there."
        return style(message, "green") + f"\nTo verify: migrator verify {printable(plan)}"
    done = migration.outcome
    older = ""
    if done.copied_versions:
        older = f", {counted(done.copied_versions, 'older version')} ({size(done.copied_version_bytes)})"
    lines = [
        f"Copied {counted(done.copied, 'object')} ({size(done.copied_bytes)}){older}, rewrote "
        f"{counted(done.rewritten, 'table file')}, re-pointed {counted(len(done.cut_over), 'table')}."
    ]
    if done.proofs:
        proofs = ", ".join(f"{proof} {count:,}" for proof, count in done.proofs.most_common())
        rate = f" at {done.copied / done.copy_seconds:,.0f} objects/s" if done.copy_seconds > 1 else ""
        lines.append(f"Proven by {proofs}{rate}.")
    if done.late:
        lines.append(style(f"Left behind in the old buckets: {printable(str(done.late))}", "yellow"))
    if migration.verification is None:
        lines += [
            "No cutover yet: readers still use the old buckets.",
            style(f"Next: stop the writers, then migrator migrate {printable(plan)}", "bold"),
        ]
        return "\n".join(lines)
    lines += ["", verification_text(migration.verification, style), "", style("What you must change now", "bold")]
    rows = [(c["what"], c["before"], "→", c["after"]) for c in changes]
    lines += grid(("", "before", "", "after"), rows)
    lines += [
        "  Restart engines that were running: a session that has a table cached still writes to the old place.",
        "",
        f"To verify again, at any time: migrator verify {printable(plan)}",
    ]
    return "\n".join(lines)


def verification_text(verification: Verification, style: Style = plain) -> str:
    """What was checked, with numbers, and what was wrong."""
    lines = [style("Verification", "bold")]
    if verification.prefixes:
        head = ("prefix", "planned", "size", "present", "size")
        lines += grid(head, (_total_row(t) for t in verification.prefixes), right="1234")
    for check in verification.checks:
        lines += _check_lines(check, style)
    if verification.superseded_by:
        newer = printable(verification.superseded_by)
        lines.append(style(f"This plan is superseded by a newer plan: {newer}. Verify that one.", "red"))
    failed = sum(check.failed for check in verification.checks)
    if failed:
        return "\n".join([*lines, style(f"{counted(failed, 'difference')}.", "red")])
    ending = "Everything is as it must be." if verification.cut_over else "Everything so far is as it must be."
    return "\n".join([*lines, style(ending, "green")])


def _total_row(total: PrefixTotal) -> tuple[str, ...]:
    return (
        total.prefix or "/",
        f"{total.planned_objects:,}",
        size(total.planned_bytes),
        f"{total.present_objects:,}",
        size(total.present_bytes),
    )


def _check_lines(check: Check, style: Style) -> list[str]:
    sign = style("✖", "red") if check.failed else style("✔", "green")
    wrong = f", {check.failed:,} wrong" if check.failed else ""
    lines = [f"  {sign} {check.name}: {check.checked:,} {check.unit} checked{wrong}"]
    lines += [f"      {printable(problem)}" for problem in check.problems]
    lines += [f"      note: {printable(note)}" for note in check.notes[:10]]
    if len(check.notes) > 10:
        lines.append(f"      note: and {len(check.notes) - 10} more")
    return lines


def verification_json(verification: Verification) -> dict[str, Any]:
    return {
        "ok": verification.ok,
        "cut_over": verification.cut_over,
        "superseded_by": verification.superseded_by,
        "prefixes": [{name: getattr(total, name) for name in PrefixTotal.__slots__} for total in verification.prefixes],
        "checks": [check.to_json() for check in verification.checks],
    }


def migration_json(migration: Migration, plan: str, changes: list[dict[str, str]]) -> dict[str, Any]:
    done = migration.outcome
    return {
        "plan": plan,
        "ok": migration.ok,
        "nothing_to_do": migration.nothing_to_do,
        "copied_objects": done.copied,
        "copied_bytes": done.copied_bytes,
        "copied_versions": done.copied_versions,
        "copied_version_bytes": done.copied_version_bytes,
        "copy": {
            "objects": done.copied,
            "bytes": done.copied_bytes,
            "seconds": round(done.copy_seconds, 3),
            "requests": done.usage.requests,
            "cpu_seconds": round(done.usage.cpu_seconds, 3),
            "processes": done.usage.processes,
            "concurrency": done.usage.level,
            "proofs": dict(sorted(done.proofs.items())),
        },
        "rewritten_files": done.rewritten,
        "late": asdict(done.late) if done.late else None,
        "tables_cut_over": done.cut_over,
        "compared": [check.to_json() for check in migration.compared],
        "verification": verification_json(migration.verification) if migration.verification else None,
        "changes": changes,
    }
