"""What the contract tests need of a catalog. It is a real one: pyiceberg writes before a swap and reads after it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog as Pyiceberg
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.catalog.hive import HiveCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField

from catalogs.servers.aws import Aws, CommittingDynamoDbCatalog
from catalogs.servers.java import HiveMetastore
from migrator.catalogs import Catalog, CatalogTable, Repoint, WarehouseReader, open_catalog
from migrator.demo.server import Server

OLD, NEW = "old", "new"
"""The buckets: tables are made in the one, and their metadata is copied to the other."""
SCHEMA = Schema(NestedField(1, "id", LongType(), required=False))


class NoReader:
    """These catalogs keep their pointers themselves."""

    def keys(self, bucket: str, prefix: str) -> list[str]:
        raise AssertionError

    def get(self, bucket: str, key: str) -> bytes:
        raise AssertionError


@dataclass
class S3Reader:
    """Reads the metadata that a table gets, for the catalogs that store its location too."""

    s3: Server

    def keys(self, bucket: str, prefix: str) -> list[str]:
        raise AssertionError

    def get(self, bucket: str, key: str) -> bytes:
        content: bytes = self.s3.client().get_object(Bucket=bucket, Key=key)["Body"].read()
        return content


@dataclass
class Place:
    """A catalog on a real server, and a namespace in it that only one test uses."""

    kind: str
    theirs: Pyiceberg
    properties: dict[str, str]
    """Its properties in lake.toml."""
    s3: Server
    secrets: tuple[str, ...] = ()
    """What must never be shown."""
    levels: bool = True
    """Whether namespaces have levels."""
    reader: WarehouseReader = field(default_factory=NoReader)
    namespace: str = field(default_factory=lambda: f"n{uuid.uuid4().hex[:8]}")

    @contextmanager
    def opened(self) -> Iterator[Catalog]:
        """migrator's catalog, new each time: as another process would open it."""
        with closing(open_catalog("lake", self.properties, self.reader)) as catalog:
            yield catalog

    def inside(self, *levels: str) -> str:
        """A second namespace of the test, as a dotted name: below the first one, or next to it if namespaces have no
        levels."""
        return ("." if self.levels else "_").join([self.namespace, *levels])

    def make(self, name: str, *, namespace: str | None = None, rows: int = 1) -> Table:
        """A table with some rows, in the old bucket."""
        identifier = (*(namespace or self.namespace).split("."), name)
        table = self.theirs.create_table(identifier, SCHEMA)
        for i in range(rows):
            table.append(pa.table({"id": [i]}))
        return self.theirs.load_table(identifier)  # Nessie answers a commit with a location that it has chosen

    def moved(self, table: Table) -> Repoint:
        """Copy the table's metadata to the new bucket, as a migration does, and return the new location."""
        client, old = self.s3.client(), table.metadata_location
        new = old.replace(f"s3://{OLD}/", f"s3://{NEW}/")
        text = client.get_object(Bucket=OLD, Key=_key(old))["Body"].read().decode()
        location = table.metadata.location
        text = text.replace(f'"{location}"', '"' + location.replace(f"s3://{OLD}/", f"s3://{NEW}/") + '"')
        client.put_object(Bucket=NEW, Key=_key(new), Body=text.encode())
        *namespace, name = table.name()
        return Repoint(".".join(namespace), name, old, new)

    def seen(self, table: Table) -> tuple[str, list[int]]:
        """Where a new client finds the table, and its rows."""
        again = self.theirs.load_table(table.name())
        return again.metadata_location, sorted(again.scan().to_arrow()["id"].to_pylist())

    def listed(self) -> dict[str, CatalogTable]:
        """What migrator lists in the test's namespace, by identifier without the catalog and the namespace."""
        with self.opened() as catalog:
            tables = [t for t in catalog.tables() if t.namespace.startswith(self.namespace)]
        found = {t.identifier.removeprefix(f"lake.{self.namespace}")[1:]: t for t in tables}
        assert len(found) == len(tables)
        return found

    def everything(self) -> dict[str, Any]:
        """Everything that a test could leave behind: objects, namespaces with their properties, and tables."""
        pages = [self.s3.client().get_paginator("list_objects_v2").paginate(Bucket=b) for b in (OLD, NEW)]
        keys = sorted(entry["Key"] for some in pages for page in some for entry in page.get("Contents", []))
        with self.opened() as catalog:
            tables, properties = catalog.tables(), catalog.namespace_properties()
        return {
            "keys": keys,
            "tables": tables,
            "properties": properties,
            "namespaces": sorted(self.theirs.list_namespaces()),
        }


def _key(uri: str) -> str:
    return uri.split("/", 3)[3]


def sql_place(kind: str, uri: str, s3: Server, secrets: tuple[str, ...] = ()) -> Place:
    """A SQL catalog, as pyiceberg makes it."""
    theirs = SqlCatalog("lake", uri=uri, warehouse=f"s3://{OLD}/sql/", **s3.properties())
    return Place(kind, theirs, {"type": "sql", "uri": uri}, s3, secrets)


def glue_place(kind: str, aws: Aws, s3: Server) -> Place:
    """A Glue catalog of the mock."""
    keys = {"glue.access-key-id": "glue-key-never-shown", "glue.secret-access-key": "glue-secret-never-shown"}
    properties = {"glue.endpoint": aws.endpoint_url, "glue.region": "us-east-1", **keys}
    theirs = GlueCatalog("lake", warehouse=f"s3://{OLD}/glue", **properties, **s3.properties())
    return Place(kind, theirs, {"type": "glue", **properties}, s3, tuple(keys.values()), levels=False)


def dynamodb_place(kind: str, aws: Aws, s3: Server) -> Place:
    """A DynamoDB catalog of the mock."""
    keys = {"dynamodb.access-key-id": "dynamo-key-never-shown", "dynamodb.secret-access-key": "dynamo-secret"}
    properties = {"dynamodb.endpoint": aws.endpoint_url, "dynamodb.region": "us-east-1", **keys}
    theirs = CommittingDynamoDbCatalog(
        "lake", aws.client("dynamodb"), warehouse=f"s3://{OLD}/dynamodb", **s3.properties()
    )
    return Place(kind, theirs, {"type": "dynamodb", **properties}, s3, tuple(keys.values()), levels=False)


def hive_place(kind: str, server: HiveMetastore) -> Place:
    """A Hive Metastore, which pyiceberg reads and writes with its own client."""
    properties = {"type": "hive", "uri": server.uri}
    return Place(
        kind,
        HiveCatalog("lake", **server.properties()),
        properties,
        server.s3,
        levels=False,
        reader=S3Reader(server.s3),
    )
