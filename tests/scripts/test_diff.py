"""git and patch accept the diff, for any text and any file name."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from migrator.scripts import rewrite_text
from migrator.scripts.diff import quoted, unified_diff
from scripts.lake import NAMES

LINE = "spark.read.load('s3a://bronze/x')"
TEXTS = {
    "one line": f"{LINE}\n",
    "no newline at the end": f"a\n{LINE}",
    "carriage returns": f"a\r\n{LINE}\r\nb\r\n",
    "other line ends": f"a\x0bb\u2028{LINE}\x0cc\rd\n{LINE}\n",
    "far apart": f"{LINE}\n" + "x\n" * 20 + f"{LINE}\n" + "y\n" * 6 + f"{LINE}\n{LINE}\nz\n",
    "lines that go": "a\n" * 5 + "mc mb myminio/bronze\nmc mb myminio/silver\nmc mb myminio/gold\n" + "b\n" * 9 + LINE,
    "only lines that go": "mc mb myminio/bronze\nmc mb myminio/silver",
    "a byte order mark": f"\ufeff{LINE}\n",
    "no line around": f"{LINE}\n" * 12,
}
NAMES_OF_FILES = ["run.sh", "with blank.sh", 'quote".sh', "back\\slash.sh", "new\nline.sh", "é.sh", "folder/x.sh"]

PROGRAMS = {"git": ["git", "apply", "--whitespace=nowarn"], "patch": ["patch", "-p1", "--binary", "--quiet"]}


def apply(program: str, folder: Path, diff: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    environ = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(PROGRAMS[program], cwd=folder, input=diff.encode(), capture_output=True, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr + diff.encode()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("case", TEXTS)
def test_the_diff_is_applied(program: str, case: str, tmp_path: Path) -> None:
    done = rewrite_text(TEXTS[case], NAMES)
    (tmp_path / "run.sh").write_bytes(TEXTS[case].encode())
    apply(program, tmp_path, unified_diff("run.sh", TEXTS[case], done.edits))
    assert (tmp_path / "run.sh").read_bytes() == done.text.encode()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", NAMES_OF_FILES)
def test_the_diff_names_the_file(program: str, name: str, tmp_path: Path) -> None:
    if program == "patch" and "\n" in name:
        pytest.skip("patch refuses file names with line ends")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("s3a://bronze\n")
    apply(program, tmp_path, unified_diff(name, "s3a://bronze\n", rewrite_text("s3a://bronze\n", NAMES).edits))
    assert path.read_text() == "s3a://data-lake/bronze\n"


def test_a_text_that_does_not_change_has_no_diff() -> None:
    assert unified_diff("x", "bronze\n", ()) == ""


def test_no_control_character_of_a_name_is_in_the_diff() -> None:
    assert quoted("a\x1b[31m\udcff") == '"a\\033[31m\\377"'
