"""migrator: move a multi-bucket data lake into one bucket, Iceberg tables included, and prove it."""
