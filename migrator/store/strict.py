"""What boto3 lets pass and we must not: answers that are not whole, not new, not S3's, or without end, and those that
lose their order."""

from __future__ import annotations

import http.client
import random
import threading
import weakref
from collections import deque
from typing import Any, ClassVar
from xml.etree import ElementTree

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.handlers import _handle_200_error, add_expect_header
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as NothingMoreCame

from migrator.store.answers import MOST_BODY, Absurd, check_answer, has_declarations

MOST_HEAD = 256 << 10
"""Bytes before the body of an answer, interim answers included."""
MOST_INTERIM = 32
"""Interim answers (100 Continue, 103 Early Hints) before the true one."""
REPEATS = 4
"""How often boto3 asks again because an answer came twice; a server that has one id for all must still do."""
ENTRIES = "Entries"
"""Where in a page of ListObjectVersions all its versions and delete markers are, as the server listed them."""


def make_strict(client: Any) -> None:
    """Make a boto3 client ask again for an answer that breaks off or that it has had before, refuse one that is not
    S3's or has no end, and keep the order of a bucket's versions. Heads are watched in every client of this process,
    for boto3 has no place for it."""
    client._endpoint.http_session = _Bounded(client._endpoint.http_session)
    # boto3 waits for ever where a connection breaks in "100 Continue", and what we send is small.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    # boto3 takes what is no XML for an accident of the server's; this must see it before.
    client.meta.events.unregister("before-parse.s3.*", _handle_200_error)
    client.meta.events.register_first("before-parse.s3.*", _check_document)
    client.meta.events.register("before-parse.s3.*", _handle_200_error)
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
            while 101 < self.status < 200:  # http.client passes over 100 only
                self.headers = self.msg = None  # type: ignore[assignment]
                super().begin()
        except http.client.HTTPException as error:
            if type(error) in (http.client.HTTPException, http.client.LineTooLong):  # too many headers, or too long
                raise Absurd(f"its head has {error}") from error
            raise
        finally:
            self.fp = stream
        request_id = self.headers.get("x-amz-request-id", "")
        if request_id and self._last_ids.get(self._connection) == request_id:
            raise http.client.RemoteDisconnected("an answer came twice")
        self._last_ids[self._connection] = request_id


class _Unended:
    """Lines of a stream that must not end yet, but soon."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._size = self._answers = 0

    def readline(self, limit: int) -> bytes:
        line: bytes = self._stream.readline(limit)
        self._size += len(line)
        self._answers += line.startswith(b"HTTP/")
        if self._size > MOST_HEAD or self._answers > MOST_INTERIM:
            raise Absurd(f"{self._answers} answers with {self._size:,} bytes came before its body")
        if not line.endswith(b"\n") and len(line) < limit:
            raise http.client.RemoteDisconnected("the connection was closed amid the head of an answer")
        return line


class _Bounded:
    """An HTTP session of boto3's that reads no more than a sensible body, and the whole of it. What is streamed, the
    bytes of an object, is for whoever reads it."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def close(self) -> None:
        self._session.close()

    def send(self, request: Any) -> Any:
        if request.stream_output:
            return self._session.send(request)
        request.stream_output = True
        try:
            answer = self._session.send(request)
        finally:
            request.stream_output = False
        try:
            answer._content = _read(answer)
        except NothingMoreCame as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except ProtocolError as error:
            raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from error
        announced = answer.headers.get("content-length", "")
        if announced.isdigit() and len(answer._content) < int(announced) and request.method != "HEAD":
            raise ConnectionClosedError(error="amid a body", request=request, endpoint_url=request.url)
        return answer


def _read(answer: Any) -> bytes:
    parts, size = [], 0
    for part in answer.raw.stream():
        parts.append(part)
        size += len(part)
        if size > MOST_BODY:
            answer.raw.close()
            raise Absurd(f"it has more than {MOST_BODY:,} bytes")
    return b"".join(parts)


def _check_document(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    status, body = response_dict["status_code"], response_dict["body"]
    if not isinstance(body, bytes):
        return  # a stream
    check_answer(operation_model.name, status, body)
    if has_declarations(body):
        if status < 300:
            raise Absurd("it has declarations, which no answer of S3 has")
        response_dict["body"] = b""  # a page of a proxy's; its status tells as much


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
