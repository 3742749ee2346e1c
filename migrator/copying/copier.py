"""One object copied, in an event loop among many others, and proven equal to its source.

How an object is copied follows from how it can be proven. S3 keeps an MD5 as the ETag of what was put in one
request, so a copy in one request has its source's ETag. For what was uploaded in parts the ETag depends on the
parts: a copy in the same parts has it too, and some servers keep it in one request (:class:`PartCopies` says what
holds here). Where no way gives an ETag or a checksum to compare, the copy is read and must have the source's ETag;
where that tells nothing, the bytes of both are read. Nothing is copied twice for the sake of a proof.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import quote
from xml.sax.saxutils import unescape

from migrator.copying.free_keys import FreeKeys
from migrator.copying.pace import Limits, Pace
from migrator.errors import (
    AccessDenied,
    MigrationFailed,
    MigratorError,
    Occupied,
    SourceChanged,
    StoreError,
    Unreachable,
)
from migrator.store import (
    Checksum,
    Conditional,
    Expected,
    PartCopies,
    RunningETag,
    Store,
    StoredObject,
    Upload,
    etag_of_parts,
    is_md5,
    part_count,
    part_ranges,
    parts_to_make,
    same_by_etag,
)
from migrator.store.answers import MOST_BODY
from migrator.store.attributes import STORAGE_CLASS, given_anew, of_headers, without_checksum
from migrator.store.checksums import POLYNOMIALS, can_compute, checksum_of, whole_checksum, whole_crc
from migrator.store.conditional import ANYTHING
from migrator.store.listing import Page, ask_page
from migrator.store.outage import Patience
from migrator.store.two_servers import (
    LEAST_PART_SIZE,
    MOST_PART_SIZE,
    THROUGH_PART_SIZE,
    attributes_for,
    copy_between,
)
from migrator.store.uploads import REFUSES_CHECKSUM, refuses_checksum
from migrator.store.wire import READ_SECONDS, Answer, Lost, NotSent, Wire

MIB = 1 << 20
GIB = 1 << 30
WHOLE_LIMIT = 5 * GIB
"""S3 copies no more in one request."""
PART_SIZE = 256 * MIB
THROUGH_MEMORY = 256 * MIB
"""How much of what goes from one server to another is in memory at once, in one process."""
SMALL = 8 * MIB
"""Hashing so much on both sides costs less than the requests of a copy in parts."""
ATTEMPTS = 8
PROOF_ATTEMPTS = 3
BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.1, 20.0
SLOWEST = 8 * MIB
"""Bytes per second that the slowest server is taken to copy at."""
HELPERS = 32
"""Threads for what boto3 does: uploads' beginnings and ends, odd answers, reading for a hash."""

ALWAYS, AUTO, NEVER = VERIFY = ("always", "auto", "never")

ETAG, CHECKSUM, MD5, SHA256, NONE = PROOFS = ("etag", "checksum", "md5", "sha256", "none")
"""How a copy was proven: its ETag says that it has its source's bytes, or the server's checksum of it does; what was
read has the ETag of the source by its MD5, and was read from the copy, or sent to it with its MD5 so that the copy has
the ETag of that; both were read and hashed; not at all.
"""
KIND_CHANGED, LOST = CHECKSUMS = ("kind changed", "lost")
"""What became of a checksum that the server keeps with an object on request, if it did not arrive as it was: it is one
over all bytes now (FULL_OBJECT), no more one over those of the parts (COMPOSITE); or the copy has none."""
MOST_PARTS_ASKED = 1_000
"""Of how many parts the checksums are asked for, one by one, before reading the object is the cheaper way."""

