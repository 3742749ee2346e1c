from __future__ import annotations

import json

from migrator.migration import Migration
from migrator.reporting.json_forms import migration_json, to_json, verification_json
from migrator.results import RunResult
from migrator.verifying.checks import Check, PrefixTotal, Verification
from reporting.described import EVIL, LONELY, plan


def test_a_verification_has_its_documented_keys() -> None:
    verification = Verification([PrefixTotal("a/", 1, 2, 3, 4)], [Check("c", "files", 5)], unregistered=[LONELY])
    assert list(verification_json(verification)) == [
        "ok",
        "result",
        "cut_over",
        "deep",
        "superseded_by",
        "not_recorded",
        "prefixes",
        "checks",
        "late",
        "unregistered",
    ]
    assert verification_json(verification)["prefixes"] == [
        {"prefix": "a/", "planned_objects": 1, "planned_bytes": 2, "present_objects": 3, "present_bytes": 4}
    ]


def test_a_migration_without_a_verification_takes_the_unregistered_tables_of_the_plan() -> None:
    value = migration_json(Migration(RunResult(copied=3), [], None), plan(unregistered=[LONELY.to_json()]))
    assert value["ok"] and value["copied_objects"] == value["copy"]["objects"] == 3
    assert value["verification"] is None and value["unregistered"] == [LONELY.to_json()]


def test_json_escapes_what_a_terminal_would_act_on() -> None:
    text = to_json({"key": EVIL})
    assert "\x1b" not in text and json.loads(text) == {"key": EVIL}
