"""Plan a synthetic lake of many objects from S3 Inventory reports: elapsed seconds, processor seconds and peak memory
for each format, compared with a plan of the same objects from a simulated listing.

    python tests/bench/plan_inventory.py [OBJECTS]        (default 1,000,000)

The script uses no server: the listing needs no request, and the reports are on the disk. So it compares only the work
of migrator. On S3, a listing also needs a request for each 1,000 objects, and a report needs a request for each of its
files. Each plan is made by a separate process. Progress goes to standard error, a line of JSON for each plan to
standard output.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.plan_objects import BUCKETS, SyntheticStore, peak_mib, say
from migrator.config import Settings
from migrator.errors import NotFound
from migrator.plan import bucket_settings as plan_settings
from migrator.plan.build import build_plan
from migrator.progress import Progress
from migrator.store import Content, Download
from migrator.store.bucket_settings import BucketSettings
from s3_reports import CURRENT, ENDINGS, Row, file_of, manifest_of

LISTED = "listing"
REPORTS = "reports"
OF_FILE = 200_000
"""Rows in a file."""


class ReportStore(SyntheticStore):
    """Has reports on the local disk, and no other object that could be read."""

    def __init__(self, objects: int, folder: Path) -> None:
        super().__init__(objects)
        self._folder = folder

    def size(self, bucket: str, key: str) -> int:
        if not (self._folder / key).exists():
            raise NotFound(key)
        return (self._folder / key).stat().st_size

    def get(self, bucket: str, key: str, *, etag: str | None = None) -> Content:
        return Content((self._folder / key).read_bytes(), "")

    def download(self, bucket: str, key: str, *, etag: str | None = None) -> Download:
        return Download((self._folder / key).open("rb"), {})


def write_reports(kind: str, objects: int, folder: Path) -> list[str]:
    """Write a report of each bucket, and return the URIs of their manifests."""
    uris = []
    for bucket in BUCKETS:
        rows, files = rows_of(bucket, SyntheticStore(objects)), {}
        while page := list(islice(rows, OF_FILE)):
            files[f"{bucket}-{len(files)}.{ENDINGS[kind]}"] = file_of(kind, page)
        for key, data in files.items():
            (folder / key).write_bytes(data)
        manifest = manifest_of(kind, bucket, REPORTS, files, fields=CURRENT)
        (folder / f"{bucket}.json").write_text(json.dumps(manifest))
        uris.append(f"s3://{REPORTS}/{bucket}.json")
    return uris


def rows_of(bucket: str, store: SyntheticStore) -> Iterator[Row]:
    for found in store.list(bucket):
        yield {
            "Bucket": bucket,
            "Key": found.key,
            "Size": found.size,
            "LastModifiedDate": datetime.fromtimestamp(found.modified / 1000, timezone.utc),
            "ETag": found.etag,
            "StorageClass": found.storage_class,
            "IsMultipartUploaded": False,
            "EncryptionStatus": "SSE-S3",
        }


def plan(kind: str, objects: int, folder: Path) -> dict[str, Any]:
    """Make one plan in this process. The reports exist already."""
    uris = () if kind == LISTED else tuple(f"s3://{REPORTS}/{bucket}.json" for bucket in BUCKETS)
    plan_settings.read_settings = lambda store, buckets: {bucket: BucketSettings(bucket) for bucket in buckets}
    layout = {f"s3://{bucket}/": f"{bucket}/" for bucket in BUCKETS}
    settings = Settings(layout=layout, preflight=False, inventories=uris)
    idle, began, worked = peak_mib(), time.monotonic(), time.process_time()
    build_plan(folder / f"{kind}.db", settings, ReportStore(objects, folder), {}, Progress())
    seconds, processor = time.monotonic() - began, time.process_time() - worked
    took = {"seconds": round(seconds, 1), "processor_seconds": round(processor, 1)}
    return {"from": kind, "objects": objects, **took, "idle_mib": idle, "peak_mib": peak_mib()}


def main(objects: int) -> None:
    """Make one plan after the other. Other processes write the reports, because a process passes its peak memory on to
    the processes that it starts."""
    for kind in (LISTED, *ENDINGS):
        with tempfile.TemporaryDirectory() as name:
            for step in ("write", "plan"):
                say(f"{step}: {kind}, {objects:,} objects")
                command = [sys.executable, __file__, str(objects), step, kind, name]
                subprocess.run(command, check=True)


def run_step(objects: int, step: str, kind: str, folder: Path) -> None:
    """Run a step in a separate process."""
    if step == "plan":
        print(json.dumps(plan(kind, objects, folder)))
    elif kind != LISTED:
        write_reports(kind, objects, folder)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run_step(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
