"""Tables that are made by hand on a mocked S3. No engine here would write them, but lakes may have them."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from iceberg.avro_files import avro, records
from iceberg.tables import FILE_PATH, POS, entry, list_schema, listed, manifest_schema
from migrator.catalogs import Catalog, CatalogTable, NamespaceRepoint, Repoint
from migrator.catalogs.base import Neighbour, WarehouseReader
from migrator.catalogs.sql import MAX_LOCATION
from migrator.config import Settings
from migrator.copying.options import Options
from migrator.copying.stage import begin, copy_current_objects
from migrator.copying.verify_modes import MAX_FAILURES
from migrator.plan.build import build_plan
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.progress import Progress
from migrator.reporting.describe import describe_plan
from migrator.rewriting.stage import rewrite_tables
from migrator.run import Run
from migrator.store import Content, Store

LAYOUT: dict[str, str | bool] = {"s3://bronze/": "bronze/", "s3://warehouse/": "warehouse/"}
LOCATION = "s3a://bronze/t"
UUID = "9c12d441-03fe-4693-9a96-a0705ddf69c1"


class CopiedFrom:
    """A store that puts objects under ``new`` if their paths are under ``old``, a place that is not in S3."""

    def __init__(self, store: Store, old: str, new: str) -> None:
        self._store, self._old, self._new = store, old, new

    def put(self, uri: str, data: bytes) -> int:
        assert uri.startswith(self._old)
        return put(self._store, self._new + uri[len(self._old) :], data)


def put(store: Store | CopiedFrom, uri: str, data: bytes) -> int:
    if isinstance(store, CopiedFrom):
        return store.put(uri, data)
    bucket, _, key = uri.partition("://")[2].partition("/")
    store.put(bucket, key, Content(data, ""))
    return len(data)


def checksum(data: bytes, chunk: int = 512) -> bytes:
    """The checksum file that Hadoop writes next to a file with these bytes."""
    sums = (zlib.crc32(data[start : start + chunk]).to_bytes(4, "big") for start in range(0, len(data), chunk))
    return b"crc\0" + chunk.to_bytes(4, "big") + b"".join(sums)


def delete_rows(store: Store | CopiedFrom, uri: str, paths: list[str]) -> int:
    """Write a file of position deletes in Parquet: the first row of each of these data files. Returns its size."""
    schema = pa.schema(
        [
            pa.field("file_path", pa.string(), False, {"PARQUET:field_id": str(FILE_PATH)}),
            pa.field("pos", pa.int64(), False, {"PARQUET:field_id": str(POS)}),
        ]
    )
    sink = io.BytesIO()
    pq.write_table(pa.table([paths, [0] * len(paths)], schema=schema), sink)
    return put(store, uri, sink.getvalue())


def data_file(store: Store | CopiedFrom, path: str, *, at: str | None = None) -> dict[str, Any]:
    """The entry of a data file. Its object is at ``at``, or at the path."""
    return entry(path, file_size_in_bytes=put(store, at or path, b"rows"))


def table(
    store: Store | CopiedFrom,
    *entries: dict[str, Any],
    location: str = LOCATION,
    version: int = 2,
    manifest_version: int | None = None,
    inline: bool = False,
    name: str = "00000-a.metadata.json",
    **more: Any,
) -> None:
    """A table with one snapshot that has these entries. Data and deletes are in separate manifests."""
    manifests = []
    for content in (0, 1):
        chosen = [e for e in entries if (e["data_file"]["content"] > 0) == content]
        if chosen:
            uri = f"{location}/metadata/m{content}.avro"
            length = put(store, uri, avro(manifest_schema(manifest_version or version), chosen))
            manifests.append(listed(uri, length, content))
    put(store, f"{location}/metadata/snap-1.avro", avro(list_schema(version), manifests))
    snapshot: dict[str, Any] = {"snapshot-id": 1, "sequence-number": 1, "timestamp-ms": 1, "summary": {}}
    if inline:
        snapshot["manifests"] = [m["manifest_path"] for m in manifests]
    else:
        snapshot["manifest-list"] = f"{location}/metadata/snap-1.avro"
    put(
        store, f"{location}/metadata/{name}", document(location=location, version=version, snapshots=[snapshot], **more)
    )


def document(*, location: str = LOCATION, version: int = 2, snapshots: list[dict[str, Any]], **more: Any) -> bytes:
    """A table metadata file."""
    base = {"format-version": version, "table-uuid": UUID, "location": location, "last-updated-ms": 1}
    return json.dumps({**base, "current-snapshot-id": 1, "snapshots": snapshots, **more}).encode()


CURRENT = f"{LOCATION}/metadata/00000-a.metadata.json"
"""The default place in which :func:`table` puts the metadata of a table."""


class Named:
    """A catalog with these tables in the namespace ``db``: ``t0``, ``t1``, … or by name."""

    @classmethod
    def open(cls, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> Named:
        return cls(name=name)

    def __init__(
        self,
        *pointers: str,
        name: str = "lake",
        kind: str = "sql",
        neighbours: Iterable[Neighbour] = (),
        **named: str,
    ) -> None:
        self.name, self.kind = name, kind
        self.stores_pointers = self.swaps_together = kind == "sql"
        self.longest_pointer = MAX_LOCATION if kind == "sql" else None
        self.pointers = {**{f"t{number}": pointer for number, pointer in enumerate(pointers)}, **named}
        self._neighbours = list(neighbours)

    def tables(self) -> list[CatalogTable]:
        return [CatalogTable(self.name, "db", name, pointer) for name, pointer in sorted(self.pointers.items())]

    def neighbours(self) -> Iterator[Neighbour]:
        return iter(self._neighbours)

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        return []

    def current(self, namespace: str, name: str) -> str | None:
        return self.pointers.get(name)

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        assert all(table.name in self.pointers for table in tables)

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        return f"set {name} to {metadata_location}."

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        for table in tables:
            assert self.pointers[table.name] in (table.expected, table.new)
            self.pointers[table.name] = table.new

    def describe(self) -> str:
        return "sql memory"

    def close(self) -> None:
        pass


def planned(store: Store, folder: Path, *catalogs: Catalog, **settings: Any) -> dict[str, Any]:
    given = {catalog.name: catalog for catalog in catalogs}
    build_plan(folder / "plan.db", Settings(**{"layout": LAYOUT, **settings}), store, given, Progress())
    with PlanFile.open(folder / "plan.db") as plan:
        return describe_plan(plan)


def blocks(described: dict[str, Any]) -> list[str]:
    return [f["code"] for f in described["findings"] if f["severity"] == "block"]


def places(described: dict[str, Any], code: str) -> list[str]:
    """Where the findings with this code are."""
    return [f["place"] for f in described["findings"] if f["code"] == code]


def migrated(store: Store, folder: Path) -> int:
    """Carry out the plan up to the cutover; returns how many files were copied or rewritten."""
    with PlanFile.open(folder / "plan.db") as plan, Journal(plan) as journal:
        run = Run(plan, store, {}, journal, Progress(), MAX_FAILURES)
        if not store.bucket_exists(plan.layout.target_bucket):
            store.create_bucket(plan.layout.target_bucket)
        begin(run, Options())
        copy_current_objects(run, Options())
        rewrite_tables(run)
        run.guard.note_written()
        return run.result.copied + run.result.rewritten


def at_target(store: Store, key: str) -> bytes:
    return store.get("data-lake", key).data


def entries_at_target(store: Store, key: str) -> list[dict[str, Any]]:
    """The records of a manifest or manifest list at the target, as fastavro reads them."""
    return records(at_target(store, key))
