"""The store of two servers, and copying from one to the other. Two real servers are in e2e/test_two_servers.py."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any

import pytest
from moto import mock_aws

from migrator.errors import SourceChanged, StoreError
from migrator.store import Content, Store, Upload, connect, objects
from migrator.store.connection import Connection
from migrator.store.two_servers import MIB, TwoServers, copy_between
from migrator.store.uploads import Uploads

EAST, WEST = (
    {"endpoint_url": f"https://s3.{region}.amazonaws.com", "region": region} for region in ("us-east-1", "us-west-2")
)
ATTRIBUTES = {
    "ContentType": "text/x-lake",
    "ContentEncoding": "identity",
    "ContentLanguage": "de",
    "ContentDisposition": "attachment",
    "CacheControl": "max-age=7",
    "StorageClass": "STANDARD_IA",
    "Metadata": {"owner": "bi"},
    "Tagging": "team=a%3Db&tier=gold",
}


@pytest.fixture
def store() -> Iterator[TwoServers]:
    """A mock has only one server, but each side has its own client."""
    with mock_aws():
        store = connect(**EAST, target=WEST, target_bucket="new")
        assert isinstance(store, TwoServers)
        for bucket in ("old", "new"):
            store.create_bucket(bucket)
        yield store


class Asked(Exception):
    """The connection to this bucket's server was asked for."""


def public_methods() -> dict[str, Any]:
    """Name → method of a store, and "uploads.NAME" → method of its uploads."""
    named = [*vars(Store).items(), *((f"uploads.{name}", method) for name, method in vars(Uploads).items())]
    return {name: m for name, m in named if inspect.isfunction(m) and not m.__name__.startswith("_")}


OF_BOTH_SERVERS = {"wait_from_first_request", "give_up", "list_all", "endpoint"}
"""Methods without a bucket, which TwoServers defines itself, or (``bucket_names``) which are for the old buckets."""
BY_OTHER_METHODS = {"size", "same_content", "same_as_source"}
"""They call other methods of Store only."""


