"""Objects of our own with which a server is tried. Nothing of them is left."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from migrator.errors import StoreError

if TYPE_CHECKING:
    from migrator.store.client import Store


def lists_in_order(store: Store, bucket: str) -> bool:
    """True if the server of the target lists keys in the order of their bytes, and those after StartAfter. SeaweedFS
    keeps keys in directories, and lists a directory before its neighbours. Leaves nothing behind."""
    from migrator.store.client import Content

    there = store.ends[1]
    try:
        with trial_keys(there, bucket, "-x", "/x", "0x") as keys:  # "-" is less than "/", and "0" is greater
            for key in keys:
                there.put(bucket, key, Content(key.encode(), ""))
            start = keys[0].removesuffix("-x")
            found = [there.list_after(bucket, start, f"{start}{after}") for after in ("-", "/")]
    except StoreError:
        return False
    return [[entry.key for entry in page.entries] for page in found] == [keys, keys[1:]]


@contextmanager
def trial_keys(store: Store, bucket: str, *endings: str) -> Iterator[list[str]]:
    """New keys of our own with these endings. What is written there is removed at the end."""
    from migrator.store.client import OWN_PREFIX

    key = f"{OWN_PREFIX}probe-{uuid.uuid4().hex}"
    keys = [key + ending for ending in endings]
    try:
        yield keys
    finally:
        for key in keys:
            with suppress(StoreError):
                store.erase(bucket, key)
