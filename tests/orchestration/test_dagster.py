"""docs/examples/dagster on a real Dagster and a real S3 server: what is moved, and what is not without an approval."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from e2e.conftest import lake, small_lake
from e2e.small_lake import OLD, TARGET, SmallLake, SqlTable
from e2e.test_repair import parquet_of
from migrator import api
from migrator.catalogs.sql import SqlCatalog
from migrator.errors import CatalogError, Unreachable
from orchestration.example import load, move_lake

__all__ = ["lake", "small_lake"]  # fixtures


MOVED = ["lake_copy", "lake_cutover", "lake_verification"]
IN_PROCESS = {"execution": {"config": {"in_process": {}}}}


class Project:
    """The example, with an instance of Dagster that keeps its runs in a folder."""

    def __init__(self, lake: SmallLake, instance: dg.DagsterInstance) -> None:
        self.lake, self.instance = lake, instance
        self.module = load()

    def plan(self) -> Any:
        """Run the job "plan_lake"."""
        job = self.module.defs.resolve_job_def("plan_lake")
        return job.execute_in_process(instance=self.instance, raise_on_error=False)

    def move(
        self, digest: str, only: str | None = None, *, after: Any = None, executor: Any = IN_PROCESS
    ) -> dg.JobExecutionResult:
        """Run the job "move_lake". ``only``: this asset alone. ``after``: again, from where this run failed."""
        config = {**executor, "resources": {"approval": {"config": {"digest": digest}}}}
        if only in (None, "lake_cutover"):
            config["ops"] = {"lake_cutover": {"config": {"quiet_for": 0}}}
        again = dg.ReexecutionOptions.from_failure(after.run_id, self.instance) if after else None
        return dg.execute_job(
            dg.reconstructable(move_lake),
            self.instance,
            run_config=config,
            asset_selection=[dg.AssetKey(only)] if only else None,
            reexecution_options=again,
        )

    def look(self, cursor: str | None) -> Any:
        """One tick of the sensor."""
        with dg.build_sensor_context(self.instance, cursor=cursor) as context:
            return self.module.lake_check.evaluate_tick(context)

    def stored(self) -> str:
        """All that Dagster has stored of all runs, as one text."""
        runs = self.instance.get_runs()
        events = [repr(event) for run in runs for event in self.instance.all_logs(run.run_id)]
        return "\n".join([*map(repr, runs), *events])


def metadata(result: Any, asset: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(asset)
    return {key: value.value for key, value in event.metadata.items()}


def table(value: Any) -> list[dict[str, Any]]:
    return [dict(record.data) for record in value.records]


def checks(result: Any) -> dict[str, Any]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def evaluated(result: Any) -> dict[str, bool]:
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    found = [event.event_specific_data for event in result.all_events if event.event_type == kind]
    return {one.check_name: one.passed for one in found}


def failure(result: Any) -> str:
    """The error of the step that failed."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.event_specific_data.user_failure_data.description)


def succeeded(result: Any) -> list[str]:
    return [event.step_key for event in result.all_events if event.is_step_success]


