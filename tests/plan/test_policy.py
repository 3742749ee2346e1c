"""``migrator policy``: ready to paste, for a plan's buckets or a lake.toml's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from migrator.cli import main
from migrator.plan.policy import (
    ACTIONS,
    NOT_OF_MINIO,
    SOURCE,
    SOURCE_VERSIONS,
    TARGET,
    least_policy,
    retire_policy,
    settings_policy,
)
from migrator.planfile.file import PlanFile


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "lake.toml"
    path.write_text('[target]\nbucket = "one"\n[layout]\n"s3://old/" = "old/"\n"s3://other/x/" = "x/"\n')
    return path


def run(*arguments: str | Path, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, ["policy", *map(str, arguments)])
    assert result.exit_code == exit_code, result.output
    return result.stdout or result.stderr


def test_of_a_configuration(config: Path) -> None:
    policy = json.loads(run("--config", config))
    assert policy["Version"] == "2012-10-17"
    read, read_objects, write, write_objects = policy["Statement"]
    assert read["Resource"] == ["arn:aws:s3:::old", "arn:aws:s3:::other"]
    assert read_objects["Resource"] == ["arn:aws:s3:::old/*", "arn:aws:s3:::other/*"]
    assert write["Resource"] == ["arn:aws:s3:::one"] and write_objects["Resource"] == ["arn:aws:s3:::one/*"]
    assert not any(word in action for action in read_objects["Action"] for word in ("Put", "Delete", "Abort"))
    assert "s3:CreateBucket" in write["Action"]
    assert json.loads(run("--config", config, "--side", "source"))["Statement"] == [read, read_objects]
    assert json.loads(run("--config", config, "--side", "target"))["Statement"] == [write, write_objects]


def test_of_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    with PlanFile.create(path) as plan:
        header = {"target_bucket": "one", "layout": '{"s3://old/": "old/"}', "all_versions": "true"}
        plan.seal({**header, "target_missing": "false"})
    granted = {action for statement in json.loads(run(path))["Statement"] for action in statement["Action"]}
    assert granted >= {*SOURCE, *SOURCE_VERSIONS, *TARGET} and "s3:CreateBucket" not in granted


def test_for_mc_it_is_a_script(config: Path) -> None:
    script = run("--config", config, "--mc")
    said = subprocess.run(["sh", "-c", f"mc() {{ echo mc $*; cat; }}\n{script.partition('mc admin policy attach')[0]}"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout  # fmt: skip
    first, _, document = said.partition("\n")
    assert first == "mc admin policy create ALIAS migrator /dev/stdin"
    policy = json.loads(run("--config", config))
    for statement in policy["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action not in NOT_OF_MINIO]
    assert json.loads(document) == policy


def test_one_of_plan_and_configuration(config: Path) -> None:
    assert "either a PLAN or --config" in run(exit_code=2)
    assert "either a PLAN or --config" in run(config, "--config", config, exit_code=2)


def test_every_action_is_granted_somewhere() -> None:
    everything = least_policy(["old"], "one", all_versions=True, object_lock=True)
    statements = [*everything["Statement"], *retire_policy(["old"])["Statement"], *settings_policy("one")["Statement"]]
    assert {action for statement in statements for action in statement["Action"]} == set(ACTIONS)
    assert all(statement["Action"] and statement["Resource"] for statement in statements)


def test_only_the_policy_for_retire_allows_deleting_in_the_old_buckets() -> None:
    least = least_policy(["old"], "one", all_versions=True, object_lock=True)
    for statement in least["Statement"]:
        deletes = [action for action in statement["Action"] if "Delete" in action]
        assert not deletes or statement["Resource"] == ["arn:aws:s3:::one/*"]
    retire = retire_policy(["old"])
    assert {r for statement in retire["Statement"] for r in statement["Resource"]} == {
        "arn:aws:s3:::old",
        "arn:aws:s3:::old/*",
    }


def test_the_policy_for_settings_is_about_the_target_only(tmp_path: Path) -> None:
    path = tmp_path / "plan.db"
    with PlanFile.create(path) as plan:
        header = {"target_bucket": "one", "layout": '{"s3://old/": "old/"}', "all_versions": "false"}
        plan.seal({**header, "target_missing": "false"})
    (statement,) = json.loads(run(path, "--for-settings"))["Statement"]
    assert statement["Resource"] == ["arn:aws:s3:::one"] and "s3:PutLifecycleConfiguration" in statement["Action"]
    assert "migrator-settings" in run(path, "--for-settings", "--mc")
    assert "not each other" in run(path, "--for-settings", "--for-retire", exit_code=2)
