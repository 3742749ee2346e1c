"""Listings, and the temporary table for a listing."""

from __future__ import annotations

import sqlite3

import pytest

from migrator.errors import MigratorError, NotFound
from migrator.inventory.listing import SOURCE_PAGE, Listing, list_sources
from migrator.progress import Progress
from migrator.store import Content, Store, StoredObject
from migrator.store.own_keys import OWN_PREFIX


@pytest.fixture
def db() -> sqlite3.Connection:
    return sqlite3.connect(":memory:")


def stored(key: str, size: int = 1) -> StoredObject:
    return StoredObject(key, size, f"etag of {key}", 0)


def test_what_was_listed_is_found(db: sqlite3.Connection) -> None:
    listing = Listing(db)
    listing.add([stored("b", 2), stored("a")])
    assert list(listing.keys()) == ["a", "b"] and "a" in listing and "c" not in listing
    assert listing.size("b") == 2 and listing.size("c") is None
    listing.remove("a")
    assert list(Listing(db).keys()) == ["b"], "the same table"
    listing.clear()
    assert not list(listing.keys())


def test_the_first_of_several_keys_counts(db: sqlite3.Connection) -> None:
    listing = Listing(db)
    listing.add([stored("a/b", 1), stored("a//b", 2)])
    assert (listing.size("a//b", "a/b"), listing.size("c//d", "a/b"), listing.size("c", "d")) == (2, 1, None)


def test_an_empty_object_is_there(db: sqlite3.Connection) -> None:
    listing = Listing(db)
    listing.add([stored("empty", 0)])
    assert "empty" in listing


def test_two_tables_are_apart(db: sqlite3.Connection) -> None:
    Listing(db).add([stored("a")])
    assert "a" not in Listing(db, SOURCE_PAGE)


def test_a_key_that_is_listed_twice(db: sqlite3.Connection) -> None:
    listing = Listing(db)
    listing.add([stored("a")])
    with pytest.raises(MigratorError, match=r"listed a key twice.*the server lists wrongly"):
        listing.add([stored("a")])


def test_the_target_is_listed_without_what_migrator_keeps_there(mock_store: Store, db: sqlite3.Connection) -> None:
    listing = Listing(db)
    with pytest.raises(NotFound):
        listing.list_target(mock_store, "data-lake", Progress())
    mock_store.create_bucket("data-lake")
    for key in ("a/b", f"{OWN_PREFIX}x"):
        mock_store.put("data-lake", key, Content(b"1", ""))
    listing.add([stored("from before")])
    listing.list_target(mock_store, "data-lake", Progress())
    assert list(listing.keys()) == ["a/b"]


def test_the_old_buckets_are_listed_page_by_page(mock_store: Store) -> None:
    for bucket in ("one", "two"):
        mock_store.create_bucket(bucket)
        for key in ("in/a", "in/b", "out/c"):
            mock_store.put(bucket, key, Content(b"1", ""))
    pages = list(list_sources(mock_store, [("one", "in/"), ("two", "")], Progress()))
    found = sorted((bucket, one.key) for bucket, page in pages for one in page)
    assert found == [("one", "in/a"), ("one", "in/b"), ("two", "in/a"), ("two", "in/b"), ("two", "out/c")]
