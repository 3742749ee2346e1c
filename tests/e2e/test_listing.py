"""Listing in parallel finds each key once, for any tree of keys. The result is compared with boto3, on the real
server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.world import World
from migrator.store import Store, StoredObject
from migrator.store.listing import Page, list_in_parallel
from migrator.store.pages import page_of_objects

BUCKET = "tree"


@pytest.fixture
def tree(world: World, built: None) -> World:
    return world


@pytest.fixture(scope="module")
def built(shared_world: World) -> None:
    """4,700 objects: two large folders below others, one flat, many small ones, odd names."""
    keys = [f"db/t/data/day={day}/f{number:04}" for day in (1, 2) for number in range(1100)]
    keys += [f"flat/f{number:04}" for number in range(1100)]
    keys += [f"many/p={number:04}/f" for number in range(1100)]
    keys += ["top", "db/beside", "db/t/beside", "db-old/x", "da", "a b+c/%41/ü&<>'\"", "flat/sub/deep", "many/e/", "e/"]
    keys += [f"db/t/data/day=1+ %{number}/x" for number in range(5)] + [f"db/t/data/x{number}" for number in range(300)]
    client = shared_world.client
    client.create_bucket(Bucket=BUCKET)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: client.put_object(Bucket=BUCKET, Key=key, Body=key.encode()), keys))


@pytest.mark.parametrize("prefix", ["", "db", "db/", "flat/", "many/", "db/t/data/day=1", "none"])
def test_each_object_once(tree: World, prefix: str) -> None:
    store = Store(endpoint_url=tree.server.endpoint_url)
    expected = sorted(store.list(BUCKET, prefix), key=key)
    listed = [found for bucket, page in store.list_all([(BUCKET, prefix)]) for found in page if bucket == BUCKET]
    assert sorted(listed, key=key) == expected
    assert bool(expected) == (prefix != "none")


def test_large_folders_are_split_and_flat_ones_walked(tree: World) -> None:
    store = Store(endpoint_url=tree.server.endpoint_url)
    endpoint = store.endpoint()
    assert endpoint is not None
    asked: list[dict[str, str]] = []

    def counting(bucket: str, parameters: dict[str, str]) -> Page:
        asked.append(parameters)
        return page_of_objects(store.at(bucket), bucket, parameters)

    endpoint.base_url = lambda bucket: "http://127.0.0.1:1/"  # so that boto3 is asked for every page
    pages = list(list_in_parallel(endpoint, counting, [(BUCKET, "")]))
    assert sum(len(page) for _, page in pages) == len(list(store.list(BUCKET)))
    prefixes = [parameters["prefix"] for parameters in asked]
    assert "db/t/data/day=1/" in prefixes and "db/t/data/day=2/" in prefixes
    assert not any(prefix.startswith("many/p=") for prefix in prefixes)
    assert len(asked) < 60


@pytest.mark.parametrize("last", ["z", "z/"])
def test_a_last_page_that_ends_with_the_key_of_a_folder(world: World, last: str) -> None:
    """SeaweedFS says that such a page is the last one, although the objects in the folder are not listed yet."""
    keys = {*(f"a{number:04}" for number in range(999)), last, "z/a", "z/b/c"}
    client, store = world.client, Store(endpoint_url=world.server.endpoint_url)
    client.create_bucket(Bucket="edge")
    try:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda key: client.put_object(Bucket="edge", Key=key), keys - {last}))
        client.put_object(Bucket="edge", Key=last)
        first = client.list_objects_v2(Bucket="edge")
        assert (first["IsTruncated"], first["Contents"][-1]["Key"]) == (False, last)
        assert sorted(found.key for found in store.list("edge")) == sorted(keys)
        assert sorted(found.key for _, page in store.list_all([("edge", "")]) for found in page) == sorted(keys)
    finally:
        client.delete_bucket(Bucket="edge")


def test_it_can_be_left_early(tree: World) -> None:
    listing = Store(endpoint_url=tree.server.endpoint_url).list_all([(BUCKET, "")])
    next(iter(listing))
    listing.close()  # type: ignore[attr-defined]


def key(found: StoredObject) -> str:
    return found.key
