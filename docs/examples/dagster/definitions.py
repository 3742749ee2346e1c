"""Moves a data lake with migrator: plan, approval by a person, copy, cutover, verification; and watches it afterwards.

LAKE_TOML names the configuration, LAKE_PLANS the folder for plans: one that all runs share, such as a volume.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from migrator import api
from migrator.errors import MigrationFailed, MigratorError, StoreError, redacted
from migrator.progress import LoggingProgress

LAKE_TOML = os.environ.get("LAKE_TOML", "lake.toml")
PLANS = Path(os.environ.get("LAKE_PLANS", "plans")).resolve()


@contextmanager
def told() -> Iterator[None]:
    """What stops migrator becomes a failure of the step. It says why and what to do next, without any password."""
    try:
        yield
    except MigratorError as error:
        worth_a_retry = isinstance(error, (StoreError, MigrationFailed))
        raise dg.Failure(redacted(str(error)), allow_retries=worth_a_retry) from None


def report_of(plan: str) -> dg.MetadataValue:
    """The HTML report of a plan as it is now: a file beside the plan."""
    with told():
        return dg.MetadataValue.path(api.write_report(plan))


def table_of(rows: list[dict]) -> dg.MetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows]) if rows else dg.MetadataValue.text("none")


# -- plan and approval ------------------------------------------------------------------------------------


@dg.asset(check_specs=[dg.AssetCheckSpec("not_blocked", asset="lake_plan", blocking=True)])
def lake_plan(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """What will be moved, and how. Making a plan changes nothing in the lake."""
    with told():
        settings = api.load_settings(LAKE_TOML)
        path = PLANS / api.default_plan_path(settings).name
        plan = api.plan_lake(settings, path, progress=LoggingProgress(context.log))
    findings = [{key: finding[key] for key in ("severity", "code", "place", "message")} for finding in plan["findings"]]
    return dg.MaterializeResult(
        metadata={
            "plan": dg.MetadataValue.path(plan["plan"]),
            "digest": plan["digest"],  # what a person approves
            "report": report_of(plan["plan"]),
            "objects to copy": plan["actions"]["copy"]["objects"],
            "bytes to copy": plan["actions"]["copy"]["bytes"],
            "tables": len(plan["tables"]),
            "findings": table_of(findings),
        },
        check_results=[dg.AssetCheckResult(passed=not plan["blocked"], check_name="not_blocked")],
    )


class Approval(dg.ConfigurableResource):
    """A person's approval of one plan. Its digest is given when the job "move_lake" is launched."""

    digest: str

    def plan(self, context: dg.AssetExecutionContext) -> str:
        """The path of the approved plan. Raises Failure if that is not the newest plan, as it was when it was made."""
        newest = context.instance.get_latest_materialization_event(lake_plan.key)
        if newest is None or newest.asset_materialization is None:
            raise dg.Failure('There is no plan yet. Run the job "plan_lake".', allow_retries=False)
        metadata = newest.asset_materialization.metadata
        path, digest = str(metadata["plan"].value), str(metadata["digest"].value)
        if self.digest != digest:
            refused = f"The approval is for {self.digest!r}, and the newest plan is {digest}. Read its report first."
            raise dg.Failure(refused, allow_retries=False)
        if api.show_plan(path)["first_digest"] != digest:
            raise dg.Failure(f"{path} is no longer the plan that was approved. Plan again.", allow_retries=False)
        return path


# -- copy, cutover, verification --------------------------------------------------------------------------


@dg.asset(deps=[lake_plan], retry_policy=dg.RetryPolicy(max_retries=3, delay=60))
def lake_copy(context: dg.AssetExecutionContext, approval: Approval) -> dg.MaterializeResult:
    """Everything is at the target. The lake may be in use; run it as often as you like, it takes what is new."""
    with told():
        path = approval.plan(context)
        done = api.copy_lake(path, progress=LoggingProgress(context.log))
    return dg.MaterializeResult(
        metadata={
            "report": report_of(path),
            "objects copied": done.outcome.copied,
            "bytes copied": done.outcome.copied_bytes,
            "files rewritten": done.outcome.rewritten,
        }
    )


