"""The fence of a cutover: set, removed, and left alone if somebody else has changed the policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.core import set_initial_no_auth_action_count

from e2e.crashes import die_at
from migrator import api
from migrator.cutover import fence as fences
from migrator.cutover.fence import (
    SID,
    Fenced,
    check_no_fence,
    fences_on,
    lift_fence,
    plan_fence,
    set_fence,
)
from migrator.errors import MigrationFailed, RetireRefused, StoreError, Unreachable
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.settings.compare import same_policy
from migrator.settings.policies import MAX_BYTES
from migrator.store import Content, Store
from migrator.store.policies import read_policy, write_policy
from plan.handmade import LAYOUT, LOCATION, Named, data_file, planned, table

OTHERS: dict[str, Any] = {
    "Version": "2012-10-17",
    "Id": "theirs",
    "Statement": [
        {
            "Sid": "Read",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": ["s3:GetObject"],
            "Resource": ["arn:aws:s3:::bronze/*"],
        }
    ],
}
THEIRS = json.dumps(OTHERS)


@pytest.fixture
def lake(mock_store: Store) -> Store:
    for bucket in ("bronze", "warehouse", "data-lake"):
        mock_store.create_bucket(bucket)
    write_policy(mock_store, "bronze", THEIRS)
    return mock_store


@pytest.fixture
def plan(lake: Store, tmp_path: Path) -> Iterator[PlanFile]:
    planned(lake, tmp_path, layout=LAYOUT)
    with PlanFile.open(tmp_path / "plan.db") as plan:
        yield plan


@pytest.fixture
def journal(plan: PlanFile) -> Journal:
    return Journal(plan)


def raise_fence(plan: PlanFile, store: Store, journal: Journal) -> None:
    set_fence(store, journal, plan_fence(plan, store, journal))


def statements(store: Store, bucket: str) -> list[dict[str, Any]]:
    return list(json.loads(read_policy(store, bucket) or '{"Statement": []}')["Statement"])


def is_as_before(store: Store) -> bool:
    return same_policy(read_policy(store, "bronze"), THEIRS) and read_policy(store, "warehouse") is None


def events(journal: Journal) -> list[str]:
    return [event["event"] for event in journal.events() if event["event"].startswith("fence")]


def test_a_fence_keeps_what_the_policy_had_and_adds_one_denial(plan: PlanFile, lake: Store, journal: Journal) -> None:
    raise_fence(plan, lake, journal)
    theirs, ours = statements(lake, "bronze")
    assert theirs["Sid"] == "Read" and json.loads(read_policy(lake, "bronze") or "")["Id"] == "theirs"
    assert ours == statements(lake, "warehouse")[0] | {"Resource": ["arn:aws:s3:::bronze/*"]}
    assert (ours["Sid"], ours["Effect"], ours["Principal"]) == (SID, "Deny", "*")
    assert set(ours["Action"]) == {"s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"}
    assert read_policy(lake, "data-lake") is None
    with pytest.raises(RetireRefused, match="--unfence"):
        check_no_fence(journal, plan)
    lifted = lift_fence(lake, journal)
    assert sorted(lifted.given_back) == ["bronze", "warehouse"] and not lifted.still_on and len(lifted.lines) == 2
    assert is_as_before(lake) and not fences_on(journal)
    assert events(journal) == ["fence-set"] * 2 + ["fence-lifted"] * 2
    assert lift_fence(lake, journal).lines == []
    check_no_fence(journal, plan)


def test_a_wave_fences_its_own_folders_only(lake: Store, tmp_path: Path) -> None:
    table(lake, data_file(lake, f"{LOCATION}/data/a.parquet"))
    planned(lake, tmp_path, Named(f"{LOCATION}/metadata/00000-a.metadata.json"), only=("db.t0",))
    with PlanFile.open(tmp_path / "plan.db") as plan:
        (only,) = plan_fence(plan, lake, Journal(plan))
    assert only.bucket == "bronze" and json.loads(only.fenced)["Statement"][-1]["Resource"] == [
        "arn:aws:s3:::bronze/t/*"
    ]


@pytest.mark.parametrize("requests", range(6))
def test_killed_before_any_request_the_next_command_gives_the_old_policy_back(
    plan: PlanFile, lake: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch, requests: int
) -> None:
    """The requests: each bucket's policy is set and read back; then each old policy is restored."""
    wanted = plan_fence(plan, lake, journal)
    with monkeypatch.context() as patched:
        die_at(patched, requests + 1, (fences, "write_policy"))
        with suppress(KeyboardInterrupt):
            set_fence(lake, journal, wanted)
            lift_fence(lake, journal)
    lifted = lift_fence(lake, journal)
    assert is_as_before(lake) and not fences_on(journal) and not lifted.changed
    raise_fence(plan, lake, journal)
    assert len(fences_on(journal)) == 2


