from __future__ import annotations

from typing import Any

from migrator.cutover.places import NEWER, TablePlace
from migrator.iceberg.metadata import Snapshot
from migrator.planfile.rows import PlannedTable
from migrator.reporting.rendering import render
from migrator.reporting.rollback import rollback_question, rollback_report
from migrator.rollback.stage import Rollback

PLAN: Any = {
    "plan": "plans/my lake.db",
    "config": "lake.toml",
    "rules": [],
    "all_versions": False,
    "object_lock": False,
    "pointers": {"total": 2},
    "changes": [{"what": "paths in jobs", "before": "s3a://bronze/", "after": "s3a://data-lake/bronze/"}],
}


def newer(name: str, snapshots: int) -> TablePlace:
    table = PlannedTable(
        1, "lake", "sql", "db", name, "u", 2, "s3://a", "s3://b", "s3://a/x", "s3://b/x", "rewrite",
        1, 1, 1, 0, "{}", "[]", "table",
    )  # fmt: skip
    commits = tuple(Snapshot(n, None, n, 0, "l", (), {"operation": "append"}, None) for n in range(snapshots))
    return TablePlace(table, NEWER, "s3://b/y", commits=commits)


def test_the_report_says_what_must_be_changed_back() -> None:
    text = render(rollback_report(Rollback(put_back=["lake.db.a", "lake.db.b"], namespaces=1, by_hint=["h.t"]), PLAN))
    assert "Rolled back: 2 tables and 1 namespace property point to the old place again." in text
    assert "1 table of Hadoop catalogs: their old place was never changed." in text
    assert "paths in jobs  s3a://data-lake/bronze/  →  s3a://bronze/" in text
    assert "migrator migrate 'plans/my lake.db'" in text


def test_what_somebody_has_set_in_the_old_place_is_not_called_back() -> None:
    done = Rollback(already=["lake.db.a"], kept_pointers=["lake.db.b: s3://bronze/other"])
    text = render(rollback_report(done, PLAN))
    assert "1 table was there already." in text and "  lake.db.b: s3://bronze/other\n" in text
    assert "make a new plan" in text and "migrator migrate" not in text


def test_what_was_given_up_is_named_and_asks_for_a_new_plan() -> None:
    done = Rollback(put_back=["lake.db.a"], discarded=[newer("a", 5)], kept_properties=["lake.db location: s3://mine"])
    text = render(rollback_report(done, PLAN))
    assert "lake.db.a: snapshot 2 of 1970" in text and "and 2 earlier ones" in text
    assert "lake.db location: s3://mine" in text
    assert "migrator plan --config lake.toml -o NEW.db" in text and "migrator migrate" not in text
    assert done.to_json()["discarded"][0]["table"] == "lake.db.a"


def test_nothing_to_roll_back() -> None:
    assert "Nothing to roll back" in render(rollback_report(Rollback(nothing_to_do=True), PLAN))


def test_the_question_says_if_commits_will_be_lost() -> None:
    assert (
        rollback_question(PLAN, discard_newer=False, bring_back=False)
        == "Point 2 pointers to the old buckets again, now?"
    )
    assert "would lose commits" in rollback_question(PLAN, discard_newer=True, bring_back=False)


def test_settings_of_the_target_are_asked_for_and_reported() -> None:
    asked = rollback_question(PLAN, discard_newer=False, bring_back=False, settings=["policy", "tags"])
    assert asked == "Point 2 pointers to the old buckets again, and give the target its old policy, tags back, now?"
    alone = rollback_question(PLAN, discard_newer=False, bring_back=False, settings=["tags"], pointers=False)
    assert alone == "Give the target its old tags back, now?"
    for done in (Rollback(nothing_to_do=True), Rollback(put_back=["lake.db.a"])):
        done.settings = ["s3://data-lake/ has its old tags again."]
        assert done.settings[0] in render(rollback_report(done, PLAN)) and done.to_json()["settings"] == done.settings
