"""The report of a plan on a real server, at each stage, opened in a real browser."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from browser import looked_at
from e2e.small_lake import OLD, TARGET, SmallLake
from migrator import api
from migrator.cli import main
from migrator.config import load
from migrator.errors import MigratorError, PlanUnusable
from migrator.planfile.connecting import connect
from migrator.planfile.file import PlanFile
from migrator.verifying.verifier import Verifier
from reporting.html.made import Page

WIDTHS = (1280, 768, 360)


def report(plan: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["report", str(plan), *options])


def text_of(plan: Path, *options: str) -> str:
    output = plan.with_suffix(".html")
    result = report(plan, *options)
    assert result.exit_code == 0, result.output
    assert str(output) in result.output
    return Page(output.read_text()).text


def seal(page: str) -> str:
    """good, wait or bad."""
    (kind,) = [a["class"] for a in Page(page).all("div") if (a.get("class") or "").startswith("seal ")]
    return (kind or "").removeprefix("seal ")


@pytest.fixture
def plan(lake: SmallLake, tmp_path: Path) -> Path:
    path = tmp_path / "p.db"
    api.plan_lake(load(lake.config), path)
    return path


def test_every_stage_has_its_report(lake: SmallLake, plan: Path) -> None:
    page = plan.with_suffix(".html")
    text = text_of(plan)
    assert "What it takes" in text and "COPY" in text and "took" not in text
    assert "Planned, nothing changed yet" in text and f"migrator migrate {plan}" in text and "Not verified yet" in text

    api.migrate_lake(plan, cutover=False)
    text = text_of(plan)
    assert "Ready for the cutover" in text and "0 of 3" in text and seal(page.read_text()) == "wait"

    api.migrate_lake(plan)
    text = text_of(plan)
    assert "Cut over and verified" in text and "took" in text
    for bucket in OLD:
        lake.empty(bucket)
    assert api.verify_lake(plan).ok
    text = text_of(plan)
    described, log = api.show_plan(plan), api.plan_log(plan)
    last = log.entries[-1]
    assert last.event == "verified" and last.detail["ok"]
    for said in (log.digest, last.who, last.at[:19].replace("T", " "), described["target_bucket"]):
        assert said in text
    for check in last.detail["checks"]:
        assert check["name"] in text or not check["checked"]
    for table in described["tables"]:
        assert table["identifier"] in text


def test_what_is_broken_at_the_target_is_never_certified(lake: SmallLake, plan: Path) -> None:
    api.migrate_lake(plan)
    page = plan.with_suffix(".html")
    text_of(plan)
    before = seal(page.read_text())
    lake.client.delete_object(Bucket=TARGET, Key="bronze/plain/b")
    assert not api.verify_lake(plan).ok
    text = text_of(plan)
    assert before != "bad" and seal(page.read_text()) == "bad" and f"s3://{TARGET}/bronze/plain/b" in text
    lake.put(TARGET, "bronze/plain/b", b"x")
    assert api.verify_lake(plan).ok
    text_of(plan)
    assert seal(page.read_text()) == before


def test_a_deep_verification_proves_more(lake: SmallLake, plan: Path) -> None:
    api.migrate_lake(plan)
    assert "did not compare their values" in text_of(plan)
    assert api.verify_lake(plan, deep=True).ok
    text = text_of(plan)
    assert "did not compare their values" not in text and "with --deep" in text


def test_after_a_rollback_nothing_is_certified(lake: SmallLake, plan: Path) -> None:
    api.migrate_lake(plan)
    api.rollback_lake(plan)
    text = text_of(plan)
    assert "Rolled back" in text and "Not verified yet" in text


def test_a_log_that_was_edited_is_said(lake: SmallLake, plan: Path) -> None:
    api.migrate_lake(plan)
    db = connect(plan, "rw")
    db.executescript("DROP TRIGGER events_stay; UPDATE events SET who = 'boss@host' WHERE event = 'verified';")
    db.close()
    text = text_of(plan)
    assert "they were changed!" in text and seal(plan.with_suffix(".html").read_text()) == "bad"


def test_entries_that_were_cut_off_are_said(lake: SmallLake, plan: Path) -> None:
    """A log without its last entries is consistent: only the record at the target shows that they are missing."""
    api.migrate_lake(plan)
    db = connect(plan, "rw")
    db.executescript("DROP TRIGGER events_last; DELETE FROM events WHERE id > (SELECT max(id) - 2 FROM events);")
    db.close()
    assert "they were changed!" in text_of(plan)
    assert "The target was not asked" in text_of(plan, "--offline")


def test_without_the_server_it_says_what_it_could_not_ask(
    lake: SmallLake, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.migrate_lake(plan)
    monkeypatch.setattr(api, "connect", None)  # requests to it now fail
    text = text_of(plan, "--offline")
    assert "The target was not asked" in text and seal(plan.with_suffix(".html").read_text()) == "wait"


def test_a_verification_that_could_not_be_carried_out_is_named(
    lake: SmallLake, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.migrate_lake(plan)
    with monkeypatch.context() as without:
        without.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(MigratorError):
            api.verify_lake(plan)
    assert "could not be carried out" in text_of(plan)
    assert api.verify_lake(plan).ok
    assert "could not be carried out" not in text_of(plan)


def test_a_rollback_during_a_verification_is_not_certified(
    lake: SmallLake, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.migrate_lake(plan)
    verify = Verifier.verify

    def meanwhile(self: Verifier, **options: Any) -> Any:
        verification = verify(self, **options)
        monkeypatch.undo()
        for name, value in lake.server.environ().items():
            monkeypatch.setenv(name, value)
        api.rollback_lake(plan)
        return verification

    monkeypatch.setattr(Verifier, "verify", meanwhile)
    assert api.verify_lake(plan).ok
    text = text_of(plan)
    assert api.plan_log(plan).entries[-1].event == "verified"
    assert "Not verified yet" in text and seal(plan.with_suffix(".html").read_text()) == "wait"


def test_a_verification_that_cannot_be_recorded_says_so(
    lake: SmallLake, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.migrate_lake(plan)
    lake.client.delete_object(Bucket=TARGET, Key="bronze/plain/b")

    def refuse(self: PlanFile, progress: Any = None) -> None:
        raise PlanUnusable("p.db cannot be written.")

    monkeypatch.setattr(PlanFile, "allow_writing", refuse)
    result = CliRunner().invoke(main, ["verify", str(plan)])
    assert result.exit_code == 3 and "reports do not include it: p.db cannot be written." in result.output


def test_only_an_older_report_is_replaced(plan: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("my notes")
    result = report(plan, "-o", str(mine), "--offline")
    assert result.exit_code == 2 and "not a report of migrator" in result.output and mine.read_text() == "my notes"
    assert report(plan, "-o", str(plan), "--offline").exit_code == 2
    assert report(plan, "-o", str(tmp_path), "--offline").exit_code == 2
    os.mkfifo(tmp_path / "pipe")
    assert report(plan, "-o", str(tmp_path / "pipe"), "--offline").exit_code == 2
    assert Page(report(plan, "-o", "-", "--offline").stdout).text and not Path("-").exists()
    for _ in range(2):
        done = report(plan, "-o", str(tmp_path / "new" / "r.html"), "--offline", "--json")
        assert done.exit_code == 0
        said = json.loads(done.stdout)
        assert Path(said["report"]).stat().st_size == said["bytes"] > 10_000
    mode = stat.S_IMODE((tmp_path / "new" / "r.html").stat().st_mode)
    assert mode == 0o644 & ~os.umask(os.umask(0o022)) or mode & 0o600 == 0o600
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["r.html"]


def test_a_browser_shows_it_at_every_width_in_light_and_dark(lake: SmallLake, plan: Path) -> None:
    api.migrate_lake(plan)
    assert report(plan).exit_code == 0
    page = plan.with_suffix(".html").read_text()
    pictures = sum(tag == "svg" for tag, _ in Page(page).elements)
    papers = set()
    for dark in (False, True):
        seen, complaints = looked_at(page, *WIDTHS, dark=dark)
        assert complaints == []
        assert [one["width"] for one in seen] == list(WIDTHS)
        for one in seen:
            assert one["scrolls"] <= one["width"] and one["drawn"] == pictures >= 3 and one["outside"] == []
            assert one["paper"] != one["ink"]
            papers.add(one["paper"])
    assert len(papers) == 2


def test_the_browser_would_see_what_is_wrong() -> None:
    """Shows that the test before this one can fail: for a style that the policy forbids, a loaded file, a page that is
    too wide."""
    head = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    seen, complaints = looked_at(f'<!DOCTYPE html>{head}<p style="width:900px">x<img src="/x.png">', 360)
    assert len(complaints) >= 2 and all("Content Security Policy" in line for line in complaints)
    seen, _ = looked_at('<!DOCTYPE html><p style="width:900px">x<img src="/x.png">', 360)
    assert seen[0]["scrolls"] > 360 and seen[0]["outside"]
