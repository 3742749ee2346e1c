"""``migrator settings``: what is printed where, and the exit codes. The server is moto."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from migrator import reference
from migrator.cli import main
from migrator.store import Store
from migrator.store.setting_documents import read_document, write_document
from plan.handmade import LAYOUT, planned, put

TAGS = {"TagSet": [{"Key": "team", "Value": "bi"}]}
LIFECYCLE = {"Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}]}


@pytest.fixture
def lake(mock_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    for bucket in ("bronze", "warehouse", "data-lake"):
        mock_store.create_bucket(bucket)
    put(mock_store, "s3://bronze/tmp/a", b"a")
    write_document(mock_store, "bronze", "tags", TAGS)
    write_document(mock_store, "bronze", "lifecycle", LIFECYCLE)
    planned(mock_store, tmp_path, layout=LAYOUT)
    monkeypatch.chdir(tmp_path)
    return mock_store


def run(*words: str) -> Result:
    done = CliRunner().invoke(main, ["settings", "plan.db", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done


def test_it_shows_a_diff_and_sets_nothing(lake: Store) -> None:
    done = run()
    assert done.exit_code == 0
    assert "--- s3://data-lake/ tags (now)\n+++ s3://data-lake/ tags (then)\n" in done.stdout
    assert '+      "Key": "team",\n' in done.stdout and '"Prefix": "bronze/tmp/"' in done.stdout
    assert "the age of a copy counts from" in done.stdout and "separate quotas for layers are lost" in done.stdout
    assert done.stdout.endswith("  migrator settings plan.db --apply\n")
    assert read_document(lake, "data-lake", "tags") is None


def test_apply_and_rollback(lake: Store) -> None:
    done = run("--apply")
    assert done.exit_code == 0 and "Set, and read back: lifecycle.\nSet, and read back: tags.\n" in done.stdout
    assert read_document(lake, "data-lake", "tags") == TAGS
    again = run()
    assert again.exit_code == 0 and "Nothing to set on s3://data-lake/." in again.stdout
    asked = CliRunner().invoke(main, ["rollback", "plan.db"])
    assert asked.exit_code == 2 and "There is no terminal" in asked.stderr
    back = CliRunner().invoke(main, ["rollback", "plan.db", "--yes"])
    assert back.exit_code == 0 and "s3://data-lake/ has its old tags again." in back.stdout
    assert read_document(lake, "data-lake", "tags") is None


def test_what_is_left_to_a_person_is_exit_code_3(lake: Store) -> None:
    lake.keep_versions("bronze")
    shown = run()
    assert shown.exit_code == 3 and "Decide this before anything is set" in shown.stdout
    refused = run("--apply")
    assert refused.exit_code == 3 and "Nothing was set" in refused.stderr
    assert read_document(lake, "data-lake", "tags") is None
    for decision in (["--versioning", "keep"], ["--without", "versioning"]):
        assert run(*decision).exit_code == 0
    assert run("--versioning", "enabled", "--apply").exit_code == 0 and lake.keeps_versions("data-lake")


def test_a_target_that_does_not_exist_is_made(lake: Store) -> None:
    lake.client.delete_bucket(Bucket="data-lake")
    assert "aws s3api create-bucket --bucket data-lake\n" in run("--commands", "aws").stdout
    assert run("--apply").exit_code == 0 and read_document(lake, "data-lake", "tags") == TAGS


def test_json_has_the_documented_keys(lake: Store) -> None:
    section = reference.text(reference.JSON_KEYS).partition("## `settings --json`")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(\w+)`", section))
    for words in (["--json"], ["--json", "--apply"]):
        printed = json.loads(run(*words).stdout)
        assert {*printed, *printed["changes"][0], *printed["not_carried"][0]} <= documented
        assert printed["applied"] is ("--apply" in words) and printed["ok"] is True
        assert {change["state"] for change in printed["changes"]} == {"set" if "--apply" in words else "shown"}


def test_commands_go_to_standard_output_and_the_rest_elsewhere(lake: Store) -> None:
    mc = run("--commands", "mc")
    assert mc.exit_code == 0 and "mc tag set ALIAS/data-lake team=bi\n" in mc.stdout
    assert "quotas" in mc.stderr and "quotas" not in mc.stdout


def test_access_prints_a_policy(lake: Store) -> None:
    done = run("--access", "bronze", "reader")
    policy: Any = json.loads(done.stdout)
    assert policy["Statement"][1]["Resource"] == ["arn:aws:s3:::data-lake/bronze/*"]
    wrong = run("--access", "silver", "reader")
    assert wrong.exit_code == 2 and "There are: bronze, warehouse." in wrong.stderr
    assert "there are reader, writer, admin" in run("--access", "bronze", "owner").stderr


def test_wrong_options(lake: Store) -> None:
    assert "Give one of" in run("--apply", "--commands", "mc").stderr
    assert "is no encryption" in run("--encryption", "rot13").stderr
    assert run("--encryption", "sse-kms:k").exit_code == 0


def test_a_policy_of_users(lake: Store) -> None:
    old = {"Sid": "R", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::bronze/*"]}
    Path("team.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [old]}))
    shown = run("--iam", "team.json")
    assert shown.exit_code == 0 and '+        "arn:aws:s3:::data-lake/bronze/*"' in shown.stdout
    printed = json.loads(run("--iam", "team.json", "--json").stdout)
    assert printed["changes"][0]["after"]["Statement"][0] == old
    assert run("--iam", "none.json").exit_code == 2
