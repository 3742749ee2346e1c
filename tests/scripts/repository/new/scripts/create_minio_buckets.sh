#!/bin/sh
# Makes the buckets.
mc alias set myminio http://localhost:9000 minioadmin minioadmin
mc mb myminio/data-lake
for bucket in warehouse bronze silver gold; do
  mc ls myminio/$bucket
done
mc cp jobs/layers/bronze/ingest.py myminio/data-lake/scripts/etl/
