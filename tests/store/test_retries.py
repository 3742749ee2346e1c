from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from migrator.store.retries import backoff, jittered, retry, retry_async


class Flaky:
    """Raises these errors, one a call, then returns "done"."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return "done"

    async def later(self) -> str:
        return self()


def is_os_error(error: Exception) -> bool:
    return isinstance(error, OSError)


def retried_sync(call: Flaky, delays: list[float]) -> str:
    return retry(call, delays, is_os_error)


def retried_async(call: Flaky, delays: list[float]) -> str:
    return asyncio.run(retry_async(call.later, delays, is_os_error))


@pytest.fixture(params=[retried_sync, retried_async])
def run(request: pytest.FixtureRequest) -> Callable[[Flaky, list[float]], str]:
    found: Callable[[Flaky, list[float]], str] = request.param
    return found


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays that were waited."""
    waited: list[float] = []

    async def sleep(delay: float) -> None:
        waited.append(delay)

    monkeypatch.setattr("migrator.store.retries.time.sleep", waited.append)
    monkeypatch.setattr("migrator.store.retries.asyncio.sleep", sleep)
    return waited


def test_a_call_is_repeated_until_it_succeeds(run: Callable[..., str], slept: list[float]) -> None:
    call = Flaky(OSError("1"), OSError("2"))
    assert run(call, [1.0, 2.0, 3.0]) == "done"
    assert (call.calls, slept) == (3, [1.0, 2.0])


def test_the_last_error_is_raised(run: Callable[..., str], slept: list[float]) -> None:
    with pytest.raises(OSError, match="3"):
        run(Flaky(OSError("1"), OSError("2"), OSError("3")), [1.0, 2.0])
    assert slept == [1.0, 2.0]
    with pytest.raises(OSError, match="1"):
        run(Flaky(OSError("1")), [])


def test_other_errors_are_not_retried(run: Callable[..., str], slept: list[float]) -> None:
    call = Flaky(OSError("1"), KeyError("2"))
    with pytest.raises(KeyError):
        run(call, [1.0, 2.0])
    assert (call.calls, slept) == (2, [1.0])


def test_waiting_for_a_server_uses_up_no_attempt(slept: list[float]) -> None:
    pauses = iter([7.0, 8.0, None, 9.0, None])
    call = Flaky(*(OSError(str(n)) for n in range(5)))
    with pytest.raises(OSError, match="4"):
        asyncio.run(retry_async(call.later, [1.0], is_os_error, lambda: next(pauses)))
    assert slept == [7.0, 8.0, 1.0, 9.0]


def test_delays_grow_up_to_the_longest_and_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.store.retries.random.uniform", lambda low, high: (low, high))
    assert list(backoff(5, first=1.0, longest=5.0)) == [(0, 1.0), (0, 2.0), (0, 4.0), (0, 5.0)]
    assert list(backoff(1)) == []
    assert jittered(1000, longest=3.0) == (0, 3.0)
