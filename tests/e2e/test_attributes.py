"""Headers are copied byte for byte, in each way of copying an object. The server is real: it checks signatures, and
keeps header values as bytes."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import boto3
import pytest
from moto.server import ThreadedMotoServer

from e2e.faults import FaultProxy
from e2e.test_copying import copied, source
from e2e.world import World
from migrator.copying.options import Options
from migrator.copying.outcomes import Item
from migrator.copying.setup import Setup
from migrator.demo.server import Server
from migrator.planfile.copied import Copied
from migrator.store import Store, StoredObject
from migrator.store.attributes import HEADERS, USER
from migrator.store.signing import UNSIGNED, Credentials, signed_headers
from migrator.store.two_servers import copy_between

__all__ = ["source"]

MIB = 1 << 20
VALUES = {
    "utf8": "Jürgen Müller".encode(),
    "bytes that Python takes for spaces": "Åsa voilà".encode(),  # … \x85 …, … \xa0
    "spaces of Unicode": "«\u00a0x\u3000y\u00a0»".encode(),
    "rfc 2047": b"=?UTF-8?Q?J=C3=BCrgen?=",
    "spaces": b"a   b",
}
EXPIRES = b"Thu, 01 Dec 2094 16:00:00 GMT"


def raw(server: Server, method: str, path: str, headers: Mapping[str, bytes], body: bytes = b"") -> dict[str, bytes]:
    """A signed request whose headers are bytes, and the headers of its answer."""
    given = {"host": server.endpoint_url.split("//")[1], **{k: v.decode("latin-1") for k, v in headers.items()}}
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    credentials = Credentials(server.access_key, server.secret_key)
    signed = signed_headers(credentials, "us-east-1", now, method, path, "", given, UNSIGNED)
    connection = http.client.HTTPConnection(given["host"])
    connection.request(method, path, body, {k: v.encode("latin-1") for k, v in signed.items()})
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    assert answer.status == 200, said
    return {name.lower(): value.encode("latin-1") for name, value in answer.getheaders()}


def kept(server: Server, path: str) -> dict[str, bytes]:
    found = raw(server, "HEAD", path, {})
    return {name: value for name, value in found.items() if name in HEADERS or name.startswith(USER)}


def by_hand(store: Store, stored: StoredObject) -> None:
    """As a table's small files are rewritten."""
    store.put("data-lake", "to/a", store.get("from", stored.key, etag=stored.etag))


def by_file(store: Store, stored: StoredObject) -> None:
    """As its larger ones are."""
    with store.download("from", stored.key) as source:
        store.upload("data-lake", "to/a", source.file, source.attributes)


def by_boto3(store: Store, stored: StoredObject) -> None:
    store.copy("from", stored, "data-lake", "to/a")


def as_a_version(store: Store, stored: StoredObject) -> None:
    version = store.versions_of("from", stored.key)[0]
    store.copy("from", stored, "data-lake", "to/a", version_id=version.version_id)


def between_by_boto3(store: Store, stored: StoredObject) -> None:
    other = Store(**store.connection)
    copy_between(store, "from", stored, other, "data-lake", "to/a")


def engine(*, across: bool) -> Callable[[Store, StoredObject], None]:
    def copy(store: Store, stored: StoredObject) -> None:
        options = Options(whole_limit=6 * MIB, part_size=5 * MIB)
        setup = Setup(store.connection, store.connection if across else None, "data-lake", options)
        (outcome,) = copied(setup, [Item(0, "from", stored, "to/a")])
        assert isinstance(outcome, Copied)

    return copy


WAYS = {
    "copied": engine(across=False),
    "across": engine(across=True),
    "copied by boto3": by_boto3,
    "across by boto3": between_by_boto3,
    "a version": as_a_version,
    "put": by_hand,
    "uploaded": by_file,
}


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    yield Store(endpoint_url=world.server.endpoint_url, multipart_above=6 * MIB, part_size=5 * MIB)


@pytest.mark.parametrize("size", [5, 17 * MIB], ids=["small", "large"])
@pytest.mark.parametrize("way", WAYS)
def test_every_header_arrives_byte_for_byte(source: object, world: World, store: Store, way: str, size: int) -> None:
    data = random.Random(size).randbytes(size)
    values = {f"{USER}{number}": value for number, value in enumerate(VALUES.values())}
    for number, value in enumerate(VALUES.values()):
        texts = {name: value for name in HEADERS if name not in ("expires", "content-type", "content-encoding")}
        headers = {**texts, **values, "content-type": b"text/x; name=" + value, "expires": EXPIRES}
        raw(world.server, "PUT", f"/from/{number}", headers, data)
        before = kept(world.server, f"/from/{number}")
        assert {name: before[name] for name in values} == values and before["content-disposition"] == value
        (stored,) = store.list("from", str(number))
        WAYS[way](store, stored)
        assert kept(world.server, "/data-lake/to/a") == before
        if size > 5:
            break  # one is enough: the values are in the user metadata, too
        store.erase("data-lake", "to/a")


