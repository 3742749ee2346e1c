"""What is wrong with a plan's rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.findings import EXAMPLES
from migrator.plan.checks import accept_findings, find_by_name, find_collisions
from migrator.planfile.file import PlanFile


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[PlanFile]:
    with PlanFile.create(tmp_path / "p.db") as plan:
        yield plan


def add(plan: PlanFile, bucket: str, key: str, target: str | None, action: str = "copy", size: int = 1) -> None:
    plan.db.execute(
        "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action)"
        " VALUES (?, ?, ?, 'e', 0, 'STANDARD', ?, ?)",
        (bucket, key, size, target, action),
    )


def codes(plan: PlanFile) -> list[str]:
    return [finding.code for finding in plan.findings()]


def test_keys_that_do_not_collide(plan: PlanFile) -> None:
    add(plan, "a", "k", "a/k")
    add(plan, "b", "k", "b/k")
    add(plan, "b", "k/x", "b/k/x")  # of one bucket: it was so before
    find_collisions(plan)
    assert codes(plan) == []


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [
        (("a", "k", "t"), ("b", "k", "t"), "key-collision"),
        (("a", "k", "t", "conflict"), ("b", "k", "u"), "target-differs"),
        (("a", "k", "t"), ("b", "k", "t/x"), "file-and-directory"),
        (("a", "k", "x" * 1025), ("b", "k", "u"), "key-too-long"),
    ],
)
def test_keys_that_collide_block(plan: PlanFile, one: tuple[str, ...], other: tuple[str, ...], code: str) -> None:
    add(plan, *one)
    add(plan, *other)
    find_collisions(plan)
    assert codes(plan) == [code] and plan.blocked
    actions = {action for (action,) in plan.db.execute("SELECT action FROM objects")}
    assert (actions == {"conflict"}) is (code == "key-collision")


def test_the_first_places_are_named_and_all_are_counted(plan: PlanFile) -> None:
    for number in range(EXAMPLES + 5):
        add(plan, "a", f"k{number}", f"t{number}", "conflict")
    find_collisions(plan)
    findings = plan.findings()
    assert len(findings) == EXAMPLES and sum(finding.count for finding in findings) == EXAMPLES + 5


def test_what_the_keys_show(plan: PlanFile) -> None:
    add(plan, "a", "out/_temporary/0/x", "out/_temporary/0/x")
    add(plan, "a", "dir_$folder$", None, "skip", size=0)
    find_by_name(plan)
    assert sorted(codes(plan)) == ["left-out", "skipped-markers", "unfinished-work"]


@pytest.mark.parametrize("key", ["out/_TEMPORARY/0/x", "out/__MAGIC/x", "a.PENDING", "a.PendingSet", "a_$FOLDER$"])
def test_names_in_another_case_are_those_of_data(plan: PlanFile, key: str) -> None:
    add(plan, "a", key, key, "copy", size=0)
    find_by_name(plan)
    assert codes(plan) == []


def test_what_is_accepted_warns(plan: PlanFile) -> None:
    add(plan, "a", "k", "t", "conflict")
    find_collisions(plan)
    accept_findings(plan, ["key-collision"])
    assert plan.blocked
    accept_findings(plan, ["target-differs"])
    assert not plan.blocked and codes(plan) == ["target-differs"]
