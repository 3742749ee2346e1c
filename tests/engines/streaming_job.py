"""A user's job: six streams with Spark, each of which processes all available input and ends. It contains the paths of
the old lake. test_streams.py runs it as a separate program, and after the migration it runs the job that `migrator
rewrite-config` has changed. The environment has the addresses of the servers. The job prints what a reader of the file
sink reads.
"""

import json
import os

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, from_json
from pyspark.sql.streaming import StreamingQuery

OPTIONS = {
    "spark.master": "local[8]",
    "spark.driver.memory": "1g",
    "spark.driver.extraClassPath": os.environ["JOB_JARS"],
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.hadoop.fs.s3a.endpoint": os.environ["AWS_ENDPOINT_URL_S3"],
    "spark.hadoop.fs.s3a.path.style.access": "true",
    "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
    "spark.sql.catalog.lake.type": "jdbc",
    "spark.sql.catalog.lake.uri": f"jdbc:sqlite:{os.environ['JOB_CATALOG']}?busy_timeout=60000",
    "spark.sql.catalog.lake.jdbc.schema-version": "V1",
    "spark.sql.catalog.lake.warehouse": "s3a://bronze/iceberg-warehouse",
    "spark.sql.catalog.lake.cache-enabled": "false",
    "spark.sql.streaming.checkpointLocation": "s3a://checkpoints/by-name",
    "spark.sql.streaming.fileSink.log.compactInterval": "3",
}
ROWS = "id LONG, name STRING"
FILES = f"{ROWS}, day STRING"
TABLES = {
    "bronze.events": ROWS,
    "bronze.landed": FILES,
    "silver.counts": "name STRING, rows LONG",
    "silver.out": FILES,
    "gold.events": ROWS,
}
STUCK_AT = os.environ.get("JOB_STUCK_AT", "")
"""For the test: the ids of rows, separated by commas, at which each stream stops."""


def main() -> None:
    builder = SparkSession.builder.appName("streams")
    for key, value in OPTIONS.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    for table, columns in TABLES.items():
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS lake.{table.partition('.')[0]}")
        spark.sql(f"CREATE TABLE IF NOT EXISTS lake.{table} ({columns})")
    if STUCK_AT:
        running = [start(spark) for start in (events, landed, out, counts)]
        for query in running:
            query.awaitTermination()
    for start in (events, landed, out, counts, out_again, events_again):
        start(spark).awaitTermination()
    read = spark.read.parquet("s3a://silver/out/").select("id").collect()
    print(json.dumps({"out": sorted(row.id for row in read)}))


def kafka(spark: SparkSession) -> DataFrame:
    source = spark.readStream.format("kafka").option("kafka.bootstrap.servers", os.environ["JOB_KAFKA"])
    messages = source.option("subscribe", "events").option("startingOffsets", "earliest").load()
    return messages.select(from_json(col("value").cast("string"), ROWS).alias("row")).select("row.*")


def landing(spark: SparkSession, files: int) -> DataFrame:
    """At most this many files in a batch."""
    source = spark.readStream.schema(FILES).option("maxFilesPerTrigger", files)
    return source.json("s3a://bronze/landing/")


def stuck(frame: DataFrame) -> DataFrame:
    """The same rows, but reading those of STUCK_AT never ends."""
    if not STUCK_AT:
        return frame
    sleep = "reflect('java.lang.Thread', 'sleep', 900000L)"
    return frame.where(f"CASE WHEN id IN ({STUCK_AT}) THEN {sleep} IS NULL ELSE true END")


def into_table(frame: DataFrame, table: str, checkpoint: str) -> StreamingQuery:
    writer = stuck(frame).writeStream.format("iceberg").trigger(availableNow=True)
    return writer.option("checkpointLocation", checkpoint).toTable(f"lake.{table}")


def events(spark: SparkSession) -> StreamingQuery:
    return into_table(kafka(spark), "bronze.events", "s3a://checkpoints/bronze/events")


def landed(spark: SparkSession) -> StreamingQuery:
    """One file for each batch, with Spark's default interval between two compactions of the log."""
    return into_table(landing(spark, 1), "bronze.landed", "s3a://checkpoints/bronze/landed")


def out(spark: SparkSession) -> StreamingQuery:
    """Two files for each batch, into Parquet files. The log of the source is compacted more often."""
    session = spark.newSession()
    session.conf.set("spark.sql.streaming.fileSource.log.compactInterval", "3")
    writer = stuck(landing(session, 2)).writeStream.format("parquet").partitionBy("day").trigger(availableNow=True)
    return writer.option("checkpointLocation", "s3a://checkpoints/silver/out").start("s3a://silver/out/")


def counts(spark: SparkSession) -> StreamingQuery:
    """With a state: how many rows there were of each name. Its checkpoint is found by its name."""
    counted = stuck(kafka(spark)).groupBy("name").count().withColumnRenamed("count", "rows")
    writer = counted.writeStream.format("iceberg").outputMode("complete").trigger(availableNow=True)
    return writer.queryName("counts").toTable("lake.silver.counts")


def out_again(spark: SparkSession) -> StreamingQuery:
    """Reads what the file sink wrote."""
    source = spark.readStream.schema(FILES).option("maxFilesPerTrigger", 3).parquet("s3a://silver/out/")
    return into_table(source, "silver.out", "s3a://checkpoints/silver/out_again")


def events_again(spark: SparkSession) -> StreamingQuery:
    """Reads an Iceberg table."""
    source = spark.readStream.format("iceberg").load("lake.bronze.events")
    return into_table(source, "gold.events", "s3a://checkpoints/gold/events")


if __name__ == "__main__":
    main()
