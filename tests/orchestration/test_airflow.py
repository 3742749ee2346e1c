"""docs/examples/airflow on a real Airflow and a real S3 server. They run only if MIGRATOR_AIRFLOW_PYTHON names the
Python of an environment with Airflow 3.3 and the packages of migrator::

    python3 -m venv airflow && airflow/bin/pip install apache-airflow==3.3.2 .
    MIGRATOR_AIRFLOW_PYTHON=airflow/bin/python pytest tests/orchestration/test_airflow.py
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import lake, small_lake
from e2e.small_lake import TARGET, SmallLake, SqlTable
from e2e.test_repair import parquet_of
from migrator import api
from postgres import free_port

__all__ = ["lake", "small_lake"]  # fixtures

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "docs" / "examples" / "airflow"
PYTHON = os.environ.get("MIGRATOR_AIRFLOW_PYTHON", "")
PATIENCE = 600
real = pytest.mark.skipif(not PYTHON, reason="MIGRATOR_AIRFLOW_PYTHON names no Python with Airflow")


class Airflow:
    """An Airflow in its own folder, with an API server on the loopback interface."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__BASE_URL": self.url,
            "LAKE_PLANS": str(folder / "plans"),
        }
        self.command("db", "migrate")
        arguments = [PYTHON, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port), "-w", "1"]
        self.log = folder / "api-server.log"
        with self.log.open("w") as out:
            self._server = subprocess.Popen(arguments, env=self.environ, stdout=out, stderr=out, start_new_session=True)

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [PYTHON, "-m", "airflow", *arguments], env=self.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self) -> None:
        if self._server.poll() is None:
            os.killpg(self._server.pid, signal.SIGTERM)
            self._server.wait()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the API. Waits for the server to answer."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                token = json.loads(self._request("GET", "/auth/token", None, {}))["access_token"]
                return json.loads(self._request(method, path, body, {"Authorization": f"Bearer {token}"}))
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < until and self._server.poll() is None, self.log.read_text()
                time.sleep(0.5)

    def _request(self, method: str, path: str, body: Any, headers: dict[str, str]) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def run(self, dag_id: str, toml: Path, answer: str | None = None, *, choose: str = "Approve") -> dict[str, Any]:
        """Run a DAG. ``answer``: the digest that a person enters; "{digest}" is the one that the request shows."""
        result = self.folder / "result.json"
        log = self.folder / f"{dag_id}.log"
        environ = {**self.environ, "LAKE_TOML": str(toml)}
        with log.open("a") as out:
            running = subprocess.Popen(
                [PYTHON, str(Path(__file__).with_name("airflow_run.py")), dag_id, str(result)],
                env=environ,
                stdout=out,
                stderr=out,
            )
            if answer is not None:
                self._answer(running, answer, choose)
            assert running.wait(PATIENCE) == 0, log.read_text()
        found: dict[str, Any] = json.loads(result.read_text())
        return found

    def _answer(self, running: subprocess.Popen[bytes], digest: str, choose: str) -> None:
        """Answer the only request that waits for a person."""
        while True:
            waiting = self.ask("GET", "/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false")
            if waiting["hitl_details"]:
                break
            assert running.poll() is None, (self.folder / "move_lake.log").read_text()
            time.sleep(0.5)
        (asked,) = waiting["hitl_details"]
        shown = asked["body"].rpartition(": ")[2]
        task = asked["task_instance"]
        place = f"/api/v2/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}/-1"
        body = {"chosen_options": [choose], "params_input": {"digest": digest.format(digest=shown)}}
        self.ask("PATCH", f"{place}/hitlDetails", body)


@pytest.fixture
def airflow(lake: SmallLake, tmp_path: Path) -> Iterator[Airflow]:
    running = Airflow(tmp_path, free_port())
    try:
        yield running
    finally:
        running.close()


def pointers(lake: SmallLake) -> list[str]:
    return [one.pointer for one in lake.tables]


@real
@pytest.mark.timeout(1800)
def test_a_lake_is_moved_once_its_plan_is_approved_and_watched_afterwards(lake: SmallLake, airflow: Airflow) -> None:
    before = pointers(lake)
    others = airflow.run("move_lake", lake.config, "0" * 64)
    assert others["tasks"]["copy"] == "failed" and others["tasks"]["cutover"] == "upstream_failed"
    rejected = airflow.run("move_lake", lake.config, "{digest}", choose="Reject")
    assert {rejected["tasks"][name] for name in ("copy", "cutover", "verify")} == {"skipped"}
    assert pointers(lake) == before and not lake.listing(TARGET)
    moved = airflow.run("move_lake", lake.config, "{digest}")
    assert set(moved["tasks"].values()) == {"success"}, (airflow.folder / "move_lake.log").read_text()
    assert all(pointer.startswith(f"s3://{TARGET}/") for pointer in pointers(lake))
    airflow.run("lake_check", lake.config)
    quiet = airflow.run("lake_check", lake.config)
    assert quiet["tasks"] == {"something_new": "skipped", "tell": "skipped"}
    lake.put("gold", "late", parquet_of([7000]))
    assert isinstance(lake.tables[0], SqlTable)
    lake.tables[0].load().add_files(["s3://gold/late"])
    assert set(airflow.run("lake_check", lake.config)["tasks"].values()) == {"success"}
    assert "one.db.a" in (airflow.folder / "lake_check.log").read_text()
    assert airflow.run("lake_check", lake.config)["tasks"] == quiet["tasks"]
    logs = [path.read_text(errors="replace") for path in airflow.folder.rglob("*.log")]
    assert not any(lake.server.environ()["AWS_SECRET_ACCESS_KEY"] in log for log in logs)


def test_the_example_calls_what_the_library_has() -> None:
    """Also without Airflow: each function of migrator that the DAGs call exists, with these options."""
    tree = ast.parse((DAGS / "dag.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    ours = [call for call in calls if isinstance(call.func.value, ast.Name) and call.func.value.id == "api"]
    assert len(ours) >= 8
    for call in ours:
        signature = inspect.signature(getattr(api, call.func.attr))
        signature.bind(*call.args, **{keyword.arg: None for keyword in call.keywords})