_THROTTLES = {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
_NOT_DONE = _THROTTLES | {"429", "503"}
"""With these a server says that it did nothing."""
_AGAIN = _THROTTLES | {"InternalError", "RequestTimeout", "OperationAborted", "BadDigest", "IncompleteBody"}
_AGAIN |= {"ConditionalRequestConflict"}

_ELEMENT = re.compile(rb"<(ETag|Code|Message|Checksum[A-Z0-9]+)>([^<]*)</")

Result = TypeVar("Result")
WholeChecksum = asyncio.Future[Checksum | None]
"""A checksum over all bytes of an object, which is being asked for."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object to copy. ``target`` is a key of the target bucket; ``id`` is the caller's. Nothing that is there is
    overwritten but an object with the ETag ``replaces``."""

    id: int
    bucket: str
    stored: StoredObject
    target: str
    replaces: str | None = None

    @property
    def place(self) -> str:
        return f"s3://{self.bucket}/{self.stored.key}"

    @property
    def is_marker(self) -> bool:
        """True for an empty object that stands for a folder."""
        return self.stored.size == 0 and self.target.endswith("/")


@dataclass(frozen=True, slots=True)
class Copied:
    """The object is at the target with this size and ETag, ``proof`` (one of PROOFS) says how that is known.
    ``checksum``: one of CHECKSUMS, or "" if it arrived, or if there was none."""

    id: int
    size: int
    etag: str
    proof: str
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class NotCopied:
    """It is not, and ``error`` says why."""

    id: int
    error: MigratorError


@dataclass(frozen=True, slots=True)
class Options:
    """How to copy. ``verify``: "always" reads every copy and its source, "auto" where nothing else proves them
    equal, "never" does not. Objects larger than ``whole_limit`` bytes go in parts of ``part_size`` bytes. ``once``:
    every copy becomes a version that stays, so none is made twice; see :class:`AnswerLost`.

    ``conditional``: the conditional writes that the target honours. ``look_first``: where it does not, ask before each
    write what is there; ``look_in_groups``: with one listing for many, which needs a server that lists in the order of
    keys, and a target with nothing but our own copies, below which it could hide something. ``part_copies``: how the
    server copies what was uploaded in parts."""

    limits: Limits = field(default_factory=Limits)
    verify: str = AUTO
    conditional: Conditional = field(default_factory=Conditional)
    look_first: bool = False
    look_in_groups: bool = False
    part_copies: PartCopies = field(default_factory=PartCopies)
    whole_limit: int = WHOLE_LIMIT
    part_size: int = PART_SIZE
    once: bool = False


@dataclass
class _Parts:
    """A finished upload."""

    etag: str
    like_source: bool = False
    """The parts are those of the source, so that the ETags should be equal."""
    md5: str | None = None
    """The ETag that the bytes read should give."""
    read: str | None = None
    """The ETag that they should have had at the source, as far as that can be told."""


class Copier:
    """Copies from one store to a bucket of another, or of the same one. Belongs to one event loop."""

    def __init__(self, source: Store, target: Store, bucket: str, options: Options) -> None:
        self.pace = Pace(options.limits)
        self._source, self._target, self._bucket = source, target, bucket
        self._options = options
        self._across = source is not target
        target.conditional = self._conditional = options.conditional
        ends = source.endpoint(), target.endpoint()
        self._reader = Wire(ends[0]) if ends[0] and ends[1] else None
        self._writer = Wire(ends[1]) if ends[1] and self._across and self._reader else self._reader
        self._threads = ThreadPoolExecutor(HELPERS, thread_name_prefix="migrator-helper")
        self._memory = _Budget(THROUGH_MEMORY)
        target.part_copies = options.part_copies
        self._free_keys = FreeKeys(self._list_target)
        self._etags_tell = True
        """The ETags of the old buckets follow from the bytes, as far as we know: not those of encrypted objects."""

    def expect(self, items: Sequence[Item]) -> None:
        """These are the next to be copied, in this order."""
        if self._options.look_in_groups and self._writer is not None:
            self._free_keys.expect({item.id: item.target for item in items if not item.is_marker})

    @property
    def requests(self) -> int:
        """How many requests were sent, those of boto3 aside."""
        wires = {id(wire): wire for wire in (self._reader, self._writer) if wire}
        return sum(wire.requests for wire in wires.values())

    def give_up(self) -> None:
        """Whoever cancels copies must also call this: what boto3 does in threads cannot be cancelled."""
        self._source.give_up()
        self._target.give_up()

    def close(self) -> None:
        for wire in (self._reader, self._writer):
            if wire is not None:
                wire.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def copy(self, item: Item) -> Copied:
        """Copy one object and prove it. Raises SourceChanged if it is no longer the one that was planned, Occupied if
        something else is at the target, other StoreErrors, MigrationFailed if the copy is not equal to its source;
        then there may be a wrong object at the target, and no upload."""
        if item.is_marker:
            # SeaweedFS 4.48 takes every folder for such a marker. Only what has bytes is somebody's.
            there = await self._thread(self._target.find, self._bucket, item.target)
            if there is not None and there.size and there.etag != item.replaces:
                return await self._recognize(item)
            item = replace(item, replaces=ANYTHING)
        elif self._options.look_first and await self._in_the_way(item):
            return await self._recognize(item)
        try:
            return await self._copy_proven(item)
        except SourceChanged as error:
            held = await self._as_held(item)
            if held is None:
                return await self._recognize(item, error)
        try:
            return await self._copy_proven(held)
        except SourceChanged as error:
            return await self._recognize(held, error)

    async def _as_held(self, item: Item) -> Item | None:
        """The item with the ETag that the object itself has, if that is all that differs from the listing. Of a key
        that ends in a slash, MinIO with encryption lists one ETag and knows another."""
        stored = item.stored
        if not stored.key.endswith("/"):
            return None
        now = await self._thread(self._source.find, item.bucket, stored.key)
        if now is None or now.size != stored.size or abs(now.modified - stored.modified) >= 1000:
            return None  # a HEAD has whole seconds
        return None if now.etag == stored.etag else replace(item, stored=replace(stored, etag=now.etag))

    async def _copy_proven(self, item: Item) -> Copied:
        attempts = 1 if self._options.once else PROOF_ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                return await self._copy_once(item)
            except _Unequal as error:
                if attempt == attempts:
                    raise
                item = replace(item, replaces=error.etag or item.replaces)
        raise AssertionError

    async def _in_the_way(self, item: Item) -> bool:
        """True if there is something at the target which this item may not replace."""
        if await self._free_keys.is_free(item.id, item.target):
            return False
        if self._writer is not None:
            answer = await self._ask(item, self._writer, "HEAD", self._bucket, item.target, size=0, headers={})
            if answer.status in (200, 404):
                return answer.status == 200 and answer.headers.get("etag", "").strip('"') != item.replaces
        there = await self._thread(self._target.find, self._bucket, item.target)
        return there is not None and there.etag != item.replaces

    async def _list_target(self, parameters: Mapping[str, str]) -> Page | None:
        """One page of the target; see :func:`migrator.store.listing.ask_page`."""
        assert self._writer is not None
        async with self.pace.turn():
            return await ask_page(self._writer, self._bucket, parameters)

    async def _recognize(self, item: Item, error: SourceChanged | None = None) -> Copied:
        """A condition of a write failed, or there is something at the target: see what it is. It may be our own copy,
        whose answer was lost or which a killed run did not journal. ``error``: what the copy failed with."""
        there = await self._thread(self._target.find, self._bucket, item.target)
        if there is None or there.etag == item.replaces:
            source = await self._thread(self._source.find, item.bucket, item.stored.key)
            if source is None or source.etag != item.stored.etag or there is not None:
                raise error or SourceChanged(f"{item.place} changed since planning.")
            return await self._copy_once(replace(item, replaces=ANYTHING))
        proof = await self._proof(item, there)
        if proof is not None:
            return Copied(item.id, there.size, there.etag, proof)
        raise Occupied(
            f"s3://{self._bucket}/{item.target} was written by somebody else since planning; it is not overwritten.",
            next_move='Run "migrator plan" again.',
        )

    async def _copy_once(self, item: Item) -> Copied:
        """Copy in the way that works on this server and can be proven most cheaply."""
        if self._across:
            return await self._copy_across(item)
        stored = item.stored
        whole = stored.size <= self._options.whole_limit
        if whole and not self._in_same_parts(stored):
            return await self._copied_whole(item)
        attributes = await self._thread(self._source.attributes, item.bucket, stored.key, stored.etag)
        kind = attributes.get("ChecksumType")
        if kind is not None and not self._ways.take_checksum:
            if whole:
                copied = await self._copied_whole_asking_ahead(item)
                return replace(copied, checksum=await self._fate_of_checksum(item, kind))
            attributes = without_checksum(attributes)
        try:
            done = await self._copy_in_parts(item, attributes)
        except _Refused as refusal:
            if refusal.code in REFUSES_CHECKSUM and "ChecksumAlgorithm" in attributes:
                self._ways = replace(self._ways, take_checksum=False)
                return await self._copy_once(item)
            done = _Parts(await self._by_boto3(item))
        if done.like_source and done.etag != stored.etag:
            self._ways = replace(self._ways, parts_keep_etag=False)
        fate = await self._fate_of_checksum(item, kind)
        return replace(await self._prove(item, done.etag), checksum=fate)

    @property
    def _ways(self) -> PartCopies:
        return self._target.part_copies

    @_ways.setter
    def _ways(self, found: PartCopies) -> None:
        self._target.part_copies = found

    def _in_same_parts(self, stored: StoredObject) -> bool:
        """True if a copy in the parts of the source is the way to an equal ETag."""
        if self._options.verify == NEVER or "-" not in stored.etag or stored.size <= SMALL:
            return False
        return not self._ways.whole_keeps_etag and self._ways.parts_keep_etag

    # -- within one server ---------------------------------------------------------------------------

    async def _copied_whole(self, item: Item, source_checksum: WholeChecksum | None = None) -> Copied:
        etag = await self._copy_whole(item)
        if "-" in item.stored.etag and etag != item.stored.etag:
            self._ways = replace(self._ways, whole_keeps_etag=False)
        return await self._prove(item, etag, source_checksum=source_checksum)

    async def _copied_whole_asking_ahead(self, item: Item) -> Copied:
        """While the server copies, it is asked for the checksums of the source's parts, if they will be the proof."""
        if self._options.verify != AUTO or self._ways.whole_keeps_etag or part_count(item.stored.etag) < 2:
            return await self._copied_whole(item)
        ahead = asyncio.ensure_future(self._checksum_of_source(item))
        try:
            return await self._copied_whole(item, ahead)
        finally:
            ahead.cancel()
            with suppress(asyncio.CancelledError, MigratorError):
                await ahead

    async def _copy_whole(self, item: Item) -> str:
        """Copy in one request and return the copy's ETag."""
        stored = item.stored
        if self._reader is None:
            return await self._by_boto3(item)
        headers = {
            "x-amz-copy-source": f"/{quote(item.bucket)}/{quote(stored.key)}",
            "x-amz-copy-source-if-match": f'"{stored.etag}"',
            "x-amz-metadata-directive": "COPY",
            "x-amz-tagging-directive": self._source.tagging_directive,
        }
        if item.bucket in self._source.asked:
            headers |= await self._anew(item)
        if stored.storage_class != "STANDARD":
            headers[STORAGE_CLASS] = stored.storage_class
        if self._conditional.copy:
            headers |= Expected(item.replaces).headers
        began = time.monotonic()
        answer = await self._ask(
            item, self._reader, "PUT", self._bucket, item.target, headers=headers, size=stored.size
        )
        self._free_keys.copy_took(time.monotonic() - began)
        found = _elements(answer.body).get("ETag") if answer.status == 200 else None
        if found is None:
            return await self._by_boto3(item)
        return found.strip('"')

    async def _anew(self, item: Item) -> dict[str, str]:
        """The headers that a copy must be given because the server would lose some of them, if this object has such."""
        assert self._reader is not None
        pinned = {"if-match": f'"{item.stored.etag}"'}
        answer = await self._ask(item, self._reader, "HEAD", item.bucket, item.stored.key, size=0, headers=pinned)
        given = of_headers(answer.headers, locks=self._source.locks) if answer.status == 200 else {}
        return {**given, "x-amz-metadata-directive": "REPLACE"} if given_anew(given) else {}

    async def _by_boto3(self, item: Item) -> str:
        """What boto3 makes of it: it knows redirects, regions, proxies and errors that we do not."""
        source, target, memory = self._source, self._target, min(item.stored.size, MOST_PART_SIZE)
        async with self.pace.turn(item.stored.size), self._memory.of(memory if self._across else 0):
            if self._options.once and not self._across:
                return await self._by_boto3_once(item)
            places = (source, item.bucket, item.stored, target, self._bucket, item.target)
            return await self._thread(copy_between, *places, Expected(item.replaces))

    async def _by_boto3_once(self, item: Item) -> str:
        try:
            places = (item.bucket, item.stored, self._bucket, item.target)
            expected = Expected(item.replaces)
            return await self._thread(self._source.copy, *places, once=True, expected=expected)
        except Unreachable as error:
            raise AnswerLost(item.place, error.message) from error

    async def _copy_in_parts(self, item: Item, attributes: Mapping[str, Any]) -> _Parts:
        """Copy the parts at once, each pinned to the source's ETag. ``attributes``: what the copy is to have."""
        stored = item.stored
        known = await self._source_parts(item)
        size, like_source = parts_to_make(stored.etag, known, self._options.part_size, WHOLE_LIMIT)

        async def part(upload: Upload, number: int, start: int, end: int) -> dict[str, str]:
            headers = {
                "x-amz-copy-source": f"/{quote(item.bucket)}/{quote(stored.key)}",
                "x-amz-copy-source-if-match": f'"{stored.etag}"',
                "x-amz-copy-source-range": f"bytes={start}-{end}",
            }
            query = [("partNumber", str(number)), ("uploadId", upload.upload_id)]
            assert self._writer is not None
            answer = await self._ask(
                item, self._writer, "PUT", self._bucket, item.target, query=query, headers=headers, size=end - start + 1
            )
            found = _elements(answer.body) if answer.status == 200 else {}
            if "ETag" not in found:
                raise _refused(item.place, answer)
            return {name: value for name, value in found.items() if name == "ETag" or name.startswith("Checksum")}

        if self._reader is None:
            return _Parts(await self._by_boto3(item))
        return _Parts(await self._upload(item, attributes, list(part_ranges(stored.size, size)), part), like_source)

    # -- between two servers -------------------------------------------------------------------------

    async def _copy_across(self, item: Item) -> Copied:
        """Read here, write there; the target checks what it gets against its MD5."""
        if self._reader is not None and self._writer is not None:
            with suppress(_Refused):
                return await self._lean_across(item)
        done = await self._prove(item, await self._by_boto3(item))
        before = await self._thread(self._source.checksum, item.bucket, item.stored.key)
        return replace(done, checksum=await self._fate_of_checksum(item, before.kind if before else None))

    async def _fate_of_checksum(self, item: Item, kind: str | None) -> str:
        """One of CHECKSUMS, or "", for a copy of an object that keeps a checksum of this kind, if any."""
        if kind is None:
            return ""
        there = await self._thread(self._target.checksum, self._bucket, item.target)
        return LOST if there is None else "" if there.kind == kind else KIND_CHANGED

    async def _lean_across(self, item: Item) -> Copied:
        stored, known = item.stored, await self._source_parts(item)
        size, like_source = parts_to_make(stored.etag, known, THROUGH_PART_SIZE, MOST_PART_SIZE, LEAST_PART_SIZE)
        running = RunningETag.like(stored.etag, known)
        if stored.size > THROUGH_PART_SIZE or (like_source and stored.size):
            matters = self._options.verify == AUTO and not like_source
            attributes = await self._thread(attributes_for, self._source, item.bucket, stored)
            parts = await self._parts_across(item, attributes, size, running if matters else None)
            fate = await self._fate_of_checksum(item, attributes.get("ChecksumType"))
            return replace(await self._prove(item, parts.etag, md5=parts.md5, read=parts.read), checksum=fate)
        assert self._writer is not None
        async with self._memory.of(stored.size):
            answer = await self._read(item)
            body = answer.body
            headers = of_headers(answer.headers, locks=self._source.locks)
            if stored.storage_class != "STANDARD":
                headers[STORAGE_CLASS] = stored.storage_class
            if answer.headers.get("x-amz-tagging-count", "0") != "0":
                tagging = await self._thread(self._source.tagging, item.bucket, stored.key)
                headers |= {"x-amz-tagging": tagging} if tagging else {}
            checksum = whole_checksum(answer.headers)
            headers |= checksum
            digest = hashlib.md5(body, usedforsecurity=False)
            headers["content-md5"] = base64.b64encode(digest.digest()).decode()
            if self._conditional.put:
                headers |= Expected(item.replaces).headers
            written = await self._ask(
                item, self._writer, "PUT", self._bucket, item.target, headers=headers, body=body, size=len(body)
            )
        etag = written.headers.get("etag", "").strip('"')
        if written.status != 200 or not etag:
            raise _refused(f"s3://{self._bucket}/{item.target}", written)
        read = None
        if part_count(stored.etag) and running is not None:  # a plain ETag is the copy's, or tells nothing
            running.update(body)
            read = running.etag()
        had = any(name.startswith("x-amz-checksum-") for name in answer.headers)
        kept = bool(checksum) and all(written.headers.get(name) == value for name, value in checksum.items())
        proven = await self._prove(item, etag, md5=digest.hexdigest(), read=read)
        return replace(proven, checksum=LOST if had and not kept else "")

    async def _parts_across(
        self, item: Item, attributes: Mapping[str, Any], size: int, running: RunningETag | None
    ) -> _Parts:
        """``running`` is given where the ETag of the copy will not be its source's, which matters. Then the parts are
        read in order, so that what was read can be told to be the source, and need not be read once more.

        ``attributes``: what the copy is to have. A checksum is kept with it if it can be computed here."""
        algorithm = attributes.get("ChecksumAlgorithm", "")
        if not can_compute(algorithm) or not self._ways.take_checksum:
            algorithm, attributes = "", without_checksum(attributes)
        ranges = list(part_ranges(item.stored.size, size))
        digests: dict[int, bytes] = {}
        # Whoever waits for its turn holds no memory yet, so nobody waits for ever.
        turn: AbstractAsyncContextManager[Any] = nullcontext() if running is None else asyncio.Lock()

        async def part(upload: Upload, number: int, start: int, end: int) -> dict[str, str]:
            async with AsyncExitStack() as held:
                async with turn:
                    await held.enter_async_context(self._memory.of(end - start + 1))
                    body = (await self._read(item, (start, end))).body
                    if running is not None:
                        await self._thread(running.update, body)
                digests[number] = (await self._thread(hashlib.md5, body, usedforsecurity=False)).digest()
                query = [("partNumber", str(number)), ("uploadId", upload.upload_id)]
                headers = {"content-md5": base64.b64encode(digests[number]).decode()}
                value = await self._thread(checksum_of, algorithm, body)
                if value is not None:
                    headers[f"x-amz-checksum-{algorithm.lower()}"] = value
                assert self._writer is not None
                answer = await self._ask(
                    item, self._writer, "PUT", self._bucket, item.target, query=query, headers=headers, body=body,
                    size=len(body),
                )  # fmt: skip
                if answer.status != 200 or "etag" not in answer.headers:
                    refusal = _refused(f"s3://{self._bucket}/{item.target}", answer)
                    if value is not None and refusal.code in REFUSES_CHECKSUM:
                        self._ways = replace(self._ways, take_checksum=False)
                    raise refusal
                return {"ETag": answer.headers["etag"]} | ({} if value is None else {f"Checksum{algorithm}": value})

        etag = await self._upload(item, attributes, ranges, part)
        expected = etag_of_parts(digests[number] for number in sorted(digests))
        return _Parts(etag, md5=expected, read=None if running is None else running.etag())

    async def _read(self, item: Item, span: tuple[int, int] | None = None) -> Answer:
        """The source's bytes, pinned to its ETag. Raises StoreError."""
        headers = {"if-match": f'"{item.stored.etag}"'}
        if span is None:
            headers["x-amz-checksum-mode"] = "ENABLED"
        else:
            headers["range"] = f"bytes={span[0]}-{span[1]}"
        expected = span[1] - span[0] + 1 if span else item.stored.size
        assert self._reader is not None
        answer = await self._ask(
            item, self._reader, "GET", item.bucket, item.stored.key, headers=headers, size=expected
        )
        if answer.status not in (200, 206):
            raise _refused(item.place, answer)
        if len(answer.body) != expected:
            raise StoreError(f"{item.place}: {len(answer.body)} bytes came instead of {expected}.")
        return answer

    # -- parts ---------------------------------------------------------------------------------------

    async def _source_parts(self, item: Item) -> int | None:
        """The size of the parts that the source was uploaded in, if there are such, it matters, and it is known."""
        if self._options.verify == NEVER or not part_count(item.stored.etag):
            return None
        return await self._thread(self._source.part_size, item.bucket, item.stored)

    async def _upload(
        self,
        item: Item,
        attributes: Mapping[str, Any],
        ranges: list[tuple[int, int]],
        part: Callable[[Upload, int, int, int], Any],
    ) -> str:
        """Make one object of parts that are written at once, and return its ETag. Nothing is left if it fails."""
        upload = await self._thread(self._target.begin_upload, self._bucket, item.target, attributes)
        # Few tasks at a time: an object of 10,000 parts must not crowd out the others.
        numbers = iter(enumerate(ranges, 1))
        done: dict[int, Mapping[str, str]] = {}

        async def work() -> None:
            for number, (start, end) in numbers:
                done[number] = {"PartNumber": number, **await part(upload, number, start, end)}  # type: ignore[dict-item]

        workers = [asyncio.ensure_future(work()) for _ in range(min(len(ranges), max(1, int(self.pace.level))))]
        try:
            await asyncio.gather(*workers)
            parts = [done[number] for number in sorted(done)]
            try:
                expected = Expected(item.replaces) if self._conditional.complete else None
                once = self._options.once
                return await self._thread(self._target.finish_upload, upload, parts, once=once, expected=expected)
            except (AccessDenied, SourceChanged, Unreachable) as error:
                if self._options.once and isinstance(error, Unreachable):
                    raise AnswerLost(item.place, error.message) from error
                raise
            except StoreError as error:
                if "ChecksumAlgorithm" in attributes and refuses_checksum(error):
                    self._ways = replace(self._ways, take_checksum=False)
                    refusal = _Refused(error.message)
                    refusal.code = "InvalidRequest"
                    raise refusal from error
                # A part's answer may have been another one's.
                raise _Unequal(item, self._bucket, f"could not be put together: {error}") from error
        except BaseException:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            with suppress(MigratorError):
                await asyncio.shield(self._thread(self._target.abort_upload, upload))
            raise

    # -- proof ---------------------------------------------------------------------------------------

    async def _prove(
        self,
        item: Item,
        etag: str,
        *,
        md5: str | None = None,
        read: str | None = None,
        source_checksum: WholeChecksum | None = None,
    ) -> Copied:
        """Compare the copy with its source by the cheapest means that tell; see PROOFS. ``md5``: the ETag that the
        bytes read should give here; ``read``: that which they should have had at the source. ``source_checksum``: what
        is being asked for already."""
        stored = item.stored
        verify = self._options.verify
        if verify != ALWAYS and same_by_etag(etag, stored.etag):
            return Copied(item.id, stored.size, etag, ETAG)
        done = Copied(item.id, stored.size, etag, NONE)
        if verify != ALWAYS and md5 is not None and etag == md5 and read == stored.etag:
            return replace(done, proof=MD5)
        if verify == NEVER:
            return done
        there = await self._thread(self._target.find, self._bucket, item.target)
        if there is None or there.size != stored.size:
            what = "is not there" if there is None else f"has {there.size} bytes"
            raise _Unequal(item, self._bucket, what, there.etag if there else None)
        proof = await self._proof(item, there, source_checksum)
        if proof is None:
            raise _Unequal(item, self._bucket, "has other bytes", there.etag)
        return replace(done, etag=there.etag, proof=proof)  # an answer may say another ETag

    async def _proof(self, item: Item, there: StoredObject, source_checksum: WholeChecksum | None = None) -> str | None:
        """Which of PROOFS shows that what is at the target has the bytes of the source; None if it has others."""
        if there.size != item.stored.size:
            return None
        if self._options.verify != ALWAYS:
            if same_by_etag(there.etag, item.stored.etag):
                return ETAG
            if await self._same_checksum(item, source_checksum):
                return CHECKSUM
            if await self._copy_has_etag_of_source(item):
                return MD5
        return SHA256 if await self._same_bytes(item) else None

    async def _copy_has_etag_of_source(self, item: Item) -> bool:
        """Read the copy, and compare the ETag that its bytes would have at the source with the source's."""
        known = await self._source_parts(item)
        if not self._etags_tell or not is_md5(item.stored.etag) or (known is None and "-" in item.stored.etag):
            return False
        async with self.pace.turn():
            found = await self._thread(self._target.etag_in_parts, self._bucket, item.target, known)
        self._etags_tell = bool(found == item.stored.etag)
        return self._etags_tell

    async def _same_bytes(self, item: Item) -> bool:
        """Read both sides and compare."""
        async with self.pace.turn():
            ours, theirs = await asyncio.gather(
                self._thread(self._source.sha256, item.bucket, item.stored.key, etag=item.stored.etag),
                self._thread(self._target.sha256, self._bucket, item.target),
            )
        return bool(ours == theirs)

    async def _same_checksum(self, item: Item, asked: WholeChecksum | None = None) -> bool:
        """True if both servers keep a checksum over the whole object, and these are equal; or if that of the copy is
        the one that follows from those of the source's parts. ``asked``: that of the source, asked for already."""
        there = await self._thread(self._target.checksum, self._bucket, item.target)
        if there is None or there.kind != "FULL_OBJECT":
            return False
        return bool(there == await (asked or self._checksum_of_source(item, there.algorithm)))

    async def _checksum_of_source(self, item: Item, algorithm: str | None = None) -> Checksum | None:
        """The checksum over all bytes of the source: the one that its server keeps, or the one that follows from those
        of its parts. None if there is neither, or if it is not by ``algorithm``."""
        kept = await self._thread(self._source.checksum, item.bucket, item.stored.key)
        if kept is None or algorithm not in (None, kept.algorithm):
            return None
        if kept.kind == "FULL_OBJECT":
            return kept
        if kept.algorithm not in POLYNOMIALS:
            return None
        value = await self._combined(item, kept)
        return None if value is None else replace(kept, kind="FULL_OBJECT", value=value)

    async def _combined(self, item: Item, found: Checksum) -> str | None:
        """The checksum over all bytes of the source, from those of its parts; None if these are not to be had."""
        count = part_count(item.stored.etag)
        if not 0 < count <= MOST_PARTS_ASKED:
            return None
        asked = (self._thread(self._source.part_checksum, item.bucket, item.stored.key, n + 1) for n in range(count))
        parts = await asyncio.gather(*asked)
        known = [
            (size, checksum.value) for size, checksum in parts if checksum and checksum.algorithm == found.algorithm
        ]
        if len(known) != count or sum(size for size, _ in known) != item.stored.size:
            return None
        return whole_crc(found.algorithm, known)

    # -- requests ------------------------------------------------------------------------------------

    async def _ask(
        self, item: Item, wire: Wire, method: str, bucket: str, key: str, *, size: int, **request: Any
    ) -> Answer:
        """One request, again and again as long as that may help. Raises SourceChanged for a failed condition and
        StoreError when patience is at its end; returns any other answer."""
        seconds = READ_SECONDS + size / SLOWEST
        copying = "x-amz-copy-source" in request["headers"]
        patience, attempt = Patience(wire.outage), 0
        while attempt < ATTEMPTS:
            code, status = "", 0
            async with self.pace.turn(size):
                try:
                    answer = await wire.request(
                        method, bucket, key, patience=seconds, most=max(MOST_BODY, size), **request
                    )
                except Lost as error:
                    reason, sent = str(error), not isinstance(error, NotSent)
                else:
                    status = answer.status
                    if status == 206 or (status == 200 and not (copying and _is_error(answer.body))):
                        return answer
                    found = _elements(answer.body)
                    code = found.get("Code", str(status))
                    if status in (429, 503) or code in _THROTTLES:
                        self.pace.throttled()
                    reason, sent = f"{code}: {found.get('Message', 'no reason given')}", code not in _NOT_DONE
            if status == 412:
                raise SourceChanged(f"{item.place} changed since planning.")
            if 0 < status < 500 and status not in (200, 429) and code not in _AGAIN:
                return answer
            if sent and self._options.once and method == "PUT" and "query" not in request:
                raise AnswerLost(item.place, reason)
            attempt = await _pause(attempt, patience)
        raise StoreError(
            f"{item.place}: gave up after {ATTEMPTS} attempts ({reason}).", next_move="Run the same command again."
        )

    async def _thread(self, call: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*arguments, **named))


