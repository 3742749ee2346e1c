"""Answers that boto3 accepts, and migrator's clients do not: with a truncated head, or received twice. Other boto3
clients of the process are not changed."""

from __future__ import annotations

import multiprocessing
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import boto3
import pytest
from botocore import awsrequest, handlers, httpsession
from botocore.config import Config

from migrator.errors import NotFound, StoreError
from migrator.store import Store
from migrator.store.quick_reads import QuickReads

HEAD = (
    b'HTTP/1.1 200 OK\r\nx-amz-request-id: %d\r\nContent-Length: 3\r\nETag: "abc"\r\n'
    b"Last-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\nx-amz-meta-owner: bi\r\n\r\n"
)


@contextmanager
def server(*answers: bytes) -> Iterator[str]:
    """The URL of a server that gives these answers, one for each connection, and then closes the connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield "http://127.0.0.1:{}".format(listening.getsockname()[1])  # noqa: UP032
        thread.join(10)
        assert not thread.is_alive(), "not every answer was asked for"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)


whole = HEAD % 1


@pytest.mark.parametrize("length", [0, 5, whole.index(b"x-amz-meta"), whole.index(b"bi\r\n") + 1, len(whole) - 2])
def test_a_head_that_breaks_off_is_asked_for_again(length: int) -> None:
    """Cut where a line ends, it would look like an object without metadata."""
    with server(whole[:length], HEAD % 2, b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n<Tagging />") as url:
        attributes = Store(endpoint_url=url).attributes("bucket", "key", "abc")
    assert attributes["Metadata"] == {"owner": "bi"}


def test_an_answer_that_came_before_is_asked_for_again() -> None:
    with server(HEAD % 1, HEAD.replace(b"abc", b"old") % 1, HEAD.replace(b"abc", b"new") % 2) as url:
        store = Store(endpoint_url=url)
        assert [store.head("bucket", "key").etag for _ in range(2)] == ["abc", "new"]


def test_an_answer_that_came_to_a_request_of_ours_is_asked_for_again_by_boto3() -> None:
    """An object's head is read by a request of our own, or by boto3 if that got no answer."""
    with server(HEAD % 1, *[HEAD.replace(b"abc", b"old") % 1] * 2, HEAD.replace(b"abc", b"new") % 2) as url:
        connection = Store(endpoint_url=url).at("bucket")
        answer = connection.quick_reads.head("bucket", "key")
        assert answer is not None and answer.headers["etag"] == '"abc"'
        assert connection.client.head_object(Bucket="bucket", Key="key")["ETag"] == '"new"'


def test_an_answer_that_came_to_boto3_is_none_to_a_request_of_ours() -> None:
    with server(HEAD % 1, HEAD.replace(b"abc", b"old") % 1) as url:
        connection = Store(endpoint_url=url).at("bucket")
        assert connection.client.head_object(Bucket="bucket", Key="key")["ETag"] == '"abc"'
        assert connection.quick_reads.head("bucket", "key") is None


def test_a_connection_on_which_an_answer_comes_twice_is_given_up() -> None:
    """Otherwise the answer to a HEAD could count as the answer to a GET, and migrator would wait for its bytes for
    minutes."""
    ended = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            for _ in range(2):
                connection.recv(65536)
                connection.sendall(HEAD % 1)
            if connection.recv(65536) == b"":
                ended.set()
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(HEAD.replace(b"abc", b"new") % 2)

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=serve, daemon=True).start()
        store = Store(endpoint_url="http://127.0.0.1:{}".format(listening.getsockname()[1]))  # noqa: UP032
        assert [store.head("bucket", "key").etag for _ in range(2)] == ["abc", "new"]
        assert ended.wait(10)


def error(number: int, code: str, cut: int = 0) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>m</Message></Error>'.encode()
    head = f"HTTP/1.1 404 Not Found\r\nx-amz-request-id: {number}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body[: len(body) - cut]


