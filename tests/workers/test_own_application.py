"""A Spark application that migrator starts itself: what executors import, a driver that is killed, what is missing."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2e.world import World
from engines.jars import missing
from migrator.errors import ConfigError, MigrationFailed
from migrator.workers import spark
from migrator.workers.settings import EngineSettings
from workers.application import ROOT, descendants, toml
from workers.lakes import Kept, afresh, everything, migrated_lake

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or "-"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Kept]]:
    with migrated_lake(tmp_path_factory.mktemp("lake")) as lake:
        yield lake


@pytest.fixture
def world(lake: tuple[World, Kept], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    for name, value in lake[0].server.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lake.toml").write_text(lake[0].config.read_text())
    yield World(lake[0].server, lake[0].lake, tmp_path)
    afresh(lake[0])


def bare_python(folder: Path) -> Path:
    """A Python that has no packages at all."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def configure(world: World, python: Path | None = None, **engine: str) -> None:
    with world.config.open("a") as file:
        text = toml(**engine)
        file.write(text if python is None else text.replace(sys.executable, str(python)))


def start(*arguments: str | Path, path: str = str(ROOT)) -> subprocess.Popen[str]:
    """Start migrator in a separate process. ``path``: PYTHONPATH, which executors inherit."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from migrator.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_executors_that_have_only_the_packed_file(world: World, lake: tuple[World, Kept]) -> None:
    world.run("pack", "-o", "executors.zip")
    configure(world, bare_python(world.folder / "bare"), pack="executors.zip", kind="spark")
    process = start("migrate", world.plan(), "--yes", "--no-cutover", path="")
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, output + errors
    done = start("migrate", world.folder / "plan.db", "--yes", "--engine", "local")
    output, errors = done.communicate(timeout=280)
    assert done.returncode == 0, output + errors
    assert everything(world.client) == lake[1]


def test_executors_that_lack_migrator_are_named_in_one_message(world: World) -> None:
    configure(world, bare_python(world.folder / "bare"))
    process = start("migrate", world.plan(), "--yes", "--engine", "spark", path="")
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 3, output + errors
    said = errors[errors.index("Error: ") :]
    assert "cannot import migrator" in said and "migrator pack -o" in said
    assert "Traceback" not in errors
    assert everything(world.client) == {}


def journalled(plan: Path) -> int:
    with closing(sqlite3.connect(plan, timeout=60)) as db:
        return int(db.execute("SELECT count(*) FROM done").fetchone()[0])


def test_after_a_killed_driver_the_same_command_continues(world: World, lake: tuple[World, Kept]) -> None:
    configure(world)
    plan = world.plan()
    command = ("migrate", plan, "--yes", "--engine", "spark")
    process = start(*command, "--concurrency", "2")
    while process.poll() is None and journalled(plan) == 0:
        time.sleep(0.05)
    below = descendants(process.pid)
    process.kill()
    process.communicate()
    assert 0 < journalled(plan) < lake[0].lake.objects
    assert any("CoarseGrainedExecutorBackend" in line for line in below.values())
    again = start(*command)
    output, errors = again.communicate(timeout=280)
    assert again.returncode == 0, output + errors
    assert everything(world.client) == lake[1]
    deadline = time.monotonic() + 60
    while (left := [pid for pid in below if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, [below[pid] for pid in left]
    world.run("verify", plan)


def test_ctrl_c_ends_it_and_the_same_command_continues(world: World) -> None:
    configure(world)
    plan = world.plan()
    process = start("migrate", plan, "--yes", "--engine", "spark", "--concurrency", "2")
    while process.poll() is None and journalled(plan) == 0:
        time.sleep(0.05)
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, output + errors
    assert "Traceback" not in errors
    deadline = time.monotonic() + 60
    while (left := [pid for pid in below if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, [below[pid] for pid in left]


# -- what is missing -------------------------------------------------------------------------------------


def test_without_pyspark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs PySpark\. Run: pip install 'lake-migrator\[spark\]'"):
        spark.SparkEngine(EngineSettings("spark"))


def test_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(spark.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs Java.*JAVA_HOME"):
        spark.SparkEngine(EngineSettings("spark"))


def test_without_a_packed_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.zip does not exist\. Run: migrator pack -o"):
        spark.SparkEngine(EngineSettings("spark", pack=str(tmp_path / "x.zip")))


def test_without_a_master() -> None:
    with (
        pytest.raises(ConfigError, match=r"no Spark master is set.*\[engine\] master"),
        spark.SparkEngine(EngineSettings("spark")) as engine,
    ):
        engine.parallel()


def test_an_unknown_master_is_one_message() -> None:
    from engines.spark import end_jvm

    try:
        with (
            pytest.raises(MigrationFailed, match="Spark could not be started") as caught,
            spark.SparkEngine(EngineSettings("spark", master="nowhere")) as engine,
        ):
            engine.parallel()
        assert "\n" not in str(caught.value)
    finally:
        end_jvm()


def test_the_number_of_an_application_without_a_limit_must_be_given() -> None:
    from migrator.workers.slots import _expected

    class Context:
        master = "yarn"

        def __init__(self, **conf: str) -> None:
            self._conf = {f"spark.dynamicAllocation.{key}": value for key, value in conf.items()}

        def getConf(self) -> Any:
            return self._conf

    with pytest.raises(ConfigError, match=r"\[engine\] executors"):
        _expected(Context(enabled="true"), None)
    assert _expected(Context(enabled="true", maxExecutors="7"), None) == 7
    assert _expected(Context(enabled="true"), 3) == 3
    assert _expected(Context(), None) is None
