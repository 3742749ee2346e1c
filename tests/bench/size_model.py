"""A model of what a migration of very many objects takes, from costs that this script measures and limits that you
give.

    python tests/bench/size_model.py                     # measures with 1,000,000 objects first; takes a minute
    python tests/bench/size_model.py --copies 10000      # your servers copy this many small objects per second
    python tests/bench/size_model.py --costs costs.json  # the line that plan_objects.py has printed

Measured: planning, checking a plan when it is opened, journalling, bytes of the plan and the journal. Counted from the
code: requests. Given: how many copies and listings per second the servers answer, and the prices of requests; the
defaults are what AWS documents for one prefix (3,500 writes, 5,500 reads a second), and its list prices in us-east-1.
This script does not measure your servers; "migrator plan" measures them for an estimate of one lake.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SIZES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
PAGE = 1000
"""Objects in a page of a listing."""
LISTINGS = 5
"""plan lists the old buckets. migrate lists the target before it begins, and after the copies; the old buckets before
the cutover, and the target once more to verify. Each listing counts as if both sides had all objects."""
GIB, HOUR = 1 << 30, 3600


@dataclass(frozen=True)
class Costs:
    """For each object: seconds of planning, of checking the plan, and of journalling; bytes of plan and journal."""

    plan: float
    open: float
    journal: float
    plan_bytes: float
    journal_bytes: float

    @classmethod
    def of(cls, measured: Mapping[str, float]) -> Costs:
        """The costs in the line that plan_objects.py has printed."""
        count = measured["objects"]
        return cls(
            measured["seconds"] / count,
            measured["open_seconds"] / count,
            1 / measured["journal_objects_per_second"],
            measured["plan_bytes_per_object"],
            measured["journal_bytes_per_object"],
        )


def measured(objects: int) -> Mapping[str, float]:
    """Plan a synthetic lake of this many objects."""
    script = Path(__file__).with_name("plan_objects.py")
    ran = subprocess.run([sys.executable, script, str(objects)], stdout=subprocess.PIPE, check=True)
    costs: Mapping[str, float] = json.loads(ran.stdout)
    return costs


def rows(count: int, costs: Costs, options: argparse.Namespace) -> dict[str, str]:
    """What a migration of ``count`` small objects takes, by name."""
    lists = LISTINGS * count / PAGE
    copying = max(count / options.copies, count * costs.journal)
    slowest = "the servers" if copying == count / options.copies else "the journal"
    money = count / 1000 * options.per_1000_writes + lists / 1000 * options.per_1000_writes
    return {
        "LIST requests": f"{lists:,.0f}",
        "COPY requests": f"{count:,}",
        "planning": _time(max(count * costs.plan, count / PAGE / options.reads)),
        "checking the plan, at each command": _time(count * costs.open),
        "copying": f"{_time(copying)}, {slowest}",
        "requests, in dollars": f"{money:,.0f}",
        "plan": f"{count * costs.plan_bytes / GIB:,.1f} GiB",
        "plan and journal": f"{count * (costs.plan_bytes + costs.journal_bytes) / GIB:,.1f} GiB",
    }


def _time(seconds: float) -> str:
    return (
        f"{seconds / HOUR:,.1f} h"
        if seconds >= HOUR
        else f"{seconds / 60:.0f} min"
        if seconds > 99
        else f"{seconds:.0f} s"
    )


def main() -> None:
    """Print the table."""
    options = _options()
    costs = Costs.of(json.loads(options.costs.read_text()) if options.costs else measured(options.measure))
    columns = [rows(count, costs, options) for count in SIZES]
    print("| objects | " + " | ".join(f"{count:,}" for count in SIZES) + " |")
    print("|---|" + "---|" * len(SIZES))
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(column[name] for column in columns) + " |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A model of the costs of very large migrations.")
    parser.add_argument("--costs", type=Path, metavar="FILE", help="what plan_objects.py has printed")
    parser.add_argument("--measure", type=int, default=SIZES[0], help="measure with this many objects (1,000,000)")
    parser.add_argument("--copies", type=float, default=3500, help="copies per second of the servers (3,500)")
    parser.add_argument("--reads", type=float, default=5500, help="listings per second of the servers (5,500)")
    parser.add_argument("--per-1000-writes", type=float, default=0.005, help="dollars for 1,000 COPY or LIST (0.005)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
