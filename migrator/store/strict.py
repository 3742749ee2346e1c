"""Makes a boto3 client of ours reject answers that boto3 accepts: incomplete, repeated, endless, or not from S3.

Everything here changes one client: its event handlers, its HTTP session and the connections of that session. Other
boto3 clients of the process, such as those of a program that imports migrator, stay as they are.
"""

from __future__ import annotations

import http.client
import weakref
from typing import Any, ClassVar
from xml.etree import ElementTree

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.handlers import _handle_200_error, add_expect_header
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as Urllib3ReadTimeoutError

from migrator.store.answers import MOST_BODY, Absurd, RequestIds, check_answer, has_declarations
from migrator.store.retries import jittered

MOST_HEAD = 256 << 10
"""Bytes before the body of an answer, interim answers included."""
MOST_INTERIM = 32
"""Interim answers (100 Continue, 103 Early Hints) before the final one."""
REPEATS = 4
"""How often boto3 retries because an answer came twice. Limited, for a server may use one request id for all."""
ENTRIES = "Entries"
"""The name, in a page of ListObjectVersions, of the list of all versions and delete markers in the server's order."""


def make_strict(client: Any, request_ids: RequestIds) -> None:
    """Make one boto3 S3 client retry an answer that is incomplete or whose id is in ``request_ids``, reject one that is
    not from S3 or has no end, and keep the order of object versions. The client must not have sent a request yet."""
    session = client._endpoint.http_session
    # A session and this dictionary of it belong to one client. botocore has no parameter for the pools' classes.
    session._pool_classes_by_scheme.update(http=_StrictHTTPConnectionPool, https=_StrictHTTPSConnectionPool)
    client._endpoint.http_session = _BoundedSession(session)
    # boto3 waits without a limit if a connection breaks during "100 Continue". Our request bodies are small.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    # boto3 retries what is not XML as a server error; our check must run first.
    client.meta.events.unregister("before-parse.s3.*", _handle_200_error)
    client.meta.events.register_first("before-parse.s3.*", _check_document)
    client.meta.events.register("before-parse.s3.*", _handle_200_error)
    client.meta.events.register("after-call.s3.ListObjectVersions", _keep_document_order)
    client.meta.events.register_first("needs-retry.s3", _RetryRepeated(request_ids))
    client.meta.events.register_first("needs-retry.s3.HeadBucket", _follow_no_redirect_to_nowhere)


