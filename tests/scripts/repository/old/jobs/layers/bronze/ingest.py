"""Reads Kafka, writes iceberg.bronze.raw_events. Old data: s3a://bronze/raw_events/."""

LAYER = "bronze"
BUCKET = "s3a://" + LAYER


def start(spark, day, layer=LAYER):
    events = spark.readStream.format("kafka").option("subscribe", "bronze").load()
    pages = spark.read.parquet(f"s3a://silver/page_views/day={day}")
    other = spark.read.parquet(f"s3a://{layer}/raw_events")
    (
        events.writeStream.format("iceberg")
        .option("checkpointLocation", "/tmp/checkpoints/bronze")
        .toTable("iceberg.bronze.raw_events")
    )
    (
        pages.writeStream.format("iceberg")
        .option(
            "checkpointLocation",
            "/tmp/checkpoints/silver_page_views",
        )
        .toTable("iceberg.silver.page_views")
    )
    return other.join(spark.table("iceberg.bronze.purchases"), "id")
