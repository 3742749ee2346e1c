"""What a real migration shows while it runs: in a terminal, in a pipe, as JSON, and to Prometheus."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from e2e.faults import FaultProxy, first
from e2e.world import World
from progress.clock import Terminal

SLOW = ("--tps", "40")
"""The copies alone take five seconds, on the fastest machine."""
PATIENCE = 240


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[Any]]]:
    """Processes that a test starts. They end with it."""
    started: list[subprocess.Popen[Any]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start(*arguments: str | Path, **streams: Any) -> subprocess.Popen[str]:
    """Start the command line."""
    command = [sys.executable, "-m", "migrator", *map(str, arguments)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environ.pop("COLUMNS", None)
    return subprocess.Popen(command, env=environ, text=True, preexec_fn=_ready, **streams)


def _ready() -> None:
    """In the new process: Ctrl-C is not ignored, and a terminal that it has belongs to it, if it leads a session."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.getsid(0) == os.getpid():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def in_terminal(columns: int, *arguments: str | Path, stop: bool = False) -> tuple[Terminal, int]:
    """Run a command in a terminal to its end, or until it was interrupted during the copies."""
    terminal = Terminal(columns)
    streams = {"stdin": terminal.file, "stdout": terminal.file, "stderr": terminal.file}
    process = start(*arguments, **streams, start_new_session=True)
    terminal.hang_up()
    typed: list[str] = []

    def see(text: str) -> None:
        if stop and not typed and re.search(r"copying +\d+%", text):  # the bar, not the estimate in the plan
            typed.append("\x03")
            terminal.type("\x03")

    terminal.read(see)
    return terminal, process.wait(PATIENCE)


@pytest.mark.parametrize("columns", [80, 60])
def test_in_a_terminal_bars_fit_and_disappear(world: World, columns: int) -> None:
    terminal, code = in_terminal(columns, "migrate", world.plan(), "--yes", *SLOW)
    assert code == 0, terminal.written
    bars = [picture for picture in terminal.pictures if picture.startswith("copying ")]
    assert bars and all(len(bar) < columns for bar in bars)
    assert any("objects" in bar and "/s" in bar and bar.rstrip().endswith("left") for bar in bars), bars
    assert not any(line.startswith("copying ") or "█" in line for line in terminal.screen)
    assert any(line.startswith("Copied ") for line in terminal.screen)


def test_an_interruption_leaves_the_terminal_clean(world: World) -> None:
    terminal, code = in_terminal(80, "migrate", world.plan(), "--yes", *SLOW, stop=True)
    assert code == 130, terminal.written
    assert "^C" in terminal.written, "the terminal shows that, over the bar"
    left = [line for line in terminal.screen if line.startswith("copying ") or "█" in line or "^" in line]
    assert not left, terminal.written[-600:]
    assert terminal.screen[-2:] == ["Interrupted. Nothing is lost: run the same command again to continue.", ""]


def test_quiet_in_a_terminal(world: World) -> None:
    terminal, code = in_terminal(80, "migrate", world.plan(), "--yes", "--quiet")
    assert code == 0 and "\r" not in terminal.written.replace("\r\n", "\n")
    assert terminal.screen[0].startswith("Copied "), "neither the plan nor progress stands before the result"


