"""The bytes of copied objects, compared with those of their sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from migrator.errors import MigrationFailed, StoreError
from migrator.planfile.file import PlanFile
from migrator.progress import Progress
from migrator.store import Store
from migrator.verifying.checks import ERROR, NOT_COMPARED, SAME, Check
from migrator.verifying.contents import check_contents
from migrator.verifying.old_buckets import OLD_GONE, OldBuckets
from migrator.verifying.unreadable import CHANGED
from migrator.workers.engine import Engine
from migrator.workers.local import LocalEngine
from plan.handmade import put

Listed = Callable[[Path], PlanFile]


def contents(plan: PlanFile, store: Store, engine: Engine | None = None) -> Check:
    return check_contents(plan, store, OldBuckets(store), Progress(), engine or LocalEngine())


def test_contents(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    check = contents(listed(migrated_plan), lake)
    assert (check.result, check.checked, check.not_compared) == (SAME, 2, 0)


def test_contents_that_differ(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    put(lake, "s3://data-lake/bronze/plain/f.csv", b"1,3\n")
    check = contents(listed(migrated_plan), lake)
    assert check.problems == ["* s3://data-lake/bronze/plain/f.csv: bytes differ"]


def test_a_source_that_changed_since_is_not_compared(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    put(lake, "s3://bronze/plain/f.csv", b"new")
    check = contents(listed(migrated_plan), lake)
    assert (check.checked, dict(check.reasons)) == (1, {CHANGED: 1})


def test_a_source_that_is_gone_is_not_compared(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    client = boto3.client("s3")
    for found in lake.list("bronze"):
        client.delete_object(Bucket="bronze", Key=found.key)
    client.delete_bucket(Bucket="bronze")
    check = contents(listed(migrated_plan), lake)
    assert (check.result, dict(check.reasons)) == (NOT_COMPARED, {OLD_GONE: 2})


class Answers(LocalEngine):
    """An engine whose pool answers every item of a batch with ``answer``, or raises it."""

    takes_batches = True

    def __init__(self, answer: Any) -> None:
        super().__init__(2)
        self._answer = answer

    @contextmanager
    def pool(self, make: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
        yield self

    @property
    def callers(self) -> int:
        return 2

    def cancel(self) -> None: ...

    def __call__(self, items: list[Any]) -> list[tuple[Any, Any]]:
        if isinstance(self._answer, MigrationFailed):
            raise self._answer
        failed = isinstance(self._answer, Exception)
        return [(self._answer, None) if failed else (None, self._answer) for _ in items]


@pytest.mark.parametrize(
    ("answer", "result", "counted"),
    [
        (True, SAME, (2, 0, 0)),
        (CHANGED, NOT_COMPARED, (0, 0, 2)),
        (StoreError("503", next_move="Wait."), ERROR, (0, 2, 0)),
    ],
)
def test_what_workers_answer(
    lake: Store, migrated_plan: Path, listed: Listed, answer: Any, result: str, counted: tuple[int, int, int]
) -> None:
    check = contents(listed(migrated_plan), lake, Answers(answer))
    assert (check.result, (check.checked, check.failed, check.not_compared)) == (result, counted)


def test_workers_that_die_are_no_difference(lake: Store, migrated_plan: Path, listed: Listed) -> None:
    with pytest.raises(MigrationFailed, match="died"):
        contents(listed(migrated_plan), lake, Answers(MigrationFailed("A worker died.", next_move="Again.")))
