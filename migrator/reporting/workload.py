"""Sums over the rows of a plan, from which estimates are computed. One pass by SQL, so that
memory stays flat for any number of objects.

How an object is copied depends on its size and ETag: see :mod:`migrator.copying.within_server` and
:mod:`migrator.copying.between_servers`, whose rules are repeated here as SQL.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from migrator.copying.options import PART_SIZE, SMALL, WHOLE_LIMIT
from migrator.cutover.pointers import count_pointers
from migrator.inventory.versions import has_versions
from migrator.planfile.file import PlanFile
from migrator.planfile.measured import Measured
from migrator.planfile.queries import MOVES, PLAIN_COPIES, VERSIONS_TO_COPY
from migrator.planfile.rows import LOCAL, REWRITE, ROLE_LOCAL, ROLE_VERSION_HINT, TO_REWRITE

MIB = 1 << 20
THROUGH_PART_SIZE, LEAST_PART_SIZE, MOST_PART_SIZE = 16 * MIB, 5 * MIB, 64 * MIB
"""The parts between two servers: see :mod:`migrator.store.two_servers`."""
MOST_PARTS = 10_000
MOST_MANIFESTS = 100
"""A snapshot is assumed to have no more manifests than this, because writers merge manifests from this number on."""

_PARTS = "CASE WHEN substr(etag, 33, 1) = '-' THEN CAST(substr(etag, 34) AS INTEGER) ELSE 0 END"


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of a plan. Sizes are in bytes. ``streamed``: copies go through this machine."""

    streamed: bool = False
    whole: int = 0
    """Objects that are copied in one request."""
    whole_bytes: int = 0
    split: int = 0
    """Objects that are copied in parts."""
    split_bytes: int = 0
    parts: int = 0
    """The parts of these."""
    asked: int = 0
    """Objects that need a HEAD request before they are copied."""
    from_parts: int = 0
    """Objects that were uploaded in parts: how their copies are proven depends on the server."""
    unsure: int = 0
    """Objects for which the number of requests depends on the server: large ones that were uploaded in parts, and empty
    ones that stand for folders."""
    rewritten: int = 0
    rewritten_bytes: int = 0
    uploaded: int = 0
    """Local files."""
    uploaded_bytes: int = 0
    hints: int = 0
    versions: int = 0
    version_bytes: int = 0
    markers: int = 0
    pointers: int = 0
    listed: int = 0
    """Objects in the old buckets."""
    at_target: int = 0
    """Objects at the target after the migration."""
    places: int = 0
    """Prefixes that are listed in the old buckets."""
    tables: int = 0
    table_files: int = 0
    """Metadata files, manifest lists, manifests and files of position deletes of the tables that move."""
    row_reads: int = 0
    """About how many files are read to count the rows of every snapshot once."""

    @property
    def copies(self) -> int:
        """Objects that are copied."""
        return self.whole + self.split

    @property
    def copied_bytes(self) -> int:
        """The bytes of these objects."""
        return self.whole_bytes + self.split_bytes


def workload_of(plan: PlanFile, header: dict[str, str], measured: Measured) -> Workload:
    """The sums of this plan."""
    streamed = bool(header["streamed"])
    copies = _copies(plan, streamed, measured)
    versions, version_bytes, markers = _versions(plan)
    tables, table_files, row_reads = _tables(plan)
    return Workload(
        streamed=streamed,
        **copies,
        asked=0 if streamed else _asked(plan, json.loads(header.get("asked", "[]"))),
        **_rewrites(plan),
        versions=versions,
        version_bytes=version_bytes,
        markers=markers,
        pointers=count_pointers(plan).total,
        places=len(plan.layout.rules),
        tables=tables,
        table_files=table_files,
        row_reads=row_reads,
    )


def _copies(plan: PlanFile, streamed: bool, measured: Measured) -> dict[str, int]:
    """Counts of the copies. Most objects are copied in one request. A second query reads only the others, which is
    faster than reading all."""
    total, at_target, copies, size = plan.db.execute(
        f"SELECT count(*), total({MOVES}), total({PLAIN_COPIES}), total(CASE WHEN {PLAIN_COPIES} THEN size END)"
        " FROM objects"
    ).fetchone()
    (local,) = plan.db.execute(f"SELECT count(*) FROM objects WHERE bucket = '{LOCAL}'").fetchone()
    in_parts, count = _between_servers() if streamed else _within_server(measured)
    split, split_size, parts, from_parts, unsure = plan.db.execute(
        f"SELECT total({in_parts}), total(({in_parts}) * size), total(CASE WHEN {in_parts} THEN {count} END),"
        f" total(parts > 0), total({_unsure(streamed, measured)})"
        f" FROM (SELECT target, size, {_PARTS} AS parts FROM objects WHERE (size > {THROUGH_PART_SIZE} OR size = 0"
        f" OR length(etag) > 32) AND {PLAIN_COPIES})"
    ).fetchone()
    sums = {
        "whole": copies - split,
        "whole_bytes": size - split_size,
        "split": split,
        "split_bytes": split_size,
        "parts": parts,
        "from_parts": from_parts,
        "unsure": unsure,
        "listed": total - local,
        "at_target": at_target,
    }
    return {name: int(value) for name, value in sums.items()}


