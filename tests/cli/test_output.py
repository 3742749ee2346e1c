"""The options ``--quiet`` and ``--log-format``, before and after the name of the command."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from migrator.cli import main
from migrator.cli.main import COMMANDS
from migrator.cli.options import WatchOptions
from migrator.cli.output import asks_for_json, output
from migrator.cli.show import show
from migrator.cli.terminal import Watched, ask, progress, say_json
from migrator.errors import ConfigError, MigratorError, PlanStale
from migrator.progress import Progress, TerminalProgress
from migrator.progress.json_lines import JsonProgress, speaks_json


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def logged(result: Result) -> list[dict[str, Any]]:
    """The JSON objects on standard error; nothing else may be there."""
    return [json.loads(line) for line in result.stderr.splitlines()]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """A command ``show`` that only prints which progress it gets."""
    got: list[Progress] = []

    def described(plan: Path, *, progress: Progress) -> dict[str, Any]:
        got.append(progress)
        logging.getLogger("boto3").warning("slow")
        raise PlanStale("https://u:Marker@host is stale.", next_move="Plan again.")

    monkeypatch.setattr("migrator.api.show_plan", described)
    return got


@pytest.mark.parametrize(
    "arguments", [("--quiet", "show", "p.db"), ("show", "p.db", "--quiet"), ("show", "--quiet", "p.db")]
)
def test_quiet_before_and_after_the_command(given: list[Progress], arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert [type(one) for one in given] == [Progress] and result.exit_code == 4
    assert result.stderr.endswith("Error: https://***@host is stale. Plan again.\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--log-format", "json", "show", "p.db"),
        ("show", "p.db", "--log-format", "json"),
        ("--log-format=json", "show", "p.db", "--json"),
        ("--log-format", "text", "show", "p.db", "--log-format=json"),
    ],
)
def test_json_before_and_after_the_command(given: list[Progress], arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert [type(one) for one in given] == [JsonProgress] and result.exit_code == 4
    warning, error = logged(result)
    assert (warning["event"], warning["logger"], warning["message"]) == ("log", "boto3", "slow")
    assert error.pop("time").endswith("Z") and error == {
        "level": "error",
        "event": "error",
        "message": "https://***@host is stale.",
        "next_move": "Plan again.",
        "error": "PlanStale",
        "exit_code": 4,
    }
    assert not speaks_json()  # the next call in this process is as before


def test_quiet_goes_with_json(given: list[Progress]) -> None:
    result = run("show", "p.db", "--quiet", "--log-format", "json")
    assert [type(one) for one in given] == [Progress] and [one["event"] for one in logged(result)] == ["log", "error"]


def test_by_default_there_are_lines_and_none_with_json_in_a_pipe(given: list[Progress]) -> None:
    run("show", "p.db")
    run("show", "p.db", "--json")
    assert [type(one) for one in given] == [TerminalProgress, Progress]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--log-format", "json", "--no-such-option"),
        ("--log-format=json", "plam"),
        ("show", "--bogus", "--log-format", "json"),
        ("show", "--log-format=json"),
        ("migrate", "p.db", "--target", "other", "--log-format=json"),
        ("--log-format=json", "demo", "--keep"),
    ],
)
def test_wrong_options_are_json_too(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    (error,) = logged(result)
    assert result.exit_code == 2 == error["exit_code"] and not result.stdout
    assert error["event"] == "error" and error["level"] == "error" and error["message"]
    assert error["next_move"].endswith("--help shows its options.")


def test_an_unknown_format_is_a_usage_error() -> None:
    result = run("show", "p.db", "--log-format", "xml")
    assert result.exit_code == 2 and "Usage: main show" in result.stderr and "'json'" in result.stderr


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_json(monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr("migrator.api.show_plan", interrupted)
    result = run("show", "p.db", "--log-format", "json")
    (line,) = logged(result)
    assert result.exit_code == 130 == line["exit_code"]
    assert (line["event"], line["next_move"]) == ("interrupted", "Run the same command again to continue.")


def test_a_fault_of_migrator_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.api.show_plan", lambda *_, **__: 1 // 0)
    (line,) = logged(run("show", "p.db", "--log-format", "json"))
    assert line["error"] == "ZeroDivisionError" and line["message"].startswith("Internal error: ZeroDivisionError")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_every_command_has_both_options(command: click.Command) -> None:
    names = [name for option in command.params for name in option.opts]
    assert names.count("--quiet") == names.count("--log-format") == 1


def test_asks_for_json() -> None:
    assert asks_for_json(["show", "--log-format", "json"]) and asks_for_json(["--log-format=json"])
    assert not asks_for_json([]) and not asks_for_json(["--log-format", "text", "json"])


def call(job: Any, *arguments: str) -> Result:
    """Run a job as the command ``probe``."""

    @click.command("probe")
    def probe() -> None:
        job()

    from migrator.cli.output import with_output_options

    group = type(main)("migrator")
    group.add_command(with_output_options(probe))
    return CliRunner().invoke(group, ["probe", *arguments])


def test_nothing_is_asked_where_only_json_may_be_written() -> None:
    result = call(lambda: ask("Start?"), "--log-format", "json")
    (line,) = logged(result)
    assert line["error"] == ConfigError.__name__ and line["next_move"] == "Add --yes."


def test_what_an_error_leaves_of_the_progress_is_removed_before_it_is_printed() -> None:
    left: list[Any] = []

    def job() -> None:
        stage = progress(as_json=False).stage("listing")
        left.append(stage)  # nothing ends this stage
        assert output().shown[0]._open
        raise MigratorError("no")

    def look() -> None:
        assert not left[0]._reporter._open

    assert call(job).exit_code == 1
    look()


# -- the metrics file --------------------------------------------------------------------------------------


def watched(path: Path, end: BaseException | None, *arguments: str) -> Result:
    """A run with a metrics file that ends in this way."""

    def job() -> None:
        with Watched(WatchOptions(path), Path("p.db")) as run, run.progress.stage("copying", objects=2) as stage:
            stage.advance()
            if end is not None:
                raise end

    return call(job, *arguments)


@pytest.mark.parametrize(
    ("end", "success", "exit_code"),
    [
        (None, 1, 0),
        (click.exceptions.Exit(0), 1, 0),
        (click.exceptions.Exit(3), 0, 3),
        (PlanStale("stale"), 0, 4),
        (KeyboardInterrupt(), 0, 130),
        (KeyError("x"), 0, 1),
    ],
)
def test_however_a_run_ends_the_file_says_so(
    tmp_path: Path, end: BaseException | None, success: int, exit_code: int
) -> None:
    result = watched(tmp_path / "m.prom", end)
    text = (tmp_path / "m.prom").read_text()
    assert result.exit_code == exit_code and f'migrator_run_success{{plan="p.db"}} {success}.0' in text
    assert "migrator_run_finished_timestamp_seconds{" in text and "migrator_stage_info{" not in text


def test_a_file_that_could_not_be_written_is_reported_once_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from migrator.progress.metrics_file import MetricsFile

    first: list[bool] = []

    def replace(self: MetricsFile) -> None:
        if first:
            raise OSError(28, "No space left on device")
        first.append(True)

    monkeypatch.setattr(MetricsFile, "_replace", replace)
    path = tmp_path / "m.prom"
    result = watched(path, None)
    assert result.exit_code == 0
    assert result.stderr.count("could not be written") == 1 and "No space left on device" in result.stderr
    first.clear()
    (line, *rest) = [one for one in logged(watched(path, None, "--log-format", "json")) if one["level"] != "info"]
    assert line["event"] == "warning" and str(path) in line["message"] and not rest


def test_a_path_that_cannot_be_written_ends_it_before_it_starts(tmp_path: Path) -> None:
    result = watched(tmp_path / "nowhere" / "m.prom", None)
    assert result.exit_code == 2 and result.stderr.startswith("Error: --metrics-file ")


WITH_JSON = [command for command in COMMANDS if any(option.name == "as_json" for option in command.params)]
FAULTS = (ConfigError("There is none.", next_move="Make one."), OSError(28, "No space left", "x"), ValueError("x"))


@pytest.mark.parametrize("fault", [*FAULTS, KeyboardInterrupt(), "usage"], ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("command", WITH_JSON, ids=lambda command: str(command.name))
def test_with_json_standard_output_is_a_document_after_any_error(
    monkeypatch: pytest.MonkeyPatch, command: click.Command, fault: BaseException | str
) -> None:
    """A script reads why a command ended where it would read the result."""

    def fail(*_: Any, **__: Any) -> None:
        raise fault  # type: ignore[misc]

    monkeypatch.setattr(command, "callback", fail)
    required = sum(isinstance(one, click.Argument) and one.required for one in command.params)
    given = ["--bogus"] if fault == "usage" else ["x"] * required
    given += ["--to", "s3://a/b"] if command.name == "relocate" else []
    result = run(str(command.name), *given, "--json")
    document = json.loads(result.stdout)
    assert document["ok"] is False and result.exit_code == document["error"]["exit_code"] > 0
    assert document["error"]["message"] and "Traceback" not in result.stderr and result.stderr
    assert run(str(command.name), *given).stdout == ""


def test_after_its_result_a_command_prints_no_second_document(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        say_json({"ok": True})
        raise ConfigError("Late.")

    monkeypatch.setattr(show, "callback", fail)
    assert json.loads(run("show", "p.db", "--json").stdout) == {"ok": True}