@pytest.mark.parametrize("cut", [1, 20, 60, 200])
@pytest.mark.parametrize("read", ["get", "download"])
def test_an_error_whose_document_breaks_off_is_asked_for_again(read: str, cut: int) -> None:
    """Also where an object was asked for, whose bytes boto3 leaves to its caller."""
    with server(error(1, "NoSuchKey", cut), error(2, "NoSuchKey")) as url:
        store = Store(endpoint_url=url)
        store.at("b").quick_reads = QuickReads(None)
        with pytest.raises(NotFound):
            getattr(store, read)("b", "k")


CUT = HEAD[: HEAD.index(b"x-amz-meta")]
"""A truncated head, which boto3 takes for that of an object without user metadata."""


def plain_client(url: str) -> Any:
    return boto3.client("s3", endpoint_url=url, config=Config(retries={"max_attempts": 0}))


def state_of_botocore(url: str) -> list[object]:
    """The classes and handlers that a plain boto3 client of this process uses."""
    client = plain_client(url)
    session = client._endpoint.http_session
    connections = [pool.ConnectionCls for pool in session._pool_classes_by_scheme.values()]
    names = ("before-call.s3", "before-parse.s3.GetObject", "needs-retry.s3", "after-call.s3.ListObjectVersions")
    names += ("before-parameter-build.s3.PutObject", "before-send.s3")
    handlers_of = client.meta.events._emitter._handlers.prefix_search
    return [
        type(session),
        session._pool_classes_by_scheme,
        [(connection, connection.response_class, vars(connection).keys()) for connection in connections],
        [dict(vars(module)) for module in (awsrequest, handlers, httpsession)],
        [[getattr(handler, "__qualname__", type(handler)) for handler in handlers_of(name)] for name in names],
        type(client._endpoint._response_parser_factory),
        client._request_signer.get_auth_instance.__qualname__,
    ]


def test_a_plain_boto3_client_of_the_same_process_stays_as_it_is() -> None:
    url = "http://127.0.0.1:9"
    before = state_of_botocore(url)
    with server(CUT % 1, CUT % 2, CUT % 3, HEAD % 4) as url:
        made_before = plain_client(url)
        store = Store(endpoint_url=url)
        made_after = plain_client(url)
        for client in (made_before, made_after):
            assert client.head_object(Bucket="bucket", Key="key")["Metadata"] == {}
        assert store.head("bucket", "key").etag == "abc"  # the second attempt: the first one got a truncated head
    assert state_of_botocore("http://127.0.0.1:9") == before


def metadata_of_key(url: str) -> Any:
    return Store(endpoint_url=url).get("bucket", "key").attributes["Metadata"]


@pytest.mark.parametrize(
    "executor",
    [ThreadPoolExecutor, partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))],
    ids=["a thread", "a child process"],
)
def test_a_client_that_is_made_elsewhere_is_strict(executor: Callable[..., Executor]) -> None:
    with server(CUT % 1, HEAD % 2 + b"abc") as url, executor(max_workers=1) as elsewhere:
        assert elsewhere.submit(metadata_of_key, url).result(60) == {"owner": "bi"}


@pytest.mark.parametrize("body", [b"<html>moved</html>", b"", b"<Error><Code>PermanentRedirect</Code></Error>"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", [Store.bucket_exists, lambda store, name: store.head(name, "key")])
def test_a_redirect_of_everything_is_an_error_that_says_so(
    call: Callable[[Store, str], Any], status: int, body: bytes
) -> None:
    """A proxy that wants https. boto3 asks for the region of the bucket, is redirected, and would ask again."""
    head = b"HTTP/1.1 %d Moved\r\nLocation: https://127.0.0.1:1/\r\nConnection: close\r\n" % status
    answer = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # the test has ended
                    return
                with connection:
                    asked = connection.recv(65536)
                    connection.sendall(answer[: -len(body)] if body and asked.startswith(b"HEAD") else answer)

        threading.Thread(target=serve, daemon=True).start()
        url = "http://127.0.0.1:{}".format(listening.getsockname()[1])  # noqa: UP032
        with pytest.raises(StoreError, match=f"{url}|PermanentRedirect") as raised:
            call(Store(endpoint_url=url), "bucket")
        listening.shutdown(socket.SHUT_RDWR)
    assert not isinstance(raised.value, NotFound)