def _asked(plan: PlanFile, buckets: Collection[str]) -> int:
    """How many objects of these buckets are copied."""
    if not buckets:
        return 0
    where = f"bucket IN ({', '.join('?' * len(buckets))}) AND {PLAIN_COPIES}"
    return int(plan.db.execute(f"SELECT count(*) FROM objects WHERE {where}", tuple(buckets)).fetchone()[0])


def _unsure(streamed: bool, measured: Measured) -> str:
    """SQL condition: the requests for an object depend on its server."""
    of_parts = "parts > 1" if streamed else f"parts > 0 AND size > {SMALL}"
    known = not streamed and measured.whole_keeps_etag is True
    return f"(size = 0 AND target LIKE '%/') OR {'0' if known else f'({of_parts})'}"


def _within_server(measured: Measured) -> tuple[str, str]:
    """SQL: (condition that an object is copied in parts, number of parts)."""
    same_parts = f"parts > 0 AND size > {SMALL}" if measured.whole_keeps_etag is False else "0"
    part = f"max({PART_SIZE}, (size + {MOST_PARTS - 1}) / {MOST_PARTS})"
    count = f"CASE WHEN parts > 0 THEN parts ELSE (size + {part} - 1) / {part} END"
    return f"(size > {WHOLE_LIMIT} OR {same_parts})", count


def _between_servers() -> tuple[str, str]:
    like_source = (
        f"(size > 0 AND parts > 0 AND size <= parts * {MOST_PART_SIZE}"
        f" AND (parts = 1 OR size > (parts - 1) * {LEAST_PART_SIZE}))"
    )
    part = f"max({THROUGH_PART_SIZE}, (size + {MOST_PARTS - 1}) / {MOST_PARTS})"
    count = f"CASE WHEN {like_source} THEN parts ELSE (size + {part} - 1) / {part} END"
    return f"(size > {THROUGH_PART_SIZE} OR {like_source})", count


def _rewrites(plan: PlanFile) -> dict[str, int]:
    """The number of rewritten files, by role."""
    query = f"SELECT role, count(*), total(size) FROM objects WHERE action = '{REWRITE}' GROUP BY role"
    found = {role: (count, int(size)) for role, count, size in plan.db.execute(query)}
    hints, uploaded = (found.pop(role, (0, 0)) for role in (ROLE_VERSION_HINT, ROLE_LOCAL))
    return {
        "rewritten": sum(count for count, _ in found.values()),
        "rewritten_bytes": sum(size for _, size in found.values()),
        "uploaded": uploaded[0],
        "uploaded_bytes": uploaded[1],
        "hints": hints[0],
    }


def _versions(plan: PlanFile) -> tuple[int, int, int]:
    if not has_versions(plan):
        return 0, 0, 0
    query = f"SELECT count(*), total(size) FROM versions WHERE {VERSIONS_TO_COPY}"
    count, size = plan.db.execute(query).fetchone()
    (markers,) = plan.db.execute("SELECT count(*) FROM versions WHERE action = 'copy' AND marker").fetchone()
    return int(count), int(size), int(markers)


def _tables(plan: PlanFile) -> tuple[int, int, int]:
    """(tables, their files with paths, files that are read to count all rows once)"""
    # To count the rows of a snapshot, its manifest list and manifests are read. Tables grow, so a snapshot has half of
    # all manifests on average.
    reads = f"1 + snapshots * (1 + min({MOST_MANIFESTS}, (manifests + 1) / 2.0))"
    query = (
        f"SELECT count(*), total(1 + snapshots + manifests + delete_files), total({reads}) FROM tables"
        f" WHERE kind = 'table' AND new_metadata IS NOT NULL AND state = '{TO_REWRITE}'"
    )
    tables, files, row_reads = plan.db.execute(query).fetchone()
    return int(tables), int(files), round(row_reads)