class _StrictResponse(http.client.HTTPResponse):
    """Raises an error for a truncated head, and for an answer that arrives twice on one connection.

    http.client accepts truncated headers, so that user metadata and the tag count of a HEAD would be missing without
    notice. After a repeated answer each further one would be read as the answer to the next request: boto3 could wait
    for minutes for the bytes of a GET.
    """

    _last_ids: ClassVar[weakref.WeakKeyDictionary[Any, str]] = weakref.WeakKeyDictionary()
    """Connection → request id of its last answer."""

    def __init__(self, connection: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(connection, *arguments, **named)
        self._connection = connection

    def begin(self) -> None:
        """Read the head. Raises Absurd, and RemoteDisconnected, which boto3 retries."""
        stream, self.fp = self.fp, _HeadLines(self.fp)  # type: ignore[assignment]
        try:
            super().begin()
            while 101 < self.status < 200:  # http.client skips 100 only
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


class _HeadLines:
    """The lines of an answer's head: raises an error if the stream ends within it, or if it has no end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._size = self._answers = 0

    def readline(self, limit: int) -> bytes:
        """The next line, of at most ``limit`` bytes."""
        line: bytes = self._stream.readline(limit)
        self._size += len(line)
        self._answers += line.startswith(b"HTTP/")
        if self._size > MOST_HEAD or self._answers > MOST_INTERIM:
            raise Absurd(f"{self._answers} answers with {self._size:,} bytes came before its body")
        if not line.endswith(b"\n") and len(line) < limit:
            raise http.client.RemoteDisconnected("the connection was closed amid the head of an answer")
        return line


class _StrictHTTPConnection(AWSHTTPConnection):  # type: ignore[misc]
    response_class = _StrictResponse


class _StrictHTTPSConnection(AWSHTTPSConnection):  # type: ignore[misc]
    response_class = _StrictResponse


class _StrictHTTPConnectionPool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _StrictHTTPConnection


class _StrictHTTPSConnectionPool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _StrictHTTPSConnection


class _BoundedSession:
    """An HTTP session of botocore that reads a body of at most ``MOST_BODY`` bytes, and all of it. The bytes of an
    object are streamed: their reader checks them."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def send(self, request: Any) -> Any:
        """Send one request. Raises Absurd for a body that is too long, and botocore's own errors, which boto3
        retries, for one that is incomplete."""
        of_object = request.stream_output
        request.stream_output = True
        try:
            answer = self._session.send(request)
        finally:
            request.stream_output = of_object
        if of_object and answer.status_code < 300:
            return answer
        try:
            answer._content = _read_body(answer)
        except Urllib3ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except ProtocolError as error:
            raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from error
        announced = answer.headers.get("content-length", "")
        if announced.isdigit() and len(answer._content) < int(announced) and request.method != "HEAD":
            raise ConnectionClosedError(error="amid a body", request=request, endpoint_url=request.url)
        return answer


def _read_body(answer: Any) -> bytes:
    parts, size = [], 0
    for part in answer.raw.stream():
        parts.append(part)
        size += len(part)
        if size > MOST_BODY:
            answer.raw.close()
            raise Absurd(f"it has more than {MOST_BODY:,} bytes")
    return b"".join(parts)


def _check_document(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    """Raises Absurd for an answer that is not the XML document that S3 sends."""
    status, body = response_dict["status_code"], response_dict["body"]
    if not isinstance(body, bytes):
        return  # a stream
    check_answer(operation_model.name, status, body)
    if has_declarations(body):
        if status < 300:
            raise Absurd("it has declarations, which no answer of S3 has")
        response_dict["body"] = b""  # the error page of a proxy: its status is enough


class _RetryRepeated:
    """Lets boto3 retry when it receives an answer that it has received before, on any connection: boto3 would treat it
    as the answer to another request."""

    def __init__(self, request_ids: RequestIds) -> None:
        self._request_ids = request_ids

    def __call__(self, response: Any, attempts: int, **_: Any) -> float | None:
        """The delay in seconds before the next attempt; None for no retry. ``attempts``: 1 after the first one."""
        if response is None:
            return None
        if response[0].status_code == 429 and attempts < REPEATS:  # boto3 looks for the error code: a HEAD has none
            return jittered(attempts + 1)
        new = self._request_ids.is_new(response[0].headers)
        return 0.0 if not new and attempts < REPEATS else None


def _follow_no_redirect_to_nowhere(request_dict: dict[str, Any], response: Any, **_: Any) -> None:
    """boto3 sends a HEAD of the bucket to ask for its region after each redirect, also after that of such a HEAD. So it
    would never end where everything is redirected without a region: by a proxy that wants https, or a login page."""
    if response is None or "x-amz-bucket-region" in response[0].headers:
        return
    if response[0].status_code in (301, 302, 307):
        request_dict["context"].setdefault("s3_redirect", {})["redirected"] = True


def _keep_document_order(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Add a list of versions and delete markers in the server's order. boto3 sorts them into two lists, and so loses
    which of them is newer."""
    if http_response.status_code != 200:
        return
    listed = {"Version": iter(parsed.get("Versions", [])), "DeleteMarker": iter(parsed.get("DeleteMarkers", []))}
    tags = (element.tag.rpartition("}")[2] for element in ElementTree.fromstring(http_response.content))
    parsed[ENTRIES] = [next(listed[tag]) for tag in tags if tag in listed]
