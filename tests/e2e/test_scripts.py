"""Scripts in the lake: they are rewritten at the target, and the old ones stay."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2e.small_lake import OLD, TARGET, SmallLake
from migrator import api
from migrator.cli import main
from migrator.config import load
from migrator.scripts import Names, Rewritten
from migrator.scripts.stage import rewrite_bytes

LOAD = b"#!/bin/sh\r\nspark-submit --conf x=s3a://bronze/wh/ 's3a://gold/out'\r\n"
NEW = LOAD.replace(b"s3a://bronze/", b"s3a://lake/bronze/").replace(b"s3a://gold/", b"s3a://lake/gold/")
DOUBTFUL = b"read(Bucket='bronze')\n"
SCRIPTS = {"scripts/load.sh": LOAD, "scripts/look.py": DOUBTFUL, "scripts/lib.jar": b"PK\0s3a://bronze/x"}


@pytest.fixture
def scripts(lake: SmallLake) -> Iterator[SmallLake]:
    """Scripts in a bucket with a rule to scripts/."""
    for key, data in SCRIPTS.items():
        lake.put("bronze", key, data)
    with lake.with_rules('"s3://bronze/scripts/" = "scripts/"'):
        yield lake


def plan_of(lake: SmallLake, folder: Path, name: str = "p.db") -> Path:
    path = folder / name
    assert not api.plan_lake(load(lake.config), path)["blocked"]
    return path


def test_scripts_are_rewritten_at_the_target(scripts: SmallLake, tmp_path: Path) -> None:
    how = {"ContentType": "text/x-shellscript", "Metadata": {"owner": "me"}}
    scripts.client.put_object(Bucket="bronze", Key="scripts/load.sh", Body=LOAD, **how)
    plan = plan_of(scripts, tmp_path)
    done = api.migrate_lake(plan)
    assert done.ok
    assert scripts.get(TARGET, "scripts/load.sh") == NEW and scripts.get("bronze", "scripts/load.sh") == LOAD
    attributes = scripts.client.head_object(Bucket=TARGET, Key="scripts/load.sh")
    assert (attributes["ContentType"], attributes["Metadata"]) == ("text/x-shellscript", {"owner": "me"})
    for name in ("look.py", "lib.jar"):
        assert scripts.get(TARGET, f"scripts/{name}") == SCRIPTS[f"scripts/{name}"]
    for bucket in OLD:
        scripts.empty(bucket)
    verification = api.verify_lake(plan, deep=True)
    assert verification.ok
    (check,) = [check for check in verification.checks if "scripts at the target" in check.name]
    assert check.checked == 1


def test_planning_again_finds_nothing_to_do(scripts: SmallLake, tmp_path: Path) -> None:
    api.migrate_lake(plan_of(scripts, tmp_path))
    again = api.plan_lake(load(scripts.config), tmp_path / "again.db")
    assert not again["blocked"] and not again["changes_pending"]
    assert api.verify_lake(tmp_path / "again.db").ok


def test_scripts_that_were_kept_are_rewritten_by_a_later_plan(scripts: SmallLake, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    api.plan_lake(load(scripts.config).override(keep_scripts=True), kept)
    api.migrate_lake(kept)
    assert scripts.get(TARGET, "scripts/load.sh") == LOAD
    api.migrate_lake(plan_of(scripts, tmp_path))
    assert scripts.get(TARGET, "scripts/load.sh") == NEW


def test_a_script_that_somebody_else_copied_is_not_overwritten(scripts: SmallLake, tmp_path: Path) -> None:
    scripts.put(TARGET, "scripts/load.sh", LOAD)
    described = api.plan_lake(load(scripts.config), tmp_path / "p.db")
    assert [f["code"] for f in described["findings"] if f["severity"] == "block"] == ["target-differs"]


def test_scripts_that_change_while_the_lake_is_copied(scripts: SmallLake, tmp_path: Path) -> None:
    plan = plan_of(scripts, tmp_path)
    assert api.copy_lake(plan).outcome.rewritten > 0
    assert scripts.get(TARGET, "scripts/load.sh") == NEW
    scripts.put("bronze", "scripts/load.sh", b"# new\n" + LOAD)
    scripts.put("bronze", "scripts/look.py", b"print('s3://gold/x')\n")
    done = api.cutover_lake(plan, quiet_for=0)
    assert done.migration.ok
    assert scripts.get(TARGET, "scripts/load.sh") == b"# new\n" + NEW
    assert scripts.get(TARGET, "scripts/look.py") == b"print('s3://lake/gold/x')\n"
    assert api.verify_lake(plan).ok


def test_scripts_are_read_for_the_approval_and_not_while_writers_wait(
    scripts: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(name: str, data: bytes, names: Names) -> Rewritten | None:
        read.append(name)
        return rewrite_bytes(name, data, names)

    monkeypatch.setattr("migrator.plan.scripts.rewrite_bytes", noted)
    plan = plan_of(scripts, tmp_path)
    assert sorted(read) == sorted(SCRIPTS)
    api.copy_lake(plan)
    api.copy_lake(plan)
    assert api.cutover_lake(plan, quiet_for=0).migration.ok
    assert len(read) == len(SCRIPTS) and scripts.get(TARGET, "scripts/load.sh") == NEW


def test_the_command_that_the_plan_names_shows_the_places(scripts: SmallLake, tmp_path: Path) -> None:
    (found,) = [
        f
        for f in api.plan_lake(load(scripts.config), tmp_path / "p.db")["findings"]
        if f["code"] == "scripts-rewritten"
    ]
    _, *words = shlex.split(found["next_move"].split('"')[1])
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 3 and "+++ b/bronze/scripts/load.sh" in done.stdout


def test_the_differences_are_shown_before(scripts: SmallLake) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(main, ["rewrite-config", "--config", str(scripts.config), *words])
        return done.exit_code, done.stdout, done.stderr

    code, diff, said = run("s3://bronze/scripts/")
    assert code == 3  # for the doubtful place
    assert diff.startswith("--- a/bronze/scripts/load.sh\n+++ b/bronze/scripts/load.sh\n")
    assert "+spark-submit --conf x=s3a://lake/bronze/wh/ 's3a://lake/gold/out'" in diff
    assert "s3://bronze/scripts/look.py:1: the name of an old bucket without a path" in said
    assert "s3://bronze/scripts/lib.jar: not UTF-8 text, but names an old path" in said
    assert run("s3a://bronze/scripts/load.sh")[0] == 0
    code, _, said = run("s3://bronze/nothing/")
    assert code == 2 and "no object at or below s3://bronze/nothing/" in said
    code, _, said = run("s3://bronze/scripts/", "--write")
    assert code == 2 and "--write changes local files only" in said
    assert scripts.get("bronze", "scripts/load.sh") == LOAD
