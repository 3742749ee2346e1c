from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from migrator import reference
from migrator.cli import main
from migrator.config import load


def test_the_example_configuration_that_is_printed_can_be_used(tmp_path: Path) -> None:
    printed = CliRunner().invoke(main, ["explain", "--config-example"])
    path = tmp_path / "lake.toml"
    path.write_text(printed.stdout)
    assert load(path).target_bucket == "data-lake"
    assert printed.stdout == reference.text(reference.CONFIG_EXAMPLE)


def test_the_meaning_of_the_json_keys_is_printed() -> None:
    printed = CliRunner().invoke(main, ["explain", "--json-keys"])
    assert printed.exit_code == 0 and "`target_bucket`" in printed.stdout


@pytest.mark.parametrize("words", [["--config-example", "--json-keys"], ["object-lock", "--json-keys"]])
def test_one_thing_at_a_time(words: list[str]) -> None:
    refused = CliRunner().invoke(main, ["explain", *words])
    assert refused.exit_code == 2 and "Give one of CODE" in refused.stderr


def test_what_help_points_to_is_in_the_package() -> None:
    folder = Path(sys.modules["migrator"].__file__ or "").parent
    assert {path.name for path in (folder / "reference").iterdir()} >= set(reference.NAMES)
