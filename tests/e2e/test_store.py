"""The store with a real server: what a mock would not check."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from e2e.world import World
from migrator.errors import NotFound, SourceChanged
from migrator.store import Content, Store
from migrator.store.quick_reads import QuickReads

MIB = 1024**2


@pytest.fixture
def store(world: World) -> Store:
    store = Store(endpoint_url=world.server.endpoint_url, multipart_above=6 * MIB, part_size=5 * MIB)
    store.create_bucket("data-lake")
    return store


@pytest.mark.parametrize("size", [0, 5, 17 * MIB], ids=["empty", "small", "in parts"])
def test_a_copy_keeps_everything(world: World, store: Store, size: int) -> None:
    attributes = {
        "ContentType": "text/x-lake",
        "ContentEncoding": "identity",
        "CacheControl": "max-age=7",
        "Metadata": {"owner": "bi", "ümlaut".encode("ascii", "ignore").decode(): "x"},
        "Tagging": "team=a%26b&tier=gold",
    }
    data = random.Random(size).randbytes(size)
    store.put("data-lake", "from", Content(data, "", attributes))
    listed = next(o for o in store.list("data-lake") if o.key == "from")
    etag = store.copy("data-lake", listed, "data-lake", "to/here")
    copied = store.get("data-lake", "to/here")
    assert (copied.data, copied.etag) == (data, etag)
    for name in ("ContentType", "CacheControl", "Metadata"):
        assert copied.attributes[name] == attributes[name]
    tags = world.client.get_object_tagging(Bucket="data-lake", Key="to/here")["TagSet"]
    assert {t["Key"]: t["Value"] for t in tags} == {"team": "a&b", "tier": "gold"}
    assert ("-" in etag) == (size > 6 * MIB)


def test_an_empty_directory_marker_is_copied(world: World, store: Store) -> None:
    """SeaweedFS lists it, but answers a copy of it with NoSuchKey."""
    world.client.put_object(Bucket="data-lake", Key="from/", Body=b"")
    listed = next(o for o in store.list("data-lake") if o.key == "from/")
    etag = store.copy("data-lake", listed, "data-lake", "to/")
    copied = next(o for o in store.list("data-lake") if o.key == "to/")
    assert (copied.size, copied.etag) == (0, etag)


@pytest.mark.parametrize("size", [5, 17 * MIB], ids=["small", "in parts"])
def test_a_changed_source_is_never_copied(world: World, store: Store, size: int) -> None:
    store.put("data-lake", "from", Content(bytes(size), ""))
    listed = next(o for o in store.list("data-lake") if o.key == "from")
    store.put("data-lake", "from", Content(b"\1" * size, ""))
    with pytest.raises(SourceChanged, match="s3://data-lake/from changed since planning"):
        store.copy("data-lake", listed, "data-lake", "to")
    with pytest.raises(SourceChanged, match="is gone since planning"):
        store.copy("data-lake", replace(listed, key="gone"), "data-lake", "to")
    with pytest.raises(SourceChanged):
        store.get("data-lake", "from", etag=listed.etag)
    assert [o.key for o in store.list("data-lake")] == ["from"]
    assert store.uploads.count_open("data-lake") == 0  # nothing half done is left behind


@pytest.mark.parametrize("size", [0, 5, 9 * MIB], ids=["empty", "small", "large"])
def test_an_object_is_the_same_whoever_reads_it(world: World, store: Store, size: int) -> None:
    """Small objects are read without boto3."""
    attributes = {
        "ContentType": "text/x-lake",
        "ContentDisposition": 'attachment; filename="a b"',
        "Metadata": {"owner": "zo\u00c3\u00ab", "empty": ""},
        "Tagging": "team=a%26b",
    }
    store.put("data-lake", "k", Content(random.Random(size).randbytes(size), "", attributes))
    by_boto3 = Store(endpoint_url=world.server.endpoint_url)
    by_boto3.at("data-lake").quick_reads = QuickReads(None)
    stored = store.head("data-lake", "k")
    etag = stored.etag
    assert stored == by_boto3.head("data-lake", "k")
    for pinned in (None, etag):
        quick = store.get("data-lake", "k", etag=pinned)
        assert quick == by_boto3.get("data-lake", "k", etag=pinned) and quick.attributes["Tagging"] == "team=a%26b"
        with store.download("data-lake", "k", etag=pinned) as download:
            assert (download.file.read(), download.attributes) == (quick.data, quick.attributes)
    for read in (store.get, store.download):
        with pytest.raises(SourceChanged):
            read("data-lake", "k", etag="0" * 32)
        with pytest.raises(SourceChanged):
            read("data-lake", "gone", etag=etag)
        with pytest.raises(NotFound):
            read("data-lake", "gone")
