"""Sends signed HTTP/1.1 requests to one S3 endpoint over persistent connections, in one event loop.

Copies, listings and small reads need one known request many times, and boto3 takes milliseconds of CPU for each. boto3
still decides where a request is sent, with which credentials, and when only boto3 can send it
(:meth:`migrator.store.connection.Connection.endpoint`). An answer is accepted only if it is complete and belongs to the
request that was sent. Otherwise :class:`Lost` is raised, and the caller repeats the request.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from migrator.errors import StoreError
from migrator.store.answers import MOST_BODY
from migrator.store.outage import Outage
from migrator.store.signing import EMPTY_SHA256, UNSIGNED, Credentials, quoted_key, quoted_query, signed_headers

CONNECT_SECONDS = 10.0
READ_SECONDS = 300.0
"""Seconds without a byte of an answer. The server answers only after it has copied a large object."""

MAX_HEAD = 64 << 10
"""Bytes in the head of an answer."""
MAX_INTERIM = 32
"""Interim answers (100 Continue, 103 Early Hints) before the final one."""


class Lost(Exception):
    """No answer, an incomplete one, or one to another request. The server may have carried out the request."""


class NotSent(Lost):
    """No connection was made: the server has not carried out the request."""


class Garbled(Lost):
    """An answer that is not a valid HTTP answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Place:
    """The address that requests for one bucket are sent to."""

    host: str  # the value of the Host header
    name: str
    port: int
    tls: bool
    path: str  # before the key


@dataclass
class Endpoint:
    """How boto3 would reach the buckets of one server."""

    region: str
    credentials: Callable[[], Credentials]
    """Called for every request: credentials may expire soon."""
    base_url: Callable[[str], str]
    """Returns the URL of a bucket, to which its keys are appended. It ends with a slash."""
    ca_file: str | None = None
    verify: bool = True
    outage: Outage = field(default_factory=Outage)
    """Records every answer, and every missing one."""
    _places: dict[str, _Place] = field(default_factory=dict)
    _tls: ssl.SSLContext | None = None

    def place(self, bucket: str) -> _Place:
        """The address for requests to this bucket."""
        known = self._places.get(bucket)
        if known is None:
            url = urlsplit(self.base_url(bucket))
            tls = url.scheme == "https"
            port = url.port or (443 if tls else 80)
            known = self._places[bucket] = _Place(url.netloc, url.hostname or "", port, tls, url.path)
        return known

    def tls(self) -> ssl.SSLContext:
        """The TLS context for all connections, made once."""
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self.ca_file)
            if not self.verify:
                self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        return self._tls


class Wire:
    """Sends requests to one endpoint. Use it in one event loop only."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: dict[tuple[str, int], list[_Connection]] = {}
        self._second = 0
        self._date = ""
        self.requests = 0
        self.answers = 0
        self.outage = endpoint.outage

    async def request(
        self,
        method: str,
        bucket: str,
        key: str = "",
        *,
        query: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        patience: float = READ_SECONDS,
        most: int = MOST_BODY,
    ) -> Answer:
        """Send one request and return its whole answer, whatever its status. ``headers`` have lower-case names.

        Raises Lost, also after ``patience`` seconds without a byte and for a body of more than ``most`` bytes; and
        StoreError for a header with a line break. Nothing is retried here.
        """
        place = self._endpoint.place(bucket)
        head = self._head(place, method, bucket, key, query, headers, body)
        self.requests += 1
        try:
            connection = await self._connection(place)
            answer = await connection.exchange(head, body, method == "HEAD", patience, most)
        except Garbled:
            raise
        except Lost:
            self.outage.failed()
            raise
        self.answers += 1
        self.outage.heard(answer.status)
        return answer

    def _head(
        self,
        place: _Place,
        method: str,
        bucket: str,
        key: str,
        query: Iterable[tuple[str, str]],
        headers: Mapping[str, str] | None,
        body: bytes,
    ) -> bytes:
        """The request line and the signed headers. Raises StoreError for a header with a control character."""
        path, search = place.path + quoted_key(key), quoted_query(query)
        given = {**(headers or {}), "host": place.host}
        payload = EMPTY_SHA256
        if body:
            # As boto3: under TLS a Content-MD5 is enough.
            whole = place.tls and "content-md5" in given
            payload = UNSIGNED if whole else hashlib.sha256(body).hexdigest()
        signed = signed_headers(
            self._endpoint.credentials(), self._endpoint.region, self._now(), method, path, search, given, payload
        )
        lines = [f"{method} {path}{'?' + search if search else ''} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in signed.items()]
        if any(_CONTROL.search(line) for line in lines):
            raise StoreError(f"s3://{bucket}/{key}: a header of the request would have a control character.")
        if body or method in ("PUT", "POST"):
            lines.append(f"content-length: {len(body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def host(self, bucket: str) -> str:
        """The host that requests for this bucket are sent to, for messages."""
        return self._endpoint.place(bucket).host

    def close(self) -> None:
        """Close all idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        return self._date

    async def _connection(self, place: _Place) -> _Connection:
        idle = self._idle.setdefault((place.host, place.port), [])
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        context = self._endpoint.tls() if place.tls else None
        made = _Connection(idle)
        make = asyncio.get_running_loop().create_connection(lambda: made, place.name, place.port, ssl=context)
        try:
            await asyncio.wait_for(make, CONNECT_SECONDS)
        except (OSError, asyncio.TimeoutError) as error:
            raise NotSent(f"no connection to {place.host}: {error or 'no answer'}") from error
        return made


