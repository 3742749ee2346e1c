from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrator.demo import lake as old_lake
from migrator.demo.server import Server


@dataclass
class Built:
    """A server, and the small lake that was built on it."""

    server: Server
    lake: old_lake.Lake

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.partition("://")[2].partition("/")
        data: bytes = self.server.client().get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def keys(self, bucket: str) -> list[dict[str, Any]]:
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [entry for page in pages for entry in page.get("Contents", [])]


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="package")
def built(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder: Path = tmp_path_factory.mktemp("lake")
    return Built(server, old_lake.build(server, folder, objects=60))
