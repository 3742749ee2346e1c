from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from migrator.progress.counts import RETRIES
from migrator.store.connection import Connection
from migrator.store.retries import backoff, count_left_to_boto3, jittered, retry, retry_async


class Flaky:
    """Raises these errors, one for each call, then returns "done"."""

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
    """The delays between the attempts."""
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


def test_each_repetition_is_counted(run: Callable[..., str], slept: list[float]) -> None:
    before = RETRIES.total
    run(Flaky(OSError("1"), OSError("2")), [1.0, 2.0, 3.0])
    with pytest.raises(OSError, match="3"):
        run(Flaky(OSError("1"), OSError("2"), OSError("3")), [1.0, 2.0])
    run(Flaky(), [1.0])
    assert RETRIES.total - before == 4


@pytest.mark.parametrize(
    ("status", "counted"), [(None, 1), (503, 1), (500, 1), (429, 1), (501, 0), (301, 0), (404, 0), (200, 0)]
)
def test_what_is_left_to_boto3_because_it_failed_is_counted(status: int | None, counted: int) -> None:
    before = RETRIES.total
    count_left_to_boto3(status)
    assert RETRIES.total - before == counted


def test_what_boto3_sends_again_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    with FlakyServer(503, 503) as server:
        connection = Connection(endpoint_url=server.url)
        before = RETRIES.total
        connection.client.list_buckets()
        assert RETRIES.total - before == 2
        connection.client.list_buckets()
        assert RETRIES.total - before == 2


class FlakyServer:
    """Answers with these statuses, and then that there is no bucket."""

    def __init__(self, *statuses: int) -> None:
        left = list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"
                self.send_response(left.pop(0) if left else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FlakyServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
