"""The report of ``migrator check``: the folders of the lake as a tree, and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from migrator.checking.results import GONE, LakeCheck
from migrator.checking.streams import Stream
from migrator.checking.structure import CHECKPOINTS, DATABASE, LOGS, WAREHOUSE, Folder, Part
from migrator.findings import Finding, counted
from migrator.reporting.findings import EXPLAIN, grouped_findings
from migrator.reporting.rendering import Grid, Report, line, size

SHOWN = 20
"""How many folders inside a folder, and how many places of one code, are shown."""
OUTSIDE = ("stray-object", "stray-folder", "misplaced-table", "loose-object", "no-checkpoint")
STRUCTURE = ("target-bucket-missing", "not-migrated", "checkpoint-incomplete", "folder-missing", "old-bucket")
LAYERS = ("new-layer",)
Row = tuple[str, str, str, str]


def check_report(check: LakeCheck) -> Report:
    """The tree, the findings under a heading each, and the result."""
    missing = "" if check.target_exists else ", which does not exist"
    report: Report = [line((f"s3://{check.target}/", "bold"), missing)]
    report.append(Grid(("folder", "is", "objects", "size"), list(_rows(check)), (2, 3)))
    report.append(line())
    report.append(line(_asked(check)))
    named = (*OUTSIDE, *STRUCTURE, *LAYERS)
    sections = (
        ("The structure", [f for f in check.findings if f.code in STRUCTURE]),
        ("Outside of the structure", [f for f in check.findings if f.code in OUTSIDE]),
        ("What still names an old bucket", [f for f in check.findings if f.code not in named]),
        ("New layers", [f for f in check.findings if f.code in LAYERS]),
    )
    for title, findings in sections:
        report += _section(title, findings)
    if check.findings:
        report += [line(), line(EXPLAIN)]
    return [*report, line(), line(check.result, style="green" if check.ok else "red")]


def _section(title: str, findings: list[Finding]) -> Report:
    if not findings:
        return []
    return [line(), line(title, style="bold"), *grouped_findings([f.to_json() for f in findings], SHOWN)]


def _asked(check: LakeCheck) -> str:
    """The line that says what was read."""
    catalogs = f"catalogs: {', '.join(check.catalogs)}" if check.catalogs else "no catalog was given"
    gone = sum(state == GONE for state in check.old_buckets.values())
    old = f"{gone} of {counted(len(check.old_buckets), 'old bucket')} gone"
    return f"Read {counted(check.tables_read, 'table')} and {counted(check.scripts_read, 'script')}; {catalogs}; {old}."


def _rows(check: LakeCheck) -> Iterator[Row]:
    for folder in check.folders:
        yield f"{folder.name}/", folder.state, f"{folder.objects:,}", size(folder.bytes)
        yield from _inside(folder)
    for other in check.others[:SHOWN]:
        yield f"{other.name}/", "not part of the structure", f"{other.objects:,}", size(other.bytes)


def _inside(folder: Folder) -> Iterator[Row]:
    parts = list(folder.parts)
    for part in parts[:SHOWN]:
        yield f"  {part.name}/", _what(folder, part), f"{part.objects:,}", size(part.bytes)
        for stream in folder.streams_in(part.name)[:SHOWN]:
            if stream.folder != part.name:
                yield f"    {stream.folder[len(part.name) + 1 :]}/", _of_stream(stream), "", ""
    if (more := folder.parts.total - len(parts[:SHOWN])) > 0:
        yield f"  … and {more:,} more", "", "", ""


def _what(folder: Folder, part: Part) -> str:
    """The description of a folder inside an expected folder."""
    if folder.kind == WAREHOUSE:
        return "namespace" if part.name.endswith(DATABASE) else "folder"
    if folder.kind == LOGS:
        return "application"
    if folder.kind != CHECKPOINTS:
        return ""
    streams = folder.streams_in(part.name)
    if len(streams) == 1 and streams[0].folder == part.name:
        return _of_stream(streams[0])
    return counted(len(streams), "stream") if streams else "no checkpoint"


def _of_stream(stream: Stream) -> str:
    if stream.of_flink:
        return "stream of Flink"
    batches = f"{stream.batches:,} {'batch' if stream.batches == 1 else 'batches'}"
    return "stream, incomplete" if stream.trouble else f"stream, {batches}"


def check_json(check: LakeCheck) -> dict[str, Any]:
    """What ``check --json`` prints."""
    return {
        "ok": check.ok,
        "result": check.result,
        "target": check.target,
        "target_exists": check.target_exists,
        "folders": [_folder_json(folder) for folder in check.folders],
        "others": [{"folder": f"{part.name}/", "objects": part.objects, "bytes": part.bytes} for part in check.others],
        "old_buckets": [{"bucket": bucket, "state": state} for bucket, state in check.old_buckets.items()],
        "catalogs": check.catalogs,
        "tables_read": check.tables_read,
        "scripts_read": check.scripts_read,
        "findings": [finding.to_json() for finding in check.findings],
    }


def _folder_json(folder: Folder) -> dict[str, Any]:
    return {
        "folder": f"{folder.name}/",
        "kind": folder.kind,
        "state": folder.state,
        "objects": folder.objects,
        "bytes": folder.bytes,
        "loose_objects": folder.loose,
        "parts": [
            {"folder": f"{part.name}/", "is": _what(folder, part), "objects": part.objects, "bytes": part.bytes}
            for part in folder.parts
        ],
        "parts_in_all": folder.parts.total,
        "streams": [
            {"folder": f"{s.folder}/", "whole": not s.trouble, "batches": s.batches, "trouble": s.trouble or None}
            for s in folder.streams
        ],
    }
