from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import fresh_buckets
from catalogs.servers.aws import aws
from e2e.small_lake import OLD, SmallLake
from e2e.world import Contents, Template, World
from migrator.demo.server import Server

__all__ = ["aws"]  # a fixture of all these files


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server for one test. The environment points to it, and the test works in its own folder."""
    with Server() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield server


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Template:
    """The lake that is written once in a run, for any number of workers."""
    base = tmp_path_factory.getbasetemp()
    is_worker = hasattr(request.config, "workerinput")  # of pytest-xdist: its folder is inside of the run's
    return Template((base.parent if is_worker else base) / "template")


@pytest.fixture(scope="session")
def shared_world(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One lake for all tests that do not change the old buckets."""
    with template.world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def world(shared_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The shared lake, without a target and with its first catalog. Plans go to the test's own folder."""
    for name, value in shared_world.server.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    shared_world.remove_target()
    shutil.copy(shared_world.folder / "catalog.pristine", shared_world.folder / "catalog.db")
    (tmp_path / "lake.toml").write_text(shared_world.config.read_text())
    return World(shared_world.server, shared_world.lake, tmp_path)


@pytest.fixture(scope="session")
def _without_faults() -> dict[str, Contents]:
    """The target after a migration of the shared lake. The first test that needs it makes it."""
    return {}


@pytest.fixture
def expected(world: World, _without_faults: dict[str, Contents]) -> Contents:
    """The target after a migration of the shared lake without interruptions and faults."""
    if not _without_faults:
        pristine = world.catalog_file.read_bytes()
        world.run("migrate", world.plan("whole.db"), "--yes")
        _without_faults["target"] = world.contents()
        world.remove_target()
        world.catalog_file.write_bytes(pristine)
    return _without_faults["target"]


@pytest.fixture
def own_world(template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A lake for one test, which may destroy it."""
    with template.world(tmp_path) as world:
        for name, value in world.server.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield world


@pytest.fixture(scope="module")
def small_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLake]:
    """One small lake for the tests of a file, on its own server."""
    with Server() as server:
        yield SmallLake(server, tmp_path_factory.mktemp("lake"))


@pytest.fixture
def lake(small_lake: SmallLake, monkeypatch: pytest.MonkeyPatch) -> SmallLake:
    """The small lake in its first state, with an empty target. The test may remove its old buckets."""
    for name, value in small_lake.server.environ().items():
        monkeypatch.setenv(name, value)
    there = {bucket["Name"] for bucket in small_lake.client.list_buckets()["Buckets"]}
    for bucket in set(OLD) - there:
        small_lake.client.create_bucket(Bucket=bucket)
    small_lake.reset()
    return small_lake


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server for the tests of a file."""
    with Server() as server:
        yield server


@pytest.fixture
def s3(server: Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Server]:
    """That server, with the file's ``BUCKETS``, which are empty. Afterwards it has no bucket."""
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    with fresh_buckets(server, request.module.BUCKETS):
        yield server
