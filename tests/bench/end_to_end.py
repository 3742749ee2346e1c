"""Migrate a bucket of many real objects from end to end: plan, migrate, delete the old bucket, verify, report.

    pip install -e '.[demo,bench]'
    python tests/bench/end_to_end.py                          # 1,000,000 objects of 1 KiB; takes about 10 GB of disk
    python tests/bench/end_to_end.py --objects 20000
    python tests/bench/end_to_end.py --endpoint https://s3.example.com

Each object has its own random content. s5cmd uploads the objects. Every command of migrator runs as a user runs it. At
the end the target is listed without migrator: it must have every object with the size and the ETag that the old bucket
had. With --endpoint the script measures on your server, with the credentials from the usual AWS places. It creates
buckets whose names begin with "migrator-bench-", and removes all of them again.

Progress goes to standard error, one line of JSON to standard output: for each command its seconds, the CPU seconds and
the peak memory (PSS) of all its processes, and the CPU seconds of the server if the script has started it; then the
bytes of the plan file after planning and after everything, journal included.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import measure
from bench.copy_objects import Lake, Work, YourServer, lake_toml, s5cmd_binary
from migrator.demo.server import Server

AT_ONCE = 50_000
"""So many files are on this machine's disk at once while the objects are uploaded."""


def main() -> int:
    options = _options()
    server: AbstractContextManager[Server | YourServer] = (
        nullcontext(YourServer(options.endpoint, "Other")) if options.endpoint else Server()
    )
    with server as running, tempfile.TemporaryDirectory() as folder:
        lake = Lake(running)
        say(f"uploading {options.objects:,} objects (server's process {lake.server_pid or 'unknown'})")
        work = upload(lake, options.objects, options.size, Path(folder))
        target = lake.new_target()
        buckets = {work.bucket, target}
        try:
            print(json.dumps(end_to_end(lake, work, target, buckets, Path(folder))))
        finally:
            for bucket in buckets:
                lake.drop(bucket)
    return 0


def upload(lake: Lake, count: int, size: int, folder: Path) -> Work:
    """Upload this many objects of this many random bytes into a new bucket, in folders by name and day."""
    bucket = lake.new_bucket("bronze")
    chance = random.Random(0)
    for first in range(0, count, AT_ONCE):
        with tempfile.TemporaryDirectory(dir=folder) as files:
            for number in range(first, min(first + AT_ONCE, count)):
                name = ("raw_events", "page_views", "purchases")[number % 3]
                path = Path(files) / name / f"date=2026-01-{number // 3 % 28 + 1:02}" / f"part-{number:08}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(chance.randbytes(size))
            endpoint = ("--endpoint-url", lake.server.endpoint_url, "--log", "error")
            command = [s5cmd_binary(), *endpoint, "cp", f"{files}/", f"s3://{bucket}/"]
            subprocess.run(command, env=lake.environ, check=True)
        say(f"uploaded {min(first + AT_ONCE, count):,}")
    return lake.work("many", bucket, ())


def end_to_end(lake: Lake, work: Work, target: str, buckets: set[str], folder: Path) -> dict[str, Any]:
    """Run the commands of a migration, one after the other. Removes the old bucket from ``buckets`` when it deletes it.
    Raises SystemExit if a command fails, or if the target has not every object with its size and ETag."""
    config, plan, page = folder / "lake.toml", folder / "plan.db", folder / "report.html"
    config.write_text(lake_toml(work, target))
    result: dict[str, Any] = {"objects": len(work.objects), "bytes": work.size}
    result["plan"] = run(lake, "plan", "--config", config, "-o", plan)
    result["plan_file_bytes"] = plan.stat().st_size
    result["migrate"] = run(lake, "migrate", plan, "--yes")
    lake.drop(work.bucket)
    buckets.discard(work.bucket)
    result["verify"] = run(lake, "verify", plan)
    result["report"] = run(lake, "report", plan, "-o", page)
    result["plan_and_journal_bytes"] = plan.stat().st_size
    result["report_bytes"] = page.stat().st_size
    lake.check(work, target)
    return result


def run(lake: Lake, *arguments: str | Path) -> dict[str, Any]:
    """Run a command of migrator. Raises SystemExit if it fails."""
    before = lake.server_cpu_seconds()
    ran = measure.run([sys.executable, "-m", "migrator", *arguments], lake.environ)
    after = lake.server_cpu_seconds()
    if ran.code:
        raise SystemExit(f"migrator {arguments[0]}: exit code {ran.code}: {(ran.stderr or ran.stdout)[-1000:]}")
    figures = {"seconds": round(ran.seconds, 1), "cpu_seconds": round(ran.cpu_seconds, 1), "peak_mib": round(ran.mib)}
    if before is not None and after is not None:
        figures["server_cpu_seconds"] = round(after - before, 1)
    say(f"{arguments[0]}: {figures}")
    return figures


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Migrate a bucket of many real objects from end to end.")
    parser.add_argument("--objects", type=int, default=1_000_000, help="objects (1,000,000)")
    parser.add_argument("--size", type=int, default=1024, help="bytes of each (1024)")
    parser.add_argument("--endpoint", metavar="URL", help="measure on this server; by default, the script starts one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
