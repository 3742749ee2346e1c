"""Trying how a server behaves, with small objects of our own that are deleted afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from migrator.errors import StoreError
from migrator.store.own_keys import OWN_PREFIX

if TYPE_CHECKING:
    from migrator.store.store import Store


def lists_in_order(store: Store, bucket: str) -> bool:
    """True if the server of the target lists keys in the order of their bytes, and only those after StartAfter.
    SeaweedFS keeps keys in directories, and lists a directory before its neighbours. Deletes what it wrote."""
    from migrator.store.objects import Content

    target = store.ends[1]
    try:
        with trial_keys(target, bucket, "-x", "/x", "0x") as keys:  # "-" is less than "/", and "0" is greater
            for key in keys:
                target.put(bucket, key, Content(key.encode(), ""))
            start = keys[0].removesuffix("-x")
            pages = [target.list_after(bucket, start, f"{start}{after}") for after in ("-", "/")]
    except StoreError:
        return False
    return [[entry.key for entry in page.entries] for page in pages] == [keys, keys[1:]]


@contextmanager
def trial_keys(store: Store, bucket: str, *endings: str) -> Iterator[list[str]]:
    """New keys of our own with these endings. The objects that the caller writes there are deleted at the end."""
    key = f"{OWN_PREFIX}probe-{uuid.uuid4().hex}"
    keys = [key + ending for ending in endings]
    try:
        yield keys
    finally:
        for key in keys:
            with suppress(StoreError):
                store.erase(bucket, key)
