"""Makes the table of features and engines in docs/engines.md, from the results of the engines before and after a
migration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SAME = "✔"


def matrix_markdown(features: Mapping[str, str], before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """``features``: table → feature. ``before`` and ``after``: table → engine → snapshot → rows, or an error."""
    engines = list(next(iter(before.values())))
    lines = [f"| | {' | '.join(engines)} |", f"|---{'|---' * len(engines)}|"]
    for table, feature in features.items():
        cells = [cell(engine, before[table], after[table]) for engine in engines]
        lines.append(f"| {feature} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(engine: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The result of one engine for one table. ✔ means that it reads every snapshot as before, and as Spark reads it."""
    mine, judge = after[engine], after["Spark"]
    if mine != before[engine]:
        return "**differs from before**"
    failed = [snapshot for snapshot, rows in mine.items() if isinstance(rows, str)]
    other = [snapshot for snapshot, rows in mine.items() if snapshot not in failed and rows != judge[snapshot]]
    if not failed and not other:
        return SAME
    total, said = len(mine), []
    if failed:
        said.append("cannot read it" if len(failed) == total else f"cannot read {len(failed)} of {total} snapshots")
    if other:
        said.append(f"reads other rows than Spark in {len(other)} of {total} snapshots")
    return f"{'; '.join(said)}, before or after"
