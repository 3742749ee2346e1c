"""``migrator init``: what is printed, made and refused. The server is moto."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from migrator import reference
from migrator.cli import main
from migrator.config import load
from migrator.store import Store


@pytest.fixture(autouse=True)
def folder(mock_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    done = CliRunner().invoke(main, ["init", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done


def test_it_shows_first_and_makes_with_yes(mock_store: Store, folder: Path) -> None:
    shown = run()
    assert shown.exit_code == 0 and "Nothing was made. To make this, add --yes." in shown.stdout
    assert '"s3://bronze/" = "bronze/"' in shown.stdout and '"AbortIncompleteMultipartUpload"' in shown.stdout
    assert not mock_store.bucket_exists("data-lake") and not list(folder.iterdir())
    made = run("--yes")
    assert (
        made.exit_code == 0 and "Wrote lake.toml." in made.stdout and "Set, and read back: encryption." in made.stdout
    )
    assert mock_store.bucket_exists("data-lake") and load(folder / "lake.toml").target_bucket == "data-lake"
    again = run("--yes")
    assert again.exit_code == 2 and "lake.toml exists, and is not overwritten" in again.stderr


def test_options(mock_store: Store) -> None:
    words = ("--target", "my-lake", "-o", "my.toml", "--layers", "bronze, gold", "--expire", "gold=9", "--json")
    shown = json.loads(run(*words).stdout)
    rules = shown["changes"][1]["after"]["Rules"]
    assert [(rule["ID"], rule["Filter"]) for rule in rules] == [
        ("abort-open-uploads", {"Prefix": ""}),
        ("expire-gold", {"Prefix": "gold/"}),
    ]
    assert (shown["target"], shown["layers"], shown["made"], shown["file"]) == (
        "my-lake", ["bronze", "gold"], False, "my.toml",
    )  # fmt: skip
    section = reference.text(reference.JSON_KEYS).partition("## `init --json`")[2].partition("\n## ")[0]
    assert {*shown} <= set(re.findall(r"`(\w+)`", section))
    assert json.loads(run(*words, "--yes").stdout)["made"] is True


def test_commands_and_access_make_nothing(mock_store: Store, folder: Path) -> None:
    (folder / "lake.toml").write_text("mine")
    mc = run("--commands", "mc")
    assert mc.exit_code == 0 and mc.stdout.startswith("mc mb --ignore-existing ALIAS/data-lake\n")
    assert "aws s3api create-bucket --bucket data-lake\n" in run("--commands", "aws").stdout
    policy = json.loads(run("--access", "bronze", "writer").stdout)
    assert policy["Statement"][1]["Resource"] == ["arn:aws:s3:::data-lake/bronze/*"]
    assert not mock_store.bucket_exists("data-lake") and (folder / "lake.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--expire", "logs"], "write it as LAYER=DAYS"),
        (["--expire", "warehouse=3"], "--expire-tables"),
        (["--expire", "platinum=3"], "there is no such layer"),
        (["--layers", ","], "name at least one"),
        (["--layers", "data-lake"], "lies in the target bucket"),
        (["--access", "platinum", "reader"], "is no layer"),
        (["--access", "bronze", "king"], "is no role"),
        (["--yes", "--commands", "mc"], "Give one of"),
        (["--target", "a/b"], "is not a bucket name"),
    ],
)
def test_what_is_wrong_is_a_usage_error(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.exit_code == 2 and said in " ".join(done.stderr.split())
