#!/usr/bin/env bash
set -euo pipefail
mkdir -p /tmp/checkpoints/bronze
spark-submit \
  --conf spark.sql.catalog.local=org.apache.iceberg.spark.SparkCatalog \
  --conf spark.sql.catalog.local.warehouse=s3a://data-lake/warehouse/ \
  --conf spark.sql.catalog.iceberg.warehouse=s3a://data-lake/warehouse/ \
  --conf spark.hadoop.fs.s3a.endpoint=http://minio:9000 \
  --conf spark.eventLog.dir=s3a://data-lake/logs/spark \
  --jars s3a://data-lake/scripts/jars/a.jar,s3a://data-lake/scripts/jars/b.jar \
  s3a://data-lake/scripts/etl/stream.py "$@"
