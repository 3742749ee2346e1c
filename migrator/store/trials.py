"""Objects of our own with which a server is tried. Nothing of them is left."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from migrator.errors import StoreError

if TYPE_CHECKING:
    from migrator.store.client import Store


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
