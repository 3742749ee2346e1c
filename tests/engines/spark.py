"""One Spark with two Iceberg catalogs on a test server: ``iceberg`` (JDBC, S3FileIO) and ``local`` (Hadoop, S3A)."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark import SparkContext
from pyspark.sql import SparkSession

from engines.jars import jars
from migrator.demo.server import Server

Rows = list[str]
"""A result: one JSON text for each row, sorted, so that the rows of any engine can be compared."""

OLD = ("s3://bronze/iceberg-warehouse", "s3a://warehouse")
NEW = ("s3://data-lake/warehouse", "s3a://data-lake/warehouse")
"""The warehouses of ``iceberg`` and ``local``, before and after a migration with the built-in layout."""


def s3_file_io(server: Server) -> dict[str, str]:
    """The properties with which Iceberg's own file IO, in Java, finds the server."""
    keys = server.properties()
    return {
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": server.endpoint_url,
        "s3.path-style-access": "true",
        "s3.access-key-id": keys["s3.access-key-id"],
        "s3.secret-access-key": keys["s3.secret-access-key"],
        "client.region": "us-east-1",
    }


@contextmanager
def spark_session(
    server: Server,
    database: Path,
    warehouses: tuple[str, str],
    *,
    manifest_cache: bool = False,
    few_rows: bool = False,
) -> Iterator[SparkSession]:
    """A session; a second one after it, with other warehouses, shares the JVM. ``database`` is the JDBC catalog's
    SQLite file. ``few_rows`` turns off the compilers, which is twice as fast for many small statements.
    """
    assert SparkContext._active_spark_context is None, "another session of this process would be taken, and ended"
    s3 = s3_file_io(server)
    jdbc = {"type": "jdbc", "uri": f"jdbc:sqlite:{database}", "jdbc.schema-version": "V1", "warehouse": warehouses[0]}
    both = {"cache-enabled": "false", "io.manifest.cache-enabled": str(manifest_cache).lower()}
    catalogs = {
        "iceberg": jdbc | s3 | both,
        "local": {"type": "hadoop", "warehouse": warehouses[1]} | both,
    }
    options = {
        "spark.driver.extraClassPath": ":".join(map(str, jars())),
        "spark.driver.memory": "2g",
        "spark.ui.showConsoleProgress": "false",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",  # add_files wants it for s3://
        "spark.hadoop.fs.s3a.endpoint": server.endpoint_url,
        "spark.hadoop.fs.s3a.access.key": s3["s3.access-key-id"],
        "spark.hadoop.fs.s3a.secret.key": s3["s3.secret-access-key"],
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
    }
    if few_rows:
        options |= {
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        }
    for name, properties in catalogs.items():
        options[f"spark.sql.catalog.{name}"] = "org.apache.iceberg.spark.SparkCatalog"
        options |= {f"spark.sql.catalog.{name}.{key}": value for key, value in properties.items()}
    builder = SparkSession.builder.master("local[2]").appName("engines")
    for key, value in options.items():
        builder = builder.config(key, value)
    ctrl_c = signal.getsignal(signal.SIGINT)
    session = builder.getOrCreate()
    signal.signal(signal.SIGINT, ctrl_c)  # Spark's would remain after the end of its session, and fail
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


def end_jvm() -> None:
    """Stop the JVM that the sessions of this process have shared."""
    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(30)
        SparkContext._gateway = SparkContext._jvm = None


def as_rows(dicts: Any) -> Rows:
    """Rows as dictionaries → comparable rows."""
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in dicts)


def query(session: SparkSession, sql: str) -> Rows:
    return as_rows(row.asDict(recursive=True) for row in session.sql(sql).collect())


def snapshots(session: SparkSession, table: str) -> list[int]:
    """Every snapshot of the table, staged ones and those of branches included."""
    return [row[0] for row in session.sql(f"SELECT snapshot_id FROM {table}.snapshots").collect()]


def metadata_file(session: SparkSession, table: str) -> str:
    """The URI of the table's current metadata file."""
    log = f"SELECT file FROM {table}.metadata_log_entries ORDER BY timestamp DESC, file DESC LIMIT 1"
    return str(session.sql(log).collect()[0][0])
