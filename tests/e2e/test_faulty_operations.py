"""Every S3 operation of a copy with every fault: the copy exists and is equal, and no upload stays open."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.faults import ANYWHERE, COPIES, FaultProxy, first
from e2e.test_copying import copied, in_parts
from e2e.world import World
from migrator.copying.concurrency_limit import RequestLimits
from migrator.copying.options import Options
from migrator.copying.outcomes import Item
from migrator.copying.setup import Setup
from migrator.demo import lake as old_lake
from migrator.planfile.copied import Copied
from migrator.store import Store

MIB = 1 << 20
WHOLE, IN_PARTS, ACROSS = "whole", "in parts", "to another server"
MODES = {
    WHOLE: ("CopyObject",),
    IN_PARTS: ("HeadObject", "GetObjectTagging", "CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"),
    ACROSS: (
        "GetObject", "GetObjectTagging", "PutObject", "HeadObject", "CreateMultipartUpload", "UploadPart",
        "CompleteMultipartUpload",
    ),
}  # fmt: skip
OPERATIONS = [(mode, operation) for mode, operations in MODES.items() for operation in operations]
TAGS = [{"Key": "team", "Value": "bi"}]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries have no delay."""
    monkeypatch.setattr("migrator.copying.servers.BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)


@pytest.fixture(scope="module")
def origin(shared_world: World) -> Iterator[dict[str, str]]:
    """The SHA-256 of each object of the bucket "from": several that are equal, so that an ETag does not show which of
    them an answer belongs to, an empty one, and one that was uploaded in parts."""
    client = shared_world.client
    client.create_bucket(Bucket="from")
    objects = {f"same/{number}": b"same" for number in range(6)} | {"a": b"a" * 999, "empty": b""}
    for key, data in objects.items():
        client.put_object(Bucket="from", Key=key, Body=data, Tagging="team=bi")
    objects["parts"] = random.Random(5).randbytes(5 * MIB + 999)
    in_parts(client, "parts", objects["parts"], 5 * MIB)
    yield {key: hashlib.sha256(data).hexdigest() for key, data in objects.items()}
    old_lake.delete_buckets(client, ["from"])


@pytest.fixture
def proxy(world: World, origin: dict[str, str]) -> Iterator[FaultProxy]:
    world.client.create_bucket(Bucket="data-lake")
    with FaultProxy(world.server.endpoint_url) as proxy:
        yield proxy


def setup(proxy: FaultProxy, mode: str) -> Setup:
    """So few requests at once that connections are used again, and an answer could count as the next one."""
    connection, limits = Store(endpoint_url=proxy.url).connection, RequestLimits(concurrency=2)
    options = Options(limits, whole_limit=MIB, part_size=5 * MIB) if mode == IN_PARTS else Options(limits)
    return Setup(connection, connection if mode == ACROSS else None, "data-lake", options)


def wrong(store: Store, client: Any, origin: dict[str, str], setup: Setup, folder: str) -> list[str]:
    """Copy everything into the folder, and return what is wrong."""
    items = [Item(i, "from", stored, f"{folder}/{stored.key}") for i, stored in enumerate(store.list("from"))]
    assert {item.stored.key for item in items} == origin.keys()
    outcomes = {outcome.id: outcome for outcome in copied(setup, items)}
    there = {stored.key: stored for stored in store.list("data-lake", f"{folder}/")}
    found = [f"{key} is too much" for key in there.keys() - {item.target for item in items}]
    for item in items:
        outcome, stored = outcomes.get(item.id), there.get(item.target)
        if stored is None or not isinstance(outcome, Copied):
            found.append(f"{item.target}: {outcome} {stored}")
            continue
        head = client.head_object(Bucket="data-lake", Key=item.target)
        tags = client.get_object_tagging(Bucket="data-lake", Key=item.target)["TagSet"]
        if (outcome.etag, outcome.size) != (stored.etag, stored.size):
            found.append(f"{item.target} is journalled with another ETag or size")
        if store.sha256("data-lake", item.target) != origin[item.stored.key]:
            found.append(f"{item.target} has other bytes")
        if (tags, head["Metadata"]) != (([], {"made": "in-parts"}) if item.stored.key == "parts" else (TAGS, {})):
            found.append(f"{item.target} has the tags {tags} and the metadata {head['Metadata']}")
    for upload, _ in list(store.uploads.list("data-lake")):
        found.append(f"an upload of {upload.key} is left open")
        store.uploads.abort(upload)
    return found


def kinds(operation: str) -> Iterator[str]:
    yield from (*ANYWHERE, "twice", "again")
    if operation in ("CopyObject", "UploadPartCopy", "CompleteMultipartUpload"):
        yield from (kind for kind in COPIES if kind not in ("twice", "again"))


@pytest.mark.parametrize(("mode", "operation"), OPERATIONS)
def test_each_fault_of_each_operation(
    world: World, origin: dict[str, str], proxy: FaultProxy, mode: str, operation: str
) -> None:
    store, faulty = Store(), {}
    for kind in kinds(operation):
        proxy.counts.clear()
        proxy.choose = first(2, kind, lambda request: request.operation == operation)
        found = wrong(store, world.client, origin, setup(proxy, mode), kind)
        # "again" is a fault of the next request on the same connection, and there may be none.
        if not proxy.counts[kind] and (kind != "again" or mode == WHOLE):
            found.append("no fault happened")
        if found:
            faulty[kind] = found
    assert not faulty
