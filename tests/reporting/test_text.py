from __future__ import annotations

from typing import Any

import pytest

from migrator.api import Migration
from migrator.cutover.unregistered import Unregistered
from migrator.planfile.rows import ACTIONS
from migrator.reporting import text as report
from migrator.results import RunResult, SourceChanges
from migrator.verifying.checks import Check, PrefixTotal, Verification

EVIL = "s3://bronze/\x1b[2J\x1b]0;owned\x07\nOK\u202e"


def plan(**changes: Any) -> dict[str, Any]:
    nothing = {action: {"objects": 0, "bytes": 0} for action in (*ACTIONS, "pointer")}
    described: dict[str, Any] = {
        "plan": "plans/p.db",
        "config": None,
        "phase": "planned",
        "catalogs": {"iceberg": "sql sqlite:////c.db"},
        "all_versions": False,
        "object_lock": False,
        "endpoint_url": "http://minio:9000",
        "region": None,
        "profile": None,
        "target_endpoint_url": "http://minio:9000",
        "target_region": None,
        "target_profile": None,
        "streamed": False,
        "target_bucket": "data-lake",
        "created": "2026-11-23",
        "tool_version": "0.1.0",
        "actions": {**nothing, "copy": {"objects": 1234567, "bytes": 3 * 1024**4}},
        "versions": {},
        "prefixes": [{"source": EVIL, "target": "s3://data-lake/bronze/", "objects": 1234567, "bytes": 3 * 1024**4}],
        "tables": [],
        "namespaces": [],
        "findings": [],
        "blocked": False,
        "changes_pending": True,
        "pointers": {"tables": 7, "namespaces": 0, "hints": 0, "total": 7, "catalogs": 2},
        "unregistered": [],
        "changes": [],
    }
    return {**described, **changes}


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (3 * 1024**4, "3.0 TiB")]
)
def test_size(count: int, text: str) -> None:
    assert report.size(count) == text


def test_a_plan_says_what_happens_and_what_is_next() -> None:
    text = report.plan_text(plan())
    assert "copy    1,234,567  3.0 TiB  copied as they are, on the server" in text
    assert text.endswith("Ready. Nothing was changed yet. Next: migrator migrate plans/p.db")
    assert "Nothing to do" in report.plan_text(plan(changes_pending=False))


def test_a_plan_for_two_servers_names_both() -> None:
    there = {"target_endpoint_url": "http://new:9000", "target_profile": "new", "profile": "old", "streamed": True}
    text = report.plan_text(plan(**there))
    assert "http://minio:9000 (profile old) → s3://data-lake/ at http://new:9000 (profile new)" in text
    assert "copied as they are, through this machine" in text
    assert "http://minio:9000 → s3://data-lake/   made" in report.plan_text(plan())


def test_findings_end_in_what_to_do_next() -> None:
    finding = {
        "severity": "block",
        "code": "unreadable",
        "place": EVIL,
        "message": "m",
        "next_move": "Mend it.",
        "count": 7,
    }
    text = report.plan_text(plan(findings=[finding], blocked=True))
    assert "✖ unreadable: s3://bronze/" in text and "(×7)" in text and "\n      Mend it." in text
    assert text.endswith("Blocked: 1 finding to solve first. Nothing was changed.")


def finding(code: str, number: int, severity: str = "warn", **changes: Any) -> dict[str, Any]:
    told = {
        "severity": severity,
        "code": code,
        "place": f"s3://b/{number}",
        "message": "m",
        "next_move": "",
        "count": 1,
    }
    return {**told, **changes}


def test_findings_of_one_code_are_shown_together() -> None:
    many = [finding("path-in-text", number, next_move="Change it by hand.") for number in range(400)]
    many.insert(7, finding("open-uploads", 7, count=3))
    lines = report.plan_text(plan(findings=many)).split("\n")
    (head,) = [line for line in lines if "path-in-text" in line]
    assert "400 places" in head
    assert sum("s3://b/" in line for line in lines) == report.PLACES + 1
    assert sum("Change it by hand." in line for line in lines) == 1
    assert "      … and 397 more" in lines
    (other,) = [line for line in lines if "open-uploads" in line]
    assert "s3://b/7 m (×3)" in other


def test_the_plan_ends_in_its_totals_and_names_the_buckets_beside_it() -> None:
    beside = [finding("bucket-beside", n, "info", place=f"s3://other-{n}/") for n in (1, 2)]
    actions = plan()["actions"] | {"rewrite": {"objects": 82, "bytes": 1}, "overwrite": {"objects": 3, "bytes": 1}}
    totals = report.plan_text(plan(findings=beside, actions=actions)).split("\n")[-2]
    assert totals == (
        "Plan: 1,234,570 to copy, 82 to rewrite, 7 pointers to change in 2 catalogs, 0 to delete. "
        "2 buckets are not part of it: other-1, other-2."
    )
    assert "not part of it" not in report.plan_text(plan())
    many = [finding("bucket-beside", n, "info", place=f"s3://other-{n}/") for n in range(40)]
    totals = report.plan_text(plan(findings=many)).split("\n")[-2]
    assert "40 buckets" in totals and all(f"other-{n}" in totals for n in range(40))


