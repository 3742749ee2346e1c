"""Copies on a server that behaves like MinIO: each object is copied once, in the way that works there, and with a
proof."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from e2e.minio_ways import MinioWays
from e2e.world import World
from migrator.copying.copy_objects import copy_objects
from migrator.copying.options import Options
from migrator.copying.outcomes import Item
from migrator.copying.setup import Setup
from migrator.copying.within_server import CopyWithinServer
from migrator.demo import lake as old_lake
from migrator.planfile.copied import Copied
from migrator.store import PartCopies, Store, probe_part_copies

MIB = 1 << 20
PART = 5 * MIB


@pytest.fixture
def ways(world: World) -> Iterator[MinioWays]:
    for bucket in ("from", "data-lake"):
        world.client.create_bucket(Bucket=bucket)
    with MinioWays(world.server) as proxy:
        yield proxy
    old_lake.delete_buckets(world.client, ["from"])


def client_of(url: str) -> Any:
    return boto3.Session().client("s3", endpoint_url=url, config=Config(request_checksum_calculation="when_required"))


def in_parts(url: str, key: str, data: bytes, algorithm: str = "", bucket: str = "from") -> None:
    """Uploaded as boto3 does it, with the checksum that it adds by itself, if any."""
    client = client_of(url)
    more = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    here = {"Bucket": bucket, "Key": key}
    upload = client.create_multipart_upload(**here, **more, Metadata={"made": "in-parts"})["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(data), PART), 1):
        body = data[start : start + PART]
        done = client.upload_part(**here, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": done["ETag"]})
    client.complete_multipart_upload(**here, UploadId=upload, MultipartUpload={"Parts": parts})


def copied(ways: MinioWays, options: Options) -> dict[str, Copied]:
    store = Store(endpoint_url=ways.url)
    items = [Item(i, "from", found, f"to/{found.key}") for i, found in enumerate(store.list("from"))]
    ways.seen.clear()
    outcomes = [o for batch in copy_objects(Setup(store.connection, None, "data-lake", options), items) for o in batch]
    assert all(isinstance(outcome, Copied) for outcome in outcomes), outcomes
    return {items[outcome.id].stored.key: outcome for outcome in outcomes if isinstance(outcome, Copied)}


def test_the_ways_of_copying_are_tested_with_migrators_own_objects(ways: MinioWays) -> None:
    store = Store(endpoint_url=ways.url)
    ways_of_minio = PartCopies(whole_keeps_etag=False, parts_keep_etag=True, take_checksum=False)
    assert probe_part_copies(store, "data-lake") == ways_of_minio
    assert list(store.list("data-lake")) == [] and store.uploads.count_open("data-lake") == 0


@pytest.mark.parametrize(
    "known", [PartCopies(), PartCopies(whole_keeps_etag=False, take_checksum=False)], ids=["not asked", "known"]
)
def test_each_object_is_copied_once_and_proven(ways: MinioWays, known: PartCopies) -> None:
    data = {name: random.Random(name).randbytes(size) for name, size in SIZES.items()}
    for name, content in data.items():
        if name == "put":
            ways.client.put_object(Bucket="from", Key=name, Body=content)
        else:
            in_parts(ways.url, name, content, {"crc32": "CRC32", "sha256": "SHA256"}.get(name, ""))
    there = copied(ways, Options(part_copies=known))
    found = {name: (there[name].proof, there[name].checksum) for name in data}
    reads = {name: [ways.asked(f"{b}{name}").count("GetObject") for b in ("from/", "data-lake/to/")] for name in data}
    assert found["small"] == ("md5", "") and reads["small"] == [0, 1]
    assert found["put"] == found["one-part"] == ("etag", "") and reads["put"] == reads["one-part"] == [0, 0]
    assert found["crc32"][0] == "checksum" and reads["crc32"] == [0, 0], "the CRCs of the parts tell"
    assert found["sha256"][0] == "md5" and reads["sha256"][0] == 0, "only the copy is read"
    if known.take_checksum is False:
        assert found["crc32"][1] == found["sha256"][1] == "kind changed"
        assert found["large"] == ("etag", "") and reads["large"] == [0, 0]
    for name, content in data.items():
        copies = {op for op in ways.asked(f"from/{name}") if op in ("CopyObject", "UploadPartCopy")}
        assert len(copies) == 1 and ways.asked(f"from/{name}").count("CopyObject") <= 1, "never whole and in parts"
        answer = ways.client.get_object(Bucket="data-lake", Key=f"to/{name}")
        assert answer["Body"].read() == content
        assert answer["Metadata"] == ({} if name == "put" else {"made": "in-parts"})


SIZES = {"put": 9, "one-part": 2048, "small": 6 * MIB, "large": 12 * MIB, "crc32": 11 * MIB, "sha256": 13 * MIB}


def test_a_wrong_copy_is_seen_whatever_proves_it(ways: MinioWays, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server says that all went well, and wrote something else."""
    monkeypatch.setattr("migrator.copying.copier.PROOF_ATTEMPTS", 1)
    for name, algorithm in (("plain", ""), ("crc32", "CRC32"), ("sha256", "SHA256")):
        in_parts(ways.url, name, os.urandom(9 * MIB), algorithm)
    honest = ways.client.get_object

    def flipped(**given: Any) -> Any:
        answer = honest(**given)
        data = bytearray(answer["Body"].read())
        data[-1] ^= 1
        answer["Body"].read = lambda: bytes(data)
        return answer

    monkeypatch.setattr(ways.client, "get_object", flipped)
    store = Store(endpoint_url=ways.url)
    items = [Item(i, "from", found, f"to/{found.key}") for i, found in enumerate(store.list("from"))]
    for known in (PartCopies(), PartCopies(whole_keeps_etag=False, take_checksum=False)):
        setup = Setup(store.connection, None, "data-lake", Options(part_copies=known))
        outcomes = [outcome for batch in copy_objects(setup, items) for outcome in batch]
        assert len(outcomes) == 3 and not [outcome for outcome in outcomes if isinstance(outcome, Copied)]