class _Connection(asyncio.Protocol):
    """One connection, for one request at a time. After a complete answer it adds itself to ``idle``."""

    def __init__(self, idle: list[_Connection]) -> None:
        self._idle = idle
        self._transport: Any = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._buffer = b""
        self._more: bytearray | None = None  # a body that comes in pieces
        self._head: tuple[int, dict[str, str]] | None = None
        self._length: int | None = None
        self._chunked = False
        self._bodiless = False
        self._last_id = ""
        self._heard = self._patience = 0.0
        self._most = self._interim = 0
        self._timer: asyncio.TimerHandle

    @property
    def usable(self) -> bool:
        """True while the connection is open."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, head: bytes, body: bytes, bodiless: bool, patience: float, most: int) -> Answer:
        """Send a request and wait for its answer. Raises Lost."""
        loop = asyncio.get_running_loop()
        self._buffer, self._more, self._head, self._length, self._chunked = b"", None, None, None, False
        self._bodiless = bodiless
        self._most, self._interim = most, 0
        self._heard = loop.time()
        self._patience = patience
        waiter: asyncio.Future[Answer] = loop.create_future()
        self._waiter = waiter
        self._timer = loop.call_later(patience, self._check_time)
        try:
            if body:
                self._transport.writelines((head, body))
            else:
                self._transport.write(head)
            return await waiter
        except BaseException:
            self._waiter = None
            self.close()  # the rest of this answer must not be read as the next one
            raise
        finally:
            self._timer.cancel()

    def _check_time(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._heard + self._patience - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._check_time)
        else:
            self._fail(f"no answer within {self._patience:.0f} s")

    # -- asyncio.Protocol ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._head is not None and self._length is None and not self._chunked and error is None:
            self._finish(bytes(self._body()), b"")  # a body that ends with the connection
        self._fail(f"the connection was lost: {error or 'closed by the server'}")

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()  # no request was sent: this is the answer to none of ours
            return
        self._heard = asyncio.get_running_loop().time()
        try:
            self._take(data)
        except (ValueError, IndexError) as error:
            self._fail(f"not an HTTP answer: {error}", Garbled)

    def _take(self, data: bytes) -> None:
        if self._head is None:
            rest = self._take_head(data)
            if rest is None:
                return
            data = rest
            if self._length is not None and self._more is None and len(data) == self._length:
                self._finish(data, b"")  # nearly always: the whole answer came at once
                return
        body = self._body()
        body += data
        if self._chunked:
            whole = _dechunked(body) if body.endswith(b"\r\n\r\n") or b"\r\n0\r\n" in body[-MAX_HEAD:] else None
            if whole is not None:
                self._finish(*whole)
        elif self._length is not None and len(body) >= self._length:
            self._finish(bytes(body[: self._length]), bytes(body[self._length :]))
        if len(body) > self._most + MAX_HEAD and self._waiter is not None:
            raise ValueError(f"its body has more than {self._most:,} bytes")

    def _take_head(self, data: bytes) -> bytes | None:
        """Read the head of the answer, and return the bytes that follow it; None if it is not complete yet."""
        self._buffer = data = self._buffer + data if self._buffer else data
        while True:
            end = data.find(b"\r\n\r\n")
            if end > MAX_HEAD or (end < 0 and len(data) > MAX_HEAD):
                raise ValueError("endless headers")
            if end < 0:
                self._buffer = data
                return None
            status, headers = _parse_head(data[:end])
            data = data[end + 4 :]
            if status >= 200:
                break
            self._interim += 1  # 100 Continue and the like: the final answer follows
            if self._interim > MAX_INTERIM:
                raise ValueError(f"more than {MAX_INTERIM} interim answers")
        self._buffer = b""
        self._head = status, headers
        coding = headers.get("transfer-encoding", "").lower()
        if self._bodiless or status in (204, 304):
            self._length = 0
        elif coding:
            if coding != "chunked":
                raise ValueError(f"the transfer encoding {coding[:40]!r}")
            self._chunked = True
        elif "content-length" in headers:
            self._length = _length(headers["content-length"], self._most)
        return data

    def _body(self) -> bytearray:
        if self._more is None:
            self._more = bytearray()
        return self._more

    def _finish(self, body: bytes, rest: bytes) -> None:
        waiter, head = self._waiter, self._head
        if waiter is None or waiter.done() or head is None:
            return
        status, headers = head
        # A repeated answer must not be read as the next one. Every server gives each request its own id.
        request_id = headers.get("x-amz-request-id", "")
        if request_id and request_id == self._last_id:
            self._fail("an answer came twice")
            return
        self._last_id = request_id
        self._waiter = None
        if rest or (self._length is None and not self._chunked) or headers.get("connection", "").lower() == "close":
            self.close()
        else:
            self._idle.append(self)
        waiter.set_result(Answer(status, headers, body))

    def _fail(self, reason: str, kind: type[Lost] = Lost) -> None:
        waiter, self._waiter = self._waiter, None
        self.close()
        if waiter is not None and not waiter.done():
            waiter.set_exception(kind(reason))


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers. Raises ValueError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/1."):
        raise ValueError(first[:40])
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or _CONTROL.search(line):
            raise ValueError(line[:40])
        value = value.strip(" \t")  # nothing else: a value in UTF-8 may end in a byte that Python takes for a space
        if headers.setdefault(name.lower(), value) != value and name.lower() == "content-length":
            raise ValueError("two lengths")
        headers[name.lower()] = value
    if not re.fullmatch(r"[1-9][0-9]{2}", first[9:12]):
        raise ValueError(first[:40])
    return int(first[9:12]), headers


_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that a header must not contain: a line break would begin another header."""


def _length(text: str, most: int) -> int:
    """A Content-Length. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"the length {text[:40]!r}")
    if int(text) > most:
        raise ValueError(f"its body has {int(text):,} bytes")
    return int(text)


def _dechunked(data: bytearray) -> tuple[bytes, bytes] | None:
    """The body of a chunked answer and the bytes that follow it; None if it is not complete yet. Raises ValueError."""
    parts: list[bytes] = []
    at = 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        digits = bytes(data[at:end]).split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", digits):  # int() would take a sign
            raise ValueError(f"the chunk size {digits[:20]!r}")
        size = int(digits, 16)
        at = end + 2
        if size == 0:
            while True:  # trailers, then an empty line
                end = data.find(b"\r\n", at)
                if end < 0:
                    return None
                if end == at:
                    return b"".join(parts), bytes(data[end + 2 :])
                at = end + 2
        if len(data) < at + size + 2:
            return None
        if data[at + size : at + size + 2] != b"\r\n":
            raise ValueError("a chunk does not end where it should")
        parts.append(bytes(data[at : at + size]))
        at += size + 2
