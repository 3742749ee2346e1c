"""Retries with backoff: the one place that repeats a call which failed.

A caller gives the call, the delays between two attempts (:func:`backoff`), and a function that says which errors are
retried. The last error is raised as it is. Each repetition is counted: :data:`migrator.progress.counts.RETRIES`.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

from migrator.progress.counts import RETRIES

Result = TypeVar("Result")
IsRetried = Callable[[Exception], bool]
"""True for an error after which another attempt may succeed."""

FIRST_DELAY = 0.2
"""Seconds: the longest delay before the second attempt."""


def jittered(failures: int, *, first: float = FIRST_DELAY, longest: float = math.inf) -> float:
    """A random delay in seconds after so many failures (1, 2, …): at most ``first``, doubled with each further
    failure up to ``longest``. The random part keeps many workers from asking again at the same moment.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("full jitter").
    """
    return random.uniform(0, min(longest, math.ldexp(first, failures - 1)))


def backoff(attempts: int, *, first: float = FIRST_DELAY, longest: float = math.inf) -> Iterator[float]:
    """The delays in seconds between ``attempts`` attempts, each from :func:`jittered`."""
    return (jittered(failures, first=first, longest=longest) for failures in range(1, attempts))


def is_temporary(status: int) -> bool:
    """True for the HTTP status of an answer after which the same request may succeed: an error of the server, or too
    many requests."""
    return status == 429 or (status >= 500 and status != 501)  # 501: it does not know the request


def count_left_to_boto3(status: int | None) -> None:
    """Count a request of our own that boto3 sends again because it failed: without an answer, or with this status."""
    if status is None or is_temporary(status):
        RETRIES.add()


def count_retry_of_boto3(request: Any, **_: Any) -> None:
    """Count a request that boto3 sends again: a handler of ``request-created``."""
    if request.context.get("retries", {}).get("attempt", 1) > 1:
        RETRIES.add()


def retry(call: Callable[[], Result], delays: Iterable[float], retried: IsRetried) -> Result:
    """The result of ``call``, which is repeated after each of ``delays`` (seconds) as long as ``retried`` says so of
    its error. Raises the error that is not retried, or the last one."""
    for delay in delays:
        try:
            return call()
        except Exception as error:
            if not retried(error):
                raise
        RETRIES.add()
        time.sleep(delay)
    return call()


async def retry_async(
    call: Callable[[], Awaitable[Result]],
    delays: Iterable[float],
    retried: IsRetried,
    wait_for_server: Callable[[], float | None] = lambda: None,
) -> Result:
    """As :func:`retry`, for a call that is awaited.

    ``wait_for_server`` is called first after each failure: :meth:`migrator.store.outage.Patience.pause`. The seconds
    that it returns are waited without using up one of ``delays``; None means that the server answers other requests.
    """
    left = iter(delays)
    while True:
        try:
            return await call()
        except Exception as error:
            if not retried(error):
                raise
            delay = wait_for_server()
            if delay is None:
                delay = next(left, None)
            if delay is None:
                raise
        RETRIES.add()
        await asyncio.sleep(delay)