def test_the_checksums_of_parts_are_asked_for_while_the_server_copies(
    ways: MinioWays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this test the copy waits until they are. If they were asked for after the copy, it would wait for ever."""
    in_parts(ways.url, "crc32", random.Random(3).randbytes(11 * MIB), "CRC32")
    asked = threading.Event()
    part_checksum, copy_whole = Store.part_checksum, CopyWithinServer._request_copy

    def ask(self: Store, *arguments: Any) -> Any:
        asked.set()
        return part_checksum(self, *arguments)

    async def copy(self: CopyWithinServer, item: Item) -> str:
        while not asked.is_set():
            await asyncio.sleep(0.01)
        return await copy_whole(self, item)

    monkeypatch.setattr(Store, "part_checksum", ask)
    monkeypatch.setattr(CopyWithinServer, "_request_copy", copy)
    there = copied(ways, Options(part_copies=PartCopies(whole_keeps_etag=False, take_checksum=False)))
    assert (there["crc32"].proof, there["crc32"].checksum) == ("checksum", "kind changed")


def test_the_whole_lake_moves(own_world: World) -> None:
    with MinioWays(own_world.server) as ways:
        in_parts(ways.url, "dumps/large.bin", random.Random(1).randbytes(12 * MIB), bucket="logs")
        in_parts(ways.url, "dumps/checked.bin", random.Random(2).randbytes(11 * MIB), "CRC32", bucket="logs")
        plan = own_world.plan("plan.db", "--endpoint-url", ways.url)
        done = json.loads(own_world.run("migrate", plan, "--yes", "--json").stdout)
        assert done["ok"] and done["copy"]["checksums"] == {"kind changed": 1}
        assert done["copy"]["proofs"].keys() == {"etag", "checksum"}
        old_lake.delete_buckets(own_world.client)
        assert json.loads(own_world.run("verify", plan, "--deep", "--json").stdout)["ok"]
