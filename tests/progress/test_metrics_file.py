"""The file that the node exporter reads."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from migrator.errors import ConfigError
from migrator.progress.counts import RETRIES
from migrator.progress.metrics_file import MetricsFile
from progress.clock import Clock

PLAN = {"plan": "plans/lake.db"}
Values = dict[tuple[str, str], float]


def read(path: Path) -> Values:
    """(metric, stage or "") → value. Every sample has the label of the plan."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            assert sample.labels["plan"] == PLAN["plan"]
            found[sample.name.removeprefix("migrator_"), sample.labels.get("stage", "")] = sample.value
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "migrator.prom"


@pytest.fixture
def metrics(path: Path, clock: Clock) -> MetricsFile:
    metrics = MetricsFile(path, PLAN["plan"], clock=clock, now=lambda: 1_800_000_000.5)
    metrics.ticking = False
    return metrics


def test_before_the_first_stage_there_is_a_file(metrics: MetricsFile, path: Path) -> None:
    assert read(path) == {("retries_total", ""): 0, ("errors_total", ""): 0}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_everybody_may_read_it_whatever_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        MetricsFile(path, "p")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_stage_under_way(metrics: MetricsFile, path: Path, clock: Clock) -> None:
    with metrics.stage("copying", objects=1000, size=50_000, unit="objects") as stage:
        for _ in range(10):
            clock.now += 1
            stage.advance(20, 1000)
        RETRIES.add(3)
        stage.failed(2)
        metrics.goes_on(metrics._open[0])
        assert read(path) == {
            ("stage_info", "copying"): 1,
            ("stage_objects_done", "copying"): 200,
            ("stage_objects_total", "copying"): 1000,
            ("stage_bytes_done", "copying"): 10_000,
            ("stage_bytes_total", "copying"): 50_000,
            ("stage_seconds_left", "copying"): 40,
            ("objects_per_second", ""): 20,
            ("bytes_per_second", ""): 1000,
            ("retries_total", ""): 3,
            ("errors_total", ""): 2,
        }
        assert 'migrator_stage_info{plan="plans/lake.db",stage="copying",unit="objects"} 1.0' in path.read_text()
    with metrics.stage("verifying tables", objects=7, unit="tables"):
        found = read(path)
    assert found["stage_info", "verifying tables"] == 1 and ("stage_info", "copying") not in found
    assert found["stage_objects_done", "copying"] == 200 and found["stage_objects_total", "verifying tables"] == 7
    assert ("stage_seconds_left", "verifying tables") not in found and (
        "stage_bytes_done",
        "verifying tables",
    ) not in found
    assert found["errors_total", ""] == 2


def test_what_is_not_known_is_not_invented(metrics: MetricsFile, path: Path, clock: Clock) -> None:
    with metrics.stage("trying what is allowed", unit=""):
        assert read(path).keys() == {
            ("stage_info", "trying what is allowed"),
            ("retries_total", ""),
            ("errors_total", ""),
        }
    with metrics.stage("listing the target", unit="objects") as stage:
        for _ in range(10):
            clock.now += 1
            stage.advance(5)
        found = read(path)
    assert ("stage_objects_total", "listing the target") not in found
    assert ("stage_seconds_left", "listing the target") not in found


def test_a_stage_that_comes_again_begins_again_and_keeps_its_errors(metrics: MetricsFile, path: Path) -> None:
    for _ in range(2):
        with metrics.stage("copying", objects=5) as stage:
            stage.advance(2)
            stage.failed()
    found = read(path)
    assert found["stage_objects_done", "copying"] == 2 and found["errors_total", ""] == 2


@pytest.mark.parametrize("success", [True, False])
def test_the_end(metrics: MetricsFile, path: Path, success: bool) -> None:
    metrics.stage("copying", objects=5).__enter__()
    metrics.finish(success=success)
    found = read(path)
    assert found["run_success", ""] == success and found["run_finished_timestamp_seconds", ""] == 1_800_000_000.5
    assert ("stage_info", "copying") not in found and found["stage_objects_done", "copying"] == 0


def test_it_is_written_every_few_seconds_only(
    metrics: MetricsFile, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    replace = metrics._replace
    monkeypatch.setattr(metrics, "_replace", lambda: (written.append(clock.now), replace()))
    with metrics.stage("copying", objects=10_000) as stage:
        for _ in range(100):
            clock.now += 0.125
            stage.advance()
    assert written == [0, 5, 10, 12.5]


def test_the_file_is_always_whole(metrics: MetricsFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another file each time, put in place by renaming, and its name before that is none that is read."""
    inodes, names = set(), []
    rename = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (names.append(self.name), rename(self, to))[1])
    with path.open() as held:
        before = held.read()
        with metrics.stage("copying", objects=3):
            inodes.add(path.stat().st_ino)
        held.seek(0)
        assert held.read() == before and path.read_text() != before
    assert not any(name.endswith(".prom") for name in names) and len(names) == 2
    assert [each.name for each in path.parent.iterdir()] == ["migrator.prom"]


def test_a_full_disk_during_a_run_does_not_end_it(
    metrics: MetricsFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as during:
        during.setattr(Path, "write_bytes", full)
        with metrics.stage("copying", objects=3) as stage:
            stage.advance(3)
    assert metrics.trouble is not None and metrics.trouble.errno == 28
    metrics.finish(success=True)
    assert read(path)["stage_objects_done", "copying"] == 3 and read(path)["run_success", ""] == 1
    assert [each.name for each in path.parent.iterdir()] == ["migrator.prom"]


@pytest.mark.parametrize("name", ["nowhere/migrator.prom", "a-folder.prom"])
def test_a_path_that_cannot_be_written_is_an_error_before_anything_starts(tmp_path: Path, name: str) -> None:
    (tmp_path / "a-folder.prom").mkdir()
    with pytest.raises(ConfigError, match=r"--metrics-file .*\.prom cannot be written: ") as raised:
        MetricsFile(tmp_path / name, "p")
    assert raised.value.next_move and not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_a_name_that_the_node_exporter_does_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only files that end in") as raised:
        MetricsFile(tmp_path / "migrator.txt", "p")
    assert "migrator.prom" in raised.value.next_move and not list(tmp_path.iterdir())


def test_without_the_library(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match="prometheus_client") as raised:
        MetricsFile(path, "p")
    assert raised.value.next_move == "pip install 'lake-migrator[metrics]'" and not path.exists()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing(metrics: MetricsFile, path: Path, clock: Clock) -> None:
    with metrics.stage('a "stage"\nwith \\ odd characters', objects=1000, size=50_000) as stage:
        for _ in range(10):
            clock.now += 1
            stage.advance(20, 1000)
        text = path.read_text()
    metrics.finish(success=True)
    for each in (text, path.read_text()):
        done = subprocess.run(["promtool", "check", "metrics"], input=each, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and not done.stdout + done.stderr, done.stdout + done.stderr
