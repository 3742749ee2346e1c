"""Lakes whose catalog Spark and pyiceberg share: both write to the same tables, and both read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.catalog.hive import HiveCatalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable, Table

from catalogs.servers.aws import Aws, CommittingDynamoDbCatalog
from catalogs.servers.java import HiveMetastore, JavaServer
from engines import jars
from migrator.demo.server import Server


@dataclass
class World:
    """An S3 server, and a Spark whose sessions can have any catalogs on it."""

    server: Server
    base: Any

    def read(self, uri: str) -> str:
        """The text of an object."""
        bucket, _, key = uri.partition("://")[2].partition("/")
        return str(self.server.client().get_object(Bucket=bucket, Key=key)["Body"].read().decode())


@contextmanager
def one_spark(folder: Path) -> Iterator[World]:
    """A server and the Spark of a file of tests. The test is skipped if there is no Java for it."""
    jars.require()
    from engines import spark

    with Server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environ().items():  # the JVM keeps them: AWS clients of Java read them
            patch.setenv(name, value)
        try:
            with spark.spark_session(server, folder / "unused.db", spark.OLD, few_rows=True) as base:
                yield World(server, base)
        finally:
            spark.end_jvm()


@dataclass
class SharedLake:
    """A catalog named ``lake`` with the namespace ``db``."""

    world: World
    spark: dict[str, str]
    """The properties of Spark's catalog."""
    pyiceberg: Callable[[], Catalog] | None
    """Opens pyiceberg's catalog; None if pyiceberg has none of this kind."""
    config: dict[str, str]
    """The properties of migrator's catalog."""

    def session(self, *, caches: bool = False) -> Any:
        """A Spark session that has opened no table yet. ``caches``: it keeps tables that it opens, which is the default
        of Spark."""
        session = self.world.base.newSession()
        session.conf.set("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
        for key, value in (self.spark | {"cache-enabled": str(caches).lower()}).items():
            session.conf.set(f"spark.sql.catalog.lake.{key}", value)
        return session

    def move_to(self, target: str) -> None:
        """Let new sessions of Spark use the warehouse at the target, below the name of its old bucket."""
        if "warehouse" in self.spark:
            self.spark["warehouse"] = self.spark["warehouse"].replace("://", f"://{target}/")

    def load(self, table: str) -> Table:
        """The table, as a pyiceberg that has opened nothing yet sees it."""
        assert self.pyiceberg is not None
        return self.pyiceberg().load_table(f"db.{table}")

    def ids(self, table: str, session: Any = None) -> list[int]:
        """The ids in a table, sorted, as Spark and pyiceberg read them. A row that exists twice is listed twice.
        ``session``: one that has not opened the table; by default a new one."""
        read = (session or self.session()).sql(f"SELECT id FROM lake.db.{table} ORDER BY id").collect()
        rows = [row[0] for row in read]
        assert sorted(self.load(table).scan().to_arrow()["id"].to_pylist()) == rows
        return rows

    def write_config(self, folder: Path, target: str, *old: str) -> Path:
        """A lake.toml that moves the old buckets into the target, each below its name."""
        lines = ["[source]", f'endpoint_url = "{self.world.server.endpoint_url}"', f'[target]\nbucket = "{target}"']
        lines += ["[layout]", *(f'"s3://{bucket}/" = "{bucket}/"' for bucket in old)]
        lines += ["[catalogs.lake]", *(f'"{key}" = {json.dumps(value)}' for key, value in self.config.items())]
        (folder / "lake.toml").write_text("\n".join(lines) + "\n")
        return folder / "lake.toml"


class HadoopLake(SharedLake):
    """A catalog that is only a folder. pyiceberg only reads: it opens a table's folder."""

    def load(self, table: str) -> Table:
        folder = f"{self.spark['warehouse']}/db/{table}"
        return StaticTable.from_metadata(folder, self.world.server.properties())


def hadoop_lake(world: World, warehouse: str) -> SharedLake:
    """A Hadoop catalog, with Hadoop's own file IO."""
    return HadoopLake(
        world, {"type": "hadoop", "warehouse": warehouse}, None, {"type": "hadoop", "warehouse": warehouse}
    )


def rest_lake(server: JavaServer, world: World, **config: str) -> SharedLake:
    """A catalog on an Iceberg REST server. ``config``: what migrator needs to know of the server."""
    from engines import spark

    return SharedLake(
        world,
        {"type": "rest", "uri": server.uri, **spark.s3_file_io(world.server)},
        lambda: RestCatalog("lake", **server.properties()),
        {"type": "rest", "uri": server.uri, **config},
    )


def hive_lake(server: HiveMetastore, world: World) -> SharedLake:
    """A Hive Metastore."""
    from engines import spark

    return SharedLake(
        world,
        {"type": "hive", "uri": server.uri, **spark.s3_file_io(world.server)},
        lambda: HiveCatalog("lake", **server.properties()),
        {"type": "hive", "uri": server.uri},
    )


def glue_lake(aws: Aws, world: World, warehouse: str) -> SharedLake:
    """A Glue catalog of the mock."""
    from engines import spark

    at = {"glue.endpoint": aws.endpoint_url, "glue.region": "us-east-1"}
    s3 = world.server.properties()
    return SharedLake(
        world,
        {"type": "glue", "warehouse": warehouse, **at, **spark.s3_file_io(world.server)},
        lambda: GlueCatalog("lake", warehouse=warehouse, **at, **s3),
        {"type": "glue", **at},
    )


def dynamodb_lake(aws: Aws, world: World, warehouse: str) -> SharedLake:
    """A DynamoDB catalog of the mock."""
    from engines import spark

    at = {"dynamodb.endpoint": aws.endpoint_url}
    java = {"catalog-impl": "org.apache.iceberg.aws.dynamodb.DynamoDbCatalog", "warehouse": warehouse}
    return SharedLake(
        world,
        {**java, **at, **spark.s3_file_io(world.server)},
        lambda: CommittingDynamoDbCatalog(
            "lake", aws.client("dynamodb"), warehouse=warehouse, **world.server.properties()
        ),
        {"type": "dynamodb", "dynamodb.region": "us-east-1", **at},
    )


def sql_lake(world: World, uri: str, warehouse: str) -> SharedLake:
    """A SQL catalog in a Postgres database. (In SQLite, a Spark that has read blocks writers.)"""
    from engines import spark

    at = sa.make_url(uri)
    properties = {
        "type": "jdbc",
        "uri": f"jdbc:postgresql://{at.host}:{at.port}/{at.database}",
        "jdbc.user": str(at.username),
        "jdbc.password": str(at.password),
        "jdbc.schema-version": "V1",
        "warehouse": warehouse,
        **spark.s3_file_io(world.server),
    }
    return SharedLake(
        world,
        properties,
        lambda: SqlCatalog("lake", uri=uri, **world.server.properties()),
        {"type": "sql", "uri": uri},
    )
