"""A cutover with a fence, on a real server: no policy of others is lost, and the old buckets can be used again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2e.small_lake import OLD, SmallLake
from migrator import api, migration
from migrator.cli import main
from migrator.config import load
from migrator.cutover.fence import SID
from migrator.errors import MigrationFailed, RetireRefused, RollbackRefused
from migrator.settings.compare import same_policy
from migrator.store import Store
from migrator.store.policies import read_policy, write_policy

THEIRS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::bronze/*",
            }
        ],
    }
)


@pytest.fixture
def store(lake: SmallLake) -> Store:
    store = Store(endpoint_url=lake.server.endpoint_url)
    write_policy(store, "bronze", THEIRS)
    write_policy(store, "gold", None)
    return store


@pytest.fixture
def plan(lake: SmallLake, store: Store, tmp_path: Path) -> Path:
    path = tmp_path / "p.db"
    assert not api.plan_lake(load(lake.config), path)["blocked"]
    return path


def fenced(store: Store) -> list[str]:
    return [bucket for bucket in OLD if SID in (read_policy(store, bucket) or "")]


def is_as_before(store: Store) -> bool:
    return same_policy(read_policy(store, "bronze"), THEIRS) and read_policy(store, "gold") is None


def test_the_fence_is_set_during_the_cutover(
    lake: SmallLake, store: Store, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    swap = migration.swap_pointers
    monkeypatch.setattr(migration, "swap_pointers", lambda run: (seen.append(fenced(store)), swap(run)))
    done = api.cutover_lake(plan, quiet_for=0, fence=api.FENCE)
    assert done.migration.ok and seen == [["bronze", "gold"]] and is_as_before(store)
    assert sorted(done.fence.given_back) == ["bronze", "gold"]
    log = api.plan_log(plan)
    assert log.intact and [e.event for e in log.entries if e.event.startswith("fence")] == [
        *["fence-set"] * 2,
        *["fence-lifted"] * 2,
    ]


def test_the_fence_goes_when_the_cutover_fails(store: Store, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(run: object) -> None:
        assert fenced(store) == ["bronze", "gold"]
        raise MigrationFailed("The swap failed.")

    monkeypatch.setattr(migration, "swap_pointers", fail)
    for how in (api.FENCE, api.FENCE_KEEP):
        with pytest.raises(MigrationFailed, match=r"The swap failed\."):
            api.cutover_lake(plan, quiet_for=0, fence=how)
        assert is_as_before(store)


def test_the_fence_is_kept_as_asked_until_it_is_lifted(store: Store, plan: Path) -> None:
    assert api.cutover_lake(plan, quiet_for=0, fence=api.FENCE_KEEP).fence.lines == []
    assert fenced(store) == ["bronze", "gold"]
    with pytest.raises(RetireRefused, match="--unfence"):
        api.retire_lake(plan, cooling="0")
    run = CliRunner().invoke(main, ["cutover", str(plan), "--unfence"])
    assert run.exit_code == 0 and "has its old policy again" in run.output and is_as_before(store)
    run = CliRunner().invoke(main, ["cutover", str(plan), "--unfence"])
    assert run.exit_code == 0 and "is fenced" in run.output
    api.retire_lake(plan, cooling="0")


@pytest.mark.parametrize("then", ["cutover", "cutover --fence", "rollback"])
def test_after_a_kill_the_next_command_gives_the_policies_back(
    store: Store, plan: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(migration, "swap_pointers", kill)
        patched.setattr(api, "lift_after", kill)
        with pytest.raises(Killed):
            api.cutover_lake(plan, quiet_for=0, fence=api.FENCE)
    assert fenced(store) == ["bronze", "gold"]
    if then == "rollback":
        done = api.rollback_lake(plan)
        assert done.nothing_to_do and len(done.fence) == 2
    else:
        options = ["--fence"] if "--fence" in then else []
        run = CliRunner().invoke(main, ["cutover", str(plan), "--quiet-for", "0", "--yes", *options])
        assert run.exit_code == 0, run.output
    assert is_as_before(store)


def test_a_rollback_gives_the_policies_back(store: Store, plan: Path, lake: SmallLake) -> None:
    api.cutover_lake(plan, quiet_for=0, fence=api.FENCE_KEEP)
    lake.tables[0].commit([7000])
    with pytest.raises(RollbackRefused):
        api.rollback_lake(plan)
    assert fenced(store) == ["bronze", "gold"]
    assert len(api.rollback_lake(plan, discard_newer=True).fence) == 2 and is_as_before(store)


def test_the_fence_does_not_stop_a_rollback_that_brings_commits_back(store: Store, plan: Path, lake: SmallLake) -> None:
    api.cutover_lake(plan, quiet_for=0, fence=api.FENCE_KEEP)
    lake.tables[0].commit([7000])
    with pytest.raises(RollbackRefused):
        api.rollback_lake(plan)
    assert fenced(store) == ["bronze", "gold"], "what changes nothing lifts no fence"
    done = api.rollback_lake(plan, bring_back=True)
    assert len(done.brought_back) == 1 and done.fence and is_as_before(store)
    assert 7000 in lake.read(lake.tables[0].pointer)


def test_a_changed_policy_is_left_alone_and_named(store: Store, plan: Path) -> None:
    api.cutover_lake(plan, quiet_for=0, fence=api.FENCE_KEEP)
    changed = json.loads(read_policy(store, "gold") or "")
    changed["Statement"].append(json.loads(THEIRS)["Statement"][0] | {"Resource": "arn:aws:s3:::gold/*"})
    write_policy(store, "gold", json.dumps(changed))
    run = CliRunner().invoke(main, ["cutover", str(plan), "--unfence", "--json"])
    assert run.exit_code == 3 and "was changed by somebody else" in json.loads(run.stdout)["fence"][1]
    assert fenced(store) == ["gold"]


def test_one_option_at_a_time(plan: Path) -> None:
    run = CliRunner().invoke(main, ["cutover", str(plan), "--fence", "--unfence"])
    assert run.exit_code == 2 and "Give one of" in run.output
