"""The copy engine on the real server: everything is kept, everything is proven, no incomplete copy is left."""

from __future__ import annotations

import hashlib
import math
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2e.world import World
from migrator.copying.concurrency_limit import RequestLimits
from migrator.copying.copy_objects import Usage, copy_objects
from migrator.copying.options import Options
from migrator.copying.outcomes import Item, NotCopied, Outcome
from migrator.copying.setup import Setup
from migrator.copying.within_server import CopyWithinServer
from migrator.demo import lake as old_lake
from migrator.errors import MigrationFailed, SourceChanged
from migrator.planfile.copied import Copied
from migrator.store import Store, StoredObject

MIB = 1 << 20
PARTS = Options(whole_limit=6 * MIB, part_size=5 * MIB)


@pytest.fixture
def source(world: World) -> Iterator[Any]:
    """A client, and a bucket "from" that is dropped afterwards; the target is "data-lake"."""
    client = world.client
    for bucket in ("from", "data-lake"):
        for _ in range(20):  # the server may still be deleting the last bucket of that name
            with suppress(client.exceptions.ClientError):
                client.create_bucket(Bucket=bucket)
                break
            time.sleep(0.25)
    yield client
    old_lake.delete_buckets(client, ["from"])


def setup(options: Options | None = None) -> Setup:
    return Setup(Store().connection, None, "data-lake", options or Options())


def listed(key: str = "") -> list[Item]:
    return [Item(i, "from", found, f"to/{found.key}") for i, found in enumerate(Store().list("from", key))]


def copied(setup: Setup, items: list[Item], processes: int | None = None) -> list[Outcome]:
    return [outcome for batch in copy_objects(setup, items, processes=processes) for outcome in batch]


def in_parts(client: Any, key: str, data: bytes, size: int, *, bucket: str = "from") -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key=key, Metadata={"made": "in-parts"})["UploadId"]
    here = {"Bucket": bucket, "Key": key, "UploadId": upload}
    parts = []
    for number, start in enumerate(range(0, len(data), size), 1):
        etag = client.upload_part(**here, PartNumber=number, Body=data[start : start + size])["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    client.complete_multipart_upload(**here, MultipartUpload={"Parts": parts})


def target(client: Any, key: str) -> dict[str, Any]:
    answer = client.get_object(Bucket="data-lake", Key=f"to/{key}")
    return {**answer, "data": answer["Body"].read()}


@pytest.mark.parametrize("size", [0, 5, 17 * MIB], ids=["empty", "small", "in parts"])
@pytest.mark.parametrize("verify", ["auto", "always", "never"])
def test_a_copy_keeps_everything(source: Any, size: int, verify: str) -> None:
    data = random.Random(size).randbytes(size)
    attributes = {"ContentType": "text/x-lake", "CacheControl": "max-age=7", "Metadata": {"owner": "bi"}}
    source.put_object(Bucket="from", Key="a", Body=data, Tagging="team=a%26b&tier=gold", **attributes)
    (outcome,) = copied(setup(replace(PARTS, verify=verify)), listed())
    there = target(source, "a")
    assert there["data"] == data and {name: there[name] for name in attributes} == attributes
    tags = source.get_object_tagging(Bucket="data-lake", Key="to/a")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "a&b", "tier": "gold"}
    whole = {"auto": "etag", "always": "sha256", "never": "etag"}
    parted = {"auto": "checksum", "always": "sha256", "never": "none"}
    proof = (parted if size > 6 * MIB else whole)[verify]
    assert outcome == Copied(0, size, there["ETag"].strip('"'), proof)


def test_what_was_uploaded_in_parts_keeps_its_etag_where_the_server_keeps_it(source: Any) -> None:
    in_parts(source, "a", random.Random(1).randbytes(12 * MIB), 5 * MIB)
    (item,) = listed()
    (outcome,) = copied(setup(), [item])
    assert item.stored.etag.endswith("-3")
    assert outcome == Copied(0, 12 * MIB, item.stored.etag, "etag")
    assert target(source, "a")["Metadata"] == {"made": "in-parts"}


def test_a_copy_of_parts_is_read_and_must_have_the_etag_of_the_source(source: Any) -> None:
    """This server chooses the ETags of copied parts itself, so only the bytes of the copy can prove it."""
    data = random.Random(2).randbytes(12 * MIB)
    in_parts(source, "a", data, 5 * MIB)
    (outcome,) = copied(setup(PARTS), listed())
    assert isinstance(outcome, Copied) and outcome.proof == "md5"
    there = target(source, "a")
    assert hashlib.sha256(there["data"]).digest() == hashlib.sha256(data).digest()
    assert there["ETag"].strip('"') == outcome.etag


