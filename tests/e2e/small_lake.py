"""A small lake on a real server, and what engines and people do with it. It can be reset to its first state quickly.

It has three tables: two of SQL catalogs, each in its own database, and one of a Hadoop catalog. Their rows are numbers,
so that comparing sets shows whether a row is lost. pyiceberg reads the rows, and nothing here calls migrator.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable, Table
from pyiceberg.types import LongType, NestedField

from migrator.demo.server import Server

OLD, TARGET = ("bronze", "gold"), "lake"
OWN = ".migrator"
"""Keys of the target that begin with this are migrator's own."""
HADOOP = "hwh/ops/h"
SCHEMA = Schema(NestedField(1, "id", LongType(), required=False))
PLAIN = {
    ("bronze", "plain/a"): b"",
    ("bronze", "plain/b"): b"x",
    ("bronze", "deep/er/c"): b"yy",
    ("gold", "plain/a"): b"x",
    ("gold", "d"): b"zz",
}
"""The keys of objects that belong to no table, and their first contents."""

Saved = tuple[dict[str, dict[str, tuple[str, bytes]]], dict[Path, bytes]]
"""Bucket → key → (ETag, content), and the catalogs' databases."""
Listing = dict[str, tuple[int, str, Any]]
"""Key → size, ETag, time of the last change."""


def mapped(bucket: str, key: str) -> str:
    """Where the layout puts an object."""
    return f"{bucket}/{key}"


