"""Copies that boto3 makes: it handles redirects, regions, proxies and errors that our own requests do not."""

from __future__ import annotations

from migrator.copying.outcomes import AnswerLost, Item
from migrator.copying.servers import Servers
from migrator.errors import Unreachable
from migrator.store import Expected
from migrator.store.two_servers import MOST_PART_SIZE, copy_between


async def copy_with_boto3(servers: Servers, item: Item) -> str:
    """Copy one object and return the copy's ETag. Raises StoreError, and AnswerLost where the copy must not be made
    twice."""
    source, target = servers.source, servers.target
    memory = min(item.stored.size, MOST_PART_SIZE) if servers.are_two else 0
    async with servers.limit.slot(item.stored.size), servers.memory.reserve(memory):
        if servers.options.once and not servers.are_two:
            return await _copy_once(servers, item)
        places = (source, item.bucket, item.stored, target, servers.bucket, item.target)
        return await servers.in_thread(copy_between, *places, Expected(item.replaces))


async def _copy_once(servers: Servers, item: Item) -> str:
    """Copy within one server, and do not repeat a request that the server may have received."""
    places = (item.bucket, item.stored, servers.bucket, item.target)
    try:
        return await servers.in_thread(servers.source.copy, *places, once=True, expected=Expected(item.replaces))
    except Unreachable as error:
        raise AnswerLost(item.place, error.message) from error