@pytest.mark.parametrize("phase", ["copying", "rewriting", "ready for cutover", "cut over", "finished"])
def test_nothing_was_changed_is_said_only_before_anything_was(phase: str) -> None:
    text = report.plan_text(plan(phase=phase))
    assert "Nothing was changed" not in text and "migrator " in text.split("\n")[-1]
    starting = report.plan_text(plan(phase=phase), starting=True)
    assert "Nothing was changed" not in starting and "migrator migrate" not in starting
    assert report.plan_text(plan(), starting=True).split("\n")[-1].startswith("Plan: ")


def test_the_question_says_what_will_be_done() -> None:
    assert report.question(plan(), cutover=True) == (
        "Copy 1,234,567 objects and rewrite 0 table files, then change 7 pointers in 2 catalogs, now?"
    )
    ready = report.question(plan(phase="ready for cutover"), cutover=True)
    assert "copied and rewritten" in ready and "change 7 pointers in 2 catalogs now?" in ready
    assert "change no pointer" in report.question(plan(), cutover=False)


def test_no_table_is_called_cut_over_before_it_is() -> None:
    table = {"identifier": "iceberg.db.t", "kind": "table", "format_version": 2, "catalog": "iceberg"}
    table |= dict.fromkeys(("snapshots", "data_files", "delete_files", "rewrite_files"), 1)
    shown = {s: report.plan_text(plan(tables=[{**table, "state": s}])) for s in ("rewrite", "rewritten", "migrated")}
    assert "rewritten, not cut over yet" in shown["rewritten"]
    unnamed = report.plan_text(plan(tables=[{**table, "catalog": None, "state": "rewritten"}]))
    assert "rewritten, not registered" in unnamed


LONELY = Unregistered(
    "table", "o'db", "my-table", "s3://bronze/lonely", "s3://data-lake/l'x\\y/metadata/3.metadata.json"
)


def test_tables_that_no_catalog_names_are_the_last_word() -> None:
    before = report.plan_text(plan(unregistered=[LONELY.to_json()]), lambda text, colour: f"[{colour}]{text}")
    assert "[red]1 table is in no given catalog" in before and "not registered" in before
    good = Check("good", "files", 5)
    verification = Verification([], [good], cut_over=True, unregistered=[LONELY] * 12)
    text = report.verification_text(verification)
    assert verification.ok and "Everything" not in text
    end = text[text.index("12 tables are not registered") :].split("\n")
    assert len(end) == 1 + 4 * report.TABLES + 1 and "… and 2 more" in end[-1]
    assert end[1] == "  o'db.my-table"
    assert end[2].endswith(
        r"register_table(table => '`o\'db`.`my-table`', metadata_file => "
        r"'s3://data-lake/l\'x\\y/metadata/3.metadata.json')"
    )
    assert "schema_name => 'o''db', table_name => 'my-table', table_location => 's3://data-lake/l''x\\y'" in end[3]
    namespace = {"catalog": type("Catalog", (), {"register_table": staticmethod(lambda *given: given)})}
    command = end[4].split(None, 1)[1]
    assert eval(command, namespace) == (("o'db", "my-table"), LONELY.metadata_location)
    migration = Migration(RunResult(copied=1), [], verification)
    assert "Everything" not in report.migration_text(migration, plan())
    assert report.migration_json(migration, plan())["unregistered"][0] == LONELY.to_json()
    nothing = report.migration_text(Migration(RunResult(), [], None, True), plan(unregistered=[LONELY.to_json()]))
    assert nothing.split("\n")[-1].startswith("    pyiceberg")


def test_names_cannot_move_the_cursor() -> None:
    evil = finding("x", 1, place=EVIL, message=EVIL, next_move=EVIL)
    lonely = Unregistered("table", EVIL, EVIL, EVIL, EVIL)
    check = Check("c", "u", 1, 1, [EVIL], [EVIL])
    check.skip(EVIL)
    verification = Verification([PrefixTotal(EVIL, 1, 1, 1, 1)], [check], late=SourceChanges(1, 0, 0, [EVIL]))
    verification.unregistered = [lonely]
    described = plan(plan=EVIL, config=EVIL, findings=[evil, evil], unregistered=[lonely.to_json()])
    texts = [
        report.plan_text(described),
        report.verification_text(verification),
        report.migration_text(Migration(RunResult(), [check], None), described),
        report.migration_text(Migration(RunResult(), [check], verification), described),
    ]
    for text in texts:
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert "\\x1b[2J" in text


