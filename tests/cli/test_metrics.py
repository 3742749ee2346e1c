"""``migrator metrics``: what is printed and written, the exit codes, and an address."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from checking.lake import Checked, tidy
from migrator import reference
from migrator.cli import main
from migrator.store import Store


@pytest.fixture
def lake(mock_store: Store) -> Checked:
    return tidy(mock_store)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["metrics", *map(str, words)])


def test_it_is_printed(lake: Checked) -> None:
    done = run()
    assert done.exit_code == 0
    assert 'migrator_layer_objects{kind="layer",layer="bronze"} 1.0\n' in done.stdout
    assert "migrator_up 1.0\n" in done.stdout and "migrator_collection_complete 1.0\n" in done.stdout


def test_findings_do_not_fail(lake: Checked) -> None:
    lake.put("tmp/a")
    lake.put("scripts/a.py", b"'s3://gold/x'")
    done = run()
    assert done.exit_code == 0
    assert 'migrator_layer_old_paths{kind="scripts",layer="scripts"} 1.0\n' in done.stdout
    assert 'migrator_findings{code="stray-folder",severity="warn"} 1.0\n' in done.stdout


def test_a_file(lake: Checked, tmp_path: Path) -> None:
    place = tmp_path / "lake.prom"
    done = run("-o", place)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "migrator_up 1.0\n" in place.read_text() and list(tmp_path.iterdir()) == [place]


def test_a_lake_that_cannot_be_listed_fails_and_leaves_the_file(mock_store: Store, tmp_path: Path) -> None:
    place = tmp_path / "lake.prom"
    place.write_text("old")
    done = run("-o", place)
    assert done.exit_code == 1 and "Neither the target" in done.stderr
    assert place.read_text() == "old" and list(tmp_path.iterdir()) == [place]


def test_a_folder_that_is_not_there_is_named_before_the_lake_is_listed(tmp_path: Path) -> None:
    done = run("-o", tmp_path / "missing" / "lake.prom")
    assert done.exit_code == 2 and f"there is no folder {tmp_path / 'missing'}" in done.stderr


@pytest.mark.parametrize("early", [True, False])
def test_a_file_that_cannot_be_written_is_named_as_it_was_given(
    lake: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    """Not the temporary file beside it. A missing permission is found before a collection, which may take long."""
    if early:
        monkeypatch.setattr("os.access", lambda *_, **__: False)
        monkeypatch.setattr("migrator.api.measure_lake", lambda *_, **__: pytest.fail("collected"))
    place = tmp_path / ("lake.prom" if early else "x" * 250 + ".prom")
    done = run("-o", place)
    assert done.exit_code == 2 and f"-o {place} cannot be written: " in done.stderr and "Name a file" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_pause_is_a_pause() -> None:
    done = run("--listen", "0", "--every", "0.5s")
    assert done.exit_code == 2 and "at least 1s" in done.stderr


def test_limits(lake: Checked) -> None:
    lake.put("bronze/raw_events/a.parquet", b"x" * 2_000)
    small = 'migrator_layer_small_files{{kind="layer",layer="bronze"}} {}.0\n'
    assert small.format(1) in run().stdout
    assert small.format(0) in run("--small-file", "1K").stdout


def test_dashboard_and_rules_need_no_lake_and_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert json.loads(run("--dashboard").stdout) == json.loads(reference.text(reference.DASHBOARD))
    assert run("--rules").stdout == reference.text(reference.RULES)


def test_without_the_package(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    done = run()
    assert done.exit_code == 2 and "pip install 'lake-migrator[metrics]'" in done.stderr


@pytest.mark.parametrize("words", [("--listen", "1", "-o", "x"), ("--rules", "--dashboard"), ("-o", "x", "--rules")])
def test_one_place_for_the_metrics(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.exit_code == 2 and "Give one of" in done.stderr


@pytest.mark.parametrize("address", ["", "host", "a:b", "1.2.3.4:", "[::1:9", "::1:9", "127.0.0.1:65536", "a b:1"])
def test_what_is_no_address(address: str) -> None:
    done = run("--listen", address)
    assert done.exit_code == 2 and "is not an address" in done.stderr


def test_an_address_of_somebody_else() -> None:
    done = run("--listen", "192.0.2.1:9475")
    assert done.exit_code == 2 and "192.0.2.1:9475 cannot be listened on" in done.stderr
