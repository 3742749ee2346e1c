from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from migrator.errors import PlanStale
from migrator.live.quiet import Stillness, look, wait_until_quiet
from migrator.progress import Progress
from migrator.store import Content, Store


class Time:
    """A clock that advances only during a sleep or a listing."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def state(number: int) -> Stillness:
    return Stillness({"lake.db.t": f"s3://a/{number}"}, {"a": (number, 0, 0)})


def looks(time: Time, takes: float, state_at: Callable[[float], int]) -> Callable[[], Stillness]:
    """A look at the lake that takes this long, and returns the state at its end."""

    def look_again() -> Stillness:
        time.now += takes
        return state(state_at(time.now))

    return look_again


@pytest.mark.parametrize("takes", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("quiet_for", [0.0, 10.0])
def test_quiet_is_a_look_that_began_so_long_after_the_last_change_was_seen(takes: float, quiet_for: float) -> None:
    time, last_write = Time(), 150.0
    since = wait_until_quiet(
        looks(time, takes, lambda now: int(now) if now < last_write else 0),
        quiet_for,
        600,
        clock=time.clock,
        sleep=lambda seconds: time.sleep(max(seconds, 1.0)),
    )
    assert since + takes >= last_write, "a change came after it"
    assert time.now - takes - (since + takes) >= quiet_for


@pytest.mark.parametrize("takes", [0.0, 1.0, 30.0])
def test_a_lake_that_changes_between_any_two_looks_is_never_quiet(takes: float) -> None:
    time, count = Time(), iter(range(10_000))
    with pytest.raises(PlanStale, match=r"still written to, after 60 s: lake\.db\.t, s3://a/\. Nothing was cut over"):
        wait_until_quiet(looks(time, takes, lambda _: next(count)), 5, 60, clock=time.clock, sleep=time.sleep)
    assert time.now - 100 < 60 + 5 + 3 * (takes + 5)


def pointers(**named: str) -> Any:
    class Named:
        def tables(self) -> Iterator[Any]:
            for name, uri in named.items():
                yield type("Table", (), {"identifier": f"lake.db.{name}", "metadata_location": uri})

    return {"lake": Named()}


def test_a_look_sees_every_kind_of_change(mock_store: Store) -> None:
    mock_store.create_bucket("old")
    mock_store.put("old", "k", Content(b"x", ""))

    def now(uri: str = "s3://a/1") -> Stillness:
        return look(mock_store, pointers(t=uri), [("old", "")], Progress())

    before = now()
    assert now() == before and before.buckets["old"][:2] == (1, 1)
    assert now("s3://a/2").changed_since(before) == ["lake.db.t"]
    mock_store.put("old", "k", Content(b"y", ""))
    changed = now()
    assert changed.changed_since(before) == ["s3://old/"]
    mock_store.put("old", "l", Content(b"", ""))
    added = now()
    assert added.changed_since(changed) == ["s3://old/"]
    mock_store.delete("old", "l")
    assert now().changed_since(added) == ["s3://old/"]
    assert now().buckets == changed.buckets


def test_tables_of_other_waves_may_be_in_use(mock_store: Store) -> None:
    mock_store.create_bucket("old")

    def now(uri: str) -> Stillness:
        return look(mock_store, pointers(t="s3://a/1", u=uri), [("old", "t/")], Progress(), {"lake.db.u"})

    before = now("s3://a/1")
    mock_store.put("old", "u/k", Content(b"x", ""))
    assert now("s3://a/2") == before
    mock_store.put("old", "t/k", Content(b"x", ""))
    assert now("s3://a/2") != before
