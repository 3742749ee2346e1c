"""Moves a data lake with migrator: plan, approval by a person, copy, cutover, verification; and watches it afterwards.

For Airflow 3.3. LAKE_TOML names the configuration, LAKE_PLANS the folder for plans: one that all workers
share, such as a volume.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, PokeReturnValue, Variable, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from migrator import api
from migrator.errors import MigrationFailed, MigratorError, StoreError, redacted
from migrator.progress import LoggingProgress

LAKE_TOML = os.environ.get("LAKE_TOML", "lake.toml")
PLANS = Path(os.environ.get("LAKE_PLANS", "plans")).resolve()
SEEN = "lake_check_seen"
"""The Airflow variable with what lake_check has told already."""

log = logging.getLogger("airflow.task")


@contextmanager
def told() -> Iterator[None]:
    """What stops migrator fails the task. The error says why and what to do next, without any password."""
    try:
        yield
    except MigratorError as error:
        worth_a_retry = isinstance(error, (StoreError, MigrationFailed))
        failed = AirflowException if worth_a_retry else AirflowFailException
        raise failed(redacted(str(error))) from None


def approved(plan: dict, approval: dict) -> str:
    """The path of the plan, if a person has approved this one, and nobody has replaced it since."""
    if approval["params_input"].get("digest") != plan["digest"]:
        raise AirflowFailException(f"The approval is for another plan than {plan['digest']}.")
    if api.show_plan(plan["path"])["first_digest"] != plan["digest"]:
        raise AirflowFailException(f"{plan['path']} is no longer the plan that was approved.")
    return plan["path"]


@dag(schedule=None, catchup=False, max_active_runs=1, tags=["migrator"])
def move_lake():
    @task
    def plan() -> dict:
        """Says what will be moved, and how. Changes nothing in the lake."""
        with told():
            settings = api.load_settings(LAKE_TOML)
            path = PLANS / api.default_plan_path(settings).name
            made = api.plan_lake(settings, path, progress=LoggingProgress(log))
            report = api.write_report(path)
        for finding in made["findings"]:
            log.warning("%(severity)s %(code)s: %(place)s %(message)s %(next_move)s", finding)
        if made["blocked"]:
            raise AirflowFailException(f"The plan is blocked. The findings are above, and in {report}.")
        copies = made["actions"]["copy"]
        summary = f"{len(made['tables'])} tables; {copies['objects']:,} objects to copy, {copies['bytes']:,} bytes"
        return {"path": str(path), "digest": made["digest"], "report": str(report), "summary": summary}

    @task(retries=3, retry_delay=timedelta(minutes=1))
    def copy(plan: dict, approval: dict) -> int:
        """Copies everything to the target, while the lake is in use. A retry goes on where it was."""
        log.info("Approved by %s", approval["responded_by_user"])
        with told():
            done = api.copy_lake(approved(plan, approval), progress=LoggingProgress(log))
        return done.outcome.copied

    @task
    def cutover(plan: dict, approval: dict) -> list[str]:
        """Makes the catalogs name the target, once nobody has written for ten seconds."""
        with told():
            done = api.cutover_lake(approved(plan, approval), progress=LoggingProgress(log))
        return done.migration.outcome.cut_over

    @task
    def verify(plan: dict, approval: dict) -> list[dict]:
        """Reads the target again: objects, files, paths and rows. Works with the old buckets gone."""
        with told():
            path = approved(plan, approval)
            found = api.verify_lake(path, progress=LoggingProgress(log))
            report = api.write_report(path)
        checks = [check.to_json() for check in found.checks]
        for check in checks:
            log.info("%(result)s: %(name)s; checked %(checked)s, failed %(failed)s, not compared %(reasons)s", check)
        if not found.ok:
            raise AirflowFailException(f"The target is not as expected. {report} names each difference.")
        return [
            {key: check[key] for key in ("name", "result", "checked", "failed", "not_compared")} for check in checks
        ]

    made = plan()
    approve = ApprovalOperator(
        task_id="approve",
        subject="Move the lake as planned?",
        body="{% set plan = ti.xcom_pull(task_ids='plan') %}{{ plan.summary }}\n\nReport: {{ plan.report }}\n\n"
        "To approve this plan, enter its digest: {{ plan.digest }}",
        params={"digest": Param("", type="string", title="Digest of the plan that you have read")},
        # assigned_users=[{"id": "anna", "name": "Anna"}],  # who may approve; else everybody who may answer
    )
    made >> approve
    copied, cut_over = copy(made, approve.output), cutover(made, approve.output)
    copied >> cut_over >> verify(made, approve.output)


@dag(schedule="@daily", catchup=False, max_active_runs=1, tags=["migrator"])
def lake_check():
    @task.sensor(poke_interval=3600, timeout=23 * 3600, mode="reschedule", soft_fail=True)
    def something_new() -> PokeReturnValue:
        """Waits until something is not as expected that was not told yet, such as a table that names an old bucket."""
        with told():
            lake = api.check_lake(api.load_settings(LAKE_TOML))
        seen = json.loads(Variable.get(SEEN, default="{}"))
        found = {f"{finding.code} {finding.place}": finding for finding in lake.failed}
        new = [finding for name, finding in found.items() if finding.count > seen.get(name, 0)]
        Variable.set(SEEN, json.dumps({name: finding.count for name, finding in found.items()}))
        lines = [redacted(f"{finding.place} {finding.message}. {finding.next_move}") for finding in new]
        return PokeReturnValue(is_done=bool(new), xcom_value=lines)

    @task
    def tell(lines: list[str]) -> None:
        """Tells the team. Send it where they read: Slack, e-mail, a ticket."""
        for line in lines:
            log.warning(line)

    tell(something_new())


move_lake()
lake_check()
