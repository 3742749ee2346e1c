"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from moto import mock_aws
from sqlalchemy.pool import NullPool

from migrator.store import Store
from postgres import postgres_server

pytest_plugins = ["failures"]


@pytest.fixture(autouse=True)
def _no_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the credentials, endpoints or pyiceberg configuration of whoever runs it."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYICEBERG_HOME", str(home))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret-never-shown")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def mock_store(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store on a mocked S3: enough where only listings and errors matter."""
    # By its host, a bucket "logs" is another service to the mock.
    config = tmp_path_factory.mktemp("aws") / "config"
    config.write_text("[default]\ns3 =\n  addressing_style = path\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    # The mock sits in boto3. With a proxy, copies are boto3's as well, since only it knows the way.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with mock_aws():
        yield Store()


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    with postgres_server() as uri:
        yield uri


@pytest.fixture
def postgres_database(postgres_uri: str) -> str:
    """The URI of a new, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    engine = sa.create_engine(postgres_uri, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return sa.make_url(postgres_uri).set(database=name).render_as_string(hide_password=False)
