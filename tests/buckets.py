"""The buckets of one test on a server that several tests share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server


@contextmanager
def fresh_buckets(server: Server, names: Iterable[str]) -> Iterator[None]:
    """Creates these buckets, empty. Afterwards the server has no bucket."""
    client = server.client()
    for name in names:
        client.create_bucket(Bucket=name)
    try:
        yield
    finally:
        delete_buckets(client, [bucket["Name"] for bucket in client.list_buckets()["Buckets"]])
