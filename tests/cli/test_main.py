from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from migrator._version import __version__
from migrator.cli import main
from migrator.cli.main import COMMANDS

ENVIRON = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, env={**ENVIRON, **environ}
    )


def test_python_m_migrator_is_the_command_migrator() -> None:
    done = python("-m", "migrator", "--version")
    assert (done.returncode, done.stdout) == (0, f"migrator, version {__version__}\n"), done.stderr
    wrong = python("-m", "migrator", "show", "--bogus")
    assert wrong.returncode == 2 and "Usage: migrator show" in wrong.stderr and "--bogus" in wrong.stderr


def test_help_and_completion_load_neither_boto3_nor_pyiceberg() -> None:
    heavy = "{'boto3', 'botocore', 'pyiceberg', 'pyarrow', 's3fs', 'sqlalchemy', 'rich'}"
    done = python("-c", f"import sys, migrator.cli; print(sorted({heavy} & set(sys.modules)))")
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_no_command_loads_pyarrow_before_it_is_needed() -> None:
    done = python("-c", "import sys, migrator.api; print('pyarrow' in sys.modules)")
    assert done.stdout == "False\n", done.stdout + done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", staticmethod(lambda: None))
    result = CliRunner().invoke(main, [], prog_name="migrator", env={"_MIGRATOR_COMPLETE": f"{shell}_source"})
    assert result.exit_code == 0 and "_migrator_completion" in result.stdout and "migrator" in result.stdout


@pytest.mark.parametrize(
    ("words", "proposed"),
    [("migrator rel", "relocate"), ("migrator plan --all", "--all-versions"), ("migrator explain uncat", "uncatalog")],
)
def test_commands_options_and_codes_are_completed(words: str, proposed: str) -> None:
    environ = {"_MIGRATOR_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = CliRunner().invoke(main, [], prog_name="migrator", env=environ)
    assert result.exit_code == 0 and f"plain,{proposed}" in result.stdout


def test_help_lists_the_commands_in_the_order_of_a_migration() -> None:
    shown = CliRunner().invoke(main, ["--help"]).stdout
    places = [shown.index(f"\n  {command.name} ") for command in COMMANDS]
    assert places == sorted(places) and "bash_source" in shown


def test_each_command_has_its_module() -> None:
    folder = Path(sys.modules["migrator.cli"].__file__ or "").parent
    assert all((folder / f"{str(command.name).replace('-', '_')}.py").exists() for command in COMMANDS)


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_a_wrong_option_is_a_usage_error(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--no-such-option"])
    assert result.exit_code == 2 and "No such option" in result.stderr and "--no-such-option" in result.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["plam"])
    assert result.exit_code == 2 and "No such command" in result.stderr


def examples(text: str) -> list[list[str]]:
    """The words of each command under "Example:", without what is redirected."""
    block = re.split(r"\n\s*\n", text[text.index("Example:") :].strip())[0]
    lines = [shlex.split(line.split(" > ")[0], comments=True) for line in block.splitlines()[1:]]
    assert lines and all(words[0] == "migrator" for words in lines), block
    return [words[1:] for words in lines]


@pytest.mark.parametrize("command", [main, *COMMANDS], ids=lambda command: command.name)
def test_each_example_in_the_help_is_a_command_that_runs(command: click.Command) -> None:
    for name, *arguments in examples(command.help or ""):
        assert command is main or name == command.name
        example = next(other for other in COMMANDS if other.name == name)
        # With the group's context: click keeps the names of the help option that it sees first.
        parent = click.Context(main, info_name="migrator", **main.context_settings)
        with example.make_context(name, arguments, parent=parent) as context:
            assert context.command is example


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_help_fits_eighty_columns_but_for_examples(command: str) -> None:
    shown = CliRunner().invoke(main, [str(command), "--help"], terminal_width=80).stdout
    long = [row for row in shown.splitlines() if len(row) > 80]
    assert all(row.startswith("    migrator ") for row in long), long


def shell(line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, in which ``$M`` is the command."""
    names = {**ENVIRON, "PYTHONUNBUFFERED": "", "M": f"{sys.executable} -m migrator", **environ}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, env=names)


FULL = "Error: standard output cannot be written: No space left on device."


@pytest.mark.parametrize("arguments", ["--help", "--version", "migrate --help", "explain --json-keys", "explain"])
def test_a_full_disk_behind_standard_output_is_one_line(arguments: str) -> None:
    done = shell(f"$M {arguments} >/dev/full")
    assert (done.returncode, done.stderr) == (1, f"{FULL}\n")
    unbuffered = shell(f"$M {arguments} >/dev/full", PYTHONUNBUFFERED="1")
    assert (unbuffered.returncode, unbuffered.stderr) == (1, f"{FULL}\n")


def test_a_full_disk_behind_standard_output_is_json_if_that_is_asked_for() -> None:
    done = shell("$M --log-format json --help >/dev/full")
    assert done.returncode == 1 and '"error": "OutputUnwritable"' in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_pipe_that_is_not_read_is_no_error() -> None:
    done = shell("$M explain --json-keys | true; echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_closed_streams_do_not_end_a_command() -> None:
    told = shell("$M explain").stdout
    assert shell("$M explain 2>&-").stdout == told and shell("$M explain <&-").stdout == told
    for closed in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = shell(f"$M explain {closed}")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), closed


MIGRATE = """
import sys
from pathlib import Path
from migrator.cli import main
from migrator.cli.terminal import say, say_json
from migrator.reporting.rendering import line
def work(as_json=False, **_):
    Path("done").touch()
    say_json({"said": "\u2714 \u00e4"}) if "--json" in sys.argv else say([line("\u2714 \u00e4")])
main.commands["migrate"].callback = work
main()
"""
"""A program like migrator, except that "migrate" only writes a file, and then prints a character that latin-1 lacks."""


@pytest.mark.parametrize(
    ("redirected", "code", "says"),
    [
        (">/dev/full", 1, f'{FULL} The command itself has ended: "migrator status PLAN" shows what is done.\n'),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
    ],
)
def test_work_that_cannot_be_reported_is_done(tmp_path: Path, redirected: str, code: int, says: str) -> None:
    (tmp_path / "run.py").write_text(MIGRATE)
    done = shell(f"cd {tmp_path} && {sys.executable} run.py migrate {redirected}")
    assert (done.returncode, done.stderr) == (code, says) and (tmp_path / "done").exists()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_what_the_terminal_cannot_show_is_a_question_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "run.py").write_text(MIGRATE)
    command = [sys.executable, str(tmp_path / "run.py"), "migrate"]
    environ = {**ENVIRON, "PYTHONIOENCODING": encoding}
    text = subprocess.run(command, capture_output=True, timeout=120, env=environ, cwd=tmp_path)
    assert (text.returncode, text.stdout, text.stderr) == (0, "? ä\n".encode(encoding), b"")
    as_json = subprocess.run([*command, "--json"], capture_output=True, timeout=120, env=environ, cwd=tmp_path)
    assert json.loads(as_json.stdout) == {"said": "✔ ä"}
