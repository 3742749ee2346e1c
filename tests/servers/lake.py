"""Three old buckets with two Iceberg tables and objects of all kinds."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

from e2e.test_migration import rows
from migrator.demo.lake import Lake, data_files, delete_rows
from migrator.demo.server import Server

BUCKETS = ("bronze", "silver", "gold")
WAREHOUSE = "s3a://bronze/iceberg-warehouse/"


def build_tables(server: Server, folder: Path) -> Lake:
    """``db.deleted`` has position deletes, ``db.spread`` its data in another bucket than its metadata."""
    uri = f"sqlite:///{folder / 'catalog.db'}"
    client = server.client()
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
    with closing(SqlCatalog("iceberg", uri=uri, warehouse=WAREHOUSE, **server.properties())) as catalog:
        catalog.create_namespace("db")
        deleted = catalog.create_table("db.deleted", schema=numbers(0, 1).schema)
        deleted.append(numbers(0, 20))
        deleted.append(numbers(20, 20))
        delete_rows(deleted, {path: [0, 7] for path in data_files(deleted)})
        silver = {"write.data.path": "s3a://silver/spread/data"}
        spread = catalog.create_table("db.spread", schema=numbers(0, 1).schema, properties=silver)
        spread.append(numbers(100, 5))
    return Lake(catalogs={"iceberg": {"type": "sql", "uri": uri, "warehouse": WAREHOUSE}})


def numbers(first: int, count: int) -> pa.Table:
    return pa.table({"id": pa.array(range(first, first + count), pa.int64())})


def read_tables(server: Server, lake: Lake) -> dict[str, dict[int, list[str]]]:
    """Every snapshot of every table, as a fresh pyiceberg client sees it."""
    iceberg = lake.catalogs["iceberg"]
    with closing(SqlCatalog("iceberg", uri=iceberg["uri"], warehouse=WAREHOUSE, **server.properties())) as catalog:
        return {".".join(name): rows(catalog.load_table(name)) for name in catalog.list_tables("db")}
