"""Work done at the same time: in threads of this process, and in child processes. Independent of S3."""