@pytest.mark.parametrize("size", [5, 17 * MIB], ids=["small", "in parts"])
def test_a_changed_source_is_never_copied(source: Any, size: int) -> None:
    source.put_object(Bucket="from", Key="a", Body=bytes(size))
    items = listed()
    source.put_object(Bucket="from", Key="a", Body=b"\1" * size)
    gone = replace(items[0], id=1, stored=replace(items[0].stored, key="gone"), target="to/gone")
    changed, missing = sorted(copied(setup(PARTS), [*items, gone]), key=lambda outcome: outcome.id)
    assert isinstance(changed, NotCopied) and isinstance(changed.error, SourceChanged)
    assert "s3://from/a changed since planning" in str(changed.error)
    assert isinstance(missing, NotCopied) and "s3://from/gone is gone since planning" in str(missing.error)
    assert not list(Store().list("data-lake")) and not list(Store().uploads.list("data-lake"))


def test_many_in_several_processes(source: Any) -> None:
    for number in range(600):
        source.put_object(Bucket="from", Key=f"d/{number:04}", Body=str(number).encode())
    items, usage = listed(), Usage()
    limited = setup(Options(RequestLimits(concurrency=8)))
    outcomes = [o for batch in copy_objects(limited, items, usage, processes=2) for o in batch]
    assert sorted(outcome.id for outcome in outcomes) == list(range(600))
    assert {outcome.proof for outcome in outcomes if isinstance(outcome, Copied)} == {"etag"}
    assert usage.processes == 2 and usage.requests == 600 and 0 < usage.level <= 8 and usage.cpu_seconds > 0
    there = {found.key: found.etag for found in Store().list("data-lake")}
    assert there == {f"to/{item.stored.key}": item.stored.etag for item in items}


