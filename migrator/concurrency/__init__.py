"""Work done at the same time: in threads of this process, and in child processes. Knows nothing of S3."""