def test_a_fence_that_cannot_be_lifted_after_an_error_is_told(
    plan: PlanFile, lake: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server sets the policy, and then answers nothing about it: the command ends with the fence on."""
    wanted = plan_fence(plan, lake, journal)

    def refused(store: Store, bucket: str) -> None:
        raise StoreError(f"s3://{bucket}: access denied")

    with monkeypatch.context() as patched:
        patched.setattr(fences, "read_policy", refused)
        with pytest.raises(StoreError, match="access denied") as caught:
            set_fence(lake, journal, wanted)
    assert "fence may still be on" in caught.value.next_move
    assert f"migrator cutover {plan.path} --unfence" in caught.value.next_move and fences_on(journal)
    lift_fence(lake, journal)
    assert is_as_before(lake)


def test_a_fence_that_cannot_be_lifted_after_a_cutover_does_not_hide_the_cutover(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise StoreError("access denied")

    monkeypatch.setattr(api, "unfence_lake", refused)
    told = pytest.raises(StoreError, match="The cutover is done, but the fence may still be on: access denied")
    with told as caught, api._fenced("p.db", None, True, None):
        pass
    assert caught.value.next_move.endswith("migrator cutover p.db --unfence")


def test_ctrl_c_while_it_is_set_gives_the_old_policies_back(
    plan: PlanFile, lake: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(store: Store, bucket: str, policy: str | None) -> None:
        write_policy(store, bucket, policy)
        if "MigratorFence" in (policy or ""):
            raise KeyboardInterrupt

    wanted = plan_fence(plan, lake, journal)
    monkeypatch.setattr(fences, "write_policy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        set_fence(lake, journal, wanted)
    assert is_as_before(lake) and not fences_on(journal)


def test_a_fence_that_was_left_on_is_kept_and_completed(plan: PlanFile, lake: Store, journal: Journal) -> None:
    first, _ = plan_fence(plan, lake, journal)
    set_fence(lake, journal, [first])
    raise_fence(plan, lake, journal)
    assert events(journal) == ["fence-set"] * 2
    assert [len(statements(lake, bucket)) for bucket in ("bronze", "warehouse")] == [2, 1]
    lift_fence(lake, journal)
    assert is_as_before(lake)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_policy_that_somebody_has_changed_is_left_alone(
    plan: PlanFile, lake: Store, journal: Journal, keeps: bool
) -> None:
    raise_fence(plan, lake, journal)
    fence = statements(lake, "bronze")[-1:] if keeps else []
    changed = json.dumps({**OTHERS, "Statement": [{**OTHERS["Statement"][0], "Sid": "New"}, *fence]})
    write_policy(lake, "bronze", changed)
    lifted = lift_fence(lake, journal)
    assert lifted.given_back == ["warehouse"] and lifted.changed == {"bronze": keeps}
    assert any("changed by somebody else" in text for text in lifted.lines)
    assert same_policy(read_policy(lake, "bronze"), changed)
    assert [f.bucket for f in fences_on(journal)] == lifted.still_on == (["bronze"] if keeps else [])
    if keeps:
        write_policy(lake, "bronze", THEIRS)  # the user removes the statement
        assert not lift_fence(lake, journal).still_on and not fences_on(journal)


def test_a_fence_of_somebody_else_stops_it(plan: PlanFile, lake: Store, journal: Journal) -> None:
    raise_fence(plan, lake, journal)
    foreign = read_policy(lake, "warehouse")
    lift_fence(lake, journal)
    write_policy(lake, "warehouse", foreign)
    with pytest.raises(MigrationFailed, match="already has a statement MigratorFence"):
        plan_fence(plan, lake, journal)


def test_a_policy_that_would_be_too_large(plan: PlanFile, lake: Store, journal: Journal) -> None:
    many = [f"arn:aws:s3:::bronze/{number:05}/*" for number in range(MAX_BYTES // 31)]
    large = {**OTHERS, "Statement": [{**OTHERS["Statement"][0], "Resource": many}]}
    write_policy(lake, "bronze", json.dumps(large))
    with pytest.raises(MigrationFailed, match=r"bytes with the fence; S3 accepts 20,480"):
        plan_fence(plan, lake, journal)
    assert not fences_on(journal)


def test_a_server_that_does_not_keep_policies(
    plan: PlanFile, lake: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fences, "write_policy", lambda *_: None)
    with pytest.raises(StoreError, match="does not keep the policy"):
        raise_fence(plan, lake, journal)
    assert not fences_on(journal) and is_as_before(lake)


def test_when_one_bucket_fails_the_others_are_given_back(
    plan: PlanFile, lake: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(store: Store, bucket: str, policy: str | None) -> None:
        if bucket == "warehouse":
            raise Unreachable("s3://warehouse: no answer.")
        write_policy(store, bucket, policy)

    with monkeypatch.context() as patched:
        patched.setattr(fences, "write_policy", write)
        with pytest.raises(Unreachable):
            raise_fence(plan, lake, journal)
    assert is_as_before(lake) and not fences_on(journal)


def test_the_journal_has_the_old_policy_before_the_new_one_is_set(
    plan: PlanFile, lake: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Fenced]] = []
    monkeypatch.setattr(fences, "write_policy", lambda *given: (seen.append(fences_on(journal)), write_policy(*given)))
    raise_fence(plan, lake, journal)
    assert [fence.bucket for fence in seen[0]] == ["bronze"] and same_policy(seen[0][0].before, THEIRS)


def test_writers_are_denied_and_readers_are_not(plan: PlanFile, lake: Store, journal: Journal) -> None:
    """As moto enforces policies: a user who may do everything."""
    lake.put("bronze", "k", Content(b"x", ""))
    iam = boto3.client("iam")
    iam.create_user(UserName="writer")
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="writer", PolicyName="all", PolicyDocument=json.dumps(allow))
    key = iam.create_access_key(UserName="writer")["AccessKey"]
    raise_fence(plan, lake, journal)
    writer = boto3.client("s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    @set_initial_no_auth_action_count(0)
    def use() -> None:
        assert writer.get_object(Bucket="bronze", Key="k")["Body"].read() == b"x"
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            writer.put_object(Bucket="bronze", Key="new", Body=b"y")
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            writer.delete_object(Bucket="bronze", Key="k")
        writer.put_object(Bucket="data-lake", Key="new", Body=b"y")

    use()
    lift_fence(lake, journal)
    set_initial_no_auth_action_count(0)(lambda: writer.put_object(Bucket="bronze", Key="new", Body=b"y"))()
