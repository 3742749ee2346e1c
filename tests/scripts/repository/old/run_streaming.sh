#!/usr/bin/env bash
set -euo pipefail
mkdir -p /tmp/checkpoints/bronze
spark-submit \
  --conf spark.sql.catalog.local=org.apache.iceberg.spark.SparkCatalog \
  --conf spark.sql.catalog.local.warehouse=s3a://warehouse/ \
  --conf spark.sql.catalog.iceberg.warehouse=s3a://bronze/iceberg-warehouse/ \
  --conf spark.hadoop.fs.s3a.endpoint=http://minio:9000 \
  --conf spark.eventLog.dir=s3a://logs/spark \
  --jars s3a://scripts/jars/a.jar,s3a://scripts/jars/b.jar \
  s3a://scripts/etl/stream.py "$@"
