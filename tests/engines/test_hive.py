"""Spark with a Hive Metastore: its Iceberg tables and views, and its own tables, before and after a migration."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from catalogs.servers.java import HIVE, HiveMetastore, require
from engines.jars import jars
from engines.jars import require as require_spark
from migrator.cli import main
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server

pytestmark = pytest.mark.slow

BUILD = (
    "CREATE NAMESPACE hms.db LOCATION 's3://bronze/wh/db'",
    "CREATE TABLE hms.db.t (id BIGINT, day STRING) USING iceberg PARTITIONED BY (day)"
    " TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')",
    "INSERT INTO hms.db.t VALUES (1, 'a'), (2, 'b'), (3, 'b')",
    "DELETE FROM hms.db.t WHERE id = 3",
    "CREATE VIEW hms.db.v AS SELECT id FROM hms.db.t WHERE day = 'b'",
    "CREATE TABLE spark_catalog.db.p (id BIGINT, day STRING) USING parquet PARTITIONED BY (day)"
    " LOCATION 's3a://bronze/plain/p'",
    "INSERT INTO spark_catalog.db.p VALUES (1, 'a'), (2, 'b')",
    "CREATE TABLE spark_catalog.db.h (id BIGINT) PARTITIONED BY (day STRING) STORED AS PARQUET"
    " LOCATION 's3a://bronze/plain/h'",
    "INSERT INTO spark_catalog.db.h PARTITION (day = 'a') VALUES (1)",
)
WRITE = (
    "INSERT INTO hms.db.t VALUES (4, 'b')",
    "INSERT INTO spark_catalog.db.p VALUES (3, 'c')",
    "INSERT INTO spark_catalog.db.h PARTITION (day = 'b') VALUES (2)",
)
READ = ("SELECT * FROM hms.db.t", "SELECT * FROM hms.db.v", *(f"SELECT * FROM spark_catalog.db.{n}" for n in "ph"))
ROWS = [[(1, "a"), (2, "b")], [(2,)], [(1, "a"), (2, "b")], [(1, "a")]]
ROWS_AFTER = [[(1, "a"), (2, "b"), (4, "b")], [(2,), (4,)], [(1, "a"), (2, "b"), (3, "c")], [(1, "a"), (2, "b")]]


def in_spark(uri: str, s3: dict[str, str], statements: tuple[str, ...]) -> list[list[tuple[object, ...]]]:
    """The rows of each statement, in a separate Spark."""
    from pyspark.sql import SparkSession

    iceberg = {
        "type": "hive",
        "uri": uri,
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": s3["s3.endpoint"],
        "s3.path-style-access": "true",
        "s3.access-key-id": s3["s3.access-key-id"],
        "s3.secret-access-key": s3["s3.secret-access-key"],
        "client.region": "us-east-1",
    }
    options = {
        "spark.driver.extraClassPath": ":".join(map(str, jars())),
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.hms": "org.apache.iceberg.spark.SparkCatalog",
        "spark.hadoop.hive.metastore.uris": uri,
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint": s3["s3.endpoint"],
        "spark.hadoop.fs.s3a.access.key": s3["s3.access-key-id"],
        "spark.hadoop.fs.s3a.secret.key": s3["s3.secret-access-key"],
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
    }
    builder = SparkSession.builder.master("local[1]").appName("hive")
    for key, value in {**options, **{f"spark.sql.catalog.hms.{k}": v for k, v in iceberg.items()}}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        return [sorted(tuple(row) for row in session.sql(statement).collect()) for statement in statements]
    except Exception as error:  # those of Spark cannot be pickled
        raise RuntimeError(str(error)[:500]) from None


def run_in_spark(hive: HiveMetastore, *statements: str) -> list[list[tuple[object, ...]]]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(in_spark, hive.uri, hive.s3.properties(), statements).result()


def run(*arguments: object) -> None:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output + result.stderr + repr(result.exception)


def test_spark_reads_and_writes_what_was_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(HIVE)
    require_spark()
    monkeypatch.chdir(tmp_path)
    with Server() as s3, HiveMetastore(s3, "s3://bronze/wh") as hive:
        for name, value in s3.environ().items():
            monkeypatch.setenv(name, value)
        s3.client().create_bucket(Bucket="bronze")
        assert run_in_spark(hive, *BUILD, *READ)[len(BUILD) :] == ROWS
        (tmp_path / "lake.toml").write_text(
            f'[source]\nendpoint_url = "{s3.endpoint_url}"\n[layout]\n"s3://bronze/" = "bronze/"\n'
            f'[catalogs.lake]\nuri = "{hive.uri}"\n'
        )
        run("plan", "--config", "lake.toml", "-o", "plan.db")
        run("migrate", "plan.db", "--yes")
        run("rollback", "plan.db", "--yes")
        run("migrate", "plan.db", "--yes")
        delete_buckets(s3.client(), ["bronze"])
        answers = run_in_spark(hive, *READ, *WRITE, *READ)
        assert answers[: len(READ)] == ROWS and answers[-len(READ) :] == ROWS_AFTER
        run("verify", "plan.db")
