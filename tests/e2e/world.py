"""A real S3 server with the old-style lake on it. Nothing here is mocked."""

from __future__ import annotations

import fcntl
import json
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
        """Run the command line in this process, and check its exit code."""
        result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
        assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
        return result

    def plan(self, name: str = "plan.db", *options: str, exit_code: int = 0) -> Path:
        path = self.folder / name
        self.run("plan", "--config", self.config, "-o", path, *options, exit_code=exit_code)
        return path

    def listing(self, *buckets: str) -> dict[str, tuple[int, str, Any]]:
        """Every object of these buckets, except migrator's own: (size, ETag, last-modified)."""
        found = {}
        for bucket in buckets:
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    if is_own(entry["Key"]):
                        continue
                    found[f"{bucket}/{entry['Key']}"] = (entry["Size"], entry["ETag"], entry["LastModified"])
        return found

    def contents(self) -> Contents:
        """Every object of the target, except migrator's own."""
        return {place: (size, etag) for place, (size, etag, _) in self.listing("data-lake").items()}

    def buckets(self) -> set[str]:
        return {bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]}

    def remove_target(self) -> None:
        if "data-lake" in self.buckets():
            old_lake.delete_buckets(self.client, ["data-lake"])

    @contextmanager
    def added(self, bucket: str, key: str, data: bytes) -> Iterator[None]:
        """A context manager in which the object exists."""
        self.client.put_object(Bucket=bucket, Key=key, Body=data)
        try:
            yield
        finally:
            self.client.delete_object(Bucket=bucket, Key=key)

    @contextmanager
    def replaced(self, bucket: str, key: str, data: bytes | None) -> Iterator[None]:
        """A context manager in which the object has other bytes, or is gone. Afterwards it is restored with its
        tags."""
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
    """A world with a new lake."""
    with Server() as server:
        yield _fill(server, folder, objects, catalog_uri)


def _fill(server: Server, folder: Path, objects: int, catalog_uri: str | None = None) -> World:
    lake = old_lake.build(server, folder, objects=objects, catalog_uri=catalog_uri)
    world = World(server, lake, folder)
    world.client.create_bucket(Bucket="aside")  # see World.replaced
    world.config.write_text(lake.toml(server))
    if catalog_uri is None:
        shutil.copy(folder / "catalog.db", folder / "catalog.pristine")
    return world


# -- worlds that begin as copies -------------------------------------------------------------------------


class _FilledServer(Server):
    """A server that starts with a copy of another server's data."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self._data = data

    def _command(self) -> list[str]:
        # The master's own files name the other server's port; buckets and objects are in the other files.
        shutil.copytree(self._data, self._folder / "data", ignore=shutil.ignore_patterns("m[0-9]*", "raft"))
        return super()._command()


class Template:
    """A lake that is written once, by the first pytest worker that needs it. Each world starts as a copy of it."""

    def __init__(self, folder: Path) -> None:
        """``folder``: the same for all workers; it need not exist."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def world(self, folder: Path) -> Iterator[World]:
        """A world with its own server. Its catalog is in ``folder``."""
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self._folder / "lake.json").exists():
                self._write()
        with _FilledServer(self._folder / "data") as server:
            for name in ("catalog.db", "catalog.pristine"):
                shutil.copy(self._folder / "catalog.pristine", folder / name)
            written = json.loads((self._folder / "lake.json").read_text())
            lake = old_lake.Lake(**written)
            lake.catalogs["iceberg"]["uri"] = f"sqlite:///{folder / 'catalog.db'}"
            world = World(server, lake, folder)
            world.config.write_text(lake.toml(server))
            yield world

    def _write(self) -> None:
        with Server() as server:
            lake = _fill(server, self._folder, 100).lake
            # The server answers only after a write is done. So a killed server has all writes in its files.
            server._process.kill()
            server._process.wait()
            shutil.copytree(server._folder / "data", self._folder / "data")
        (self._folder / "lake.json").write_text(json.dumps(vars(lake)))
