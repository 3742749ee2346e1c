from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from migrator.cli import main, options
from migrator.cli.main import COMMANDS
from migrator.cli.options import CopyOptions, CutoverOptions, LakeOptions, PlanOptions, is_given
from migrator.cli.relocate import _pair
from migrator.copying.concurrency_limit import RequestLimits
from migrator.copying.options import Options
from migrator.copying.stage import CopySettings
from migrator.errors import ConfigError


def parsed(decorator: Any, *arguments: str) -> Any:
    """The values that a command gets for these options."""
    got = {}

    @click.command()
    @decorator
    def command(**given: Any) -> None:
        got.update(given)

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    (value,) = got.values()
    return value


@pytest.mark.parametrize(
    ("decorator", "default"),
    [
        (options.lake_options, LakeOptions()),
        (options.plan_options, PlanOptions()),
        (options.copy_options, CopyOptions()),
        (options.cutover_options, CutoverOptions()),
    ],
)
def test_without_options_a_command_gets_the_defaults(decorator: Any, default: Any) -> None:
    assert parsed(decorator) == default


def test_the_defaults_are_those_of_the_library() -> None:
    assert CopyOptions().settings() == CopySettings()


def test_options_that_belong_together_are_one_value(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("s3://bronze/a\n")
    arguments = "--concurrency 7 --tps 2.5 --bandwidth 1.5M --verify-content never --max-failures 3 --files-from"
    copying = parsed(options.copy_options, *arguments.split(), str(listed))
    assert copying == CopyOptions(7, 2.5, 1.5 * 1024**2, "never", 3, listed)
    limits = RequestLimits(7, 2.5, 1.5 * 1024**2)
    assert copying.settings() == CopySettings(Options(limits, "never"), 3, frozenset({("bronze", "a")}))
    assert parsed(options.cutover_options, "--no-cutover") == CutoverOptions(no_cutover=True)
    assert parsed(options.plan_options, "--leave", "a.b", "--leave", "c.d") == PlanOptions(leave=("a.b", "c.d"))


def test_options_of_the_lake_change_what_the_configuration_says(tmp_path: Path) -> None:
    config = tmp_path / "lake.toml"
    config.write_text('[target]\nbucket = "one"\n')
    lake = parsed(options.lake_options, "--config", str(config), "--catalog", "a", "--catalog", "b")
    assert lake == LakeOptions(config=config, catalogs=("a", "b"))
    assert lake.settings().target_bucket == "one" and set(lake.settings().catalogs) == {"a", "b"}
    other = parsed(options.lake_options, "--config", str(config), "--target", "two", "--endpoint-url", "http://m:9000")
    assert (other.settings().target_bucket, other.settings().endpoint_url) == ("two", "http://m:9000")
    with pytest.raises(ConfigError):
        LakeOptions(config=tmp_path / "none.toml").settings()


def test_given_is_what_the_command_line_has() -> None:
    assert not is_given(LakeOptions()) and not is_given(PlanOptions())
    assert is_given(LakeOptions(target="x")) and is_given(PlanOptions(object_lock=True))


@pytest.mark.parametrize(
    "given",
    [
        "--config=l.toml",
        "--endpoint-url=http://m",
        "--target=t",
        "--target-endpoint-url=http://n",
        "--catalog=c",
        "--all-versions",
        "--object-lock",
        "--leave=a.b",
    ],
)
def test_migrate_takes_a_plan_or_the_options_of_one(given: str) -> None:
    result = CliRunner().invoke(main, ["migrate", "p.db", given])
    assert result.exit_code == 2 and "PLAN already contains these settings" in result.stderr


@pytest.mark.parametrize(
    ("text", "count"),
    [("500000", 500000), ("200M", 200 << 20), ("1.5G", 1.5 * 2**30), ("2 KiB/s", 2048), ("1tb", 2**40)],
)
def test_sizes(text: str, count: float) -> None:
    assert parsed(options.copy_options, "--bandwidth", text).bandwidth == count


@pytest.mark.parametrize("text", ["", "M", "0", "-5M", "1e3", "1.M", "5X", "nan", "100T0"])
def test_what_is_no_size(text: str) -> None:
    result = CliRunner().invoke(main, ["migrate", "p.db", "--bandwidth", text])
    assert result.exit_code == 2 and "--bandwidth" in result.stderr


def test_no_command_takes_more_than_seven_parameters() -> None:
    for command in COMMANDS:
        assert command.callback is not None
        assert len(inspect.signature(command.callback).parameters) <= 7, command.name


def test_also_of_relocate_is_a_pair() -> None:
    assert _pair("hdfs://h:8020/a=b=s3://n/d") == ("hdfs://h:8020/a=b", "s3://n/d")
    with pytest.raises(click.UsageError, match="OLD=NEW"):
        _pair("s3://old/data")
