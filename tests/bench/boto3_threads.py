"""Copies with plain boto3 in 32 threads, as a short script of a user would do. copy_objects.py runs it for comparison.

    python tests/bench/boto3_threads.py SOURCE_BUCKET TARGET_BUCKET PREFIX [PART_MIB]

Each object is copied by one CopyObject or, with PART_MIB, by boto3's managed copy; 0 means boto3's default part size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

THREADS = 32
MIB = 1 << 20


def main(source: str, target: str, prefix: str, part_mib: int | None) -> None:
    client = boto3.client("s3", config=Config(max_pool_connections=THREADS))
    parts = TransferConfig(multipart_threshold=part_mib * MIB, multipart_chunksize=part_mib * MIB) if part_mib else None

    def keys() -> Iterator[str]:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=source):
            for entry in page.get("Contents", []):
                yield entry["Key"]

    def whole(key: str) -> None:
        client.copy_object(Bucket=target, Key=prefix + key, CopySource={"Bucket": source, "Key": key})

    def managed(key: str) -> None:
        client.copy({"Bucket": source, "Key": key}, target, prefix + key, Config=parts)

    copy: Callable[[str], None] = whole if part_mib is None else managed
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(copy, keys()):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]) if len(sys.argv) > 4 else None)
