"""Metadata files are read once. The number of bytes that are kept has a limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from migrator.errors import NotFound
from migrator.inventory.metadata_cache import MetadataCache
from migrator.store import Content, Store


@dataclass
class Counted:
    """A store that records what is read. The content of each object is its key."""

    read: list[str] = field(default_factory=list)

    def get(self, bucket: str, key: str) -> Content:
        self.read.append(key)
        if "gone" in key:
            raise NotFound(key)
        return Content(f"{bucket}/{key}".encode(), "")


def cache(store: Any, most: int = 1000) -> MetadataCache:
    return MetadataCache(cast(Store, store), most)


def test_a_metadata_file_is_read_once_and_everything_else_each_time() -> None:
    store = Counted()
    files = cache(store)
    for _ in range(2):
        for key in ("t/metadata/v1.metadata.json", "t/metadata/snap-1.avro", "t/data/a.parquet"):
            assert files.read("b", key) == f"b/{key}".encode()
    assert sorted(store.read) == ["t/data/a.parquet"] * 2 + ["t/metadata/snap-1.avro"] * 2 + [
        "t/metadata/v1.metadata.json"
    ]
    assert files.read("c", "t/metadata/v1.metadata.json") == b"c/t/metadata/v1.metadata.json"


def test_what_does_not_fit_is_read_again() -> None:
    store = Counted()
    files = cache(store, most=len("b/v1.metadata.json") + 5)
    for _ in range(2):
        for key in ("v1.metadata.json", "v2.metadata.json"):
            files.read("b", key)
    assert store.read == ["v1.metadata.json", "v2.metadata.json", "v2.metadata.json"]


def test_what_is_missing_is_asked_for_again() -> None:
    files = cache(Counted())
    for _ in range(2):
        with pytest.raises(NotFound):
            files.read("b", "gone/v1.metadata.json")
