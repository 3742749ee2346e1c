"""Streams of Spark continue after a migration: each input row is in each of their outputs exactly once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from pyiceberg.catalog.sql import SqlCatalog

import fetched
from engines import jars
from engines.kafka import BROKER, SOURCE, Kafka
from migrator.cli import main
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server

pytestmark = pytest.mark.timeout(900)
SCRIPT = Path(__file__).with_name("streaming_job.py")
OLD, TARGET = ("bronze", "silver", "checkpoints"), "data-lake"
NAMES = ("a", "b c", "s3a://bronze/landing/x.json")
"""The values of the rows: one of them looks like a path of the lake."""
FILES = (
    "day=2026-01-01/part-{}.json",
    "day=2026-01-01/with space {}.json",
    "day=2026-01-02/größe {}.json",
    "day=2026-01-02/100% {}.json",
    "day=2026-01-02/a%20b%2F {}.json",
    "day=2026-01-02/1+1={}.json",
    "day=a b/c#d {}.json",
    "day=x%3Ay/e?f {}.json",
    "day=2026-01-03/semi;colon,'quote' {}.json",
    "day=2026-01-03/~(at)@&$! {}.json",
)
"""The keys of input files. The number makes them different."""
BATCHES = 11
"""One more than the number of batches after which Spark compacts the log of a file source."""
FIRST_FILE_ROW = 1_000_000
LOG = re.compile(r".*/(sources/\d+|_spark_metadata)/\d+(\.compact)?")
"""The logs of sources and of file sinks."""
MONTH = 30 * 86_400_000
"""In milliseconds."""


@dataclass
class Streams:
    """The servers, the input so far, and the job that reads it."""

    server: Server
    kafka: Kafka
    folder: Path
    landing: str = "bronze/landing"
    sent: list[tuple[int, str]] = field(default_factory=list)
    landed: list[tuple[int, str, str]] = field(default_factory=list)
    """Rows of files: id, name, and the day in the name of the file's folder."""

    @property
    def database(self) -> Path:
        return self.folder / "catalog.db"

    def send(self, count: int) -> list[int]:
        """More messages of Kafka. Returns the ids of their rows."""
        rows = [(i, NAMES[i % len(NAMES)]) for i in range(len(self.sent), len(self.sent) + count)]
        self.kafka.send("events", [(str(i), json.dumps({"id": i, "name": name})) for i, name in rows])
        self.sent += rows
        return [i for i, _ in rows]

    def land(self, count: int) -> list[int]:
        """More files, of one row each. Returns the ids of the rows."""
        bucket, _, folder = self.landing.partition("/")
        numbers = range(len(self.landed), len(self.landed) + count)
        for number in numbers:
            i, name, file = FIRST_FILE_ROW + number, NAMES[number % len(NAMES)], FILES[number % len(FILES)]
            body = json.dumps({"id": i, "name": name}).encode()
            self.server.client().put_object(Bucket=bucket, Key=f"{folder}/{file.format(number)}", Body=body)
            self.landed.append((i, name, unquote(file.partition("/")[0].removeprefix("day="))))
        return [FIRST_FILE_ROW + number for number in numbers]

    def wait_for_later_files(self) -> None:
        """Wait until a new object on the server has a later LastModified than the existing ones. Spark reads files by
        their age."""
        client = self.server.client()

        def date() -> Any:
            client.put_object(Bucket="checkpoints", Key="probe", Body=b"")
            return client.head_object(Bucket="checkpoints", Key="probe")["LastModified"]

        first = date()
        while date() == first:
            time.sleep(0.1)
        client.delete_object(Bucket="checkpoints", Key="probe")

    @contextmanager
    def started(self, script: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
        """The running job. At the end it is killed, with all processes that it has started."""
        jar_files = [*jars.jars(), *fetched.jars(SOURCE)]
        found = {
            "JOB_JARS": os.pathsep.join(map(str, jar_files)),
            "JOB_CATALOG": str(self.database),
            "JOB_KAFKA": self.kafka.address,
        }
        with (self.folder / "job.out").open("wb") as output, (self.folder / "job.err").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, str(script)],
                env={**os.environ, **self.server.environ(), **found, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):  # none of its processes is left
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def run(self, script: Path) -> Any:
        """Run the job to its end. Returns what it has printed."""
        with self.started(script) as process:
            assert process.wait() == 0, self.errors()
        return json.loads((self.folder / "job.out").read_text().splitlines()[-1])

    def errors(self) -> str:
        return (self.folder / "job.err").read_text(errors="replace")[-10000:]

    def keys(self, bucket: str, prefix: str) -> list[str]:
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, bucket: str, key: str) -> bytes:
        data: bytes = self.server.client().get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def batches(self, checkpoint: str) -> tuple[set[int], set[int]]:
        """The batches that were begun and those that were finished, by a checkpoint of the old lake."""

        def numbers(of: str) -> set[int]:
            found = [re.fullmatch(rf"{checkpoint}/{of}/(\d+)", key) for key in self.keys("checkpoints", checkpoint)]
            return {int(match[1]) for match in found if match}

        return numbers("offsets"), numbers("commits")

    def rows(self, table: str) -> list[Any]:
        """The rows of a table as pyiceberg reads them, sorted."""
        catalog = SqlCatalog("lake", uri=f"sqlite:///{self.database}", **self.server.properties())
        try:
            return sorted(tuple(row.values()) for row in catalog.load_table(table).scan().to_arrow().to_pylist())
        finally:
            catalog.close()


