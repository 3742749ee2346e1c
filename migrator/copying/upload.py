"""One multipart upload: its parts are written in parallel, and it is aborted if it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from migrator.copying.outcomes import AnswerLost, Item, Unequal
from migrator.copying.responses import Refused
from migrator.copying.servers import Servers
from migrator.errors import AccessDenied, MigratorError, SourceChanged, StoreError, Unreachable
from migrator.store import Expected, Upload
from migrator.store.uploads import refuses_checksum

WritePart = Callable[[Upload, int, int, int], Awaitable[Mapping[str, str]]]
"""(upload, part number, first byte, last byte) → the part's ETag and checksum, as CompleteMultipartUpload takes
them."""


async def upload_in_parts(
    servers: Servers,
    item: Item,
    attributes: Mapping[str, Any],
    ranges: Sequence[tuple[int, int]],
    write_part: WritePart,
) -> str:
    """Write the object at ``item.target`` in parts and return its ETag.

    ``attributes``: arguments for CreateMultipartUpload. ``ranges``: (first, last) byte of each part. Raises what
    ``write_part`` raises, and Unequal if the server cannot put the parts together; the upload is aborted then.
    """
    upload = await servers.in_thread(servers.target.uploads.begin, servers.bucket, item.target, attributes)
    # Few tasks at a time: an object of 10,000 parts must not crowd out the others.
    numbers = iter(enumerate(ranges, 1))
    done: dict[int, dict[str, Any]] = {}

    async def write_parts() -> None:
        for number, (start, end) in numbers:
            done[number] = {"PartNumber": number, **await write_part(upload, number, start, end)}

    at_once = min(len(ranges), max(1, int(servers.limit.current)))
    workers = [asyncio.ensure_future(write_parts()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
        parts = [done[number] for number in sorted(done)]
        return await _finish(servers, item, upload, parts, with_checksum="ChecksumAlgorithm" in attributes)
    except BaseException:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        with suppress(MigratorError):
            await asyncio.shield(servers.in_thread(servers.target.uploads.abort, upload))
        raise


async def _finish(
    servers: Servers, item: Item, upload: Upload, parts: Sequence[Mapping[str, Any]], *, with_checksum: bool
) -> str:
    once = servers.options.once
    expected = Expected(item.replaces) if servers.options.conditional.complete else None
    try:
        return await servers.in_thread(servers.target.uploads.finish, upload, parts, once=once, expected=expected)
    except (AccessDenied, SourceChanged, Unreachable) as error:
        if once and isinstance(error, Unreachable):
            raise AnswerLost(item.place, error.message) from error
        raise
    except StoreError as error:
        if with_checksum and refuses_checksum(error):
            servers.learned(take_checksum=False)
            refusal = Refused(error.message)
            refusal.code = "InvalidRequest"
            raise refusal from error
        # The answer to one part may have been that of another part.
        raise Unequal(item, servers.bucket, f"could not be put together: {error}") from error