def test_another_process_when_this_one_is_busy(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.copying.copy_objects.cores", lambda: 2)
    monkeypatch.setattr("migrator.copying.copy_objects.GROW_SECONDS", 0.0)
    source.put_object(Bucket="from", Key="a", Body=b"a")
    (item,) = listed()
    items = [replace(item, id=number, target=f"to/{number}") for number in range(1500)]
    # Not 2.0: two reports that wait in the queue are read so fast that the share between them can be of any size.
    for busy, expected in ((math.inf, 1), (-1.0, 2)):
        monkeypatch.setattr("migrator.copying.copy_objects.BUSY", busy)
        usage, limited = Usage(), setup(Options(RequestLimits(concurrency=16)))
        outcomes = [o for batch in copy_objects(limited, items, usage) for o in batch]
        assert usage.processes == expected and not children()
        assert sorted(outcome.id for outcome in outcomes if isinstance(outcome, Copied)) == list(range(1500))


def test_a_process_that_ends_is_reported(source: Any) -> None:
    source.put_object(Bucket="from", Key="a", Body=b"a")
    (item,) = listed()

    def items() -> Iterator[Item]:
        for number in range(5000):
            if number == 2000:
                for child in children():
                    os.kill(child, signal.SIGKILL)
            # Each has its own key: the server would process those of one key one after the other, until long after this
            # test.
            yield replace(item, id=number, target=f"to/{number}")

    with pytest.raises(MigrationFailed, match=r"A copying process died \(exit code -9\)"):
        list(copy_objects(setup(), items(), processes=1))


def children() -> list[int]:
    """The copying processes below this one."""
    found = subprocess.run(
        ["pgrep", "-f", "migrator.copying.copy_process", "-P", str(os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(line) for line in found.stdout.split()]


@pytest.mark.parametrize("processes", [None, 1], ids=["here", "in a process"])
def test_given_up_it_leaves_no_upload(source: Any, processes: int | None) -> None:
    source.put_object(Bucket="from", Key="big", Body=random.Random(3).randbytes(40 * MIB))
    source.put_object(Bucket="from", Key="a", Body=b"a")
    slow = Options(RequestLimits(concurrency=2, bandwidth=8 * MIB), whole_limit=6 * MIB, part_size=5 * MIB)
    batches = copy_objects(setup(slow), sorted(listed(), key=lambda item: item.stored.size), processes=processes)
    assert [outcome.id for outcome in next(batches)] == [0]  # the small one
    while not list(Store().uploads.list("data-lake")):
        pass
    batches.close()
    assert not list(Store().uploads.list("data-lake")) and not children()
    assert [found.key for found in Store().list("data-lake")] == ["to/a"]


def test_given_up_it_does_not_read_on(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof of a large copy may take minutes, but Ctrl-C must work at once."""
    read = threading.Event()

    class Endless:
        def iter_chunks(self, size: int) -> Iterator[bytes]:
            for _ in range(600):
                read.set()
                time.sleep(0.1)
                yield b"a"

    monkeypatch.setattr("migrator.store.objects.get_object", lambda *_, **__: {"Body": Endless()})
    for key in ("a", "b"):
        source.put_object(Bucket="from", Key=key, Body=b"a" * 100)
    items = listed()
    small = replace(items[1], stored=replace(items[1].stored, etag="0" * 32))  # changed: the first outcome
    batches = copy_objects(setup(Options(verify="always")), [items[0], small])
    assert isinstance(next(batches)[0], NotCopied)
    assert read.wait(30)
    began = time.monotonic()
    batches.close()
    assert time.monotonic() - began < 10


def test_no_thread_stays(source: Any) -> None:
    source.put_object(Bucket="from", Key="a", Body=b"a")
    before = set(threading.enumerate())
    copied(setup(), listed())
    assert not [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("migrator")]


def test_equal_checksums_are_a_proof(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If ETags prove nothing (as in this test), the servers' checksums do, and the bytes need not be read."""
    from migrator.store import Checksum

    source.put_object(Bucket="from", Key="a", Body=b"a" * 100)
    items = [replace(item, stored=StoredObject("a", 100, item.stored.etag, 0)) for item in listed()]
    monkeypatch.setattr(Store, "checksum", lambda *_: Checksum("CRC64NVME", "x", "FULL_OBJECT"))
    monkeypatch.setattr(CopyWithinServer, "_request_copy", another_etag)
    monkeypatch.setattr(Store, "find", lambda *_: StoredObject("to/a", 100, "0" * 32, 0))
    (outcome,) = copied(setup(), items)
    assert outcome == Copied(0, 100, "0" * 32, "checksum")


async def another_etag(*_: object) -> str:
    return "0" * 32


def test_a_copy_with_other_bytes_is_not_accepted(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    source.put_object(Bucket="from", Key="a", Body=b"a" * 100)
    source.put_object(Bucket="data-lake", Key="to/a", Body=b"b" * 100)
    monkeypatch.setattr(CopyWithinServer, "_request_copy", another_etag)
    (outcome,) = copied(setup(), listed())
    assert isinstance(outcome, NotCopied)
    assert "its copy s3://data-lake/to/a has other bytes" in str(outcome.error)


def test_the_lease(world: World, source: Any, tmp_path: Path) -> None:
    from migrator.errors import PlanBusy
    from migrator.target import lease as lock

    store = Store()
    with lock.lease(store, "data-lake", tmp_path / "one.db") as held:
        held.check()
        with pytest.raises(PlanBusy, match=r"s3://data-lake is being migrated to by '.*one\.db'"):
            lock.lease(store, "data-lake", tmp_path / "two.db").__enter__()
    assert not list(store.list("data-lake"))
    # Killed: the process is gone, its lease is not.
    gone = subprocess.run(["true"], check=True)
    assert gone.returncode == 0
    left = {**lock._myself(), "plan": "x", "process": "999999999", "started": "1"}
    store.put_if("data-lake", lock.LEASE_KEY, lock._content(left), etag=None)
    with lock.lease(store, "data-lake", tmp_path / "two.db"):
        pass
    # Another machine cannot know this: the lease must expire.
    store.put_if("data-lake", lock.LEASE_KEY, lock._content({**left, "machine": "elsewhere"}), etag=None)
    with pytest.raises(PlanBusy, match="last renewed"):
        lock.lease(store, "data-lake", tmp_path / "two.db").__enter__()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lock, "EXPIRE_SECONDS", -1)
        with lock.lease(store, "data-lake", tmp_path / "two.db") as held, pytest.raises(MigrationFailed, match="lost"):
            held.check()


def test_a_lease_that_was_taken_over(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from migrator.target import lease as lock

    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.05)
    store = Store()
    with lock.lease(store, "data-lake", tmp_path / "one.db") as held:
        for _ in range(5):
            threading.Event().wait(0.1)
            held.check()
        store.put("data-lake", lock.LEASE_KEY, replace(store.get("data-lake", lock.LEASE_KEY), data=b"mine now"))
        threading.Event().wait(0.5)
        with pytest.raises(MigrationFailed, match="was taken over"):
            held.check()
    assert store.get("data-lake", lock.LEASE_KEY).data == b"mine now"
