"""Copies by the workers of an engine: how batches are made, what a worker gets, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from migrator.copying.batch_copier import BatchCopier, Copies
from migrator.copying.batches import (
    BATCH_SECONDS,
    FIRST_WORK,
    GROWTH,
    LEAST_SECONDS,
    MOST_ITEMS,
    BatchSizes,
    Total,
    copy_in_batches,
)
from migrator.copying.concurrency_limit import WORK_BYTES, RequestLimits
from migrator.copying.copy_thread import Report
from migrator.copying.options import Options
from migrator.copying.outcomes import Item
from migrator.copying.setup import Setup
from migrator.errors import MigrationFailed
from migrator.planfile.copied import ETAG, Copied
from migrator.results import Usage
from migrator.store import StoredObject


def items(count: int, size: int = 10) -> Iterator[Item]:
    return (Item(n, "bronze", StoredObject(f"k{n}", size, "e", 0), f"bronze/k{n}") for n in range(count))


def setup_with(limits: RequestLimits) -> Setup:
    return Setup({"endpoint_url": "http://127.0.0.1:9"}, None, "data-lake", Options(limits))


@dataclass
class FakeEngine:
    """Copies nothing, and records what it is asked for."""

    at_once: int = 4
    fails: bool = False
    made: list[tuple[Any, ...]] = field(default_factory=list)
    batches: list[list[Item]] = field(default_factory=list)
    most_at_once: int = 0
    cancelled: bool = False

    name = "fake"
    remote = True
    takes_batches = True

    def parallel(self) -> int:
        return self.at_once

    @contextmanager
    def pool(self, make: Any, *arguments: Any) -> Iterator[Any]:
        self.made.append((make, *arguments))
        yield FakePool(self)


@dataclass
class FakePool:
    engine: FakeEngine
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def parallel(self) -> int:
        return self.engine.at_once

    callers = parallel

    def cancel(self) -> None:
        self.engine.cancelled = True

    def __call__(self, batch: list[Item]) -> Copies:
        with self.lock:
            self.under_way += 1
            self.engine.batches.append(batch)
            self.engine.most_at_once = max(self.engine.most_at_once, self.under_way)
        if self.engine.fails:
            raise MigrationFailed("a worker died")
        with self.lock:
            self.under_way -= 1
        return Copies([Copied(item.id, 10, "e", ETAG) for item in batch], Report(len(batch), 0.5, 3), 0.01)


def copied(
    engine: FakeEngine, count: int, limits: RequestLimits | None = None, usage: Usage | None = None
) -> list[int]:
    batches = copy_in_batches(
        engine,  # type: ignore[arg-type]
        setup_with(limits or RequestLimits()),
        items(count),
        usage,
        total=Total(count, 10 * count),
        most_failures=5,
    )
    return sorted(outcome.id for batch in batches for outcome in batch)


def test_every_object_is_in_one_batch_and_the_number_of_concurrent_batches_is_limited() -> None:
    engine, usage = FakeEngine(), Usage(requests=7)
    assert copied(engine, 5000, usage=usage) == list(range(5000))
    assert sorted(item.id for batch in engine.batches for item in batch) == list(range(5000))
    assert engine.most_at_once <= 4
    assert (usage.requests, usage.processes, usage.level) == (5007, 4, 12)
    assert usage.cpu_seconds == 0.5 * len(engine.batches)


def test_nothing_is_started_for_nothing() -> None:
    engine = FakeEngine()
    assert copied(engine, 0) == []
    assert engine.made == []


def test_the_limits_are_those_of_all_workers_together() -> None:
    engine = FakeEngine()
    copied(engine, 10, RequestLimits(concurrency=40, tps=100, bandwidth=1000))
    ((make, setup, most_failures),) = engine.made
    assert make is BatchCopier and most_failures == 5
    assert setup.options.limits == RequestLimits(10, 25, 250)


def test_no_more_workers_copy_than_requests_may_be_sent_at_once() -> None:
    engine = FakeEngine(at_once=100)
    copied(engine, 1000, RequestLimits(concurrency=3))
    ((_, setup, _),) = engine.made
    assert setup.options.limits.concurrency == 1
    assert engine.most_at_once <= 3


def test_an_error_of_a_worker_ends_it_and_cancels_the_others() -> None:
    engine = FakeEngine(fails=True)
    with pytest.raises(MigrationFailed, match="a worker died"):
        copied(engine, 1000)
    assert engine.cancelled


def test_closing_cancels() -> None:
    engine = FakeEngine()
    batches = copy_in_batches(
        engine,  # type: ignore[arg-type]
        setup_with(RequestLimits()),
        items(10_000),
        total=Total(10_000, 0),
        most_failures=5,
    )
    next(batches)
    batches.close()
    assert engine.cancelled


def test_batches_grow_to_the_time_that_one_should_take_and_shrink_at_the_end() -> None:
    sizes, waiting = BatchSizes(Total(40_000, 0), callers=2, least=8), items(40_000, size=0)
    taken = []
    while batch := sizes.next(waiting):
        taken.append(len(batch))
        sizes.took(batch, len(batch) / 500)
    assert taken[0] == FIRST_WORK
    assert max(taken) == 500 * BATCH_SECONDS
    assert all(after <= GROWTH * before for before, after in pairwise(taken))
    assert sum(taken) == 40_000
    assert all(size >= 500 * LEAST_SECONDS for size in taken[3:-1]) and taken[-1] <= 500 * LEAST_SECONDS


def test_the_size_of_a_batch_is_limited_for_any_estimate() -> None:
    sizes = BatchSizes(Total(100_000_000, 0), callers=1)
    batch: list[Item] = []
    for _ in range(10):
        batch = sizes.next(items(20_000, size=0))
        sizes.took(batch, 1e-9)
    assert len(batch) == MOST_ITEMS


def test_large_objects_make_batches_of_few() -> None:
    sizes = BatchSizes(Total(1000, 1000 * 200 * WORK_BYTES), callers=2)
    assert len(sizes.next(items(1000, size=200 * WORK_BYTES))) == 1
