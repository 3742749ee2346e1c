"""Plan a synthetic lake of many objects, journal its copies, verify the target and write the report: seconds, peak
memory, bytes of the plan file per object.

    python tests/bench/plan_objects.py [OBJECTS]        (default 1,000,000)

The listing is simulated, everything after it is real. After planning, every object that is to be copied is read from
the plan and recorded in its journal, as migrate does, but nothing is copied. This shows the largest size of a plan file
(``journal_bytes_per_object`` in addition to ``plan_bytes_per_object``) and the shortest time of a migration of small
objects. Then the target is listed as if it had all objects, and verified. At the end the report is written. ``wal_mib``
is the size of SQLite's write-ahead log while migrate runs. 10,000,000 objects need 8 GB of disk, part of it in TMPDIR.
Progress goes to standard error, one line of JSON to standard output.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from migrator.api import report_page
from migrator.config import Settings
from migrator.plan import bucket_settings as plan_settings
from migrator.plan.build import build_plan
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.progress import TerminalProgress
from migrator.reporting.describe import describe_plan
from migrator.store import OWN_PREFIX, Store, StoredObject
from migrator.store.bucket_settings import BucketSettings
from migrator.store.uploads import Uploads
from migrator.verifying.checks import SAME
from migrator.verifying.verifier import Verifier

BUCKETS = ("bronze", "silver", "gold", "logs")


class NoUploads(Uploads):
    """No multipart upload is open."""

    def count_open(self, bucket: str) -> int:
        return 0


class SyntheticStore(Store):
    """Answers listings without a server. A tenth of the objects are at the target already; if ``migrated`` is True, all
    of them are."""

    def __init__(self, objects: int) -> None:
        super().__init__(endpoint_url="http://127.0.0.1:9")
        self._objects = objects
        self.migrated = False

    @property
    def uploads(self) -> Uploads:
        return NoUploads(self.at)

    def endpoint(self) -> None:
        """A constant, so that only :meth:`list` is called for data."""

    def bucket_exists(self, bucket: str) -> bool:
        return True

    def bucket_names(self) -> list[str]:
        return list(BUCKETS)

    def is_versioned(self, bucket: str) -> bool:
        return False

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        if prefix.startswith(OWN_PREFIX):  # nothing of an earlier migration
            return
        here = BUCKETS if bucket == "data-lake" else (bucket,)
        step = 10 if bucket == "data-lake" and not self.migrated else 1
        for name in here:
            folder = f"{name}/" if bucket == "data-lake" else ""
            for number in range(0, self._objects // len(BUCKETS), step):
                key = f"{folder}raw_events/date=2026-{number % 12 + 1:02}/part-{number:08}-c000.snappy.parquet"
                yield StoredObject(key, 4096 + number % 1000, f"{number:032x}", 1_700_000_000_000)


def main(objects: int) -> None:
    store = SyntheticStore(objects)
    plan_settings.read_settings = lambda store, buckets: {bucket: BucketSettings(bucket) for bucket in buckets}
    settings = Settings(layout={f"s3://{bucket}/": f"{bucket}/" for bucket in BUCKETS}, preflight=False)
    progress = TerminalProgress()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.db"
        idle = peak_mib()
        began = time.monotonic()
        build_plan(path, settings, store, {}, progress)
        seconds, built = time.monotonic() - began, peak_mib()
        planned_bytes = path.stat().st_size
        say(f"planned in {seconds:.1f} s, peak {built} MiB, plan file of {planned_bytes >> 20:,} MiB")
        began = time.monotonic()
        with PlanFile.open(path) as plan:
            described = describe_plan(plan)
        opened, described_peak = time.monotonic() - began, peak_mib()
        say(f"opened (its digest compared) and described in {opened:.1f} s, peak {described_peak} MiB")
        to_copy = described["actions"]["copy"]["objects"]
        journal_seconds, wal = journal_all(path, to_copy, progress)
        journal_bytes = path.stat().st_size - planned_bytes
        before_verify = peak_mib()
        store.migrated = True
        verified, verify_seconds = verify_all(path, store, progress)
        verify_peak = peak_mib()
        say(f"verified {verified:,} objects in {verify_seconds:.1f} s, peak {verify_peak} MiB")
        began = time.monotonic()
        page = report_page(path, look=False)
        report_seconds = time.monotonic() - began
        say(f"report of {len(page):,} bytes in {report_seconds:.1f} s, peak {peak_mib()} MiB")
        print(
            json.dumps(
                {
                    "objects": sum(p["objects"] for p in described["prefixes"]),
                    "to_copy": to_copy,
                    "seconds": round(seconds, 1),
                    "open_seconds": round(opened, 1),
                    "verified": verified,
                    "verify_seconds": round(verify_seconds, 1),
                    "report_seconds": round(report_seconds, 1),
                    "report_bytes": len(page.encode()),
                    "idle_mib": idle,
                    "plan_peak_mib": built,
                    "peak_mib": before_verify,
                    "verify_peak_mib": verify_peak,
                    "report_peak_mib": peak_mib(),
                    "plan_bytes_per_object": round(planned_bytes / objects),
                    "journal_bytes_per_object": round(journal_bytes / to_copy),
                    "journal_objects_per_second": round(to_copy / journal_seconds),
                    "wal_mib": wal >> 20,
                    "plan_mib_when_done": path.stat().st_size >> 20,
                }
            )
        )


def journal_all(path: Path, count: int, progress: TerminalProgress) -> tuple[float, int]:
    """Record every object that is to be copied as done. Returns the seconds, and the size of SQLite's log before the
    plan is closed: a process that reads the plan at the same time prevents SQLite from emptying the log."""
    with PlanFile.open(path) as plan:
        began = time.monotonic()
        with Journal(plan) as journal, progress.stage("journalling", objects=count) as stage:
            for planned in plan.objects("action IN ('copy', 'overwrite')"):
                journal.done(planned.id, planned.size, planned.etag)
                stage.advance(1, planned.size)
        seconds = time.monotonic() - began
        wal = path.with_name(path.name + "-wal")
        return seconds, wal.stat().st_size if wal.exists() else 0


def verify_all(path: Path, store: SyntheticStore, progress: TerminalProgress) -> tuple[int, float]:
    """Compare a listing of the target with the plan and its journal. Returns how many objects are at the target as
    planned, and the seconds. Raises SystemExit if any is not."""
    with PlanFile.open(path) as plan:
        began = time.monotonic()
        verification = Verifier(plan, store, {}, progress).verify()
        seconds = time.monotonic() - began
    if verification.result != SAME:
        raise SystemExit(f"Not verified: {[problem for check in verification.checks for problem in check.problems]}")
    return sum(prefix.present_objects for prefix in verification.prefixes), seconds


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