@pytest.fixture
def streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    jars.require(BROKER, SOURCE)
    with Server() as server, Kafka() as kafka:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        for bucket in OLD:
            server.client().create_bucket(Bucket=bucket)
        yield Streams(server, kafka, tmp_path)


# -- the steps -------------------------------------------------------------------------------------------

STUCK = {"bronze/events": 1, "bronze/landed": 5, "silver/out": 3, "by-name/counts": 1}
"""The checkpoints of the streams that are killed, and how many batches each begins. The last batch never ends."""


def kill_amid_batch(streams: Streams) -> None:
    """Four streams begin a batch and never end it: the files that they have written for it remain."""
    before = {checkpoint: streams.batches(checkpoint)[0] for checkpoint in STUCK}
    written = len(streams.keys("silver", "out/day="))
    stuck_at = [streams.send(20)[-1]]
    streams.land(4)
    streams.wait_for_later_files()
    stuck_at.append(streams.land(2)[0])
    with streams.started(SCRIPT, JOB_STUCK_AT=",".join(map(str, stuck_at))) as process:

        def are_stuck() -> bool:
            for checkpoint, count in STUCK.items():
                begun, finished = streams.batches(checkpoint)
                if len(begun - before[checkpoint]) < count or begun - finished != {max(begun)}:
                    return False
            return len(streams.keys("silver", "out/day=")) == written + 5

        while not are_stuck():
            assert process.poll() is None, streams.errors()
            time.sleep(0.2)


def forget_last_commit(streams: Streams, checkpoint: str) -> None:
    """Remove the last commit, as after a crash right before the end of a batch: the sink has the batch, but the
    checkpoint does not record it."""
    last = max(streams.batches(checkpoint)[1])
    streams.server.client().delete_object(Bucket="checkpoints", Key=f"{checkpoint}/commits/{last}")


def date_back(streams: Streams) -> None:
    """Change the logs so that the files which they name are a month old, because no server lets a test change
    LastModified. Spark forgets files that are a week older than the newest file. It takes them for new files if it
    finds them with a later time."""
    logs = [(bucket, key) for bucket in OLD for key in streams.keys(bucket, "") if LOG.fullmatch(key)]
    for bucket, key in logs:
        data = re.sub(rb'(?<=[pe]":)\d{13}', lambda found: b"%d" % (int(found[0]) - MONTH), streams.read(bucket, key))
        streams.server.client().put_object(Bucket=bucket, Key=key, Body=data)


def check_outputs(streams: Streams, printed: Any) -> None:
    """Each row is in each output once."""
    assert streams.rows("bronze.events") == streams.sent
    assert streams.rows("bronze.landed") == streams.landed
    assert printed == {"out": [i for i, _, _ in streams.landed]}
    assert streams.rows("silver.out") == streams.landed
    assert streams.rows("gold.events") == streams.sent
    assert streams.rows("silver.counts") == sorted(Counter(name for _, name in streams.sent).items())


def migrate(streams: Streams) -> Path:
    """Plan, migrate, delete the old buckets, verify. Returns the job's script as ``rewrite-config`` leaves it."""
    config, plan = streams.folder / "lake.toml", streams.folder / "plan.db"
    config.write_text(
        f"[source]\nendpoint_url = {json.dumps(streams.server.endpoint_url)}\n"
        f'[catalogs.lake]\ntype = "sql"\nuri = "sqlite:///{streams.database}"\n'
    )
    run_migrator("plan", "--config", config, "-o", plan)
    run_migrator("migrate", plan, "--yes")
    delete_buckets(streams.server.client(), OLD)
    run_migrator("verify", plan)
    copy = streams.folder / "jobs" / SCRIPT.name
    copy.parent.mkdir()
    shutil.copy(SCRIPT, copy)
    run_migrator("rewrite-config", "--config", config, "--write", copy.parent)
    streams.landing = f"{TARGET}/bronze/landing"
    return copy


def run_migrator(*arguments: str | Path) -> None:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output + result.stderr + repr(result.exception)


def named_places(streams: Streams) -> set[str]:
    """The buckets that the logs of sources and sinks at the target name."""
    logs = [key for key in streams.keys(TARGET, "") if LOG.fullmatch(key)]
    return {found.decode() for key in logs for found in re.findall(rb's3a://([^/"]+)', streams.read(TARGET, key))}


# -- the test --------------------------------------------------------------------------------------------


def test_after_a_migration_each_row_is_in_each_output_once(streams: Streams) -> None:
    streams.send(20)
    streams.land(BATCHES)
    check_outputs(streams, streams.run(SCRIPT))
    kill_amid_batch(streams)
    for checkpoint in ("silver/out_again", "gold/events"):
        forget_last_commit(streams, checkpoint)
    logs = [key for bucket in OLD for key in streams.keys(bucket, "") if key.endswith(".compact")]
    assert {re.sub("[0-9]+.compact", "", key) for key in logs} == {
        "bronze/landed/sources/0/",
        "silver/out/sources/0/",
        "out/_spark_metadata/",
    }
    date_back(streams)
    streams.send(5)
    streams.land(3)

    rewritten = migrate(streams)
    assert named_places(streams) == {TARGET}
    check_outputs(streams, streams.run(rewritten))
    streams.send(5)
    streams.land(4)
    check_outputs(streams, streams.run(rewritten))
    run_migrator("verify", streams.folder / "plan.db")  # what the streams removed and wrote again is no difference
    assert not [bucket for bucket in streams.server.client().list_buckets()["Buckets"] if bucket["Name"] in OLD]
