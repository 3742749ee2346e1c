"""Two stores that look like one, and copying from one to the other. Two real servers are in e2e/test_two_servers.py."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from moto import mock_aws

from migrator.errors import SourceChanged, StoreError
from migrator.store import Content, Store, Upload, connect
from migrator.store.routes import MIB, Routes, copy_between

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
def routes() -> Iterator[Routes]:
    """A mock knows one server only; all the same each end is asked by a client of its own."""
    with mock_aws():
        store = connect(**EAST, target=WEST, target_bucket="new")
        assert isinstance(store, Routes)
        for bucket in ("old", "new"):
            store.create_bucket(bucket)
        yield store


class Recorder:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self.calls.append(name)


def test_every_method_of_a_store_reaches_the_end_that_has_the_bucket(routes: Routes) -> None:
    """Also those that Store gets later: none may fall through to a store that is neither."""
    old, new = Recorder(), Recorder()
    routes._source, routes._target = old, new  # type: ignore[assignment]
    routed = []
    for name, method in vars(Store).items():
        if (
            name.startswith("_")
            or not inspect.isfunction(method)
            or name in ("endpoint", "list_all", "same_content", "same_as_source", "copy", "give_up", "met")
            or name in ("bucket_names", "store_of")
        ):
            continue
        (_, first, *others) = inspect.signature(method).parameters.values()
        assert first.name in ("bucket", "upload"), f"{name}: teach Routes which end it is for"
        needed = [None for other in others if other.default is other.empty]
        for bucket in ("old", "new"):
            getattr(routes, name)(Upload(bucket, "k", "id") if first.name == "upload" else bucket, *needed)
        routed.append(name)
    assert old.calls == new.calls == routed and "reader_properties" in routed and "finish_upload" in routed
    properties = {name for name, value in vars(Store).items() if isinstance(value, property)}
    assert properties <= set(vars(Routes))
    assert (routes.store_of("old"), routes.store_of("new")) == (old, new)


def test_listing_and_comparing_cover_both_ends(routes: Routes) -> None:
    routes.put("old", "a", Content(b"x", ""))
    routes.put("new", "b", Content(b"x", ""))
    routes.put("new", "c", Content(b"y", ""))
    found = {(b, o.key) for b, listed in routes.list_all([("new", ""), ("old", "")]) for o in listed}
    assert found == {("old", "a"), ("new", "b"), ("new", "c")}
    assert routes.same_content(("old", "a"), ("new", "b")) and not routes.same_content(("old", "a"), ("new", "c"))


@pytest.mark.parametrize("data", [b"x", b"y"])
def test_comparing_asks_each_end_for_its_own_bucket(
    routes: Routes, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    routes.put("old", "a", Content(b"x", ""))
    routes.put("new", "b", Content(data, ""))
    source = replace(routes.head("old", "a"), etag="0" * 32)  # as that of an encrypted object: it tells nothing
    asked: list[tuple[str, str]] = []

    def recorded(name: str, real: Callable[..., Any], bucket: str, *given: Any) -> Any:
        asked.append((name, bucket))
        return real(bucket, *given)

    for name, end in zip(("old", "new"), routes.ends, strict=True):
        for method in ("head", "part_size", "etag_in_parts", "sha256"):
            monkeypatch.setattr(end, method, partial(recorded, name, getattr(end, method)))
    assert routes.same_as_source(("old", source), ("new", "b")) is (data == b"x")
    assert set(asked) == {("old", "old"), ("new", "new")}


def test_given_up_are_both(routes: Routes) -> None:
    routes.go_on("old", "a")
    routes.give_up()
    for bucket in ("old", "new"):
        with pytest.raises(StoreError, match=f"s3://{bucket}/a: given up"):
            routes.go_on(bucket, "a")


def test_each_bucket_is_read_where_it_is(routes: Routes) -> None:
    assert routes.reader_properties("old")["s3.endpoint"] == EAST["endpoint_url"]
    assert routes.reader_properties("new")["s3.endpoint"] == WEST["endpoint_url"]


def test_a_worker_makes_an_equal_store(routes: Routes) -> None:
    again = connect(**routes.connection)
    assert isinstance(again, Routes) and again.connection == routes.connection
    assert [end.connection for end in again.ends] == [end.connection for end in routes.ends]
    assert "secret" not in repr(routes.connection)
    plain = connect(**EAST)
    assert type(connect(**plain.connection)) is Store and plain.ends == (plain, plain)


@pytest.mark.parametrize(
    ("target", "streamed"),
    [
        (EAST, False),
        ({**EAST, "endpoint_url": "https://s3.us-east-1.amazonaws.com/"}, False),
        ({**EAST, "profile": "other"}, True),  # two accounts: neither need see the other's bucket
        (WEST, True),
    ],
)
def test_one_server_and_one_account_are_one_store(
    target: dict[str, str], streamed: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    store = connect(**EAST, target=target, target_bucket="new")
    assert isinstance(store, Routes) == streamed


@pytest.mark.parametrize("size", [0, 5, 16 * MIB, 40 * MIB + 1], ids=["empty", "small", "just whole", "in parts"])
def test_a_copy_between_two_keeps_everything(routes: Routes, size: int) -> None:
    data = random.Random(size).randbytes(size)
    routes.put("old", "from", Content(data, "", ATTRIBUTES))
    etag = routes.copy("old", routes.head("old", "from"), "new", "to/here")
    copied = routes.get("new", "to/here")
    assert (copied.data, copied.etag) == (data, etag)
    assert copied.attributes == ATTRIBUTES
    assert ("-3" in etag) == (size > 16 * MIB)


def test_within_one_end_the_server_copies(routes: Routes, monkeypatch: pytest.MonkeyPatch) -> None:
    routes.put("new", "from", Content(b"x", "", ATTRIBUTES))
    monkeypatch.setattr(Store, "get", None)
    routes.copy("new", routes.head("new", "from"), "new", "to")


@pytest.mark.parametrize("size", [5, 17 * MIB], ids=["small", "in parts"])
def test_a_changed_source_is_never_copied(routes: Routes, size: int) -> None:
    routes.put("old", "from", Content(bytes(size), ""))
    listed = routes.head("old", "from")
    routes.put("old", "from", Content(b"\1" * size, ""))
    with pytest.raises(SourceChanged, match="s3://old/from changed since planning"):
        routes.copy("old", listed, "new", "to")
    with pytest.raises(SourceChanged, match="s3://old/gone is gone since planning"):
        routes.copy("old", replace(listed, key="gone"), "new", "to")
    assert list(routes.list("new")) == [] and routes.open_uploads("new") == 0


def test_a_source_that_changes_on_the_way_leaves_no_parts(routes: Routes, monkeypatch: pytest.MonkeyPatch) -> None:
    routes.put("old", "from", Content(bytes(40 * MIB), ""))
    listed, put_part = routes.head("old", "from"), Store.put_part

    def then_change(store: Store, upload: Upload, number: int, data: bytes) -> dict[str, Any]:
        if number == 2:
            routes.put("old", "from", Content(b"\1" * (40 * MIB), ""))
        return put_part(store, upload, number, data)

    monkeypatch.setattr(Store, "put_part", then_change)
    with pytest.raises(SourceChanged):
        routes.copy("old", listed, "new", "to")
    assert list(routes.list("new")) == [] and routes.open_uploads("new") == 0


def test_an_empty_marker_that_the_server_lists_but_does_not_give(routes: Routes) -> None:
    routes.put("old", "dir/", Content(b"", ""))
    listed = routes.head("old", "dir/")
    routes.copy("old", replace(listed, key="lost/"), "new", "lost/")
    assert routes.size("new", "lost/") == 0
    routes.put("old", "dir/", Content(b"no marker any more", ""))
    with pytest.raises(SourceChanged):
        routes.copy("old", listed, "new", "dir/")


@pytest.mark.parametrize(
    ("count", "first", "expected"),
    [
        (3, 8 * MIB, 8 * MIB),
        (3, 20 * MIB, None),  # not so many parts of this size: the parts differ in size
        (3, None, None),  # the server does not know
        (1, 20 * MIB, 20 * MIB),
        (0, 8 * MIB, None),
    ],
)
def test_the_parts_of_the_source(
    routes: Routes, monkeypatch: pytest.MonkeyPatch, count: int, first: int | None, expected: int | None
) -> None:
    store = routes.ends[0]
    store.put("old", "k", Content(b"", ""))
    etag = "0" * 32 + (f"-{count}" if count else "")

    def head(**_: Any) -> dict[str, int]:
        if first is None:
            raise store._client.exceptions.ClientError({"Error": {"Code": "NotImplemented"}}, "HeadObject")
        return {"ContentLength": first}

    stored = replace(store.head("old", "k"), size=20 * MIB, etag=etag)
    monkeypatch.setattr(store._client, "head_object", head)
    assert store.part_size("old", stored) == expected


def test_a_part_that_is_too_long_is_refused(routes: Routes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that knows no ranges answers with the whole object."""
    routes.put("old", "k", Content(b"abcdef", ""))
    store, listed = routes.ends[0], routes.head("old", "k")
    get = store._client.get_object
    monkeypatch.setattr(store._client, "get_object", lambda Range=None, **options: get(**options))
    with pytest.raises(StoreError, match="6 bytes came instead of 2"):
        store.read_part("old", "k", listed.etag, (0, 1))
    assert copy_between(store, "old", listed, routes.ends[1], "new", "k") == listed.etag
