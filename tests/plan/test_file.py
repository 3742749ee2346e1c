from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from migrator.errors import PlanBusy, PlanDamaged, PlanStale
from migrator.findings import Finding
from migrator.plan.file import PlanFile


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    path = tmp_path / "p.db"
    with PlanFile.create(path) as plan:
        plan.db.execute(
            "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action)"
            " VALUES ('b', 'k', 1, 'e', 0, 'STANDARD', 't', 'copy')"
        )
        plan.add_finding(Finding.of("bucket-settings", "s3://b/", "m"))
        plan.seal({"target_bucket": "data-lake", "layout": "{}"})
    return path


def edit(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


def test_a_sealed_plan_opens(plan_path: Path) -> None:
    with PlanFile.open(plan_path) as plan:
        assert [o.place for o in plan.objects()] == ["s3://b/k"]
        assert plan.object_at("b", "k") is not None and plan.object_at("b", "x") is None
        assert not plan.blocked


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE objects SET target = 'elsewhere'",
        "DELETE FROM objects",
        "DELETE FROM findings",
        "UPDATE header SET value = 'other' WHERE key = 'target_bucket'",
        "DELETE FROM header WHERE key = 'digest'",
        "INSERT INTO namespaces VALUES ('c', 'n', 'k', 'o', 'n')",
    ],
)
def test_a_plan_edited_by_hand_is_refused(plan_path: Path, statement: str) -> None:
    edit(plan_path, statement)
    with pytest.raises(PlanDamaged, match=r'was edited after planning\. Run "migrator plan" again\.') as caught:
        PlanFile.open(plan_path)
    assert caught.value.exit_code == 1


def test_the_journal_is_no_edit(plan_path: Path) -> None:
    edit(plan_path, "INSERT INTO done VALUES (1, 1, 'e', 'etag')")
    PlanFile.open(plan_path).close()


@pytest.mark.parametrize(("key", "value"), [("format", "99"), ("tool_version", "9.9.9")])
def test_another_version_is_stale(plan_path: Path, key: str, value: str) -> None:
    edit(plan_path, f"UPDATE header SET value = '{value}' WHERE key = '{key}'")
    with pytest.raises(PlanStale, match=value) as caught:
        PlanFile.open(plan_path)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(PlanDamaged):
        PlanFile.open(path)
    with pytest.raises(PlanDamaged, match="there is no such plan"):
        PlanFile.open(tmp_path / "none.db")


def test_one_writer_at_a_time(plan_path: Path) -> None:
    with (
        PlanFile.open(plan_path) as first,
        PlanFile.open(plan_path) as second,
        first.lock(),
        pytest.raises(PlanBusy, match="another process"),
        second.lock(),
    ):
        pass
