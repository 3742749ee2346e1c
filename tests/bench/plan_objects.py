"""Plan a synthetic lake of many objects: seconds, peak memory, plan file bytes per object.

    python tests/bench/plan_objects.py [OBJECTS]        (default 1,000,000)

The listing is made up, everything after it is real. Prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from migrator.config import Settings
from migrator.plan.build import build_plan
from migrator.plan.file import PlanFile
from migrator.plan.summary import describe_plan
from migrator.progress import Progress
from migrator.store import Store, StoredObject

BUCKETS = ("bronze", "silver", "gold", "logs")


class SyntheticStore(Store):
    """Answers listings without a server; a tenth of the objects is at the target already."""

    def __init__(self, objects: int) -> None:
        super().__init__(endpoint_url="http://127.0.0.1:9")
        self._objects = objects

    def bucket_exists(self, bucket: str) -> bool:
        return True

    def is_versioned(self, bucket: str) -> bool:
        return False

    def open_uploads(self, bucket: str) -> int:
        return 0

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        here = BUCKETS if bucket == "data-lake" else (bucket,)
        step = 10 if bucket == "data-lake" else 1
        for name in here:
            folder = f"{name}/" if bucket == "data-lake" else ""
            for number in range(0, self._objects // len(BUCKETS), step):
                key = f"{folder}raw_events/date=2026-{number % 12 + 1:02}/part-{number:08}-c000.snappy.parquet"
                yield StoredObject(key, 4096 + number % 1000, f"{number:032x}", 1_700_000_000_000)


def main(objects: int) -> None:
    store = SyntheticStore(objects)
    settings = Settings(layout={f"s3://{bucket}/": f"{bucket}/" for bucket in BUCKETS})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.db"
        idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.monotonic()
        build_plan(path, settings, store, {}, Progress())
        seconds = time.monotonic() - began
        with PlanFile.open(path) as plan:
            described = describe_plan(plan)
        print(
            json.dumps(
                {
                    "objects": sum(p["objects"] for p in described["prefixes"]),
                    "to_copy": described["actions"]["copy"]["objects"],
                    "seconds": round(seconds, 1),
                    "idle_mib": idle // 1024,
                    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                    "plan_bytes_per_object": round(path.stat().st_size / objects),
                }
            )
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
