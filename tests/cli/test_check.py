"""``migrator check``: what is printed, the exit codes, and the documented keys."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from checking.lake import Checked, tidy
from migrator import Settings, check_lake, reference
from migrator.cli import main
from migrator.errors import NotFound
from migrator.store import Store


@pytest.fixture
def lake(mock_store: Store) -> Checked:
    return tidy(mock_store)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def test_a_tidy_lake(lake: Checked) -> None:
    done = run()
    assert done.exit_code == 0
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["warehouse/", "present"] in rows and ["bronze.db/", "namespace"] in rows
    assert ["bronze/", "stream,"] in rows and ["spark/", "application"] in rows
    assert "The structure is as expected, and nothing names an old bucket." in done.stdout
    assert "no catalog was given; 7 of 7 old buckets gone." in done.stdout


def test_findings_are_shown_by_section_and_fail(lake: Checked) -> None:
    lake.put("tmp/a")
    lake.put("scripts/a.py", b"'s3://gold/x'")
    lake.put("checkpoints/lost/commits/0")
    done = run("--layer", "platinum/")
    assert done.exit_code == 3
    order = ["The structure", "Outside of the structure", "What still names an old bucket", "New layers"]
    assert [line for line in done.stdout.splitlines() if line in order] == order
    assert "s3://data-lake/scripts/a.py line 1 names s3://gold/x" in done.stdout
    assert done.stdout.endswith("3 places are not as expected.\n")


def test_every_place_is_shown_and_not_only_three(lake: Checked) -> None:
    for number in range(10):
        lake.put(f"scripts/{number}.py", b"'s3://gold/x'")
    assert all(f"scripts/{number}.py line 1" in run().stdout for number in range(10))


def test_accepted_findings_do_not_fail(lake: Checked, tmp_path: Path) -> None:
    lake.put("tmp/a")
    assert run("--accept", "stray-object").exit_code == 3
    assert run("--accept", "stray-folder").exit_code == 0
    config = tmp_path / "lake.toml"
    config.write_text('[check]\naccept = ["stray-folder"]\n')
    assert run("--config", str(config)).exit_code == 0
    config.write_text('[check]\nlayers = ["tmp"]\n')
    done = run("--config", str(config), "--json")
    assert done.exit_code == 0 and "tmp/" in [folder["folder"] for folder in json.loads(done.stdout)["folders"]]


@pytest.mark.parametrize("layer", ["", "a//b", "../x", "s3://x/"])
def test_a_layer_that_cannot_be_one(lake: Checked, layer: str) -> None:
    done = run("--layer", layer)
    assert done.exit_code == 2 and "is not the name of a folder" in done.stderr


def test_usage(lake: Checked) -> None:
    assert run("--accept", "old-bucket").exit_code == 2
    assert run("--config", "missing.toml").exit_code == 2


def test_there_is_no_lake(mock_store: Store) -> None:
    done = run("--target", "nowhere")
    assert done.exit_code == 1 and "Neither the target 'nowhere' nor any old bucket exists" in done.stderr


def test_json_has_the_documented_keys(lake: Checked) -> None:
    lake.put("tmp/a")
    done = run("--json")
    printed = json.loads(done.stdout)
    assert done.exit_code == 3 and done.stderr == ""
    assert [finding["code"] for finding in printed["findings"]] == ["stray-folder"]
    (checkpoints,) = [folder for folder in printed["folders"] if folder["kind"] == "checkpoints"]
    inner = {key for part in ("findings", "others", "old_buckets") for one in printed[part] for key in one}
    inner |= {key for part in ("parts", "streams") for one in checkpoints[part] for key in one}
    section = reference.text(reference.JSON_KEYS).partition("## `check --json`")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(\w+)`", section))
    assert {*printed, *checkpoints, *inner} <= documented
    assert set(printed) == {
        key for row in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)
    }


def test_control_characters_in_keys_reach_no_terminal(lake: Checked) -> None:
    lake.put("evil\x1b[31m/a")
    lake.put("logs/evil\x1b[31m/a")
    said = run().stdout
    assert "\x1b" not in said and "evil\\x1b" in said


def test_from_python(lake: Checked) -> None:
    found = check_lake(Settings(), layers=["platinum/"])
    assert found.ok and [finding.code for finding in found.findings] == ["new-layer"]
    with pytest.raises(NotFound):
        check_lake(Settings(target_bucket="nowhere"))
