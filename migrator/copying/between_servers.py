"""How an object is copied from one server to another: read here and written there.

No server can copy from another one, so the bytes pass through this process. The target checks what it receives against
an MD5 that is sent along.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from migrator.copying.boto3_copy import copy_with_boto3
from migrator.copying.outcomes import Item
from migrator.copying.proof import Prover
from migrator.copying.responses import Refused, refused
from migrator.copying.servers import Servers
from migrator.copying.upload import upload_in_parts
from migrator.copying.verify_modes import AUTO
from migrator.errors import StoreError
from migrator.planfile.copied import LOST, Copied
from migrator.store import Expected, RunningETag, Upload, etag_of_parts, part_count, part_ranges, parts_to_make
from migrator.store.attributes import STORAGE_CLASS, boto3_answer, of_headers, without_checksum
from migrator.store.checksums import can_compute, checksum_of, whole_checksum
from migrator.store.two_servers import LEAST_PART_SIZE, MOST_PART_SIZE, THROUGH_PART_SIZE, attributes_for
from migrator.store.uploads import REFUSES_CHECKSUM
from migrator.store.wire import Answer


class CopyBetweenServers:
    """Copies from a bucket of one server to a bucket of another."""

    def __init__(self, servers: Servers, prover: Prover) -> None:
        self._servers = servers
        self._prover = prover

    async def copy(self, item: Item) -> Copied:
        """Copy one object and prove it; with boto3 where a server refuses our own requests."""
        servers = self._servers
        if servers.reader is not None and servers.writer is not None:
            with suppress(Refused):
                return await self._copy(item)
        done = await self._prover.prove(item, await copy_with_boto3(servers, item))
        before = await servers.in_thread(servers.source.checksum, item.bucket, item.stored.key)
        checksum = await self._prover.changed_checksum(item, before.kind if before else None)
        return replace(done, checksum=checksum, dropped=await servers.dropped(item))

    async def _copy(self, item: Item) -> Copied:
        """Copy with requests of our own. Raises Refused if a server refuses one."""
        stored, known = item.stored, await self._servers.source_part_size(item)
        size, like_source = parts_to_make(stored.etag, known, THROUGH_PART_SIZE, MOST_PART_SIZE, LEAST_PART_SIZE)
        read_etag = RunningETag.like(stored.etag, known)
        if stored.size > THROUGH_PART_SIZE or (like_source and stored.size):
            needed = self._servers.options.verify == AUTO and not like_source
            return await self._copy_in_parts(item, size, read_etag if needed else None)
        return await self._copy_whole(item, read_etag)

    async def _read(self, item: Item, span: tuple[int, int] | None = None) -> Answer:
        """The bytes of the source, or those from ``span[0]`` to ``span[1]``, pinned to its ETag. Raises StoreError."""
        headers = {"if-match": f'"{item.stored.etag}"'}
        if span is None:
            headers["x-amz-checksum-mode"] = "ENABLED"
        else:
            headers["range"] = f"bytes={span[0]}-{span[1]}"
        expected = span[1] - span[0] + 1 if span else item.stored.size
        reader = self._servers.reader
        assert reader is not None
        answer = await self._servers.request(
            item, reader, "GET", item.bucket, item.stored.key, headers=headers, size=expected
        )
        if answer.status not in (200, 206):
            raise refused(item.place, answer)
        if len(answer.body) != expected:
            raise StoreError(f"{item.place}: {len(answer.body)} bytes came instead of {expected}.")
        return answer

    # -- in one request ------------------------------------------------------------------------------

    async def _copy_whole(self, item: Item, read_etag: RunningETag | None) -> Copied:
        """Read the object with one GetObject, write it with one PutObject, and prove it. ``read_etag``: computes the
        ETag of what is read, in the source's part layout; None if that is unknown."""
        servers = self._servers
        assert servers.writer is not None
        async with servers.memory.reserve(item.stored.size):
            read = await self._read(item)
            body = read.body
            digest = hashlib.md5(body, usedforsecurity=False)
            checksum = whole_checksum(read.headers)
            headers = await self._attributes(item, read) | checksum
            headers["content-md5"] = base64.b64encode(digest.digest()).decode()
            if servers.options.conditional.put:
                headers |= Expected(item.replaces).headers
            written = await servers.request(
                item, servers.writer, "PUT", servers.bucket, item.target, headers=headers, body=body, size=len(body)
            )
        etag = written.headers.get("etag", "").strip('"')
        if written.status != 200 or not etag:
            raise refused(f"s3://{servers.bucket}/{item.target}", written)
        hashed = None
        if (
            part_count(item.stored.etag) and read_etag is not None
        ):  # an ETag without "-": the copy has the same, or it is not an MD5
            read_etag.update(body)
            hashed = read_etag.etag()
        had = any(name.startswith("x-amz-checksum-") for name in read.headers)
        kept = bool(checksum) and all(written.headers.get(name) == value for name, value in checksum.items())
        proven = await self._prover.prove(item, etag, sent_etag=digest.hexdigest(), read_etag=hashed)
        dropped = servers.options.dropped.of(item.target, boto3_answer(read.headers))
        return replace(proven, checksum=LOST if had and not kept else "", dropped=dropped)

    async def _attributes(self, item: Item, read: Answer) -> dict[str, str]:
        """The headers that give the copy the source's attributes, storage class and tags. ``read``: the source."""
        source = self._servers.source
        headers = of_headers(read.headers, locks=source.locks)
        if item.stored.storage_class != "STANDARD":
            headers[STORAGE_CLASS] = item.stored.storage_class
        if read.headers.get("x-amz-tagging-count", "0") != "0":
            tagging = await self._servers.in_thread(source.tagging, item.bucket, item.stored.key)
            headers |= {"x-amz-tagging": tagging} if tagging else {}
        return headers

    # -- in parts ------------------------------------------------------------------------------------

    async def _copy_in_parts(self, item: Item, size: int, read_etag: RunningETag | None) -> Copied:
        """Copy in parts of ``size`` bytes and prove it.

        ``read_etag``: given if the copy will not have the source's ETag, and proof is wanted. Then the parts are read
        in order, and their ETag proves that the bytes read are the source's, so these are not read again.
        """
        servers = self._servers
        attributes = await servers.in_thread(attributes_for, servers.source, item.bucket, item.stored)
        kind = attributes.get("ChecksumType")
        algorithm = attributes.get("ChecksumAlgorithm", "")
        if not can_compute(algorithm) or not servers.part_copies.take_checksum:
            algorithm, attributes = "", without_checksum(attributes)
        parts = _Parts(item, algorithm, read_etag)
        ranges = list(part_ranges(item.stored.size, size))
        etag = await upload_in_parts(servers, item, attributes, ranges, lambda *part: self._copy_part(parts, *part))
        checksum = await self._prover.changed_checksum(item, kind)
        hashed = None if read_etag is None else read_etag.etag()
        proven = await self._prover.prove(item, etag, sent_etag=parts.sent_etag, read_etag=hashed)
        return replace(proven, checksum=checksum, dropped=servers.options.dropped.of(item.target, attributes))

    async def _copy_part(self, parts: _Parts, upload: Upload, number: int, start: int, end: int) -> dict[str, str]:
        """Read the bytes from ``start`` to ``end`` and write them as one part; return its ETag and its checksum."""
        servers = self._servers
        async with AsyncExitStack() as held:
            # A part that waits for its turn reserves no memory yet, so there is no deadlock.
            async with parts.in_order:
                await held.enter_async_context(servers.memory.reserve(end - start + 1))
                body = (await self._read(parts.item, (start, end))).body
                if parts.read_etag is not None:
                    await servers.in_thread(parts.read_etag.update, body)
            digest = (await servers.in_thread(hashlib.md5, body, usedforsecurity=False)).digest()
            parts.digests[number] = digest
            value = await servers.in_thread(checksum_of, parts.algorithm, body)
            return await self._write_part(parts, upload, number, body, digest, value)

    async def _write_part(
        self, parts: _Parts, upload: Upload, number: int, body: bytes, digest: bytes, checksum: str | None
    ) -> dict[str, str]:
        servers, item = self._servers, parts.item
        assert servers.writer is not None
        query = [("partNumber", str(number)), ("uploadId", upload.upload_id)]
        headers = {"content-md5": base64.b64encode(digest).decode()}
        if checksum is not None:
            headers[f"x-amz-checksum-{parts.algorithm.lower()}"] = checksum
        answer = await servers.request(
            item, servers.writer, "PUT", servers.bucket, item.target, query=query, headers=headers, body=body,
            size=len(body),
        )  # fmt: skip
        if answer.status != 200 or "etag" not in answer.headers:
            refusal = refused(f"s3://{servers.bucket}/{item.target}", answer)
            if checksum is not None and refusal.code in REFUSES_CHECKSUM:
                servers.learned(take_checksum=False)
            raise refusal
        part = {"ETag": answer.headers["etag"]}
        return part if checksum is None else {**part, f"Checksum{parts.algorithm}": checksum}


@dataclass
class _Parts:
    """The parts of one copy. ``algorithm``: of the checksum that is sent with each part; "" for none. ``read_etag``:
    see :meth:`CopyBetweenServers._copy_in_parts`."""

    item: Item
    algorithm: str
    read_etag: RunningETag | None
    digests: dict[int, bytes] = field(default_factory=dict)
    """Part number → MD5 of what was sent."""

    def __post_init__(self) -> None:
        self.in_order: AbstractAsyncContextManager[Any] = nullcontext() if self.read_etag is None else asyncio.Lock()
        """A lock if the parts must be read in order."""

    @property
    def sent_etag(self) -> str:
        """The ETag that the copy must have, computed from what was sent."""
        return etag_of_parts(self.digests[number] for number in sorted(self.digests))
