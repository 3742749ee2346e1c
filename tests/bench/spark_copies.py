"""Copies with 1, 2 and 4 executors of Spark, and with as many workers of juicefs sync, from a server with 50 ms of
latency.

    pip install -e '.[demo,spark,bench]'
    python tests/bench/spark_copies.py
    python tests/bench/spark_copies.py --objects 2000 --executors 1,2 --json spark.json

Each executor has one core and may send a fixed number of requests at once (--per-executor), so few that the latency is
the limit: the script measures how work is distributed, not how fast this machine is. All executors, the server and the
driver share the machine. It measures the stage "copying" of `migrator migrate --engine spark`, as the command itself
reports it, without the start of Spark. Every object is in the target afterwards, or the run counts as failed.

juicefs sync starts its workers on other hosts, with rsync and ssh. Here two small scripts take their place, and start
the workers on this machine. Its manager copies, too, so the row for n executors has n - 1 workers. Its time is that of
the whole command, which starts in less than a second. juicefs reads each object and writes it again: two requests where
a copy on the server is one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.copy_objects import installed
from bench.latency import behind
from migrator.concurrency.threads import run_in_threads
from migrator.demo.server import Server
from migrator.store import is_own

ROOT = Path(__file__).parents[2]
JVM = {"spark.driver.memory": "512m", "spark.executor.memory": "512m", "spark.ui.enabled": "false"}


def fill(client: Any, objects: int) -> None:
    """Write the old bucket."""
    client.create_bucket(Bucket="bronze")
    body = os.urandom(1024)

    def put(number: int) -> None:
        client.put_object(Bucket="bronze", Key=f"part={number % 50}/{number:08}", Body=body)

    for _ in run_in_threads(put, range(objects), workers=16):
        pass


SHIMS = {"ssh": 'shift; exec sh -c "exec env $*"', "rsync": 'eval "to=\\${$#}"; exec cp "$4" "${to#*:}"'}
"""Shell scripts in place of the two programs: one runs the command here, the other copies the program here."""


def count(client: Any, bucket: str) -> int:
    """The objects of a target, except migrator's own."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sum(not is_own(entry["Key"]) for page in pages for entry in page.get("Contents", []))


def run(folder: Path, *arguments: str) -> str:
    """Run a command of migrator, and return what it printed. Raises CalledProcessError."""
    command = [sys.executable, "-m", "migrator", *arguments]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        done.check_returncode()
    return done.stdout


def measured(folder: Path, endpoint_url: str, client: Any, executors: int, given: argparse.Namespace) -> dict[str, Any]:
    """One migration with this many executors."""
    target = f"target-{executors}-{time.monotonic_ns()}"
    conf = "".join(f'"{key}" = "{value}"\n' for key, value in JVM.items())
    (folder / "lake.toml").write_text(
        f'[source]\nendpoint_url = "{endpoint_url}"\n[target]\nbucket = "{target}"\n[layout]\n'
        f'"s3://bronze/" = "bronze/"\n[engine]\nkind = "spark"\nmaster = "local-cluster[{executors},1,1024]"\n'
        f"[engine.conf]\n{conf}"
    )
    plan = f"{target}.db"
    run(folder, "plan", "--config", "lake.toml", "-o", plan)
    limits = ("--concurrency", str(executors * given.per_executor))
    copied = json.loads(run(folder, "migrate", plan, "--yes", "--json", "--no-cutover", *limits))["copy"]
    assert copied["objects"] == given.objects == count(client, target), copied
    print(f"{executors} executor(s): {copied['seconds']:.1f} s", file=sys.stderr, flush=True)
    return {"executors": executors, "seconds": copied["seconds"], "rate": copied["objects"] / copied["seconds"]}


def juicefs(folder: Path, server: Server, endpoint_url: str, processes: int, given: argparse.Namespace) -> float:
    """The seconds of `juicefs sync` with this many processes that copy."""
    target = f"juicefs-{processes}-{time.monotonic_ns()}"
    client = server.client()
    client.create_bucket(Bucket=target)
    shims = folder / "shims"
    shims.mkdir(exist_ok=True)
    for name, script in SHIMS.items():
        (shims / name).write_text(f"#!/bin/sh\n{script}\n")
        (shims / name).chmod(0o755)
    host = endpoint_url.removeprefix("http://")
    keys = {"MINIO_ACCESS_KEY": server.access_key, "MINIO_SECRET_KEY": server.secret_key}
    environ = {**os.environ, **keys, "MINIO_REGION": server.region, "PATH": f"{shims}:{os.environ['PATH']}"}
    workers = ("--worker", ",".join(f"host{n}" for n in range(1, processes)), "--manager-addr", "127.0.0.1:0")
    command = [installed("juicefs"), "sync", "--threads", str(given.per_executor), "--no-https", "--quiet"]
    command += [*(workers if processes > 1 else ()), "--metrics", "127.0.0.1:0"]
    command += [f"minio://{host}/bronze/", f"minio://{host}/{target}/"]
    began = time.monotonic()
    subprocess.run(command, env=environ, check=True, capture_output=True)
    seconds = time.monotonic() - began
    assert given.objects == count(client, target)
    print(f"juicefs with {processes} process(es): {seconds:.1f} s", file=sys.stderr, flush=True)
    return seconds


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=4_000)
    parser.add_argument("--executors", default="1,2,4")
    parser.add_argument("--per-executor", type=int, default=2, help="Requests at once.")
    parser.add_argument("--milliseconds", type=float, default=50)
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    with Server() as server, tempfile.TemporaryDirectory() as name:
        os.environ.update(server.environ(), PYTHONPATH=str(ROOT))
        client = server.client()
        fill(client, given.objects)
        with behind(server.endpoint_url, given.milliseconds) as endpoint_url:
            os.environ.pop("AWS_ENDPOINT_URL_S3", None)
            numbers = [int(number) for number in given.executors.split(",")]
            results = [measured(Path(name), endpoint_url, client, number, given) for number in numbers]
            peers = [juicefs(Path(name), server, endpoint_url, number, given) for number in numbers]
    print(f"{given.objects:,} objects of 1 KiB, {given.milliseconds:g} ms, {given.per_executor} requests per executor")
    print("executors  seconds  objects/s  of linear   juicefs: seconds  objects/s  of linear")
    for result, seconds in zip(results, peers, strict=True):
        ratio = result["executors"] / results[0]["executors"]
        result["of_linear"] = result["rate"] / results[0]["rate"] / ratio
        result["juicefs"] = {"seconds": seconds, "of_linear": peers[0] / seconds / ratio}
        ours = f"{result['executors']:9} {result['seconds']:8.1f} {result['rate']:10,.0f} {result['of_linear']:10.2f}"
        print(f"{ours} {seconds:18.1f} {given.objects / seconds:10,.0f} {result['juicefs']['of_linear']:10.2f}")
    if given.json:
        Path(given.json).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
