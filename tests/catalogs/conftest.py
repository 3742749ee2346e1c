from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogs.contract import NEW, OLD
from catalogs.servers.aws import aws
from catalogs.servers.java import HIVE, HiveMetastore, require
from migrator.demo.server import Server

__all__ = ["aws"]  # a fixture of all these files


@pytest.fixture(scope="session")
def s3() -> Iterator[Server]:
    """A server with the two buckets of the contract."""
    with Server() as server:
        for bucket in (OLD, NEW):
            server.client().create_bucket(Bucket=bucket)
        yield server


@pytest.fixture(scope="session")
def hive(s3: Server) -> Iterator[HiveMetastore]:
    require(HIVE)
    with HiveMetastore(s3, f"s3://{OLD}/hive") as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    uri: str = request.getfixturevalue(f"{request.param}_database")
    return uri
