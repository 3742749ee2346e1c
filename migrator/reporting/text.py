"""Plans, progress and verifications as text that a person wants to read. Pure: no I/O.

Keys and names are untrusted: whatever could move the cursor or change colours is shown escaped.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from migrator.api import Migration
from migrator.cutover.source_changes import Late
from migrator.cutover.unregistered import register_commands
from migrator.findings import AT_MIGRATION, CODES, counted
from migrator.findings.explanations import EXPLANATIONS
from migrator.planfile.copied import KIND_CHANGED, LOST
from migrator.reporting.describe import StatusSummary
from migrator.rewriting.relocate import Relocation
from migrator.verifying.checks import DIFFERENT, NOT_COMPARED, Check, PrefixTotal, Verification

Style = Callable[[str, str], str]
"""(text, colour name) → text. The command line passes one that colours; tests and files get plain text."""

_SIGNS = {"block": ("✖", "red"), "warn": ("▲", "yellow"), "info": ("·", "cyan")}
_STATES = {
    "rewrite": "to rewrite",
    "rewritten": "rewritten, not cut over yet",
    "migrated": "at the target already",
    "left": "left where it is",
}
_UNNAMED_STATES = {
    "rewrite": "to rewrite, not registered",
    "rewritten": "rewritten, not registered",
    "migrated": "at the target already",
}
"""States of tables that no given catalog names: nothing is cut over for them."""
PLACES = 3
"""How many places a group of findings shows."""
BUCKETS = 100
"""How many buckets beside the plan are named: each may be one that was forgotten."""
TABLES = 10
"""How many unregistered tables are shown, with the commands for each."""
NOTHING_TO_DO = "Nothing to do: the target holds all of it, and every pointer leads there."
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


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


def wrapped(text: str, width: int) -> str:
    """``text`` with lines of at most ``width`` characters, where words allow it. What continues a line is indented
    further than the line. Colours take no room."""
    return "\n".join(piece for line in text.split("\n") for piece in _pieces(line, width))


def _pieces(line: str, width: int) -> Iterator[str]:
    if line.lstrip().startswith("migrator "):  # a command to copy must stay in one piece
        yield line
        return
    indent = " " * (len(line) - len(line.lstrip(" ")) + 4)
    piece = ""
    for word in re.findall(r"\s*\S+", line):
        if piece.strip() and len(_COLOUR.sub("", piece + word)) > width:
            yield piece
            piece = indent + word.lstrip()
        else:
            piece += word
    yield piece


# -- the plan --------------------------------------------------------------------------------------------


def plan_text(plan: dict[str, Any], style: Style = plain, *, starting: bool = False) -> str:
    """The report of a plan, from :func:`~migrator.reporting.describe.describe_plan`.

    ``starting``: the plan is about to be carried out, so no next step is given."""
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
    lines += _unregistered_before(plan["unregistered"], style)
    return "\n".join([*lines, "", style(_totals(plan), "bold"), *_verdict(plan, style, starting=starting)])


def _totals(plan: dict[str, Any]) -> str:
    """``Plan: 390 to copy, 82 to rewrite, 7 pointers to change in 2 catalogs, 0 to delete.``"""
    beside = [finding for finding in plan["findings"] if finding["code"] == "bucket-beside"]
    text = f"Plan: {_work(plan)}, 0 to delete."
    if beside:
        count = max(sum(finding["count"] for finding in beside), len(beside))
        names = ", ".join(printable(f["place"].removeprefix("s3://").rstrip("/")) for f in beside[:BUCKETS])
        more = ", …" if count > len(beside[:BUCKETS]) else ""
        verb = "is" if count == 1 else "are"
        text += f" {counted(count, 'bucket')} {verb} not part of it: {names}{more}."
    return text


def _copies(actions: dict[str, dict[str, int]]) -> int:
    return actions["copy"]["objects"] + actions["overwrite"]["objects"]


def _work(plan: dict[str, Any]) -> str:
    actions, pointers = plan["actions"], plan["pointers"]
    copies = _copies(actions)
    older = sum(plan["versions"].get("copy", {}).get(kind, 0) for kind in ("versions", "markers"))
    where = f" in {counted(pointers['catalogs'], 'catalog')}" if pointers["catalogs"] else ""
    return ", ".join(
        [
            f"{copies:,} to copy",
            *([f"{counted(older, 'older version')} to copy"] if older else []),
            f"{actions['rewrite']['objects']:,} to rewrite",
            f"{counted(pointers['total'], 'pointer')} to change{where}",
        ]
    )


def question(plan: dict[str, Any], *, cutover: bool) -> str:
    """What ``migrate`` asks before it starts: what will be done, for a plan described as it is now."""
    pointers = counted(plan["pointers"]["total"], "pointer")
    catalogs = plan["pointers"]["catalogs"]
    change = f"change {pointers}" + (f" in {counted(catalogs, 'catalog')}" if catalogs else "")
    if plan["phase"] == "ready for cutover":
        done = "Everything is copied and rewritten."
        return f"{done} Compare it again and {change} now?" if cutover else f"{done} Compare it again now?"
    if plan["phase"] in ("cutting over", "cut over in part"):
        return f"The cutover was begun. Finish it ({change} in all) now?"
    actions = plan["actions"]
    copies = _copies(actions)
    work = f"opy {counted(copies, 'object')} and rewrite {counted(actions['rewrite']['objects'], 'table file')}"
    begin = f"C{work}" if plan["phase"] == "planned" else f"Go on to c{work} (what is done already is not done again)"
    return f"{begin}, then {change}, now?" if cutover else f"{begin} now, and change no pointer yet?"


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
    "pointer": "version hints, written at the cutover",
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
            (_UNNAMED_STATES if t["catalog"] is None else _STATES).get(t["state"], t["state"]),
        )
        for t in tables
    ]
    head = ("table", "format", "snapshots", "data files", "deletes", "to rewrite", "")
    return grid(head, rows, right="2345")


def _finding_lines(findings: list[dict[str, Any]], style: Style) -> list[str]:
    """The findings of one code together: how many places, the first of them, and what to do."""

    def kind(finding: dict[str, Any]) -> tuple[int, str]:
        return list(_SIGNS).index(finding["severity"]), finding["code"]

    lines = []
    order = {key: number for number, key in enumerate(dict.fromkeys(map(kind, findings)))}
    for (_, code), members in groupby(sorted(findings, key=lambda f: order[kind(f)]), key=kind):
        group = list(members)
        sign, colour = _SIGNS[group[0]["severity"]]
        head = f"  {style(sign, colour)} {style(code, colour)}: "
        if len(group) == 1:
            count = f" (×{group[0]['count']:,})" if group[0]["count"] > 1 else ""
            lines.append(f"{head}{printable(group[0]['place'])} {printable(group[0]['message'])}{count}")
        else:
            total = sum(finding["count"] for finding in group)
            lines.append(f"{head}{counted(total, 'place')}: {CODES[code][1] if code in CODES else ''}")
            shown = group[:PLACES]
            lines += [f"      {printable(f['place'])} {printable(f['message'])}" for f in shown]
            rest = total - sum(finding["count"] for finding in shown)
            lines += [f"      … and {rest:,} more"] if rest > 0 else []
        moves = dict.fromkeys(finding["next_move"] for finding in group[:PLACES] if finding["next_move"])
        lines += [f"      {printable(move)}" for move in moves]
    return [*lines, '  "migrator explain CODE" says what a finding means and what to do.']


def _unregistered_before(tables: list[dict[str, str]], style: Style) -> list[str]:
    """What the plan says of tables that no given catalog names."""
    if not tables:
        return []
    one = len(tables) == 1
    text = (
        f"{counted(len(tables), 'table')} {'is' if one else 'are'} in no given catalog: copied and rewritten, but "
        f"not registered. Engines will not find {'it' if one else 'them'} at the target, and lose "
        f"{'it' if one else 'them'} with the old buckets."
    )
    lines = ["", style(text, "red")]
    lines += [f"  {printable(table['old_location'])}" for table in tables[:TABLES]]
    lines += [f"  … and {len(tables) - TABLES:,} more"] if len(tables) > TABLES else []
    move = "Name the catalog with --catalog or in [catalogs]; or register afterwards: migrate prints the commands."
    return [*lines, f"  {move}"]


def unregistered_lines(tables: list[dict[str, str]], style: Style) -> list[str]:
    """The last words of a migration or verification: what is not registered at the target, and how to do it."""
    if not tables:
        return []
    verb, them = ("is", "it") if len(tables) == 1 else ("are", "them")
    text = (
        f"{counted(len(tables), 'table')} {verb} not registered: no given catalog has {them} at the target. Engines do "
        f"not find {them} there, and lose {them} with the old buckets. To register {them}:"
    )
    lines = [style(text, "red")]
    for table in tables[:TABLES]:
        lines.append(f"  {printable(table['namespace'] or '<namespace>')}.{printable(table['name'])}")
        lines += [f"    {engine:<9}  {printable(command)}" for engine, command in register_commands(table)]
    if len(tables) > TABLES:
        lines.append(f"  … and {len(tables) - TABLES:,} more; --json lists all")
    return lines


def _verdict(plan: dict[str, Any], style: Style, *, starting: bool) -> list[str]:
    """How far the plan is, and what comes next."""
    blocks = sum(1 for f in plan["findings"] if f["severity"] == "block")
    name, phase = shlex.quote(printable(plan["plan"])), plan["phase"]
    if blocks:
        return [style(f"Blocked: {counted(blocks, 'finding')} to solve first. Nothing was changed.", "red")]
    if not plan["changes_pending"]:
        return [style(NOTHING_TO_DO, "green")]
    if phase == "planned":
        ready = f"Ready. Nothing was changed yet. Next: migrator migrate {name}"
        return [] if starting else [style(ready, "green")]
    if phase in ("cut over", "finished"):
        return [style(f"Carried out ({phase}). To verify: migrator verify {name}", "green")]
    states = {"ready for cutover": "Copied and rewritten; only the cutover is left."}
    state = states.get(phase, f"Under way ({phase}): what is done already is not done again.")
    return [style(state if starting else f"{state} To go on: migrator migrate {name}", "green")]


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


def migration_text(migration: Migration, plan: dict[str, Any], style: Style = plain) -> str:
    """How a migration ended, and what is left to do by hand. ``plan``: as described before it began."""
    name = shlex.quote(printable(plan["plan"]))
    unregistered = _unregistered_now(migration, plan)
    if migration.nothing_to_do:
        lines = [style(NOTHING_TO_DO, "green"), f"To verify: migrator verify {name}"]
        return "\n".join(lines + unregistered_lines(unregistered, style))
    lines = _done_lines(migration, plan)
    if not plan["changes_pending"] and migration.verification is not None:
        lines = [style(NOTHING_TO_DO, "green"), "", *_check_text(migration.verification, style)]
        return "\n".join(lines + _ending(migration.verification, style))
    if migration.verification is None:
        return "\n".join(lines + _not_compared_lines(migration.compared, style) + _no_cutover_lines(plan, name, style))
    lines += ["", *_check_text(migration.verification, style), "", style("What you must change now", "bold")]
    rows = [(c["what"], c["before"], "→", c["after"]) for c in plan["changes"]]
    lines += grid(("", "before", "", "after"), rows)
    lines += [
        "  Restart engines that were running: a session that has a table cached still writes to the old place.",
        "",
        f"To verify again, at any time: migrator verify {name}",
        *_ending(migration.verification, style),
    ]
    return "\n".join(lines)


def _unregistered_now(migration: Migration, plan: dict[str, Any]) -> list[dict[str, str]]:
    if migration.verification is None:
        return list(plan["unregistered"])
    return [table.to_json() for table in migration.verification.unregistered]


def _done_lines(migration: Migration, plan: dict[str, Any]) -> list[str]:
    """What this run did, in the numbers of the plan."""
    done, actions = migration.outcome, plan["actions"]
    older = ""
    if done.copied_versions:
        older = f", {counted(done.copied_versions, 'older version')} ({size(done.copied_version_bytes)})"
    lines = [
        f"Copied {counted(done.copied, 'object')} ({size(done.copied_bytes)}){older}, rewrote "
        f"{counted(done.rewritten, 'table file')}, changed {counted(done.pointers, 'pointer')}."
    ]
    copies, rewrites = _copies(actions), actions["rewrite"]["objects"]
    if plan["phase"] != "planned" and (done.copied, done.rewritten) != (copies, rewrites):
        lines[0] += f" (Of {copies:,} and {rewrites:,} in the plan: the others were done before.)"
    if done.proofs:
        proofs = ", ".join(f"{proof} {count:,}" for proof, count in done.proofs.most_common())
        rate = f" at {done.copied / done.copy_seconds:,.0f} objects/s" if done.copy_seconds > 1 else ""
        lines.append(f"Proven by {proofs}{rate}.")
    for fate, said in _CHECKSUMS.items():
        if count := done.checksums[fate]:
            lines.append(f"{counted(count, 'object')} {said}.")
    return lines


_CHECKSUMS = {
    KIND_CHANGED: "came with a checksum over all bytes (FULL_OBJECT) instead of one over the parts (COMPOSITE), because"
    " this server copies no parts into an upload that keeps a checksum",
    LOST: "came without the checksum that the old server keeps with the original",
}


def _no_cutover_lines(plan: dict[str, Any], name: str, style: Style) -> list[str]:
    """What to do after ``migrate --no-cutover``: a step that works even if the lake was written to meanwhile."""
    return [
        "No cutover yet: readers and writers still use the old buckets.",
        style("Next, once all writers have stopped, plan again and migrate the new plan:", "bold"),
        f"  {plan_command(plan)} -o NEW.db",
        "  migrator migrate NEW.db",
        "It copies and rewrites only what is new.",
        "If nothing was written to the old buckets since this plan was made, it will do as it is:",
        f"  migrator migrate {name}",
    ]


def plan_command(plan: dict[str, Any]) -> str:
    """The ``migrator plan`` command that asks for what this plan was asked for."""
    words = ["migrator", "plan"]
    if plan["config"]:
        words += ["--config", plan["config"]]
    else:
        words += ["--endpoint-url", plan["endpoint_url"], "--target", plan["target_bucket"]]
        if plan["streamed"]:
            words += ["--target-endpoint-url", plan["target_endpoint_url"]]
        for catalog in plan["catalogs"]:
            words += ["--catalog", catalog]
    if plan["all_versions"]:
        words.append("--all-versions")
    if plan["object_lock"]:
        words.append("--object-lock")
    return printable(shlex.join(words))


def verification_text(verification: Verification, style: Style = plain) -> str:
    """What was checked, with numbers, and what was wrong."""
    return "\n".join(_check_text(verification, style) + _ending(verification, style))


def _check_text(verification: Verification, style: Style) -> list[str]:
    lines = [style("Verification", "bold")]
    if verification.prefixes:
        head = ("prefix", "planned", "size", "present", "size")
        lines += grid(head, (_total_row(t) for t in verification.prefixes), right="1234")
    for check in verification.checks:
        lines += _check_lines(check, style)
    return lines


def _ending(verification: Verification, style: Style) -> list[str]:
    """The last lines: "everything" is said only if all of it was compared, and nothing is left to be done."""
    errors = sum(check.errors for check in verification.checks)
    differences = sum(check.failed for check in verification.checks) - errors
    lines = []
    if differences:
        lines.append(style(f"{counted(differences, 'difference')}.", "red"))
    if errors:
        text = f"{counted(errors, 'read')} failed, which proves nothing: run the same command again."
        lines.append(style(text, "red"))
    lines += _not_compared_lines(verification.checks, style)
    if verification.superseded_by:
        newer = printable(verification.superseded_by)
        lines.append(style(f"This plan is superseded by a newer plan: {newer}. Verify that one.", "red"))
    if verification.late:
        lines.append(style(_late_text(verification.late), "yellow"))
    compared = any(check.checked for check in verification.checks)
    if not lines and not compared:
        lines.append(style("Nothing was compared: the plan holds nothing that must be at the target.", "yellow"))
    unregistered = unregistered_lines([table.to_json() for table in verification.unregistered], style)
    if not lines and not unregistered:
        done = "Everything is as it must be." if verification.cut_over else "Everything so far is as it must be."
        lines.append(style(done, "green"))
    elif verification.ok and compared:
        lines.insert(0, style("No difference was found.", "green"))
    return lines + unregistered


def _not_compared_lines(checks: Iterable[Check], style: Style) -> list[str]:
    """One line for all that could not be compared."""
    reasons: Counter[tuple[str, str]] = Counter()
    for check in checks:
        for reason, count in check.reasons.items():
            reasons[check.unit, reason] += count
    if not reasons:
        return []
    shown = "; ".join(f"{_of(count, unit)}: {reason}" for (unit, reason), count in reasons.most_common(3))
    more = f"; and for {len(reasons) - 3} more reasons, above" if len(reasons) > 3 else ""
    return [style(f"Not compared: {printable(shown)}{more}.", "yellow")]


def _of(count: int, unit: str) -> str:
    return f"{count:,} {unit.removesuffix('s') if count == 1 else unit}"


def _late_text(late: Late) -> str:
    return f"Left behind in the old buckets: {printable(str(late))}; these changes came after planning."


def _total_row(total: PrefixTotal) -> tuple[str, ...]:
    return (
        total.prefix or "/",
        f"{total.planned_objects:,}",
        size(total.planned_bytes),
        f"{total.present_objects:,}",
        size(total.present_bytes),
    )


def _check_lines(check: Check, style: Style) -> list[str]:
    """A tick only for what was compared. A check that had nothing to do is left out."""
    if not (check.checked or check.failed or check.reasons):
        return []
    signs = {DIFFERENT: ("✖", "red"), "error": ("!", "red"), NOT_COMPARED: ("–", "yellow")}
    sign = style(*signs.get(check.result, ("✔", "green")))
    parts = [f"{check.checked:,} {check.unit} checked"] if check.checked or check.failed else []
    differences = check.failed - check.errors
    parts += [f"{differences:,} wrong"] if differences else []
    parts += [f"{check.errors:,} could not be read now"] if check.errors else []
    lines = []
    if len(check.reasons) == 1:
        parts.append(f"not compared: {_of(check.not_compared, check.unit)} ({printable(next(iter(check.reasons)))})")
    elif check.reasons:
        parts.append(f"not compared: {_of(check.not_compared, check.unit)}")
        lines = [f"      {count:,}: {printable(reason)}" for reason, count in check.reasons.most_common()]
    lines.insert(0, f"  {sign} {check.name}: {', '.join(parts)}")
    lines += [f"      {printable(problem)}" for problem in check.problems]
    if check.failed > len(check.problems):
        lines.append(f"      … and {check.failed - len(check.problems):,} more")
    lines += [f"      note: {printable(note)}" for note in check.notes[:10]]
    if len(check.notes) > 10:
        lines.append(f"      note: and {len(check.notes) - 10} more")
    return lines


def verification_json(verification: Verification) -> dict[str, Any]:
    return {
        "ok": verification.ok,
        "result": verification.result,
        "cut_over": verification.cut_over,
        "superseded_by": verification.superseded_by,
        "prefixes": [{name: getattr(total, name) for name in PrefixTotal.__slots__} for total in verification.prefixes],
        "checks": [check.to_json() for check in verification.checks],
        "late": asdict(verification.late) if verification.late else None,
        "unregistered": [table.to_json() for table in verification.unregistered],
    }


def migration_json(migration: Migration, plan: dict[str, Any]) -> dict[str, Any]:
    done = migration.outcome
    return {
        "plan": plan["plan"],
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
            "checksums": dict(sorted(done.checksums.items())),
        },
        "rewritten_files": done.rewritten,
        "late": asdict(done.late) if done.late else None,
        "tables_cut_over": done.cut_over,
        "pointers_changed": done.pointers,
        "compared": [check.to_json() for check in migration.compared],
        "verification": verification_json(migration.verification) if migration.verification else None,
        "changes": plan["changes"],
        "unregistered": _unregistered_now(migration, plan),
    }


# -- explain ---------------------------------------------------------------------------------------------


def explanation_text(code: str, style: Style = plain) -> str:
    """What a code means, why it matters and what to do."""
    severity, meaning = CODES.get(code) or ("block", AT_MIGRATION[code])
    sign, colour = _SIGNS[severity]
    told = EXPLANATIONS.get(code)
    if told is None:
        return f"{style(f'{sign} {code}', colour)} ({severity}): {meaning}."
    return "\n".join(
        [
            f"{style(f'{sign} {code}', colour)} ({severity}): {meaning}.",
            "",
            f"Why it matters: {told.why}",
            "",
            f"What to do: {told.what_to_do}",
            *(["", "Example:", *(f"  {line}" for line in told.example.split("\n"))] if told.example else []),
        ]
    )


def codes_text(style: Style = plain) -> str:
    """Every code with its meaning."""
    known = {**{code: ("block", meaning) for code, meaning in AT_MIGRATION.items()}, **CODES}
    lines = []
    for code, (severity, meaning) in known.items():
        sign, colour = _SIGNS[severity]
        lines.append(f"  {style(sign, colour)} {code:<24} {meaning}")
    return "\n".join([*lines, '"migrator explain CODE" says more about one.'])