async def _pause(attempt: int, patience: Patience) -> int:
    """Wait after a failure, and return the number of attempts so far. Those do not count that fail because the server
    is away for everybody, as long as it is waited for."""
    pause = patience.pause()
    if pause is not None:
        await asyncio.sleep(pause)
        return attempt
    longest = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** (attempt + 1))
    await asyncio.sleep(random.uniform(0, longest))
    return attempt + 1


class AnswerLost(StoreError):
    """Whether a copy was made is not known, and it must not be made twice: whoever asked for it looks."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"{place}: whether it was copied is not known, the answer was lost ({reason}).",
            next_move="Run the same command again: it looks before it copies.",
        )


class _Unequal(MigrationFailed):
    """A copy that is not what it should be, whatever the server said. ``etag``: that of what is there, if known."""

    def __init__(self, item: Item, bucket: str, what: str, etag: str | None = None) -> None:
        message = f"{item.place}: its copy s3://{bucket}/{item.target} {what}."
        self.etag = etag
        super().__init__(message, next_move="Run the same command again; if it stays so, check the server.")


class _Budget:
    """So many bytes in memory at once; one alone may be larger."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._freed = asyncio.Condition()

    def of(self, size: int) -> _Share:
        return _Share(self, size)

    async def take(self, size: int) -> None:
        async with self._freed:
            await self._freed.wait_for(lambda: not self._used or self._used + size <= self._most)
            self._used += size

    async def give(self, size: int) -> None:
        async with self._freed:
            self._used -= size
            self._freed.notify_all()


class _Share:
    def __init__(self, budget: _Budget, size: int) -> None:
        self._budget, self._size = budget, size

    async def __aenter__(self) -> None:
        await self._budget.take(self._size)

    async def __aexit__(self, *details: object) -> None:
        await asyncio.shield(self._budget.give(self._size))


def _elements(body: bytes) -> dict[str, str]:
    """The elements of an S3 answer that matter here."""
    entities = {"&quot;": '"', "&#34;": '"'}
    return {
        name.decode(): unescape(value.decode("utf-8", "replace"), entities) for name, value in _ELEMENT.findall(body)
    }


def _is_error(body: bytes) -> bool:
    """A copy answers 200 at once, and may still fail afterwards; what is not whole has failed as well."""
    text = body.strip()
    return text.startswith(b"<") and (b"<Error>" in text or not text.endswith(b">"))


class _Refused(StoreError):
    """The server said no to a request of ours; boto3 may know why."""

    code = ""


def _refused(place: str, answer: Answer) -> _Refused:
    found = _elements(answer.body)
    refusal = _Refused(
        f"{place}: refused ({found.get('Code', answer.status)}: {found.get('Message', 'no reason given')})."
    )
    refusal.code = found.get("Code", "")
    return refusal