@pytest.mark.parametrize("bucket", ["old", "new"])
def test_every_method_of_a_store_asks_the_server_that_has_the_bucket(
    store: TwoServers, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    """Also methods that Store gets later: none may send a request to the other server."""

    def at(self: TwoServers, name: str) -> Connection:
        raise Asked(name)

    monkeypatch.setattr(TwoServers, "at", at)
    methods, tested = public_methods(), set()
    for name in methods.keys() - OF_BOTH_SERVERS - BY_OTHER_METHODS - {"at", "copy", "bucket_names"}:
        _, first, *others = inspect.signature(methods[name]).parameters.values()
        assert first.name in ("bucket", "upload"), f"{name}: teach TwoServers which server it is for"
        given: list[Any] = [Upload(bucket, "k", "id") if first.name == "upload" else bucket]
        given += [
            Content(b"", "")
            for other in others
            if other.default is other.empty and other.kind is not other.KEYWORD_ONLY
        ]
        named = {other.name: None for other in others if other.kind is other.KEYWORD_ONLY}
        with pytest.raises(Asked, match=f"^{bucket}$"):
            attrgetter(name)(store)(*given, **named)
        tested.add(name)
    assert {"get", "list", "put", "uploads.begin", "uploads.finish", "reader_properties"} <= tested


def test_what_has_no_bucket_is_for_both_servers_or_for_the_old_buckets(store: TwoServers) -> None:
    assert vars(TwoServers).keys() >= OF_BOTH_SERVERS
    assert store.endpoint() is None
    assert (store.endpoint_url, store.region) == (EAST["endpoint_url"], EAST["region"])
    assert store.bucket_names() == ["new", "old"]  # a mock has all buckets on one server
    source, target = store.ends
    assert [end.region for end in (source, target)] == ["us-east-1", "us-west-2"]
    assert (store.at("old"), store.at("new")) == (source.at("old"), target.at("new"))
    store.wait_from_first_request()
    assert source.outage.known and target.outage.known and source.outage is not target.outage


def test_listing_and_comparing_cover_both_ends(store: TwoServers) -> None:
    store.put("old", "a", Content(b"x", ""))
    store.put("new", "b", Content(b"x", ""))
    store.put("new", "c", Content(b"y", ""))
    found = {(b, o.key) for b, listed in store.list_all([("new", ""), ("old", "")]) for o in listed}
    assert found == {("old", "a"), ("new", "b"), ("new", "c")}
    assert store.same_content(("old", "a"), ("new", "b")) and not store.same_content(("old", "a"), ("new", "c"))


@pytest.mark.parametrize("data", [b"x", b"y"])
def test_comparing_asks_each_server_for_its_own_bucket(
    store: TwoServers, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    store.put("old", "a", Content(b"x", ""))
    store.put("new", "b", Content(data, ""))
    source = replace(store.head("old", "a"), etag="0" * 32)  # as that of an encrypted object: not an MD5
    asked: list[tuple[str, str]] = []

    def recorded(name: str, real: Callable[..., Any], **given: Any) -> Any:
        asked.append((name, given["Bucket"]))
        return real(**given)

    for name, end in zip(("old", "new"), store.ends, strict=True):
        for method in ("head_object", "get_object"):
            monkeypatch.setattr(end.client, method, partial(recorded, name, getattr(end.client, method)))
    assert store.same_as_source(("old", source), ("new", "b")) is (data == b"x")
    assert set(asked) == {("old", "old"), ("new", "new")}


def test_given_up_are_both(store: TwoServers) -> None:
    store.at("old").raise_if_given_up("old", "a")
    store.give_up()
    for bucket in ("old", "new"):
        with pytest.raises(StoreError, match=f"s3://{bucket}/a: given up"):
            store.at(bucket).raise_if_given_up(bucket, "a")


def test_each_bucket_is_read_where_it_is(store: TwoServers) -> None:
    assert store.reader_properties("old")["s3.endpoint"] == EAST["endpoint_url"]
    assert store.reader_properties("new")["s3.endpoint"] == WEST["endpoint_url"]


def test_a_worker_makes_an_equal_store(store: TwoServers) -> None:
    again = connect(**store.connection)
    assert isinstance(again, TwoServers) and again.connection == store.connection
    assert [end.connection for end in again.ends] == [end.connection for end in store.ends]
    assert "secret" not in repr(store.connection)
    plain = connect(**EAST)
    assert type(connect(**plain.connection)) is Store and plain.ends == (plain, plain)


@pytest.mark.parametrize(
    ("target", "streamed"),
    [
        (EAST, False),
        ({**EAST, "endpoint_url": "https://s3.us-east-1.amazonaws.com/"}, False),
        ({**EAST, "profile": "other"}, True),  # two accounts: neither needs to read the other's bucket
        (WEST, True),
    ],
)
def test_one_server_and_one_account_are_one_store(
    target: dict[str, str], streamed: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    store = connect(**EAST, target=target, target_bucket="new")
    assert isinstance(store, TwoServers) == streamed


@pytest.mark.parametrize("size", [0, 5, 16 * MIB, 40 * MIB + 1], ids=["empty", "small", "just whole", "in parts"])
def test_a_copy_between_two_keeps_everything(store: TwoServers, size: int) -> None:
    data = random.Random(size).randbytes(size)
    store.put("old", "from", Content(data, "", ATTRIBUTES))
    etag = store.copy("old", store.head("old", "from"), "new", "to/here")
    copied = store.get("new", "to/here")
    assert (copied.data, copied.etag) == (data, etag)
    assert copied.attributes == ATTRIBUTES
    assert ("-3" in etag) == (size > 16 * MIB)


def test_within_one_server_the_server_copies(store: TwoServers, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("new", "from", Content(b"x", "", ATTRIBUTES))
    for method in ("get_object", "put_object"):
        monkeypatch.setattr(store.ends[1].client, method, None)
    store.copy("new", store.head("new", "from"), "new", "to")
    assert store.find("new", "to") is not None


def test_older_versions_are_not_copied(store: TwoServers) -> None:
    store.put("old", "from", Content(b"x", ""))
    with pytest.raises(StoreError, match="s3://old/from: older versions cannot go from server to server"):
        store.copy("old", store.head("old", "from"), "new", "to", version_id="1")


@pytest.mark.parametrize("size", [5, 17 * MIB], ids=["small", "in parts"])
def test_a_changed_source_is_never_copied(store: TwoServers, size: int) -> None:
    store.put("old", "from", Content(bytes(size), ""))
    listed = store.head("old", "from")
    store.put("old", "from", Content(b"\1" * size, ""))
    with pytest.raises(SourceChanged, match="s3://old/from changed since planning"):
        store.copy("old", listed, "new", "to")
    with pytest.raises(SourceChanged, match="s3://old/gone is gone since planning"):
        store.copy("old", replace(listed, key="gone"), "new", "to")
    assert list(store.list("new")) == [] and store.uploads.count_open("new") == 0


def test_a_source_that_changes_on_the_way_leaves_no_parts(store: TwoServers, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("old", "from", Content(bytes(40 * MIB), ""))
    listed, put_part = store.head("old", "from"), Uploads.put_part

    def then_change(target: Uploads, upload: Upload, number: int, data: bytes) -> dict[str, Any]:
        if number == 2:
            store.put("old", "from", Content(b"\1" * (40 * MIB), ""))
        return put_part(target, upload, number, data)

    monkeypatch.setattr(Uploads, "put_part", then_change)
    with pytest.raises(SourceChanged):
        store.copy("old", listed, "new", "to")
    assert list(store.list("new")) == [] and store.uploads.count_open("new") == 0


def test_an_empty_marker_that_the_server_lists_but_does_not_give(store: TwoServers) -> None:
    store.put("old", "dir/", Content(b"", ""))
    listed = store.head("old", "dir/")
    store.copy("old", replace(listed, key="lost/"), "new", "lost/")
    assert store.size("new", "lost/") == 0
    store.put("old", "dir/", Content(b"no marker any more", ""))
    with pytest.raises(SourceChanged):
        store.copy("old", listed, "new", "dir/")


@pytest.mark.parametrize(
    ("count", "first", "expected"),
    [
        (3, 8 * MIB, 8 * MIB),
        (3, 20 * MIB, None),  # another number of parts of this size: the parts differ in size
        (3, None, None),  # the server does not know
        (1, 20 * MIB, 20 * MIB),
        (0, 8 * MIB, None),
    ],
)
def test_the_parts_of_the_source(
    store: TwoServers, monkeypatch: pytest.MonkeyPatch, count: int, first: int | None, expected: int | None
) -> None:
    source = store.ends[0]
    source.put("old", "k", Content(b"", ""))
    etag = "0" * 32 + (f"-{count}" if count else "")

    def head(**_: Any) -> dict[str, int]:
        if first is None:
            raise source.client.exceptions.ClientError({"Error": {"Code": "NotImplemented"}}, "HeadObject")
        return {"ContentLength": first}

    stored = replace(source.head("old", "k"), size=20 * MIB, etag=etag)
    monkeypatch.setattr(source.client, "head_object", head)
    assert source.part_size("old", stored) == expected


@pytest.mark.parametrize("changed", [False, True])
def test_a_server_that_compares_the_condition_with_the_etag_of_the_part(
    store: TwoServers, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    """It refuses every request that is pinned to the ETag of the whole object: that object has not changed."""
    source = store.ends[0]
    source.put("old", "k", Content(b"", ""))
    stored = replace(source.head("old", "k"), size=20 * MIB, etag=f"{'0' * 32}-2")
    now = replace(stored, etag=f"{'1' * 32}-2") if changed else stored

    def head(**_: Any) -> dict[str, int]:
        answer = {"Error": {"Code": "412"}, "ResponseMetadata": {"HTTPStatusCode": 412}}
        raise source.client.exceptions.ClientError(answer, "HeadObject")

    monkeypatch.setattr(source.client, "head_object", head)
    monkeypatch.setattr(objects, "find", lambda *_: now)
    if changed:
        with pytest.raises(SourceChanged):
            source.part_size("old", stored)
    else:
        assert source.part_size("old", stored) is None


def test_a_part_that_is_too_long_is_refused(store: TwoServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that knows no ranges answers with the whole object."""
    store.put("old", "k", Content(b"abcdef", ""))
    (source, target), listed = store.ends, store.head("old", "k")
    get = source.client.get_object
    monkeypatch.setattr(source.client, "get_object", lambda Range=None, **options: get(**options))
    with pytest.raises(StoreError, match="6 bytes came instead of 2"):
        source.read_part("old", "k", listed.etag, (0, 1))
    assert copy_between(source, "old", listed, target, "new", "k") == listed.etag


def test_what_was_tried_at_the_target_is_known_of_the_target_alone(store: TwoServers) -> None:
    source, target = store.ends
    store.conditional = replace(store.conditional, put=True)
    store.part_copies = replace(store.part_copies)
    assert target.conditional.put and store.conditional is target.conditional and not source.conditional.put
    assert store.part_copies is target.part_copies is not source.part_copies
