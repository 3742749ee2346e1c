"""A real S3 server and an old-style lake, for ``migrator demo`` and for the end-to-end tests."""
