"""When objects were last modified, as a listing shows it: with milliseconds, as Spark sees it. A HEAD shows seconds."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from migrator.store import Store

FEW = 100
"""Up to this many objects are listed one by one; for more, their common folder is listed."""


class ModifiedTimes:
    """The files of the streams in one bucket, as their logs name them. Nothing is listed twice, so these files must not
    be written meanwhile. Safe to share between threads."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._store, self._bucket = store, bucket
        self._lock = threading.Lock()
        self._streams: dict[str, _OfStream] = {}

    def of(self, log: str, keys: Collection[str]) -> Mapping[str, int]:
        """Key → LastModified in milliseconds since the epoch of these files, without missing files. ``log``:
        the key of a file of the stream's log. Raises StoreError."""
        with self._lock:
            stream = self._streams.setdefault(log.rpartition("/")[0], _OfStream(self._store, self._bucket))
        return stream.of(keys)


class _OfStream:
    """The files of one stream, which have a common folder."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._store, self._bucket = store, bucket
        self._lock = threading.Lock()
        self._found: dict[str, int] = {}
        self._asked: set[str] = set()
        self._folders: tuple[str, ...] = ()

    def of(self, keys: Collection[str]) -> Mapping[str, int]:
        with self._lock:
            new = {key for key in keys if key not in self._asked and not key.startswith(self._folders)}
            self._asked |= new
            if new and len(self._asked) > FEW:
                # Together with the files that were listed before: a stream reads one folder and its subfolders.
                folder = common_folder({*self._asked, *self._folders}) or common_folder(self._asked)
                self._found |= {stored.key: stored.modified for stored in self._store.list(self._bucket, folder)}
                self._folders += (folder,)
                self._asked.clear()
            else:
                for key in new:
                    self._list_one(key)
            return {key: self._found[key] for key in keys if key in self._found}

    def _list_one(self, key: str) -> None:
        for stored in self._store.list(self._bucket, key):
            if stored.key == key:
                self._found[key] = stored.modified
                break  # other keys that begin like this one follow


def common_folder(keys: Collection[str]) -> str:
    """The longest folder, with its slash, that contains all these keys; "" if there is none."""
    low, high = min(keys), max(keys)
    same = next((at for at, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low))
    return low[: low.rfind("/", 0, same) + 1]