class SmallLake:
    """The lake; all of it is in its buckets and in ``folder``."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.client = server.client()
        for bucket in (*OLD, TARGET):
            self.client.create_bucket(Bucket=bucket)
        self.config = folder / "lake.toml"
        self.tables: list[SqlTable | HadoopTable] = [
            SqlTable(self, "one", "a", "s3://bronze/wh/a"),
            SqlTable(self, "two", "b", "s3://gold/wh/b"),
            HadoopTable(self),
        ]
        for (bucket, key), data in PLAIN.items():
            self.put(bucket, key, data)
        for number, table in enumerate(self.tables):
            table.create(range(number * 1000, number * 1000 + 2))
        self._beginning = self.saved()
        self.config.write_text(self._toml())

    def _toml(self) -> str:
        lines = [f'[source]\nendpoint_url = "{self.server.endpoint_url}"\n[target]\nbucket = "{TARGET}"\n[layout]']
        lines += [f'"s3://{bucket}/" = "{bucket}/"' for bucket in OLD]
        lines += [f'[catalogs.{name}]\ntype = "sql"\nuri = "{self.database(name)}"' for name in ("one", "two")]
        lines += ['[catalogs.local]\ntype = "hadoop"\nwarehouse = "s3://bronze/hwh"']
        return "\n".join(lines) + "\n"

    @contextmanager
    def with_rules(self, *rules: str) -> Iterator[None]:
        """With these lines of [layout] in lake.toml, for a time."""
        before = self.config.read_text()
        lines = "".join(f"{rule}\n" for rule in rules)
        self.config.write_text(before.replace("[layout]\n", f"[layout]\n{lines}", 1))
        yield
        self.config.write_text(before)

    def database(self, catalog: str) -> str:
        return f"sqlite:///{self.folder}/{catalog}.sqlite"

    def catalog(self, name: str, uri: str) -> Catalog:
        return SqlCatalog(name, uri=uri, warehouse="s3://bronze/wh", **self.server.properties())

    # -- resetting it --------------------------------------------------------------------------------

    def saved(self) -> Saved:
        """All of the lake as it is now, for :meth:`restore`."""
        contents = {bucket: self._contents(bucket) for bucket in (*OLD, TARGET)}
        return contents, {path: path.read_bytes() for path in self.folder.glob("*.sqlite")}

    def restore(self, saved: Saved) -> None:
        """Restore a saved state. Engines read Hadoop's tables at the target if there is a version hint."""
        contents, databases = saved
        for table in self.tables:
            table.forget()
        for bucket, wanted in contents.items():
            self._abort_uploads(bucket)
            now = {key: etag for key, (_, etag, _) in self.listing(bucket, own=True).items()}
            self._delete(bucket, now.keys() - wanted.keys())
            for key, (etag, data) in wanted.items():
                if now.get(key) != etag:
                    self.put(bucket, key, data)
        for path, content in databases.items():
            path.write_bytes(content)

    def reset(self) -> None:
        """Restore the first state, with an empty target."""
        self.restore(self._beginning)

    def empty(self, bucket: str) -> None:
        self._abort_uploads(bucket)
        self._delete(bucket, self.listing(bucket, own=True))

    def _abort_uploads(self, bucket: str) -> None:
        for upload in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    def _delete(self, bucket: str, keys: Iterable[str]) -> None:
        if doomed := [{"Key": key} for key in keys]:
            self.client.delete_objects(Bucket=bucket, Delete={"Objects": doomed})

    def _contents(self, bucket: str) -> dict[str, tuple[str, bytes]]:
        return {key: (etag, self.get(bucket, key)) for key, (_, etag, _) in self.listing(bucket, own=True).items()}

    # -- objects -------------------------------------------------------------------------------------

    def put(self, bucket: str, key: str, data: bytes, *, in_parts: bool = False) -> None:
        """Write an object. ``in_parts``: by a multipart upload, so that its ETag is no MD5."""
        place = {"Bucket": bucket, "Key": key}
        if not in_parts:
            self.client.put_object(**place, Body=data)
            return
        upload = self.client.create_multipart_upload(**place)["UploadId"]
        part = self.client.upload_part(**place, UploadId=upload, PartNumber=1, Body=data)
        parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
        self.client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)

    def get(self, bucket: str, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def delete(self, bucket: str, key: str) -> None:
        self.client.delete_object(Bucket=bucket, Key=key)

    def listing(self, bucket: str, prefix: str = "", *, own: bool = False) -> Listing:
        """The objects of a bucket. ``own``: with migrator's own objects."""
        found: Listing = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                if own or not entry["Key"].startswith(OWN):
                    found[entry["Key"]] = (entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])
        return found

    # -- rows ----------------------------------------------------------------------------------------

    def read(self, metadata: str) -> frozenset[int]:
        """The rows of a table by one of its metadata files. No row may exist twice."""
        table = StaticTable.from_metadata(metadata, self.server.properties())
        rows = table.scan().to_arrow()["id"].to_pylist()
        assert len(rows) == len(set(rows)), f"{metadata} has rows twice: {sorted(rows)}"
        return frozenset(rows)

    def snapshots(self, metadata: str) -> dict[int, frozenset[int]]:
        """Snapshot id → its rows, by one of a table's metadata files."""
        table = StaticTable.from_metadata(metadata, self.server.properties())
        read = (table.scan(snapshot_id=snapshot.snapshot_id).to_arrow() for snapshot in table.snapshots())
        ids = [snapshot.snapshot_id for snapshot in table.snapshots()]
        return dict(zip(ids, (frozenset(rows["id"].to_pylist()) for rows in read), strict=True))


def rows_of(numbers: Iterable[int]) -> pa.Table:
    return pa.table({"id": pa.array(numbers, pa.int64())})


class SqlTable:
    """A table of a SQL catalog, whose pointer is a row of its database."""

    def __init__(self, lake: SmallLake, catalog: str, name: str, location: str) -> None:
        self._lake, self._catalog_name, self.name, self.location = lake, catalog, name, location
        self._open: Catalog | None = None

    def create(self, numbers: Iterable[int]) -> None:
        self._catalog().create_namespace("db")
        self._catalog().create_table(f"db.{self.name}", schema=SCHEMA, location=self.location)
        self.commit(numbers)

    def _catalog(self) -> Catalog:
        if self._open is None:
            self._open = self._lake.catalog(self._catalog_name, self._lake.database(self._catalog_name))
        return self._open

    def load(self) -> Table:
        """The table as pyiceberg opens it now."""
        return self._catalog().load_table(f"db.{self.name}")

    def forget(self) -> None:
        """Close the catalog: its database is about to be replaced."""
        if self._open is not None:
            self._open.close()
        self._open = None

    @property
    def pointer(self) -> str:
        with closing(sqlite3.connect(self._lake.folder / f"{self._catalog_name}.sqlite")) as db:
            return str(db.execute("SELECT metadata_location FROM iceberg_tables").fetchone()[0])

    def set_pointer(self, metadata: str) -> None:
        """Change the pointer, as when a catalog is restored from a backup."""
        with closing(sqlite3.connect(self._lake.folder / f"{self._catalog_name}.sqlite")) as db, db:
            db.execute("UPDATE iceberg_tables SET metadata_location = ?", (metadata,))

    def commit(self, numbers: Iterable[int], **_: bool) -> None:
        """Append rows to the table at the pointer."""
        self.load().append(rows_of(numbers))


