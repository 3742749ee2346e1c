"""The engine of this machine speaks the same protocol; small jobs in batches; the file for executors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from e2e.small_lake import TARGET, SmallLake
from migrator.cli import main
from migrator.concurrency.processes import Child
from migrator.config import load
from migrator.demo.server import Server
from migrator.errors import ConfigError, MigrationFailed, Occupied
from migrator.workers.batched import in_batches, missing_modules
from migrator.workers.engine import engine_of
from migrator.workers.local import LocalEngine
from migrator.workers.pack import pack
from migrator.workers.settings import EngineSettings
from workers import jobs
from workers.lakes import check_of_bytes


def test_small_jobs_go_in_batches_and_each_has_its_own_answer() -> None:
    engine = LocalEngine(2)
    with in_batches(engine, jobs.Echo, "a") as batched, ThreadPoolExecutor(batched.threads) as threads:
        assert [item for _, item, _ in threads.map(batched, range(100))] == list(range(100))
        with pytest.raises(Occupied, match=r"s3://b/k is there\. Move it\."):
            batched("occupied")
        assert batched("fine")[1] == "fine"
        with pytest.raises(MigrationFailed, match="died"):
            batched("dies")


def test_missing_modules_are_named() -> None:
    assert missing_modules(LocalEngine(1), ["json", "there_is_no_such_module"]) == ["there_is_no_such_module"]


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="local, spark"):
        engine_of(EngineSettings("dask"))


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallLake]:
    """A lake whose lake.toml asks for two processes, planned as lake.db in the current folder."""
    with Server() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        lake = SmallLake(server, tmp_path)
        with lake.config.open("a") as file:
            file.write("[engine]\nexecutors = 2\n")
        run("plan", "--config", lake.config, "-o", "lake.db")
        yield lake


def test_local_processes_copy_and_compare_the_same(lake: SmallLake, child_processes: list[Child]) -> None:
    """``[engine] executors`` with the engine local: copies use the same batches that Spark's executors would get."""
    done = json.loads(run("migrate", "lake.db", "--yes", "--json"))
    assert done["ok"] and done["copy"]["processes"] == 2 and done["notes"] == []
    assert done["copy"]["objects"] == done["copied_objects"] > 0
    assert lake.get(TARGET, "gold/d") == b"zz"
    before = len(child_processes)
    by_workers = bytes_compared("lake.db")
    assert len(child_processes) == before + 2
    lake.config.write_text(lake.config.read_text().replace("executors = 2", ""))
    assert by_workers == bytes_compared("lake.db", "--engine", "local")
    assert len(child_processes) == before + 2
    assert (by_workers["result"], by_workers["checked"]) == ("same", done["copy"]["objects"])


def test_local_processes_find_bytes_that_differ(lake: SmallLake) -> None:
    run("migrate", "lake.db", "--yes")
    lake.client.put_object(Bucket=TARGET, Key="gold/d", Body=b"zy")
    assert bytes_compared("lake.db", exit_code=3)["problems"] == [f"* s3://{TARGET}/gold/d: bytes differ"]


def bytes_compared(plan: str, *options: str, exit_code: int = 0) -> dict[str, Any]:
    """What ``verify --deep`` says of the bytes of objects."""
    return check_of_bytes(run("verify", plan, "--deep", "--json", *options, exit_code=exit_code))


def run(*arguments: str | Path, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
    return result.stdout


# -- lake.toml -------------------------------------------------------------------------------------------


def settings_of(folder: Path, text: str) -> EngineSettings:
    (folder / "lake.toml").write_text(text)
    return load(folder / "lake.toml").engine


def test_the_engine_of_lake_toml(tmp_path: Path) -> None:
    assert settings_of(tmp_path, "") == EngineSettings("local", None, None, None, {})
    text = '[engine]\nkind = "spark"\nmaster = "yarn"\nexecutors = 3\npack = "x.zip"\n[engine.conf]\n"spark.a" = true\n'
    assert settings_of(tmp_path, text) == EngineSettings("spark", "yarn", 3, "x.zip", {"spark.a": "true"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kind = "dask"', "kind must be one of local, spark"),
        ("executors = 0", "whole number from 1"),
        ("executors = true", "whole number from 1"),
        ("conf = 3", r"\[conf\] must be a table"),
        ('[engine.conf]\n"spark.hadoop.fs.s3a.secret.key" = "x"', "credentials do not belong in lake.toml"),
        ('[engine.conf]\n"spark.hadoop.fs.s3a.access.key" = "x"', "credentials do not belong in lake.toml"),
        ("[engine.conf]\nspark.a = 1", "Quote the key"),
    ],
)
def test_what_is_wrong_in_lake_toml_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        settings_of(tmp_path, f"[engine]\n{text}\n")
    assert '"x"' not in str(caught.value)


# -- the file for executors ------------------------------------------------------------------------------


def test_the_same_packages_make_the_same_file_and_no_other_file_is_replaced(tmp_path: Path) -> None:
    first = pack(tmp_path / "a.zip")
    pack(tmp_path / "b.zip")
    pack(tmp_path / "b.zip")
    assert first.size == (tmp_path / "a.zip").stat().st_size
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    (tmp_path / "mine.zip").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="was not written by migrator pack"):
        pack(tmp_path / "mine.zip")
    with pytest.raises(ConfigError, match="cannot be written"):
        pack(tmp_path / "no" / "folder.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip", "mine.zip"]


def test_a_python_without_packages_copies_with_the_file_alone(tmp_path: Path) -> None:
    packed = pack(tmp_path / "x.zip").path
    names = zipfile.ZipFile(packed).namelist()
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    program = (
        "import migrator_packed, sys, boto3, migrator.copying.batch_copier, migrator.workers.task\n"
        "import migrator.verifying.content_comparer\n"
        "from migrator.store import Store\n"
        "assert Store(endpoint_url='http://127.0.0.1:9').endpoint() is not None\n"
        "print(migrator.__file__, boto3.__file__)"
    )
    environ = {**os.environ, "PYTHONPATH": str(packed)}
    command = [str(tmp_path / "bare" / "bin" / "python"), "-c", program]
    for _ in range(2):
        done = subprocess.run(command, env=environ, cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout.count("x.zip.unpacked") == 2


def test_pack_says_what_to_do_next(tmp_path: Path) -> None:
    assert 'pack = "' in run("pack", "-o", tmp_path / "x.zip")
    told = json.loads(run("pack", "-o", tmp_path / "x.zip", "--json"))
    assert told["file"] == str(tmp_path / "x.zip") and told["bytes"] > 1_000_000