def test_a_pipe_gets_plain_lines(world: World) -> None:
    """Ten seconds of copies: a line about them."""
    process = start("migrate", world.plan(), "--yes", "--tps", "10", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "\r" not in out + err and "\x1b" not in out + err
    lines = [line for line in err.splitlines() if line.startswith("copying: ")]
    assert any(" objects/s, " in line and line.endswith(" left") for line in lines), err
    assert any(line.startswith("copying: finished after ") for line in lines), err


# -- JSON --------------------------------------------------------------------------------------------------


def logged(text: str) -> list[dict[str, Any]]:
    """One JSON object for each line, and nothing else."""
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines_of_a_whole_migration(world: World) -> None:
    arguments = ("migrate", "--config", world.config, "--yes", "--json", "--log-format", "json")
    process = start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert json.loads(out)["ok"] is True
    found = logged(err)
    keys = {"time", "level", "event", "stage", "unit", "done", "total", "bytes", "rate", "seconds_left"}
    stages = [line for line in found if line["event"].startswith("stage_") or line["event"] == "progress"]
    assert all(keys <= line.keys() for line in stages) and {line["level"] for line in found} == {"info"}
    ended = {
        line["stage"]: (line["unit"], line["done"], line["total"]) for line in stages if "finished" in line["event"]
    }
    assert {line["stage"] for line in stages if line["event"] == "stage_started"} == ended.keys()
    units = {name: unit for name, (unit, _, _) in ended.items()}
    assert units["copying"] == "objects" and units["rewriting manifest"] == "manifests"
    assert units["reading the old tables"] == "snapshots" and units["verifying tables"] == "tables"
    assert units["checking the plan"] == "rows" and units["trying what is allowed"] is None
    assert not {name: of for name, of in ended.items() if of[2] is not None and of[1] != of[2]}, "all was counted"


def test_an_interruption_is_the_last_json_line(world: World, processes: list[subprocess.Popen[str]]) -> None:
    process = start("migrate", world.plan(), "--yes", *SLOW, "--log-format=json", stderr=subprocess.PIPE)
    processes.append(process)
    assert process.stderr is not None
    for line in process.stderr:
        found = json.loads(line)
        if (found["event"], found["stage"]) == ("stage_started", "copying"):
            break
    process.send_signal(signal.SIGINT)
    rest = logged(process.stderr.read())
    assert process.wait(PATIENCE) == 130
    assert ("stage_failed", "copying", "KeyboardInterrupt") in {
        (r["event"], r.get("stage"), r.get("error")) for r in rest
    }
    assert rest[-1]["event"] == "interrupted" and rest[-1]["next_move"].startswith("Run the same command again")


def test_an_error_is_json_with_its_next_move(world: World) -> None:
    plan = world.plan()
    with world.replaced("scripts", _some_key(world, "scripts"), b"changed"):
        result = world.run("migrate", plan, "--yes", "--log-format", "json", exit_code=4)
    error = logged(result.stderr)[-1]
    assert error["event"] == "error" and error["exit_code"] == 4 and "plan" in error["next_move"]


def _some_key(world: World, bucket: str) -> str:
    return str(world.client.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"])


# -- Prometheus --------------------------------------------------------------------------------------------


def metrics(path: Path) -> dict[tuple[str, str], float]:
    """(metric, stage or "") → value."""
    samples = [sample for family in text_string_to_metric_families(path.read_text()) for sample in family.samples]
    return {(s.name.removeprefix("migrator_"), s.labels.get("stage", "")): s.value for s in samples}


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until the condition is true, or the process has ended."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)


def test_metrics_of_a_running_migration_that_is_interrupted(
    world: World, processes: list[subprocess.Popen[str]]
) -> None:
    path, plan = world.folder / "migrator.prom", world.plan()
    arguments = ("migrate", plan, "--yes", "--tps", "2", "--quiet", "--metrics-file", path)
    process = start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    processes.append(process)
    wait_for(path.exists, process)
    # It is read many times, and is complete each time.
    wait_for(lambda: metrics(path).get(("stage_seconds_left", "copying"), 0) > 0, process)
    running = metrics(path)
    assert running["stage_info", "copying"] == 1 and ("run_success", "") not in running
    assert 0 < running["stage_objects_done", "copying"] < running["stage_objects_total", "copying"]
    assert running["stage_bytes_total", "copying"] > 0 and running["objects_per_second", ""] > 0
    assert f'plan="{plan}"' in path.read_text()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    ended = metrics(path)
    assert process.returncode == 130 and ended["run_success", ""] == 0
    assert ("stage_info", "copying") not in ended and ended["run_finished_timestamp_seconds", ""] > 1e9
    world.run("migrate", plan, "--yes", "--metrics-file", path)
    assert metrics(path)["run_success", ""] == 1 and metrics(path)["errors_total", ""] == 0


def test_metrics_of_a_migration_that_fails(world: World) -> None:
    path, plan = world.folder / "migrator.prom", world.plan()
    with world.replaced("bronze", _some_key(world, "bronze"), b"changed"):
        world.run("migrate", plan, "--yes", "--metrics-file", path, exit_code=4)
    found = metrics(path)
    assert found["run_success", ""] == 0 and found["errors_total", ""] == 1


def test_retries_are_counted_one_by_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of our own requests, and of those of boto3, in this process and in its children."""
    monkeypatch.setattr("migrator.copying.servers.BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    path = world.folder / "migrator.prom"
    with FaultProxy(world.server.endpoint_url) as proxy:
        plan = world.plan("plan.db", "--endpoint-url", proxy.url)
        proxy.reset()
        proxy.choose = first(7, "slow-down", lambda request: request.operation == "CopyObject" and request.by_us)
        world.run("migrate", plan, "--yes", "--no-cutover", "--metrics-file", path)
        assert proxy.counts["slow-down"] == 7 == metrics(path)["retries_total", ""]
        proxy.reset()
        proxy.choose = first(3, "slow-down", lambda request: request.operation == "ListObjectsV2" and not request.by_us)
        world.run("migrate", plan, "--yes", "--metrics-file", path)
        assert proxy.counts["slow-down"] == metrics(path)["retries_total", ""]


def test_metrics_of_the_passes_of_a_live_migration(world: World) -> None:
    path, plan = world.folder / "migrator.prom", world.plan()
    world.run("copy", plan, "--metrics-file", path)
    assert metrics(path)["run_success", ""] == 1 and metrics(path)["stage_objects_done", "copying"] > 0
    world.run("cutover", plan, "--yes", "--quiet-for", "0.1s", "--metrics-file", path)
    assert metrics(path)["run_success", ""] == 1 and ("stage_objects_done", "verifying tables") in metrics(path)