@pytest.mark.parametrize("way", ["engine", "boto3"])
def test_what_a_copy_would_lose_is_given_anew(source: object, world: World, store: Store, way: str) -> None:
    """If a bucket is known to have such headers, its objects are copied with all headers. This server would keep them
    anyway, so the test checks the requests."""
    text = VALUES["utf8"]
    headers = {f"{USER}author": text, "content-disposition": text, "content-type": b"text/x-lake", "expires": EXPIRES}
    raw(world.server, "PUT", "/from/with", headers, b"1")
    raw(world.server, "PUT", "/from/without", {f"{USER}author": text, "content-type": b"text/x-lake"}, b"2")
    with FaultProxy(world.server.endpoint_url) as proxy:
        asking = Store(endpoint_url=proxy.url, asked=("from",))
        for number, stored in enumerate(store.list("from")):
            if way == "boto3":
                asking.copy("from", stored, "data-lake", f"to/{stored.key}")
            else:
                setup = Setup(asking.connection, None, "data-lake", Options())
                (outcome,) = copied(setup, [Item(number, "from", stored, f"to/{stored.key}")])
                assert isinstance(outcome, Copied) and outcome.proof == "etag"
        copies = {request.key: request.headers for request in proxy.seen if request.copies}
    for key, directive in (("with", "REPLACE"), ("without", "COPY")):
        assert kept(world.server, f"/data-lake/to/{key}") == kept(world.server, f"/from/{key}")
        asked = {name.lower(): value for name, value in copies[f"data-lake/to/{key}"].items()}
        assert asked["x-amz-metadata-directive"] == directive and ("expires" in asked) == (key == "with")


def test_locks_travel_where_that_is_asked_for(world: World) -> None:
    client, until = world.client, datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=30)
    store = Store(endpoint_url=world.server.endpoint_url, asked=("vault",), locks=True)
    for bucket in ("vault", "held"):
        store.create_bucket(bucket)
    locks = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until, "ObjectLockLegalHoldStatus": "ON"}
    data = random.Random(1).randbytes(12 * MIB)
    client.put_object(Bucket="vault", Key="small", Body=b"1", ContentType="text/x-lake", **locks)
    client.put_object(Bucket="vault", Key="large", Body=data, **locks)
    other, options = store.connection, Options(whole_limit=6 * MIB, part_size=5 * MIB)
    items = [Item(0, "vault", found, found.key) for found in store.list("vault")]
    ways = {"within": Setup(other, None, "held", options), "across": Setup(other, other, "held", options)}
    for way, setup in ways.items():
        done = copied(setup, [replace(item, id=n, target=f"{way}/{item.stored.key}") for n, item in enumerate(items)])
        assert all(isinstance(outcome, Copied) for outcome in done), done
    store.put("held", "put", store.get("vault", "small"))
    for key in ("within/small", "within/large", "across/small", "across/large", "put"):
        head = client.head_object(Bucket="held", Key=key)
        assert {name: head.get(name) for name in locks} == locks, key


def test_a_copy_under_a_lock_has_the_checksum_that_s3_demands() -> None:
    """SeaweedFS and MinIO require none. The mock does, as the documentation of AWS says for uploads."""
    mock = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    mock.start()
    try:
        url = "http://{}:{}".format(*mock.get_host_and_port())
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        for bucket in ("vault-moto", "held-moto"):
            client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        client.put_object(Bucket="vault-moto", Key="a", Body=b"1", ChecksumAlgorithm="SHA256")
        client.put_object_legal_hold(Bucket="vault-moto", Key="a", LegalHold={"Status": "ON"})
        store = Store(endpoint_url=url, asked=("vault-moto",), locks=True)
        (found,) = store.list("vault-moto")
        setup = Setup(store.connection, None, "held-moto", Options())
        (outcome,) = copied(setup, [Item(0, "vault-moto", found, "a")])
        assert isinstance(outcome, Copied), outcome
        assert client.head_object(Bucket="held-moto", Key="a")["ObjectLockLegalHoldStatus"] == "ON"
    finally:
        mock.stop()