def test_a_verification_with_a_difference_never_says_all_is_well() -> None:
    good, bad = Check("good", "files", 5), Check("bad", "files", 5)
    bad.fail("- s3://data-lake/x: missing")
    assert Verification([], [good], cut_over=True).ok
    assert report.verification_text(Verification([], [good], cut_over=True)).endswith("Everything is as it must be.")
    failed = Verification([], [good, bad], cut_over=True)
    assert not failed.ok and failed.result == "different"
    text = report.verification_text(failed)
    assert "✖ bad: 5 files checked, 1 wrong" in text and text.endswith("1 difference.")


def test_what_could_not_be_read_is_no_difference_and_not_well() -> None:
    check = Check("reads", "files", 5)
    check.error("! s3://data-lake/x: SlowDown")
    verification = Verification([], [check], cut_over=True)
    assert not verification.ok and verification.result == check.result == "error"
    text = report.verification_text(verification)
    assert "! reads: 5 files checked, 1 could not be read now" in text
    assert "difference" not in text and text.endswith("run the same command again.")


def test_a_check_that_compared_nothing_gets_no_tick() -> None:
    """One line with counts and reasons; the end says it again; only a check that had nothing to do is left out."""
    good, nothing, part = Check("good", "files", 5), Check("nothing", "rows"), Check("part", "objects", 3)
    for _ in range(30):
        nothing.skip("the old bucket is gone")
    part.skip("the old bucket is gone", 2)
    part.skip("changed in the old bucket since planning")
    verification = Verification([], [good, nothing, part, Check("no tables", "tables")], cut_over=True)
    assert verification.ok and verification.result == nothing.result == "not compared" and part.result == "same"
    assert nothing.to_json()["not_compared"] == 30 and nothing.to_json()["reasons"] == {"the old bucket is gone": 30}
    text = report.verification_text(verification)
    assert "  – nothing: not compared: 30 rows (the old bucket is gone)" in text
    assert "  ✔ part: 3 objects checked, not compared: 3 objects\n      2: the old bucket is gone\n" in text
    assert "no tables" not in text and "Everything" not in text
    assert text.split("\n")[-1].startswith("Not compared: 30 rows: the old bucket is gone; 2 objects: the old bucket")
    empty = report.verification_text(Verification([], [Check("objects", "objects")], cut_over=True))
    assert "✔" not in empty and "Everything" not in empty


def test_no_difference_is_said_only_where_something_was_compared() -> None:
    nothing = Check("objects", "objects")
    skipped = Check("rows", "rows")
    skipped.skip("the old bucket is gone", 3)
    for checks in ([nothing], [nothing, skipped], []):
        for verification in (
            Verification([], checks, cut_over=True),
            Verification([], checks, cut_over=True, unregistered=[LONELY]),
        ):
            assert "No difference" not in report.verification_text(verification)
    one = Verification([], [Check("objects", "objects", 1), skipped], cut_over=True)
    assert "No difference was found." in report.verification_text(one)


def test_what_was_left_behind_is_said_at_the_end() -> None:
    verification = Verification(
        [], [Check("good", "files", 5)], cut_over=True, late=SourceChanges(2, 1, 1, ["+ s3://b/new"])
    )
    end = report.migration_text(Migration(RunResult(), [], verification), plan()).split("\n")[-1]
    assert "2 added, 1 changed, 1 removed (+ s3://b/new)" in end
    assert "Everything" not in report.verification_text(verification)


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ({"config": "my lake.toml"}, "migrator plan --config 'my lake.toml' -o NEW.db"),
        ({"config": "l.toml", "all_versions": True}, "migrator plan --config l.toml --all-versions -o NEW.db"),
        ({"config": "l.toml", "object_lock": True}, "migrator plan --config l.toml --object-lock -o NEW.db"),
        ({}, "migrator plan --endpoint-url http://minio:9000 --target data-lake --catalog iceberg -o NEW.db"),
    ],
)
def test_after_no_cutover_the_next_step_is_a_new_plan_made_in_the_same_way(asked: dict[str, Any], command: str) -> None:
    text = report.migration_text(Migration(RunResult(), [], None), plan(**asked))
    assert f"\n  {command}\n  migrator migrate NEW.db\n" in text
    assert text.endswith("\n  migrator migrate plans/p.db")


def test_lines_are_wrapped_between_words_and_commands_are_not() -> None:
    red = "\x1b[31m"
    text = f"  ▲ {red}code\x1b[0m: " + "word " * 40 + "\n\n  migrator plan " + "x " * 60
    wrapped = report.wrapped(text, 80).split("\n")
    assert all(len(line.replace(red, "").replace("\x1b[0m", "")) <= 80 for line in wrapped[:-1])
    assert wrapped[1].startswith("      word") and " ".join(wrapped[:-2]).split() == text.split("\n")[0].split()
    assert wrapped[-1] == text.split("\n")[-1]
    assert report.wrapped("  " + "k" * 300, 80) == "  " + "k" * 300


def test_only_the_first_problems_are_listed_but_all_are_counted() -> None:
    check = Check("c", "files")
    for number in range(1000):
        check.fail(f"problem {number}")
    assert check.failed == 1000 and len(check.problems) == 20
