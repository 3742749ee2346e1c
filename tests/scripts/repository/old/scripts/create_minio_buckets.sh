#!/bin/sh
# Makes the buckets.
mc alias set myminio http://localhost:9000 minioadmin minioadmin
mc mb myminio/warehouse
mc mb myminio/bronze
mc mb myminio/silver
mc mb myminio/gold
mc mb myminio/checkpoints
mc mb myminio/logs
mc mb myminio/scripts
for bucket in warehouse bronze silver gold; do
  mc ls myminio/$bucket
done
mc cp jobs/layers/bronze/ingest.py myminio/scripts/etl/
