rem the jobs
set OUT=s3a://gold/out
set LOGS=s3a://logs