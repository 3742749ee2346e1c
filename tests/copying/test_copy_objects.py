"""Work for several workers, which are simulated here; real ones are in tests/e2e/test_copying.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from copying.fakes import item
from migrator.copying import copy_objects as module
from migrator.copying.concurrency_limit import RequestLimits
from migrator.copying.copy_objects import BATCH, Usage, copy_objects
from migrator.copying.copy_thread import Event, Report, Sink
from migrator.copying.options import Options
from migrator.copying.outcomes import Item, NotCopied, Outcome
from migrator.copying.setup import Setup
from migrator.errors import MigrationFailed, StoreError
from migrator.planfile.copied import ETAG, Copied

SETUP = Setup({}, None, "data-lake", Options(RequestLimits(concurrency=8)))


class FakeCopying:
    """Copies immediately, in the caller's thread. ``made``: all instances so far."""

    made: list[FakeCopying]

    def __init__(self, setup: Setup, sink: Sink) -> None:
        self.sink = sink
        self.batches: list[int] = []
        self.limits: list[RequestLimits] = []
        self.calls: list[str] = []
        self.made.append(self)

    def copy(self, batch: list[Item]) -> None:
        self.batches.append(len(batch))
        self.sink(Event([self.outcome(one) for one in batch], self.report()))

    def outcome(self, one: Item) -> Outcome:
        if one.id == 13:
            return NotCopied(13, StoreError("no"))
        return Copied(one.id, 1, "e", ETAG)

    def report(self) -> Report:
        return Report(sum(self.batches), float(len(self.batches)), 5)

    def set_limits(self, limits: RequestLimits) -> None:
        self.limits.append(limits)

    def finish(self) -> None:
        self.calls.append("finish")
        self.sink(Event([], self.report(), ended=True))

    def give_up(self) -> None:
        self.calls.append("give up")

    def join(self) -> None:
        self.calls.append("join")


class FakeProcess(FakeCopying):
    pass


class Dying(FakeCopying):
    def copy(self, batch: list[Item]) -> None:
        self.sink(Event([], self.report(), ended=True, fault=MigrationFailed("It died.")))


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[FakeCopying]:
    FakeCopying.made = []
    monkeypatch.setattr(module, "CopyThread", FakeCopying)
    monkeypatch.setattr(module, "CopyProcess", FakeProcess)
    return FakeCopying.made


def items(count: int) -> Iterator[Item]:
    return (replace(item(), id=number) for number in range(count))


def run(count: int, **named: Any) -> list[Outcome]:
    return [outcome for batch in copy_objects(SETUP, items(count), **named) for outcome in batch]


def test_without_items_no_worker_is_started(made: list[FakeCopying]) -> None:
    assert run(0) == [] and made == []


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1, 10 * BATCH])
def test_each_item_has_one_outcome(made: list[FakeCopying], count: int) -> None:
    usage = Usage(requests=100)
    outcomes = run(count, usage=usage)
    assert [outcome.id for outcome in outcomes] == list(range(count))
    assert [outcome.id for outcome in outcomes if isinstance(outcome, NotCopied)] == [13][: count > 13]
    (one,) = made
    assert type(one) is FakeCopying and one.calls == ["finish", "give up", "join"] and max(one.batches) <= BATCH
    assert (usage.requests, usage.processes, usage.level) == (100 + count, 1, 5)


def test_so_many_processes_as_are_asked_for_share_the_work_and_the_limits(made: list[FakeCopying]) -> None:
    usage = Usage()
    assert len(run(10 * BATCH, usage=usage, processes=2)) == 10 * BATCH
    assert [type(one) for one in made] == [FakeProcess, FakeProcess] and all(one.batches for one in made)
    assert [one.limits[-1].concurrency for one in made] == [4, 4]
    assert (usage.processes, usage.requests, usage.level) == (2, 10 * BATCH, 10)


@pytest.mark.parametrize(("busy", "processes"), [(2.0, 1), (-1.0, 3)])
def test_another_process_helps_while_all_are_busy(
    made: list[FakeCopying], monkeypatch: pytest.MonkeyPatch, busy: float, processes: int
) -> None:
    monkeypatch.setattr(module, "GROW_SECONDS", 0.0)
    monkeypatch.setattr(module, "BUSY", busy)
    monkeypatch.setattr(module, "cores", lambda: 3)
    monkeypatch.setattr(module._Worker, "busy_share", lambda self, now: 1.0)
    assert len(run(10 * BATCH)) == 10 * BATCH
    assert [type(one) for one in made] == [FakeCopying, FakeProcess, FakeProcess][:processes]


def test_items_are_taken_only_as_they_are_needed(made: list[FakeCopying]) -> None:
    taken = 0

    def counted() -> Iterator[Item]:
        nonlocal taken
        for one in items(100 * BATCH):
            taken += 1
            yield one

    batches = copy_objects(SETUP, counted())
    next(batches)
    assert taken <= 2 * BATCH + 1
    batches.close()
    assert made[0].calls == ["give up", "join"]


@pytest.mark.parametrize("kind", [Dying])
def test_the_death_of_a_process_ends_all(
    made: list[FakeCopying], monkeypatch: pytest.MonkeyPatch, kind: Callable[..., FakeCopying]
) -> None:
    monkeypatch.setattr(module, "CopyProcess", kind)
    with pytest.raises(MigrationFailed, match="It died"):
        run(10 * BATCH, processes=2)
    assert [one.calls for one in made] == [["give up", "join"], ["give up", "join"]]