class HadoopTable:
    """A table of a Hadoop catalog. Engines use the target once it has a version hint, unless they were given the old
    warehouse again."""

    name = "h"

    def __init__(self, lake: SmallLake) -> None:
        self._lake = lake
        self.location = f"s3://bronze/{HADOOP}"
        self._set_back = False

    def create(self, numbers: Iterable[int]) -> None:
        with self._scratch() as catalog:
            catalog.create_table("db.h", schema=SCHEMA, location=self.location)
            table = catalog.load_table("db.h")
            first = table.metadata_location
            table.append(rows_of(numbers))
            self._publish(table.metadata_location, "bronze", HADOOP, 1)
            self._lake.delete("bronze", first.removeprefix("s3://bronze/"))

    def forget(self) -> None:
        self._set_back = False

    def _scratch(self) -> Any:
        catalog = self._lake.catalog("scratch", "sqlite:///:memory:")
        catalog.create_namespace("db")
        return closing(catalog)

    @property
    def folder(self) -> tuple[str, str]:
        """Bucket and key of the table's folder that engines use now: the one at the target if it has a version hint.
        Another object with the key of the hint does not count."""
        there = mapped("bronze", HADOOP)
        hint = f"{there}/metadata/version-hint.text"
        written = hint in self._lake.listing(TARGET, hint) and self._lake.get(TARGET, hint).isdigit()
        moved = not self._set_back and written
        return (TARGET, there) if moved else ("bronze", HADOOP)

    @property
    def pointer(self) -> str:
        bucket, folder = self.folder
        return f"s3://{bucket}/{folder}/metadata/v{self._version(bucket, folder)}.metadata.json"

    def _version(self, bucket: str, folder: str) -> int:
        """As Iceberg's reader finds it: the version of the hint, or the last of the versions that follow it without a
        gap."""
        names = {key.rpartition("/")[2] for key in self._lake.listing(bucket, f"{folder}/metadata/")}
        version = int(self._lake.get(bucket, f"{folder}/metadata/version-hint.text"))
        while f"v{version + 1}.metadata.json" in names:
            version += 1
        return version

    def set_pointer(self, metadata: str) -> None:
        """Give engines the old warehouse again, or the new one."""
        self._set_back = not metadata.startswith(f"s3://{TARGET}/")

    def commit(self, numbers: Iterable[int], *, with_hint: bool = True) -> None:
        """Append rows. ``with_hint``: an engine may fail before it writes the hint, or ignore an error; the commit is
        valid all the same."""
        bucket, folder = self.folder
        version = self._version(bucket, folder)
        with self._scratch() as catalog:
            table = catalog.register_table("db.h", self.pointer)
            table.append(rows_of(numbers))
            self._publish(table.metadata_location, bucket, folder, version + 1, with_hint=with_hint)

    def _publish(self, made: str, bucket: str, folder: str, version: int, *, with_hint: bool = True) -> None:
        """Give the scratch catalog's metadata file the name that a Hadoop catalog would have given it."""
        key = made.removeprefix(f"s3://{bucket}/")
        self._lake.put(bucket, f"{folder}/metadata/v{version}.metadata.json", self._lake.get(bucket, key))
        self._lake.delete(bucket, key)
        if with_hint:
            self._lake.put(bucket, f"{folder}/metadata/version-hint.text", str(version).encode())
