"""Lists a lake in parallel: a large prefix is split into its folders.

The pages of one listing come one after another, so parallel listings need different prefixes, which are not known
beforehand. The first page of every prefix is listed. If there are more pages, and the keys of the first one are in few
folders, then each folder is large and gets a listing of its own; otherwise the listing goes on. Nothing depends on the
order of keys, and the next page is always requested with the server's own token.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from migrator.errors import StoreError
from migrator.store.answers import (
    Absurd,
    Pages,
    check_root,
    checked_bool,
    checked_etag,
    checked_name,
    checked_size,
    checked_time,
)
from migrator.store.outage import Patience
from migrator.store.retries import count_left_to_boto3, retry_async
from migrator.store.server_errors import not_of_s3
from migrator.store.wire import Answer, Endpoint, Lost, Wire

AT_ONCE = 16
"""Listings in parallel."""
FEW_FOLDERS = 8
"""A first page of 1,000 keys in so few folders: each has hundreds of keys, which is worth a request of its own."""
PAGES_AHEAD = 32
"""Pages in memory that the caller has not taken yet."""
FULL = 1000
"""Keys in a page, if there are as many."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a listing shows it. ``modified`` is in milliseconds since the epoch."""

    key: str
    size: int
    etag: str
    modified: int
    storage_class: str = "STANDARD"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to ListObjectsV2. ``token`` None: it is the last one."""

    entries: list[StoredObject]
    folders: list[str]
    token: str | None

    @property
    def first(self) -> str | None:
        """The first key or folder of the page; None if it is empty."""
        return self.entries[0].key if self.entries else next(iter(self.folders), None)


def cut_short(key: str) -> str:
    """The prefix to list after a last page that is full and ends with ``key``. A server that keeps keys in directories
    (SeaweedFS 4.48) ends a listing at an object ``a`` or ``a/`` at the end of a page, although ``a/b`` follows. Only
    keys with this prefix can be missing. ``key`` itself may be listed again."""
    return key if key.endswith("/") else f"{key}/"


AskBoto3 = Callable[[str, dict[str, str]], Page]
"""(bucket, parameters of ListObjectsV2) → a page that boto3 requested. Raises StoreError."""


def list_in_parallel(
    endpoint: Endpoint, ask_boto3: AskBoto3, places: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, list[StoredObject]]]:
    """Yield (bucket, entries) for every (bucket, prefix), each key once, in no order. Raises what ``ask_boto3``
    raises. Closing the iterator stops the listing."""
    pages: queue.Queue[tuple[str, list[StoredObject]] | BaseException | None] = queue.Queue(PAGES_AHEAD)
    stopped = threading.Event()

    def put(item: tuple[str, list[StoredObject]] | BaseException | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                return pages.put(item, timeout=0.5)

    def work() -> None:
        try:
            asyncio.run(_Lister(endpoint, ask_boto3, put, stopped).run(places))
        except BaseException as error:  # the caller, who waits for pages, must get it
            put(error)
        put(None)

    thread = threading.Thread(target=work, name="migrator-lister", daemon=True)
    thread.start()
    try:
        while (item := pages.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


class _Lister:
    def __init__(
        self,
        endpoint: Endpoint,
        ask_boto3: AskBoto3,
        put: Callable[[tuple[str, list[StoredObject]]], None],
        stopped: threading.Event,
    ) -> None:
        self._wire = Wire(endpoint)
        self._ask_boto3 = ask_boto3
        self._put = put
        self._stopped = stopped
        self._waiting: list[tuple[str, str]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, places: Sequence[tuple[str, str]]) -> None:
        self._waiting = list(reversed(places))
        try:
            while self._waiting or self._running:
                while self._waiting and len(self._running) < AT_ONCE:
                    self._running.add(asyncio.ensure_future(self._walk(*self._waiting.pop())))
                done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                self._running -= done
                if self._stopped.is_set():
                    break
        finally:
            for task in self._running:
                task.cancel()
            # Of several listings that fail, one error is raised. asyncio would print the others as tracebacks.
            await asyncio.gather(*self._running, return_exceptions=True)
            self._wire.close()

    async def _walk(self, bucket: str, prefix: str) -> None:
        page = await self._page(bucket, {"prefix": prefix})
        if page.token is not None and len(self._waiting) < AT_ONCE and _folders(page, prefix) <= FEW_FOLDERS:
            await self._split(bucket, prefix)
            return
        await self._rest(bucket, {"prefix": prefix}, page)

    async def _split(self, bucket: str, prefix: str) -> None:
        """List the keys right below the prefix; the folders become listings of their own."""
        parameters = {"prefix": prefix, "delimiter": "/"}
        await self._rest(bucket, parameters, await self._page(bucket, parameters))

    async def _rest(self, bucket: str, parameters: dict[str, str], page: Page) -> None:
        last, pages = None, Pages()
        while not self._stopped.is_set():
            try:
                pages.check(page.token, page.first)
            except Absurd as reason:
                raise self._not_of_s3(bucket, parameters, reason) from reason
            self._waiting += [(bucket, folder) for folder in page.folders]
            if entries := [found for found in page.entries if found.key != last]:
                self._put((bucket, entries))
            if page.token is not None:
                page = await self._page(bucket, {**parameters, "continuation-token": page.token})
            elif len(page.entries) >= FULL and "delimiter" not in parameters:
                last = page.entries[-1].key
                parameters, pages = {"prefix": cut_short(last)}, Pages()
                page = await self._page(bucket, parameters)
            else:
                return

    async def _page(self, bucket: str, parameters: dict[str, str]) -> Page:
        """One page. Requests of our own come first; boto3 is asked where they get no answer, or one that is no page:
        it follows redirects, waits for the server, and reports what is wrong."""
        patience = Patience(self._wire.outage)

        async def ask() -> Page | None:
            if self._stopped.is_set():
                raise asyncio.CancelledError
            answer = await _ask(self._wire, bucket, parameters)
            count_left_to_boto3(answer.status)
            return _page_of(answer)

        async def ask_twice() -> Page | None:
            return await retry_async(ask, [0.0], _may_be_an_accident)

        def wait_for_server() -> float | None:
            # If these requests never got an answer, boto3 may get one: it knows more ways, and it waits, too.
            return patience.pause() if self._wire.answers else None

        page: Page | None = None
        try:
            page = await retry_async(ask_twice, [], _is_lost, wait_for_server)
        except (Lost, _NotEncoded) as error:
            if isinstance(error, Lost):
                count_left_to_boto3(None)
        except Absurd as reason:
            raise self._not_of_s3(bucket, parameters, reason) from reason
        if page is not None:
            return page
        if self._stopped.is_set():
            raise asyncio.CancelledError
        call: Awaitable[Page] = asyncio.get_running_loop().run_in_executor(None, self._ask_boto3, bucket, parameters)
        return await call

    def _not_of_s3(self, bucket: str, parameters: dict[str, str], reason: Absurd) -> StoreError:
        return not_of_s3(f"s3://{bucket}/{parameters['prefix']}", self._wire.host(bucket), reason)


def _is_lost(error: Exception) -> bool:
    return isinstance(error, Lost)


def _may_be_an_accident(error: Exception) -> bool:
    """True for an answer that is not from S3: a proxy may have failed for a moment."""
    return isinstance(error, Absurd) and not isinstance(error, _NotEncoded)


async def ask_page(wire: Wire, bucket: str, parameters: Mapping[str, str]) -> Page | None:
    """One page of a listing, with these parameters of ListObjectsV2; None if the server answers anything but 200.
    Raises Lost and Absurd. Nothing is retried here."""
    return _page_of(await _ask(wire, bucket, parameters))


async def _ask(wire: Wire, bucket: str, parameters: Mapping[str, str]) -> Answer:
    query = [("list-type", "2"), ("encoding-type", "url"), *parameters.items()]
    return await wire.request("GET", bucket, query=query)


def _page_of(answer: Answer) -> Page | None:
    return parse_page(answer.body) if answer.status == 200 else None


def _folders(page: Page, prefix: str) -> int:
    """In how many folders right below ``prefix`` the keys of a page are; many if most are in none."""
    below = [found.key[len(prefix) :].partition("/") for found in page.entries]
    if sum(1 for _, slash, _ in below if not slash) > len(below) // 2:
        return FEW_FOLDERS + 1
    return len({name for name, slash, _ in below if slash})


class _NotEncoded(Absurd):
    """An answer of a server that does not know ``encoding-type``. boto3 can read it."""


def parse_page(body: bytes) -> Page:
    """A ListObjectsV2 answer with ``encoding-type=url``. Raises Absurd for anything else.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
    """
    check_root(body, "ListBucketResult")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as fault:
        raise Absurd(f"it is no XML document: {fault}") from fault
    space = root.tag.rpartition("}")[0]
    at = f"{space}}}" if space else ""
    if root.findtext(f"{at}EncodingType") != "url":
        raise _NotEncoded("its keys are not encoded as asked for")
    entries = [
        _entry({child.tag[len(at) :]: child.text or "" for child in element})
        for element in root.iterfind(f"{at}Contents")
    ]
    folders = [_unquoted(element.findtext(f"{at}Prefix")) for element in root.iterfind(f"{at}CommonPrefixes")]
    truncated = checked_bool(root.findtext(f"{at}IsTruncated"))
    token = root.findtext(f"{at}NextContinuationToken") if truncated else None
    if truncated and not token:
        raise Absurd("there are more pages, but no continuation token")
    return Page(entries, folders, token)


def _entry(found: dict[str, str]) -> StoredObject:
    key = _unquoted(found.get("Key"))
    for name in ("Size", "ETag", "LastModified"):
        if name not in found:
            raise Absurd(f"{key!r} has no {name}")
    return StoredObject(
        key,
        checked_size(found["Size"], key),
        checked_etag(found["ETag"], key),
        checked_time(found["LastModified"], key),
        checked_name(found.get("StorageClass") or "STANDARD", key),
    )


def _unquoted(text: str | None) -> str:
    """A key or prefix. Raises Absurd."""
    if not text:
        raise Absurd("it has an object without a key")
    folder, slash, name = text.rpartition("/")
    try:
        return f"{_decoded(folder)}{slash}{unquote_plus(name, errors='strict')}"
    except UnicodeDecodeError:
        raise Absurd(f"the key {text[:80]!r} is not UTF-8") from None


@lru_cache(maxsize=256)  # a page has many keys and few folders
def _decoded(folder: str) -> str:
    return unquote_plus(folder, errors="strict")
