"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

import functools
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from botocore.loaders import JSONFileLoader
from hypothesis import HealthCheck, settings
from moto import mock_aws
from moto.s3 import urls as moto_urls
from moto.s3.models import S3Backend
from sqlalchemy.pool import NullPool

from mariadb import mariadb_server
from migrator.concurrency.processes import Child, cores
from migrator.store import Store
from postgres import postgres_server

pytest_plugins = ["failures", "locks"]

TESTS = Path(__file__).parent

_load_file = JSONFileLoader.load_file


@functools.cache
def _parsed(path: str) -> Any:
    """botocore parses its description of S3 for each session, which takes longer than most tests. Here it is parsed
    once."""
    return _load_file(JSONFileLoader(), path)


JSONFileLoader.load_file = lambda _, file_path: _parsed(file_path)

# For every request, moto imports the module of its URLs twice, and builds all URLs from it: a third of the time of a
# test. The URLs would only change with MOTO_S3_CUSTOM_ENDPOINTS.
S3Backend._url_module = property(lambda _: moto_urls)  # type: ignore[assignment]
_build_urls = S3Backend.urls.fget  # type: ignore[attr-defined]
_urls = functools.cache(lambda: _build_urls(S3Backend("us-east-1", "123456789012")))
S3Backend.urls = property(lambda _: _urls())  # type: ignore[assignment,method-assign]


# No test depends on how fast or idle the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

SQLITE_WAIT = 120
"""Seconds for which a catalog of pyiceberg waits for a lock of SQLite. By default it is five, and a busy disk may take
longer."""


@sa.event.listens_for(sa.Engine, "do_connect")
def _wait_for_locks(dialect: sa.Dialect, record: object, arguments: object, options: dict[str, Any]) -> None:
    if dialect.name == "sqlite":
        options.setdefault("timeout", SQLITE_WAIT)


SLOW_FOLDERS = ("bench", "demo", "e2e", "engines", "orchestration", "servers", "workers")
"""All tests in these are slow: they start a server, an engine, or other programs."""
LONGEST = (
    "test_engines.py",
    "test_engines_lake.py",
    "test_stale_writers.py",
    "engines/test_streams.py",
    "test_writers.py",
    "test_fifty_kills_at_random_instants",
    "test_the_old_server_may_go",
    "test_planning_and_verifying_ten_times_the_objects_takes_no_more_memory",
    "test_any_order",
)
"""Each of these keeps a worker busy for a minute or more. They start first, so that none of them is the last one."""
TOGETHER = (
    "test_bring_back.py",
    "test_faults.py",
    "test_faulty_operations.py",
    "test_fence.py",
    "test_hive_catalog.py",
    "test_listing.py",
    "test_live.py",
    "test_maintenance.py",
    "test_other_catalogs.py",
    "test_repair.py",
    "test_rest_catalog.py",
    "test_retire.py",
    "test_rollback.py",
    "test_target_catalog.py",
    "test_target_settings.py",
    "test_two_servers.py",
    "test_versions.py",
    "test_waves_of_catalogs.py",
)
"""Files in e2e whose tests share what a fixture makes for the file. Two workers must not make it twice."""


def pytest_configure() -> None:
    """Make Ctrl-C interrupt again. A shell that starts the tests in the background makes them and all their programs
    ignore it, and some tests send it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """The workers of ``-n auto``: one more than there are cores, because tests wait for servers a third of their
    time."""
    return cores() + 1


@pytest.hookimpl(tryfirst=True)  # before -m chooses, and before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and run them first. So at the end the workers share many short tests, and none is idle.

    With ``--dist loadgroup``, the tests of a file stay together, except those in e2e, which any worker can run.
    """
    for item in items:
        folder, name = item.path.relative_to(TESTS).parts[0], item.path.name
        if folder in SLOW_FOLDERS:
            item.add_marker("slow")
        if folder != "e2e" or (name in TOGETHER and not _is_longest(item)):
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(TESTS))))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not _is_longest(item), item.path not in slow))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Raises UsageError if pytest-xdist must keep the tests of a file together, and does not. Then each worker would
    make the fixtures of the file, and two files would share what each of them must have alone."""
    if not getattr(session.config.option, "loadgroup", False):
        return
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
    if any("@" not in item.nodeid for item in grouped):
        raise pytest.UsageError(f"pytest {pytest.__version__} ignores the groups of pytest-xdist: install pytest<9.2.")


def _is_longest(item: pytest.Item) -> bool:
    return any(name in item.nodeid for name in LONGEST)


@pytest.fixture(autouse=True)
def _no_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the credentials, endpoints or pyiceberg configuration of the user who runs it."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYICEBERG_HOME", str(home))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret-never-shown")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def child_processes(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    """The child processes that the test has started in pools of :class:`migrator.concurrency.processes.Workers`."""
    children: list[Child] = []
    begin = Child.__init__

    def counted(self: Child, *arguments: object, **options: object) -> None:
        begin(self, *arguments, **options)  # type: ignore[arg-type]
        children.append(self)

    monkeypatch.setattr(Child, "__init__", counted)
    return children


@pytest.fixture
def mock_store(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store on a mocked S3, for tests that need only listings and errors."""
    # In a host name, the mock takes a bucket "logs" for another service.
    config = tmp_path_factory.mktemp("aws") / "config"
    config.write_text("[default]\ns3 =\n  addressing_style = path\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    # The mock is inside boto3. With a proxy, boto3 makes the copies, too, because only boto3 supports proxies.
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


@pytest.fixture(scope="session")
def mariadb_uri() -> Iterator[str]:
    with mariadb_server() as uri:
        yield uri


@pytest.fixture
def mariadb_database(mariadb_uri: str) -> str:
    """The URI of a new, empty database. By default, it compares texts without regard to case."""
    name = f"test_{uuid.uuid4().hex}"
    engine = sa.create_engine(mariadb_uri, poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    return sa.make_url(mariadb_uri).set(database=name).render_as_string(hide_password=False)
