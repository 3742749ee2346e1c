"""The store against a real server: what a mock would wave through."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from e2e.world import World
from migrator.errors import SourceChanged
from migrator.store import Content, Store

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
