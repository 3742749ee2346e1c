"""What boto3 itself would believe: answers cut off in their head, and answers that come twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from migrator.store import Store

HEAD = (
    b'HTTP/1.1 200 OK\r\nx-amz-request-id: %d\r\nContent-Length: 3\r\nETag: "abc"\r\n'
    b"Last-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\nx-amz-meta-owner: bi\r\n\r\n"
)


@contextmanager
def server(*answers: bytes) -> Iterator[str]:
    """The URL of a server that gives these answers, one to a connection, and hangs up after each."""
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


def test_a_connection_on_which_an_answer_comes_twice_is_given_up() -> None:
    """Else a HEAD's answer could be taken for that to a GET, and its bytes be awaited for minutes."""
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
