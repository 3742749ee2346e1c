rem the jobs
set OUT=s3a://data-lake/gold/out
set LOGS=s3a://data-lake/logs