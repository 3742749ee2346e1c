from __future__ import annotations

from typing import Any

import pytest

from migrator.migration import Migration
from migrator.reporting.migration import migration_report
from migrator.reporting.rendering import render
from migrator.reporting.verification import verification_report
from migrator.results import RunResult, SourceChanges
from migrator.verifying.checks import Check, Verification
from reporting.described import plan


def test_what_was_left_behind_is_said_at_the_end() -> None:
    verification = Verification(
        [], [Check("good", "files", 5)], cut_over=True, late=SourceChanges(2, 1, 1, ["+ s3://b/new"])
    )
    end = render(migration_report(Migration(RunResult(), [], verification), plan())).split("\n")[-1]
    assert "2 added, 1 changed, 1 removed (+ s3://b/new)" in end
    assert "Everything" not in render(verification_report(verification))


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ({"config": "my lake.toml"}, "migrator plan --config 'my lake.toml' -o NEW.db"),
        ({"config": "l.toml", "all_versions": True}, "migrator plan --config l.toml --all-versions -o NEW.db"),
        ({"config": "l.toml", "rules": ["s3://a b/"]}, "migrator plan --config l.toml --rule 's3://a b/' -o NEW.db"),
        ({"config": "l.toml", "object_lock": True}, "migrator plan --config l.toml --object-lock -o NEW.db"),
        ({}, "migrator plan --endpoint-url http://minio:9000 --target data-lake --catalog iceberg -o NEW.db"),
    ],
)
def test_after_no_cutover_the_next_step_is_a_new_plan_made_in_the_same_way(asked: dict[str, Any], command: str) -> None:
    text = render(migration_report(Migration(RunResult(), [], None), plan(**asked)))
    assert f"\n  {command}\n  migrator migrate NEW.db\n" in text
    assert text.endswith("\n  migrator migrate plans/p.db")
