CREATE NAMESPACE IF NOT EXISTS iceberg.bronze;
CREATE TABLE IF NOT EXISTS iceberg.bronze.raw_events (id bigint) USING iceberg
LOCATION 's3a://bronze/raw_events';
INSERT INTO iceberg.silver.cleaned_events SELECT * FROM parquet.`s3a://silver/in/*`;
SELECT count(*) FROM iceberg.bronze.raw_events;
