"""How an object is copied within one server: the server copies, and no bytes pass through this process.

The way depends on how the copy can be proven (see :mod:`migrator.copying.proof`). CopyObject keeps the ETag of an
object that was put in one request. An object that was uploaded in parts is copied in the same parts, unless the server
keeps its ETag in one request, too; :class:`~migrator.store.PartCopies` describes the server.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from migrator.copying.boto3_copy import copy_with_boto3
from migrator.copying.free_keys import FreeKeys
from migrator.copying.options import SMALL, WHOLE_LIMIT
from migrator.copying.outcomes import Item
from migrator.copying.proof import Prover, WholeChecksum
from migrator.copying.responses import Refused, elements, refused
from migrator.copying.servers import Servers
from migrator.copying.upload import upload_in_parts
from migrator.copying.verify_modes import AUTO, NEVER
from migrator.errors import MigratorError
from migrator.planfile.copied import Copied
from migrator.store import Expected, StoredObject, Upload, part_count, part_ranges, parts_to_make
from migrator.store.attributes import LOCKS, STORAGE_CLASS, given_anew, of_headers, without_checksum
from migrator.store.signing import quoted_key
from migrator.store.uploads import REFUSES_CHECKSUM

EMPTY_MD5 = base64.b64encode(hashlib.md5(b"", usedforsecurity=False).digest()).decode()
"""The Content-MD5 of a request without a body. S3 demands one with every upload under a lock."""


class CopyWithinServer:
    """Copies from one bucket to another one of the same server."""

    def __init__(self, servers: Servers, prover: Prover, free_keys: FreeKeys) -> None:
        self._servers = servers
        self._prover = prover
        self._free_keys = free_keys

    async def copy(self, item: Item) -> Copied:
        """Copy in the way that works on this server and can be proven most cheaply."""
        servers, stored = self._servers, item.stored
        whole = stored.size <= servers.options.whole_limit
        if whole and not self._needs_same_parts(stored):
            return await self._copy_whole(item)
        attributes = await servers.in_thread(servers.source.attributes, item.bucket, stored.key, stored.etag)
        kind = attributes.get("ChecksumType")
        if kind is not None and not servers.part_copies.take_checksum:
            if whole:
                copied = await self._copy_whole_asking_ahead(item)
                return replace(copied, checksum=await self._prover.changed_checksum(item, kind))
            attributes = without_checksum(attributes)
        try:
            etag = await self._copy_in_parts(item, attributes)
        except Refused as refusal:
            if refusal.code in REFUSES_CHECKSUM and "ChecksumAlgorithm" in attributes:
                servers.learned(take_checksum=False)
                return await self.copy(item)
            etag = await copy_with_boto3(servers, item)
        checksum = await self._prover.changed_checksum(item, kind)
        return replace(await self._prover.prove(item, etag), checksum=checksum)

    def _needs_same_parts(self, stored: StoredObject) -> bool:
        """True if only a copy in the parts of the source has the source's ETag."""
        if self._servers.options.verify == NEVER or "-" not in stored.etag or stored.size <= SMALL:
            return False
        known = self._servers.part_copies
        return not known.whole_keeps_etag and known.parts_keep_etag

    # -- in one request ------------------------------------------------------------------------------

    async def _copy_whole(self, item: Item, source_checksum: WholeChecksum | None = None) -> Copied:
        """Copy in one request and prove it. ``source_checksum``: see :meth:`Prover.prove`."""
        etag = await self._request_copy(item)
        if "-" in item.stored.etag and etag != item.stored.etag:
            self._servers.learned(whole_keeps_etag=False)
        return await self._prover.prove(item, etag, source_checksum=source_checksum)

    async def _copy_whole_asking_ahead(self, item: Item) -> Copied:
        """While the server copies, ask it for the checksums of the source's parts, if they will be the proof."""
        keeps_etag = self._servers.part_copies.whole_keeps_etag
        if self._servers.options.verify != AUTO or keeps_etag or part_count(item.stored.etag) < 2:
            return await self._copy_whole(item)
        ahead = asyncio.ensure_future(self._prover.checksum_of_source(item))
        try:
            return await self._copy_whole(item, ahead)
        finally:
            ahead.cancel()
            with suppress(asyncio.CancelledError, MigratorError):
                await ahead

    async def _request_copy(self, item: Item) -> str:
        """Copy with one CopyObject and return the copy's ETag."""
        servers, stored = self._servers, item.stored
        if servers.reader is None:
            return await copy_with_boto3(servers, item)
        headers = {
            **_copy_source(item),
            "x-amz-metadata-directive": "COPY",
            "x-amz-tagging-directive": servers.source.tagging_directive,
        }
        if item.bucket in servers.source.asked:
            headers |= await self._lost_attributes(item)
        if stored.storage_class != "STANDARD":
            headers[STORAGE_CLASS] = stored.storage_class
        if servers.options.conditional.copy:
            headers |= Expected(item.replaces).headers
        began = time.monotonic()
        answer = await servers.request(
            item, servers.reader, "PUT", servers.bucket, item.target, headers=headers, size=stored.size
        )
        self._free_keys.copy_took(time.monotonic() - began)
        etag = elements(answer.body).get("ETag") if answer.status == 200 else None
        if etag is None:
            return await copy_with_boto3(servers, item)
        return etag.strip('"')

    async def _lost_attributes(self, item: Item) -> dict[str, str]:
        """Headers for attributes that the server would not give to the copy by itself; {} if the object has none."""
        servers = self._servers
        assert servers.reader is not None
        pinned = {"if-match": f'"{item.stored.etag}"'}
        answer = await servers.request(
            item, servers.reader, "HEAD", item.bucket, item.stored.key, size=0, headers=pinned
        )
        given = of_headers(answer.headers, locks=servers.source.locks) if answer.status == 200 else {}
        if not given_anew(given):
            return {}
        checked = {"content-md5": EMPTY_MD5} if any(name in given for name in LOCKS) else {}
        return {**given, **checked, "x-amz-metadata-directive": "REPLACE"}

    # -- in parts ------------------------------------------------------------------------------------

    async def _copy_in_parts(self, item: Item, attributes: Mapping[str, Any]) -> str:
        """Copy with UploadPartCopy and return the copy's ETag. ``attributes``: those of the copy. Raises Refused if
        boto3 may succeed."""
        servers, stored = self._servers, item.stored
        known = await servers.source_part_size(item)
        size, like_source = parts_to_make(stored.etag, known, servers.options.part_size, WHOLE_LIMIT)
        if servers.writer is None:
            return await copy_with_boto3(servers, item)
        ranges = list(part_ranges(stored.size, size))
        etag = await upload_in_parts(
            servers, item, attributes, ranges, lambda *part: self._request_part_copy(item, *part)
        )
        if like_source and etag != stored.etag:
            servers.learned(parts_keep_etag=False)
        return etag

    async def _request_part_copy(self, item: Item, upload: Upload, number: int, start: int, end: int) -> dict[str, str]:
        """Copy the bytes from ``start`` to ``end`` as one part; return its ETag and its checksum, if it has one."""
        servers = self._servers
        assert servers.writer is not None
        headers = {**_copy_source(item), "x-amz-copy-source-range": f"bytes={start}-{end}"}
        query = [("partNumber", str(number)), ("uploadId", upload.upload_id)]
        answer = await servers.request(
            item, servers.writer, "PUT", servers.bucket, item.target, query=query, headers=headers, size=end - start + 1
        )
        said = elements(answer.body) if answer.status == 200 else {}
        if "ETag" not in said:
            raise refused(item.place, answer)
        return {name: value for name, value in said.items() if name == "ETag" or name.startswith("Checksum")}


def _copy_source(item: Item) -> dict[str, str]:
    """The headers that name the source, and pin it to its ETag."""
    return {
        "x-amz-copy-source": f"/{quoted_key(item.bucket)}/{quoted_key(item.stored.key)}",
        "x-amz-copy-source-if-match": f'"{item.stored.etag}"',
    }
