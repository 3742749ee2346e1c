"""Check a synthetic lake of many objects: seconds and peak memory.

    python tests/bench/check_objects.py [OBJECTS]        (default 1,000,000)

The listing is simulated, everything after it is real. Progress goes to standard error, one line of JSON to standard
output.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from migrator.checking.look import Checking, check
from migrator.config import Settings
from migrator.layout import MEDALLION, Layout
from migrator.progress import TerminalProgress
from migrator.store import Store, StoredObject

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.plan_objects import peak_mib


class SyntheticStore(Store):
    """Answers listings of the target without a server. The old buckets are gone. Every hundredth object has its own
    folder; a tenth of these folders are outside of the structure."""

    def __init__(self, objects: int) -> None:
        super().__init__(endpoint_url="http://127.0.0.1:9")
        self._objects = objects

    def endpoint(self) -> None:
        """A constant, so that only :meth:`list` is called for data."""

    def bucket_exists(self, bucket: str) -> bool:
        return bucket == "data-lake"

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        for number in range(self._objects):
            folder = "bronze/raw_events" if number % 100 else f"logs/app-{number:08}"
            if number % 1000 == 0:
                folder = f"stray-{number:08}"
            key = f"{folder}/date=2026-{number % 12 + 1:02}/part-{number:08}-c000.snappy.parquet"
            yield StoredObject(key, 4096 + number % 1000, f"{number:032x}", 1_700_000_000_000)


def main(objects: int) -> None:
    store, layout = SyntheticStore(objects), Layout.medallion("data-lake", MEDALLION)
    began = time.monotonic()
    found = check(Checking(Settings(), layout, store, {}, TerminalProgress()))
    seconds = time.monotonic() - began
    strays = sum(finding.count for finding in found.findings if finding.code == "stray-folder")
    counted = sum(folder.objects for folder in found.folders)
    said = {"objects": objects, "in_folders": counted, "stray_folders": strays}
    print(json.dumps({**said, "seconds": round(seconds, 1), "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