class Quiet(dg.Config):
    """How long nobody may have written before the cutover, and how long to wait for that. In seconds."""

    quiet_for: float = 10
    wait: float = 600


@dg.asset(deps=[lake_copy])
def lake_cutover(context: dg.AssetExecutionContext, approval: Approval, config: Quiet) -> dg.MaterializeResult:
    """The catalogs name the target. Stop the writers before."""
    with told():
        path = approval.plan(context)
        progress = LoggingProgress(context.log)
        done = api.cutover_lake(path, quiet_for=config.quiet_for, wait=config.wait, progress=progress)
    return dg.MaterializeResult(
        metadata={
            "report": report_of(path),
            "pointers changed": done.migration.outcome.pointers,
            "tables": table_of([{"table": name} for name in done.migration.outcome.cut_over]),
            "longest wait of a writer, in seconds": max(done.held_up.values(), default=0.0),
        }
    )


@dg.asset(
    deps=[lake_cutover],
    check_specs=[
        dg.AssetCheckSpec("nothing_differs", asset="lake_verification", blocking=True),
        dg.AssetCheckSpec("everything_compared", asset="lake_verification"),
    ],
)
def lake_verification(context: dg.AssetExecutionContext, approval: Approval) -> dg.MaterializeResult:
    """The target was read again: objects, files, paths and rows. Works with the old buckets gone."""
    with told():
        path = approval.plan(context)
        found = api.verify_lake(path, progress=LoggingProgress(context.log))
    checks = [check.to_json() for check in found.checks]
    numbers = [{key: c[key] for key in ("name", "result", "checked", "failed", "not_compared")} for c in checks]
    problems = [{"check": c["name"], "problem": problem} for c in checks for problem in c["problems"]]
    reasons = [{"check": c["name"], "reason": why, "count": n} for c in checks for why, n in c["reasons"].items()]
    return dg.MaterializeResult(
        metadata={"report": report_of(path), "result": found.result, "checks": table_of(numbers)},
        check_results=[
            dg.AssetCheckResult(
                passed=found.ok, check_name="nothing_differs", metadata={"problems": table_of(problems)}
            ),
            dg.AssetCheckResult(
                passed=not reasons,
                check_name="everything_compared",
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"not compared": table_of(reasons)},
            ),
        ],
    )


# -- afterwards: does anything still name an old bucket? --------------------------------------------------


class Findings(dg.Config):
    found: list[str]


@dg.op
def tell(context: dg.OpExecutionContext, config: Findings) -> None:
    """Tell the team what was found. Send it where they read: Slack, e-mail, a ticket."""
    for line in config.found:
        context.log.warning(line)
    context.log_event(dg.AssetObservation("lake_verification", metadata={"found since": "\n".join(config.found)}))


@dg.job
def tell_findings() -> None:
    tell()


@dg.sensor(job=tell_findings, minimum_interval_seconds=3600)
def lake_check(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Looks once an hour. The cursor holds what was found the last time: only what is new makes a run."""
    with told():
        lake = api.check_lake(api.load_settings(LAKE_TOML))
    found = {f"{finding.code} {finding.place}": finding for finding in lake.failed}
    seen = json.loads(context.cursor or "{}")
    new = [finding for name, finding in found.items() if finding.count > seen.get(name, 0)]
    cursor = json.dumps({name: finding.count for name, finding in found.items()})
    if not new:
        return dg.SensorResult(skip_reason=lake.result, cursor=cursor)
    lines = [redacted(f"{finding.place} {finding.message}. {finding.next_move}") for finding in new]
    config = dg.RunConfig({"tell": Findings(found=lines)})
    return dg.SensorResult(run_requests=[dg.RunRequest(run_config=config)], cursor=cursor)


defs = dg.Definitions(
    assets=[lake_plan, lake_copy, lake_cutover, lake_verification],
    jobs=[
        dg.define_asset_job("plan_lake", [lake_plan]),
        dg.define_asset_job("move_lake", [lake_copy, lake_cutover, lake_verification]),
        tell_findings,
    ],
    sensors=[lake_check],
    resources={"approval": Approval.configure_at_launch()},
)
