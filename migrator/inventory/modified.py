"""When objects were last modified, as a listing shows it: with milliseconds, as Spark sees it. A HEAD shows seconds."""

from __future__ import annotations

from collections.abc import Collection

from migrator.store import Store

FEW = 100
"""Of so many objects, each is listed by itself; of more of them, their common folder is."""


def modified_times(store: Store, bucket: str, keys: Collection[str]) -> dict[str, int]:
    """Key → LastModified in milliseconds since the epoch, without the keys that are not there. Raises StoreError."""
    prefixes = keys if len(keys) <= FEW else [common_folder(keys)]
    found: dict[str, int] = {}
    for prefix in prefixes:
        for stored in store.list(bucket, prefix):
            if stored.key in keys:
                found[stored.key] = stored.modified
            if stored.key == prefix:
                break  # other keys follow that begin like this one
    return found


def common_folder(keys: Collection[str]) -> str:
    """The longest folder, with its slash, that all these keys lie in; "" if there is none."""
    low, high = min(keys), max(keys)
    same = next((at for at, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low))
    return low[: low.rfind("/", 0, same) + 1]