@pytest.fixture
def project(lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("LAKE_TOML", str(lake.config))
    monkeypatch.setenv("LAKE_PLANS", str(tmp_path / "plans"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    # The processes of the steps import without the first folder, which Dagster takes for that of a script.
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.get() as instance:
        yield Project(lake, instance)


@pytest.fixture
def plan(project: Project) -> dict[str, Any]:
    """The metadata of a plan that was made."""
    return metadata(project.plan(), "lake_plan")


def pointers(lake: SmallLake) -> list[str]:
    return [one.pointer for one in lake.tables]


def rows(lake: SmallLake) -> dict[str, frozenset[int]]:
    return {one.name: lake.read(one.pointer) for one in lake.tables}


def fails_once(function: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """The function, which raises this error at its first call."""
    left = [error]

    def called(*arguments: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return function(*arguments, **options)

    return called


def test_a_lake_is_moved_step_by_step_each_in_a_process_of_its_own(project: Project) -> None:
    lake, before = project.lake, rows(project.lake)
    made = project.plan()
    plan = metadata(made, "lake_plan")
    assert made.success and evaluated(made) == {"not_blocked": True}
    assert plan["objects to copy"] == 8 and plan["tables"] == 3 and len(plan["digest"]) == 64
    done = project.move(plan["digest"], executor={})
    assert done.success and evaluated(done) == {"nothing_differs": True, "everything_compared": True}
    assert metadata(done, "lake_copy")["objects copied"] == 8
    assert metadata(done, "lake_cutover")["pointers changed"] == 3
    assert metadata(done, "lake_cutover")["report"] == plan["report"] == str(Path(plan["plan"]).with_suffix(".html"))
    assert all(pointer.startswith(f"s3://{TARGET}/") for pointer in pointers(lake)) and rows(lake) == before
    assert "copying: " in project.stored()  # the progress
    for bucket in OLD:
        lake.empty(bucket)
        lake.client.delete_bucket(Bucket=bucket)
    again = project.move(plan["digest"], "lake_verification")
    assert again.success and evaluated(again) == {"nothing_differs": True, "everything_compared": True}
    numbers = table(metadata(again, "lake_verification")["checks"])
    assert len(numbers) >= 5 and all(
        one["result"] == "same" and one["checked"] and not one["failed"] for one in numbers
    )
    lake.put(TARGET, "bronze/plain/b", b"broken")
    broken = project.move(plan["digest"], "lake_verification")
    assert not broken.success and evaluated(broken) == {"nothing_differs": False, "everything_compared": True}
    assert sum(one["failed"] for one in table(metadata(broken, "lake_verification")["checks"])) == 1
    assert lake.server.environ()["AWS_SECRET_ACCESS_KEY"] not in project.stored()


def test_nothing_is_copied_or_cut_over_without_the_approval_of_the_newest_plan(
    project: Project, plan: dict[str, Any]
) -> None:
    before = pointers(project.lake)
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.execute_job(dg.reconstructable(move_lake), project.instance, run_config=IN_PROCESS)
    newest = metadata(project.plan(), "lake_plan")
    for digest in ("", plan["digest"], newest["digest"][:-1]):
        for only in (None, "lake_cutover"):
            refused = project.move(digest, only)
            assert f"the newest plan is {newest['digest']}" in failure(refused) and not succeeded(refused)
    Path(newest["plan"]).rename(f"{newest['plan']}.kept")
    shutil.copy(plan["plan"], newest["plan"])
    assert "no longer the plan that was approved" in failure(project.move(newest["digest"]))
    shutil.copy(f"{newest['plan']}.kept", newest["plan"])
    with closing(sqlite3.connect(newest["plan"])) as db, db:
        db.execute("UPDATE objects SET target = 'elsewhere' WHERE action = 'copy'")
    assert "edited" in failure(project.move(newest["digest"]))
    assert pointers(project.lake) == before and not project.lake.listing(TARGET)


def test_a_blocked_plan_fails_its_check_and_is_not_carried_out(project: Project) -> None:
    before = pointers(project.lake)
    project.lake.put(TARGET, "gold/d", b"of somebody else")
    made = project.plan()
    assert not made.success and evaluated(made) == {"not_blocked": False}
    plan = metadata(made, "lake_plan")
    assert any(finding["severity"] == "block" for finding in table(plan["findings"]))
    refused = project.move(plan["digest"])
    assert "block" in failure(refused) and pointers(project.lake) == before


def test_the_approval_holds_while_the_lake_is_in_use(project: Project, plan: dict[str, Any]) -> None:
    """Each pass makes the plan anew, of the same tables."""
    assert project.move(plan["digest"], "lake_copy").success
    project.lake.tables[0].commit([5000])
    expected = rows(project.lake)
    assert project.move(plan["digest"]).success
    assert rows(project.lake) == expected and pointers(project.lake)[0].startswith(f"s3://{TARGET}/")
    described = api.show_plan(plan["plan"])
    assert described["first_digest"] == plan["digest"] != described["digest"]


def test_a_run_that_failed_during_the_cutover_continues_there(
    project: Project, plan: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, said = rows(project.lake), "refused by postgresql://lake:hunter2@catalog/iceberg"
    swap = SqlCatalog.repoint

    def refused(self: SqlCatalog, *arguments: Any) -> None:
        if self.name == "two":
            raise CatalogError(said, next_move="Try again.")
        swap(self, *arguments)

    monkeypatch.setattr(SqlCatalog, "repoint", refused)
    failed = project.move(plan["digest"])
    assert succeeded(failed) == ["lake_copy"] and "Try again." in failure(failed)
    assert "refused by postgresql://***@catalog" in project.stored() and "hunter2" not in project.stored()
    monkeypatch.setattr(SqlCatalog, "repoint", swap)
    done = project.move(plan["digest"], after=failed)
    assert done.success and succeeded(done) == MOVED[1:] and evaluated(done)["nothing_differs"]
    assert rows(project.lake) == expected and all(one.startswith(f"s3://{TARGET}/") for one in pointers(project.lake))


def test_a_server_that_does_not_answer_is_tried_again(
    project: Project, plan: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "copy_lake", fails_once(api.copy_lake, Unreachable("The server does not answer.")))
    done = project.move(plan["digest"], "lake_copy")
    assert done.success and any(event.is_step_up_for_retry for event in done.all_events)


def commit_in_an_old_bucket(lake: SmallLake, number: int) -> None:
    """As a writer that had the old table in its cache."""
    stale, late = lake.tables[number], f"late-{number}.parquet"
    assert isinstance(stale, SqlTable)
    lake.put("gold", late, parquet_of([7000]))
    stale.load().add_files([f"s3://gold/{late}"])


def test_the_sensor_tells_each_finding_once(project: Project, plan: dict[str, Any]) -> None:
    assert project.move(plan["digest"]).success
    first = project.look(None)
    still = project.look(first.cursor)
    assert not still.run_requests and still.skip_message
    cursor = still.cursor
    for number, name in enumerate(("one.db.a", "two.db.b")):
        commit_in_an_old_bucket(project.lake, number)
        new = project.look(cursor)
        (request,) = new.run_requests
        (line,) = request.run_config["ops"]["tell"]["config"]["found"]
        assert name in line and "gold" in line
        told = project.module.defs.resolve_job_def("tell_findings").execute_in_process(
            run_config=request.run_config, instance=project.instance
        )
        assert told.success and line in project.stored()
        cursor = new.cursor
        assert not project.look(cursor).run_requests
