"""``migrator rewrite-config``: what is printed where, and the exit codes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from migrator import Settings, reference, rewrite_config
from migrator.cli import main
from migrator.cli import terminal as terminal_module

CERTAIN = "x = spark.read.load('s3a://bronze/x')\n"
DOUBTFUL = "y = get_object(Bucket='bronze', Secret='hunter2')\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jobs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "jobs"


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["rewrite-config", *words])


def test_a_diff_is_printed_and_nothing_changes(folder: Path) -> None:
    (folder / "a.py").write_text(CERTAIN)
    done = run("jobs")
    assert done.exit_code == 0
    assert done.stdout == (
        "--- a/jobs/a.py\n+++ b/jobs/a.py\n@@ -1,1 +1,1 @@\n-x = spark.read.load('s3a://bronze/x')\n"
        "+x = spark.read.load('s3a://data-lake/bronze/x')\n"
    )
    assert done.stderr == "Would change 1 place in 1 file.\n"
    assert (folder / "a.py").read_text() == CERTAIN
    subprocess.run(["git", "apply"], input=done.stdout.encode(), check=True)
    assert (folder / "a.py").read_text() == CERTAIN.replace("bronze", "data-lake/bronze")


def test_doubts_go_to_standard_error_without_the_rest_of_their_lines(folder: Path) -> None:
    (folder / "a.py").write_text(DOUBTFUL)
    done = run("jobs/a.py")
    assert done.exit_code == 3 and done.stdout == "" and "hunter2" not in done.stderr
    assert done.stderr == (
        "jobs/a.py:1: the name of an old bucket without a path: Bucket='bronze\n"
        "Would change 0 places in 0 files.\nLook at 1 place yourself: see above.\n"
    )


def test_write_and_backup(folder: Path) -> None:
    (folder / "a.py").write_text(CERTAIN)
    done = run("jobs", "--write", "--backup")
    assert (done.exit_code, done.stderr) == (0, "Changed 1 place in 1 file.\n")
    assert done.stdout == "jobs/a.py: 1 place; the old text is in jobs/a.py.bak\n".replace("in jobs", f"in {folder}")
    assert (folder / "a.py.bak").read_text() == CERTAIN
    again = run("jobs", "--write", "--backup")
    assert (again.exit_code, again.stdout) == (0, "")
    assert again.stderr == "Left alone: 1 × a backup.\nChanged 0 places in 0 files.\n"


def test_a_file_that_is_not_text_and_names_an_old_path_is_not_passed_over(folder: Path) -> None:
    (folder / "a.py").write_bytes(b"# caf\xe9 s3a://bronze/x")
    (folder / "b.png").write_bytes(b"\0")
    done = run("jobs")
    assert done.exit_code == 3 and done.stdout == ""
    assert done.stderr == (
        "jobs/a.py: not UTF-8 text, but names an old path\nLeft alone: 1 × not UTF-8 text.\n"
        "Would change 0 places in 0 files.\nLook at 1 file yourself: see above.\n"
    )


def test_json_has_the_documented_keys(folder: Path) -> None:
    (folder / "a.py").write_text(CERTAIN + DOUBTFUL)
    (folder / "b.bin").write_bytes(b"\0")
    done = run("jobs", "--json")
    printed = json.loads(done.stdout)
    assert done.exit_code == 3 and done.stderr == ""
    assert printed == {
        "ok": False,
        "write": False,
        "changes": 1,
        "doubts": 1,
        "unchanged": 0,
        "files": [
            {
                "path": "jobs/a.py",
                "changes": [{"line": 1, "old": "s3a://bronze/x", "new": "s3a://data-lake/bronze/x"}],
                "doubts": [{"line": 2, "text": "Bucket='bronze", "reason": "the name of an old bucket without a path"}],
                "written": False,
                "backup": None,
            }
        ],
        "skipped": [{"path": "jobs/b.bin", "reason": "not UTF-8 text", "unsure": False}],
    }
    section = reference.text(reference.JSON_KEYS).partition("## `rewrite-config --json`")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(\w+)`", section))
    inner = {key for part in ("files", "skipped") for one in printed[part] for key in one}
    assert {*printed, *inner, "line", "old", "new", "text", "reason"} == documented


def test_the_layout_and_the_names_come_from_lake_toml_and_the_options(folder: Path) -> None:
    (folder / "lake.toml").write_text(
        '[source]\nendpoint_url = "http://minio:9000/"\n[target]\nbucket = "one"\n[layout]\n"s3://raw/" = "in/"\n'
        '[rewrite-config]\naliases = ["m"]\nendpoints = ["http://s3.lake"]\ncheckpoints = "/ckpt"\n'
    )
    (folder / "a.sh").write_text("s3://raw http://minio:9000/raw/x http://s3.lake/raw/x m/raw/x n/raw/x s3://bronze")
    done = run("jobs/a.sh", "--config", "jobs/lake.toml", "--alias", "n", "--write")
    assert done.exit_code == 0
    assert (folder / "a.sh").read_text() == (
        "s3://one/in http://minio:9000/one/in/x http://s3.lake/one/in/x m/one/in/x n/one/in/x s3://bronze"
    )
    (folder / "b.sh").write_text("CHECKPOINT=/ckpt/x")
    assert "no rule of the layout says where checkpoints go" in run("jobs/b.sh", "--config", "jobs/lake.toml").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing argument 'PATH...'"),
        (("gone",), "'gone' does not exist"),
        (("jobs", "--backup"), "--backup needs --write"),
        (("jobs", "--alias", "a/b"), "cannot be an alias"),
        (("jobs", "--alias", "bronze"), "is also the name of a bucket"),
        (("jobs", "--endpoint", "http://u:p@host"), "contains more than a server's address"),
        (("jobs", "--checkpoints", "x"), "must be an absolute path"),
        (("jobs", "--config", "none.toml"), "cannot be read"),
        (("jobs", "--target", "no bucket"), "is not a bucket name"),
    ],
)
def test_usage(words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.exit_code == 2 and said in done.stderr


def test_no_control_character_reaches_the_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "\x1b[31m\u202e"
    (folder / f"{evil}.py").write_text(f"{evil}\t's3a://bronze/x{evil}' bucket='bronze'\r\n")
    shown = run("jobs")
    assert evil in shown.stdout and evil not in shown.stderr and "\\x1b[31m\\u202e" in shown.stderr
    assert evil not in run("jobs", "--json").stdout

    class Terminal:
        stdout = stderr = type("", (), {"isatty": lambda self: True})()
        stdin = None

    monkeypatch.setattr(terminal_module, "sys", Terminal)
    shown = run("jobs")
    assert not re.search("[\x1b\u202e\r]", shown.output) and "data-lake" in shown.stdout


def test_from_python(folder: Path) -> None:
    (folder / "a.py").write_text(CERTAIN)
    done = rewrite_config([folder], Settings(target_bucket="lake"), write=True)
    assert done.ok and done.changes == 1 and "s3a://lake/bronze/x" in (folder / "a.py").read_text()
    assert not rewrite_config([str(folder)]).changes
