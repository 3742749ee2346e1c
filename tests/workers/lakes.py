"""The demo lake on a server, with all attributes that a copy must keep, and its target as the engine of this machine
makes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.table import StaticTable

from e2e.world import World, build_world
from migrator.demo.lake import delete_buckets
from migrator.store import is_own

Kept = dict[str, tuple[bytes, str, Any, Any, Any]]
"""Key → bytes, ETag, content type, user metadata, tags."""
MARKED = 20


def everything(client: Any, bucket: str = "data-lake") -> Kept:
    """All objects of a bucket, read by boto3, except migrator's own."""
    found: Kept = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for key in (entry["Key"] for entry in page.get("Contents", []) if not is_own(entry["Key"])):
            got = client.get_object(Bucket=bucket, Key=key)
            tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
            found[key] = (got["Body"].read(), got["ETag"], got["ContentType"], got["Metadata"], tags)
    return found


@contextmanager
def migrated_lake(folder: Path, objects: int = 300) -> Iterator[tuple[World, Kept]]:
    """A lake without a target, and the content of the target when the engine of this machine had migrated the lake. The
    environment points to the server."""
    with build_world(folder, objects=objects) as world, pytest.MonkeyPatch.context() as patch:
        for name, value in world.server.environ().items():
            patch.setenv(name, value)
        patch.chdir(folder)
        for number in range(MARKED):
            world.client.put_object(
                Bucket="bronze",
                Key=f"marked/{number}",
                Body=b"x" * number,
                ContentType="text/x-marked",
                Metadata={"owner": f"o{number}"},
                Tagging="tier=hot&n=1",
            )
        world.run("migrate", world.plan("local.db"), "--yes")
        expected = everything(world.client)
        afresh(world)
        yield world, expected


def afresh(world: World) -> None:
    """Remove the target, and restore the catalog."""
    world.remove_target()
    shutil.copy(world.catalog_file.with_name("catalog.pristine"), world.catalog_file)


def check_without_old_buckets(world: World, plan: Path) -> None:
    """Delete the old buckets; then verify, and read every table of the SQL catalog with pyiceberg."""
    import sqlite3

    old = sorted(world.buckets() - {"data-lake", "aside"})
    assert len(old) > 3
    delete_buckets(world.client, old)
    world.run("verify", plan)
    with sqlite3.connect(world.catalog_file) as db:
        pointers = [uri for (uri,) in db.execute("SELECT metadata_location FROM iceberg_tables") if uri]
    assert pointers and all("data-lake" in uri for uri in pointers)
    rows = [len(StaticTable.from_metadata(uri, world.server.properties()).scan().to_arrow()) for uri in pointers]
    assert sum(rows) > 0


def check_of_bytes(verification: str) -> dict[str, Any]:
    """The check of the bytes of objects, in the JSON that ``verify --deep --json`` has printed."""
    (found,) = (
        check
        for check in json.loads(verification)["checks"]
        if check["name"] == "copied objects are the same byte for byte"
    )
    return dict(found)
