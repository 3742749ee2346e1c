"""What boto3 lets pass and we must not: answers that are not whole, that are not new, or that lose their order."""

from __future__ import annotations

import http.client
import random
import threading
import weakref
from collections import deque
from typing import Any, ClassVar
from xml.etree import ElementTree

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection

REPEATS = 4
"""How often boto3 asks again because an answer came twice; a server that has one id for all must still do."""
ENTRIES = "Entries"
"""Where in a page of ListObjectVersions all its versions and delete markers are, as the server listed them."""


def make_strict(client: Any) -> None:
    """Make a boto3 client ask again for an answer that breaks off in its head or that it has had before, and keep the
    order of a bucket's versions. Heads are watched in every client of this process, for boto3 has no place for it."""
    AWSHTTPConnection.response_class = AWSHTTPSConnection.response_class = _NewWholeHead
    client.meta.events.register("after-call.s3.ListObjectVersions", _in_document_order)
    client.meta.events.register_first("needs-retry.s3", _Repeated())


class _NewWholeHead(http.client.HTTPResponse):
    """http.client takes headers that break off for all there are: of an object that is asked for by HEAD, metadata
    and tags would be missing, and nobody would know. And a connection on which an answer comes twice is of no more
    use: each answer would be taken for the next, a HEAD's for a GET's, whose bytes one awaits for minutes."""

    _last_ids: ClassVar[weakref.WeakKeyDictionary[Any, str]] = weakref.WeakKeyDictionary()
    """Connection → id of its last answer."""

    def __init__(self, connection: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(connection, *arguments, **named)
        self._connection = connection

    def begin(self) -> None:
        stream, self.fp = self.fp, _Unended(self.fp)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            self.fp = stream
        request_id = self.headers.get("x-amz-request-id", "")
        if request_id and self._last_ids.get(self._connection) == request_id:
            raise http.client.RemoteDisconnected("an answer came twice")
        self._last_ids[self._connection] = request_id


class _Unended:
    """Lines of a stream that must not end yet."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readline(self, limit: int) -> bytes:
        line: bytes = self._stream.readline(limit)
        if not line.endswith(b"\n") and len(line) < limit:
            raise http.client.RemoteDisconnected("the connection was closed amid the head of an answer")
        return line


class _Repeated:
    """Lets boto3 ask again when it gets an answer that it has had before, on whichever connection: a network that says
    things twice would have it take one answer for the next. Every server gives each request an id of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: deque[str] = deque(maxlen=256)

    def __call__(self, response: Any, attempts: int, **_: Any) -> float | None:
        if response is None:
            return None
        if response[0].status_code == 429 and attempts < REPEATS:  # boto3 knows the code, which a HEAD does not have
            return random.uniform(0, 0.2 * 2**attempts)
        request_id = response[0].headers.get("x-amz-request-id")
        if not request_id:
            return None
        with self._lock:
            repeated = request_id in self._seen
            self._seen.append(request_id)
        return 0.0 if repeated and attempts < REPEATS else None


def _in_document_order(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """boto3 sorts versions and delete markers into two lists, and so loses which of them came first: keep
    them in a third one, as the server listed them."""
    if http_response.status_code != 200:
        return
    listed = {"Version": iter(parsed.get("Versions", [])), "DeleteMarker": iter(parsed.get("DeleteMarkers", []))}
    tags = (element.tag.rpartition("}")[2] for element in ElementTree.fromstring(http_response.content))
    parsed[ENTRIES] = [next(listed[tag]) for tag in tags if tag in listed]
