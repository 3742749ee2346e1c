from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogs.servers.aws import Aws


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    uri: str = request.getfixturevalue(f"{request.param}_database")
    return uri


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """Glue and DynamoDB. What is in them may vanish between two tests, when another one mocks AWS anew."""
    with Aws() as server:
        yield server
