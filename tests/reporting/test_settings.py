from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from migrator.reporting.new_lake import new_lake_json, new_lake_report
from migrator.reporting.rendering import render
from migrator.reporting.settings import applied_report, settings_json, settings_report
from migrator.settings.kinds import NotCarried
from migrator.settings.new_lake import NewLake, settings_of
from migrator.settings.translate import Change, Translation
from migrator.target.new_lake import MadeLake
from migrator.target.settings import REFUSED, SET, WAITS, AppliedSettings

PLAN = Path("plans/my lake.db")
NASTY = "\x1b[31m\u202e\n\x9b0m"
TAGS: dict[str, Any] = {"TagSet": [{"Key": NASTY, "Value": "x"}]}


def shown(*not_carried: NotCarried) -> Translation:
    return Translation("lake", [Change("tags", None, TAGS)], list(not_carried))


def found(severity: str) -> NotCarried:
    return NotCarried(severity, "policy", "s3://bronze/", f"statement {NASTY}", "it denies", "Do this.")


def test_no_name_gets_into_the_terminal_as_it_is() -> None:
    for colours in (True, False):
        text = render(settings_report(shown(found("warn")), PLAN), 80, colours=colours)
        assert not {"\u202e", "\x9b"} & {*text} and "\\x1b[31m" in text.replace("\n", "")
    plain = render(settings_report(shown(), PLAN))
    assert "\x1b" not in plain and '+      "Key": "\\u001b[31m\\u202e\\n\\u009b0m",\n' in plain


def test_what_is_most_urgent_comes_first_and_blocks() -> None:
    text = render(settings_report(shown(found("info"), found("warn"), found("block")), PLAN))
    heads = ["Decide this before anything is set", "Not carried over: check these yourself", "Good to know"]
    assert sorted(heads, key=text.index) == heads and "--apply" not in text
    assert "migrator settings 'plans/my lake.db' --apply" in render(settings_report(shown(), PLAN))
    assert "Nothing to set on s3://lake/." in render(settings_report(Translation("lake"), PLAN))


def test_what_became_of_each_setting() -> None:
    done = AppliedSettings(shown(), {"tags": SET, "notifications": WAITS, "CORS": REFUSED}, {"CORS": "no such thing"})
    text = render(applied_report(done, PLAN))
    assert "Set, and read back: tags." in text and "Refused by the server: CORS: no such thing" in text
    assert "Not set yet: notifications. Each copy would send an event." in text
    assert "migrator rollback 'plans/my lake.db'" in text and not done.ok
    printed = settings_json(done.translation, PLAN, done.states, done.reasons)
    assert not printed["ok"] and printed["changes"][0]["state"] == "set" and json.dumps(printed)
    assert "rollback" not in render(applied_report(AppliedSettings(Translation("lake")), PLAN))


def test_a_new_lake() -> None:
    new = NewLake("lake")
    made = MadeLake(new, settings_of(new, {}, missing=True), Path("lake.toml"), f"# {NASTY}\n")
    text = render(new_lake_report(made))
    assert "s3://lake/ does not exist yet." in text and "add --yes" in text and "\x1b" not in text
    made.applied = AppliedSettings(made.settings, {"encryption": REFUSED, "lifecycle": SET}, {"encryption": "no KMS"})
    text = render(new_lake_report(made))
    assert "Refused by the server: encryption: no KMS" in text and "Wrote lake.toml." in text and made.ok
    assert new_lake_json(made)["made"] is True and new_lake_json(made)["ok"] is True
