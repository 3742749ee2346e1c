"""A real S3 server with the old-style lake on it. Nothing here is mocked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from migrator.cli import main
from migrator.demo import lake as old_lake
from migrator.demo.server import Server
from migrator.store import is_own

Contents = dict[str, tuple[int, str]]
"""``bucket/key`` → size and ETag."""


@dataclass
class World:
    """A server, the lake on it, and a folder for plans."""

    server: Server
    lake: old_lake.Lake
    folder: Path

    @property
    def client(self) -> Any:
        return self.server.client()

    @property
    def config(self) -> Path:
        return self.folder / "lake.toml"

    @property
    def catalog_file(self) -> Path:
        """The database of the SQL catalog."""
        return Path(self.lake.catalogs["iceberg"]["uri"].removeprefix("sqlite:///"))

    def run(self, *arguments: str | Path, exit_code: int = 0, stdin: str | None = None) -> Result:
        """Run the command line in this process, and hold it to its exit code."""
        result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
        assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
        return result

    def plan(self, name: str = "plan.db", *options: str, exit_code: int = 0) -> Path:
        path = self.folder / name
        self.run("plan", "--config", self.config, "-o", path, *options, exit_code=exit_code)
        return path

    def listing(self, *buckets: str) -> dict[str, tuple[int, str, Any]]:
        """Every object of these buckets, but for migrator's own: (size, ETag, last-modified)."""
        found = {}
        for bucket in buckets:
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    if is_own(entry["Key"]):
                        continue
                    found[f"{bucket}/{entry['Key']}"] = (entry["Size"], entry["ETag"], entry["LastModified"])
        return found

    def contents(self) -> Contents:
        """Every object of the target, but for migrator's own."""
        return {place: (size, etag) for place, (size, etag, _) in self.listing("data-lake").items()}

    def buckets(self) -> set[str]:
        return {bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]}

    def remove_target(self) -> None:
        if "data-lake" in self.buckets():
            old_lake.delete_buckets(self.client, ["data-lake"])

    @contextmanager
    def added(self, bucket: str, key: str, data: bytes) -> Iterator[None]:
        """The object is there for as long as this lasts."""
        self.client.put_object(Bucket=bucket, Key=key, Body=data)
        try:
            yield
        finally:
            self.client.delete_object(Bucket=bucket, Key=key)

    @contextmanager
    def replaced(self, bucket: str, key: str, data: bytes | None) -> Iterator[None]:
        """The object has other bytes, or is gone, for as long as this lasts. It comes back with its tags."""
        here, aside = {"Bucket": bucket, "Key": key}, {"Bucket": "aside", "Key": key}
        self.client.copy_object(CopySource=here, **aside)
        try:
            if data is None:
                self.client.delete_object(**here)
            else:
                self.client.put_object(Body=data, **here)
            yield
        finally:
            self.client.copy_object(CopySource=aside, **here)


@contextmanager
def build_world(folder: Path, *, objects: int = 100, catalog_uri: str | None = None) -> Iterator[World]:
    with Server() as server:
        lake = old_lake.build(server, folder, objects=objects, catalog_uri=catalog_uri)
        world = World(server, lake, folder)
        world.client.create_bucket(Bucket="aside")  # see World.replaced
        world.config.write_text(lake.toml(server))
        if catalog_uri is None:
            shutil.copy(folder / "catalog.db", folder / "catalog.pristine")
        yield world
