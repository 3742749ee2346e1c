"""The source's and the target's server, as all copies of one event loop use them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from migrator.copying.concurrency_limit import ConcurrencyLimit
from migrator.copying.memory_budget import MemoryBudget
from migrator.copying.options import MIB, Options
from migrator.copying.outcomes import AnswerLost, Item
from migrator.copying.responses import Failure, failure_of, succeeded
from migrator.copying.verify_modes import NEVER
from migrator.errors import SourceChanged, StoreError
from migrator.store import PartCopies, Store, StoredObject, part_count
from migrator.store.answers import MOST_BODY
from migrator.store.outage import Patience
from migrator.store.retries import backoff, retry_async
from migrator.store.wire import READ_SECONDS, Answer, Lost, NotSent, Wire

THROUGH_MEMORY = 256 * MIB
"""The most bytes between two servers that are in memory at once, in one process."""
ATTEMPTS = 8
BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.2, 20.0
"""The longest delay before the second attempt, and before any other."""
SLOWEST = 8 * MIB
"""Bytes per second; a slower copy times out."""
HELPERS = 32
"""Threads for requests by boto3: they begin and finish uploads, handle unusual answers, and read and hash objects."""

Result = TypeVar("Result")


class Servers:
    """Both stores with their connections, and the limits that all copies of one event loop share.

    ``reader`` and ``writer`` send requests of our own to the source's and to the target's server. Both are None where
    only boto3 can reach a server (through a proxy, for example); they are the same where the servers are.
    """

    def __init__(self, source: Store, target: Store, bucket: str, options: Options) -> None:
        self.source, self.target, self.bucket, self.options = source, target, bucket, options
        self.are_two = source is not target
        target.conditional, target.part_copies = options.conditional, options.part_copies
        self.limit = ConcurrencyLimit(options.limits)
        self.memory = MemoryBudget(THROUGH_MEMORY)
        from_, to = source.endpoint(), target.endpoint()
        self.reader = Wire(from_) if from_ and to else None
        self.writer = Wire(to) if to and self.are_two and self.reader else self.reader
        self._threads = ThreadPoolExecutor(HELPERS, thread_name_prefix="migrator-helper")

    @property
    def requests(self) -> int:
        """How many requests were sent, without those of boto3."""
        wires = {id(wire): wire for wire in (self.reader, self.writer) if wire}
        return sum(wire.requests for wire in wires.values())

    @property
    def part_copies(self) -> PartCopies:
        """How the target's server copies what was uploaded in parts, as far as is known."""
        return self.target.part_copies

    def learned(self, **how: bool) -> None:
        """Note that a copy showed that a field of :attr:`part_copies` is not as expected."""
        self.target.part_copies = replace(self.target.part_copies, **how)

    def give_up(self) -> None:
        """Make the work of boto3 in the helper threads fail soon. Call it when copies are cancelled, because threads
        cannot be cancelled."""
        self.source.give_up()
        self.target.give_up()

    def close(self) -> None:
        """Close all connections, and wait for the helper threads."""
        for wire in (self.reader, self.writer):
            if wire is not None:
                wire.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def in_thread(self, call: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
        """Call a function that blocks, in a helper thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*arguments, **named))

    async def dropped(self, item: Item) -> tuple[str, ...]:
        """The kinds of attributes that the target's server drops from a copy of ``item``: asks the source, if the
        server drops any."""
        if not self.options.dropped:
            return ()
        attributes = await self.in_thread(self.source.attributes, item.bucket, item.stored.key, item.stored.etag)
        return self.options.dropped.of(item.target, attributes)

    async def find_copy(self, item: Item) -> StoredObject | None:
        """The object at the target of ``item``; None if there is none."""
        return await self.in_thread(self.target.find, self.bucket, item.target)

    async def source_part_size(self, item: Item) -> int | None:
        """The size in bytes of the parts that the source was uploaded in. None if it was not uploaded in parts, if
        their size is not known, or if it does not matter because copies are not verified."""
        if self.options.verify == NEVER or not part_count(item.stored.etag):
            return None
        return await self.in_thread(self.source.part_size, item.bucket, item.stored)

    async def request(
        self, item: Item, wire: Wire, method: str, bucket: str, key: str, *, size: int, **request: Any
    ) -> Answer:
        """Send one request for the copy of ``item``, and retry it with backoff while that can help.

        ``size``: the bytes that the server or this process must move. Returns the answer, also one that refuses. Raises
        SourceChanged for a failed condition (412), AnswerLost where the request must not be repeated, and StoreError
        after the last attempt.
        """

        def attempt() -> Awaitable[Answer]:
            return self._attempt(item, wire, method, bucket, key, size, request)

        delays = backoff(ATTEMPTS, first=BACKOFF_SECONDS, longest=MAX_BACKOFF_SECONDS)
        try:
            return await retry_async(attempt, delays, _is_retried, Patience(wire.outage).pause)
        except _Failed as error:
            raise StoreError(
                f"{item.place}: gave up after {ATTEMPTS} attempts ({error}).", next_move="Run the same command again."
            ) from error

    async def _attempt(
        self, item: Item, wire: Wire, method: str, bucket: str, key: str, size: int, request: Mapping[str, Any]
    ) -> Answer:
        """Send the request once. Raises _Failed if another attempt can help."""
        seconds = READ_SECONDS + size / SLOWEST
        async with self.limit.slot(size):
            try:
                answer = await wire.request(method, bucket, key, patience=seconds, most=max(MOST_BODY, size), **request)
            except Lost as error:
                failure = Failure(str(error), not isinstance(error, NotSent))
            else:
                if succeeded(answer, copying="x-amz-copy-source" in request["headers"]):
                    return answer
                failure = failure_of(answer)
                if failure.overloaded:
                    self.limit.server_overloaded()
        if failure.status == 412:
            raise SourceChanged(f"{item.place} changed since planning.")
        if failure.final:
            return answer
        if failure.sent and self.options.once and method == "PUT" and "query" not in request:
            raise AnswerLost(item.place, failure.reason)
        raise _Failed(failure.reason)


class _Failed(Exception):
    """An attempt failed, and another one can help; ``str()`` says why."""


def _is_retried(error: Exception) -> bool:
    return isinstance(error, _Failed)
