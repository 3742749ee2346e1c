"""docs/examples/dagster on a real Dagster and a real S3 server: what is moved, and what is not without an approval."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest

from e2e.conftest import lake, small_lake
from e2e.small_lake import OLD, TARGET, SmallLake
from migrator import api
from migrator.errors import Unreachable

__all__ = ["lake", "small_lake"]  # fixtures

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "dagster" / "definitions.py"
MOVED = ["lake_copy", "lake_cutover", "lake_verification"]
SECRET = "catalog-password-never-shown"


def load() -> ModuleType:
    """The example's module, read anew, as Dagster reads it at its start."""
    spec = importlib.util.spec_from_file_location("definitions", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def move_lake() -> dg.JobDefinition:
    """For Dagster, which makes the job anew from this function."""
    return load().defs.resolve_job_def("move_lake")


class Project:
    """The example, with an instance of Dagster that keeps its runs in a folder."""

    def __init__(self, lake: SmallLake, folder: Path, instance: dg.DagsterInstance) -> None:
        self.lake, self.folder, self.instance = lake, folder, instance
        self.module = load()

    def plan(self) -> dict[str, Any]:
        """Run the job "plan_lake", and return the metadata of the plan."""
        result = self.module.defs.resolve_job_def("plan_lake").execute_in_process(
            instance=self.instance, raise_on_error=False
        )
        assert result.success
        return metadata(result, "lake_plan")

    def move(self, digest: str, *, after: str | None = None) -> dg.JobExecutionResult:
        """Run the job "move_lake". ``after``: again, from where this run failed."""
        config = {
            "execution": {"config": {"in_process": {}}},
            "resources": {"approval": {"config": {"digest": digest}}},
            "ops": {"lake_cutover": {"config": {"quiet_for": 0}}},
        }
        again = dg.ReexecutionOptions.from_failure(after, self.instance) if after else None
        return dg.execute_job(
            dg.reconstructable(move_lake),
            self.instance,
            run_config=None if again else config,
            reexecution_options=again,
            raise_on_error=False,
        )

    def said(self) -> str:
        """All that Dagster has stored of all runs, as one text."""
        runs = self.instance.get_runs()
        events = [repr(event) for run in runs for event in self.instance.all_logs(run.run_id)]
        return "\n".join([*map(repr, runs), *events])


def metadata(result: Any, asset: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(asset)
    return {key: value.value for key, value in event.metadata.items()}


def checks(result: Any) -> dict[str, bool]:
    return {one.check_name: one.passed for one in evaluations(result)}


def evaluations(result: Any) -> list[Any]:
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    return [event.event_specific_data for event in result.all_events if event.event_type == kind]


def failure(result: Any) -> str:
    """The message of the one step that failed."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.event_specific_data.user_failure_data.description)


def succeeded(result: Any) -> list[str]:
    return [event.step_key for event in result.all_events if event.is_step_success]


@pytest.fixture
def project(lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("LAKE_TOML", str(lake.config))
    monkeypatch.setenv("LAKE_PLANS", str(tmp_path / "plans"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.get() as instance:
        yield Project(lake, tmp_path, instance)


def pointers(lake: SmallLake) -> list[str]:
    return [table.pointer for table in lake.tables]


def test_whole(project: Project) -> None:
    plan = project.plan()
    print(plan)
    before = pointers(project.lake)
    for digest in ("", "0" * 64):
        refused = project.move(digest)
        print(failure(refused))
        assert not refused.success
    done = project.move(plan["digest"])
    assert done.success, [e for e in done.all_events if e.is_failure]
    for a in MOVED:
        print(metadata(done, a))
    print(checks(done))


@pytest.fixture(autouse=True)
def _report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the package has it."""

    def write_report(plan: str) -> Path:
        path = Path(plan).with_suffix(".html")
        path.write_text("<!doctype html>")
        return path

    if not hasattr(api, "write_report"):
        monkeypatch.setattr(api, "write_report", write_report, raising=False)
