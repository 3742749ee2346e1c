"""Rewrite one table's metadata with migrator and with Iceberg's own procedure, on the same server, in the same run.

    python tests/bench/rewrite_table.py              # 200,000 and 2,000 manifest entries
    python tests/bench/rewrite_table.py 20000 500    # others

With start-up: the whole command ``migrator relocate --no-copy``, compared with the start of a Spark session and its
first ``rewrite_table_path``. Warm: the same as a call in a running Python (its worker processes start each time),
compared with further calls in the running session. Neither copies data files. The two alternate. Needs the same
programs as tests/engines.
"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measure import read, tree, watched
from engines import spark as engine
from migrator import relocate_table
from migrator.demo.server import Server
from migrator.iceberg.manifests import rewrite_manifest

LOCATION = "s3://bronze/iceberg-warehouse/db"
COLUMNS = 12
PER_MANIFEST = 10_000
ROUNDS = 3


class Lake:
    """A server, a Spark, and tables whose manifest entries this script has multiplied."""

    def __init__(self, server: Server, session: Any) -> None:
        self.client, self.session = server.client(), session

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.partition("://")[2].partition("/")
        data: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def put(self, uri: str, data: bytes) -> int:
        bucket, _, key = uri.partition("://")[2].partition("/")
        self.client.put_object(Bucket=bucket, Key=key, Body=data)
        return len(data)

    def make(self, name: str, entries: int) -> str:
        """A table with this many entries, each with statistics of 12 columns; returns its metadata file."""
        columns = ", ".join(f"c{n} {'string' if n % 3 else 'bigint'}" for n in range(COLUMNS))
        self.session.sql(f"CREATE TABLE iceberg.db.{name} ({columns})")
        values = ", ".join(f"'value {n}'" if n % 3 else str(n) for n in range(COLUMNS))
        self.session.sql(f"INSERT INTO iceberg.db.{name} VALUES ({values})")
        uri = engine.metadata_file(self.session, f"iceberg.db.{name}")
        document = json.loads(self.get(uri))
        list_uri = document["snapshots"][0]["manifest-list"]
        list_schema, list_meta, (listed,) = avro(self.get(list_uri))
        manifests = self.manifests(listed["manifest_path"], entries)
        rows = [
            {**listed, "manifest_path": path, "manifest_length": length, "added_files_count": count}
            for path, length, count in manifests
        ]
        self.put(list_uri, packed(list_schema, list_meta, rows))
        return uri

    def manifests(self, path: str, entries: int) -> Iterator[tuple[str, int, int]]:
        """The table's one entry, repeated many times with other names. fastavro writes the first manifest, and the
        others are that one with its folder changed: fastavro alone would take minutes."""
        schema, meta, (entry,) = avro(self.get(path))
        folder = entry["data_file"]["file_path"].rpartition("/")[0]
        count = min(PER_MANIFEST, entries)
        chance = random.Random(0)
        many = (varied(entry, f"{folder}/0/{n:012}.parquet", chance) for n in range(count))
        first = packed(schema, meta, many)
        for number in range(-(-entries // PER_MANIFEST)):
            sink = io.BytesIO()
            rewrite_manifest(
                first, sink, lambda p, n=number: p.replace(f"{folder}/0/", f"{folder}/{n}/"), lambda p: None, path
            )
            uri = path.replace("-m0.avro", f"-m{number}.avro")
            yield uri, self.put(uri, sink.getvalue()), count

    def theirs(self, name: str, run: int) -> None:
        self.session.sql(
            f"CALL iceberg.system.rewrite_table_path(table => 'db.{name}', source_prefix => '{LOCATION}/{name}',"
            f" target_prefix => 's3://gold/spark/{name}', staging_location => 's3://gold/staging-{name}-{run}/')"
        ).collect()

    def ours(self, uri: str, name: str, run: int) -> None:
        command = [Path(sys.executable).with_name("migrator"), "relocate", uri, "--no-copy", "--json"]
        done = subprocess.run([*command, "--to", f"s3://gold/ours-{run}/{name}"], capture_output=True, check=True)
        assert json.loads(done.stdout)["rewritten"] > 2


def varied(entry: dict[str, Any], path: str, chance: random.Random) -> dict[str, Any]:
    """The entry with another name and other statistics: equal statistics would compress better than real ones."""
    stats = {
        name: [
            {**pair, "value": chance.randbytes(8) if name.endswith("bounds") else chance.randrange(10**6)}
            for pair in entry["data_file"][name]
        ]
        for name in ("column_sizes", "value_counts", "null_value_counts", "lower_bounds", "upper_bounds")
    }
    return {**entry, "data_file": {**entry["data_file"], **stats, "file_path": path}}


def avro(data: bytes) -> tuple[Any, dict[str, Any], list[Any]]:
    reader = fastavro.reader(io.BytesIO(data))
    meta = {key: value for key, value in reader.metadata.items() if not key.startswith("avro.")}
    return json.loads(reader.metadata["avro.schema"]), meta, list(reader)


def packed(schema: Any, meta: dict[str, Any], rows: Any) -> bytes:
    sink = io.BytesIO()
    fastavro.writer(sink, schema, rows, codec="deflate", metadata=meta, sync_interval=64_000)
    return sink.getvalue()


def java() -> int:
    from pyspark import SparkContext

    return int(SparkContext._gateway.proc.pid)


def command_line() -> list[int]:
    """The children of this process, except the JVM and the S3 server, which were started before."""
    return [pid for pid in tree([os.getpid()])[1:] if "relocate" in read(Path(f"/proc/{pid}/cmdline"))]


def compare(lake: Lake, name: str, entries: int, start: float) -> None:
    uri = lake.make(name, entries)
    commands, calls, procedures = [], [], []
    for run in range(ROUNDS):
        with watched(command_line) as command:
            lake.ours(uri, name, run)
        with watched(list) as call:
            relocate_table(uri, f"s3://gold/called-{run}/{name}", copy=False)
        with watched(lambda: [java()]) as procedure:
            lake.theirs(name, run)
        commands.append(command)
        calls.append(call)
        procedures.append(procedure)
    command, call, warm = fastest(commands), fastest(calls), fastest(procedures[1:])
    cold = start + procedures[0]["seconds"]
    print(f"\n{entries:,} entries, {COLUMNS} columns of statistics, {-(-entries // PER_MANIFEST)} manifest(s)")
    print(f"  with start-up  migrator relocate {command:7.2f} s, peak {peak(commands)} MiB (all processes)")
    print(f"                 Spark             {cold:7.2f} s, {start:.1f} s of it the session; {peak(procedures)} MiB")
    print(f"                 ratio             {cold / command:7.2f}")
    print(f"  warm           relocate_table()  {call:7.2f} s {entries / call:9,.0f} entries/s")
    print(f"                 Spark             {warm:7.2f} s {entries / warm:9,.0f} entries/s")
    print(f"                 ratio             {warm / call:7.2f}", flush=True)


def fastest(runs: list[dict[str, float]]) -> float:
    return min(run["seconds"] for run in runs)


def peak(runs: list[dict[str, float]]) -> str:
    return f"{max(run['mib'] for run in runs):,.0f}"


def main(sizes: list[int]) -> None:
    for size in sizes:  # each has its own JVM, so that its first run includes the start
        with tempfile.TemporaryDirectory() as folder, Server() as server:
            os.environ.update(server.environ())
            for bucket in ("warehouse", "bronze", "gold"):
                server.client().create_bucket(Bucket=bucket)
            begun = time.monotonic()
            with engine.spark_session(server, Path(folder) / "catalog.db", engine.OLD) as session:
                start = time.monotonic() - begun
                session.sql("CREATE NAMESPACE iceberg.db")
                compare(Lake(server, session), f"t{size}", size, start)
            engine.end_jvm()


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [200_000, 2_000])
