"""pyiceberg without a server: its files are in memory, and are copied to and from the store as bytes.

It shares no code with migrator, and reads only the buckets that were loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any, ClassVar

from fsspec.implementations.memory import MemoryFileSystem
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.fsspec import FsspecFileIO
from pyiceberg.table import StaticTable, Table

from migrator.store import Content, Store


class Memory(MemoryFileSystem):
    """A file system in memory. ``s3://``, ``s3a://`` and ``s3n://`` mean the same."""

    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(re.sub(r"^s3[an]?://", "/", path))


class MemoryIO(FsspecFileIO):
    def get_fs(self, scheme: str, hostname: str | None = None) -> Memory:
        return Memory()


PROPERTIES = {"py-io-impl": f"{__name__}.MemoryIO"}


def written(store: Store, make: Callable[[SqlCatalog], Table]) -> Table:
    """The table that ``make`` writes with pyiceberg, its files in the store's buckets as well."""
    Memory.store.clear()
    with closing(SqlCatalog("memory", uri="sqlite:///:memory:", **PROPERTIES)) as catalog:
        catalog.create_namespace("db")
        table = make(catalog)
    for path, file in Memory.store.items():
        bucket, _, key = path.removeprefix("/").partition("/")
        store.create_bucket(bucket)
        store.put(bucket, key, Content(file.getvalue(), ""))
    return table


def opened(store: Store, metadata: str, bucket: str = "data-lake") -> Table:
    """The table, from the objects of this one bucket."""
    Memory.store.clear()
    for found in store.list(bucket):
        Memory().pipe_file(f"/{bucket}/{found.key}", store.get(bucket, found.key).data)
    return StaticTable.from_metadata(metadata, PROPERTIES)


def snapshots(table: Table) -> dict[int, list[dict[str, Any]]]:
    """The rows of every snapshot, in order. The data files are read."""
    return {
        s.snapshot_id: sorted(table.scan(snapshot_id=s.snapshot_id).to_arrow().to_pylist(), key=lambda row: row["n"])
        for s in table.metadata.snapshots
    }
