"""Small objects are read without boto3, by many threads at once. boto3 reads everything that is not a whole object."""

from __future__ import annotations

import gc
import multiprocessing
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from migrator.store import Store, quick_reads
from migrator.store.quick_reads import QuickReads
from migrator.store.signing import Credentials
from migrator.store.wire import Endpoint


@dataclass
class Scripted:
    """A server's answers by key: status, headers and body. For any other key, the object's content is the key."""

    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """The path and If-Match of each request."""
    url: str = ""

    def reads(self) -> QuickReads:
        return QuickReads(Endpoint("us-east-1", lambda: Credentials("a", "b"), lambda bucket: f"{self.url}{bucket}/"))


@contextmanager
def serving(scripted: Scripted) -> Iterator[Scripted]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            key = self.path.partition("?")[0].rpartition("/")[2]
            scripted.requests.append((self.path, self.headers["If-Match"]))
            default = 200, {"ETag": '"e"'}, key.encode()
            status, headers, body = scripted.answers.get(key, default)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)
            self.close_connection = int(headers.get("Content-Length", len(body))) != len(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # else a connection of many at once may wait for a second
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    scripted.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()


def test_many_threads_each_get_their_object() -> None:
    with serving(Scripted()) as scripted, ThreadPoolExecutor(16) as pool:
        reads = scripted.reads()
        keys = [f"k{number}" for number in range(500)]
        answers = list(pool.map(lambda key: reads.get("b", key, "e"), keys))
    assert [answer and answer.body.decode() for answer in answers] == keys
    assert sorted(scripted.requests) == sorted((f"/b/{key}", '"e"') for key in keys)


def test_the_head_of_an_object_and_of_one_version() -> None:
    with serving(Scripted({"gone": (404, {}, b"<Error/>")})) as scripted:
        reads = scripted.reads()
        answer = reads.head("b", "k")
        assert answer is not None and (answer.headers["content-length"], answer.body) == ("1", b"")
        assert reads.head("b", "k", "v 1") is not None
        assert reads.head("b", "gone") is None
        assert [path for path, _ in scripted.requests] == ["/b/k", "/b/k?versionId=v%201", "/b/gone"]


def test_an_answer_that_came_before_is_left_to_boto3() -> None:
    ids = ("1", "1", "2", "")
    answers = {f"k{n}": (200, {"ETag": '"e"', "x-amz-request-id": id_}, b"x") for n, id_ in enumerate(ids)}
    with serving(Scripted(answers)) as scripted:
        reads = scripted.reads()
        assert [reads.get("b", key, None) is not None for key in answers] == [True, False, True, True]


BAD = {
    "another ETag": (412, {}, b"<Error/>"),
    "missing": (404, {}, b"<Error/>"),
    "slow down": (503, {}, b"<Error/>"),
    "no ETag": (200, {}, b"abc"),
    "broken off": (200, {"ETag": '"e"', "Content-Length": "9"}, b"abc"),
    "large": (200, {"ETag": '"e"'}, b"x" * 2000),
    "part": (206, {"ETag": '"e"'}, b"abc"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_a_whole_object_is_left_to_boto3(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_reads, "MOST_BYTES", 1000)
    with serving(Scripted({"bad": BAD[what]})) as scripted:
        reads = scripted.reads()
        assert reads.get("b", "bad", None) is None
        good = reads.get("b", "good", None)
        assert good is not None and good.body == b"good"
        assert scripted.requests == [("/b/bad", None), ("/b/good", None)]


@pytest.mark.parametrize("status", [301, 307, 400, 403])
def test_a_bucket_that_only_boto3_can_read_is_asked_for_once(status: int) -> None:
    with serving(Scripted({"bad": (status, {}, b"<Error/>")})) as scripted:
        reads = scripted.reads()
        assert [reads.get("far", key, None) for key in ("bad", "good")] == [None, None]
        assert reads.get("near", "good", None) is not None
        assert [path for path, _ in scripted.requests] == ["/far/bad", "/near/good"]


def test_without_a_server_boto3_reports_it() -> None:
    with serving(Scripted()) as scripted:
        pass
    assert scripted.reads().get("b", "k", None) is None


def test_a_forked_process_reads_on_its_own() -> None:
    with serving(Scripted()) as scripted:
        reads = scripted.reads()
        assert reads.get("b", "k", None) is not None
        child = multiprocessing.get_context("fork").Process(target=_read_or_exit, args=(reads,))
        child.start()
        child.join(60)
        assert child.exitcode == 0


def _read_or_exit(reads: QuickReads) -> None:
    if reads.get("b", "k", None) is None:
        sys.exit(1)


def test_the_thread_ends_when_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_reads, "IDLE_SECONDS", 0.05)
    before = set(threading.enumerate())
    with serving(Scripted()) as scripted:
        reads = scripted.reads()
        for _ in range(2):  # the next request begins another one
            assert reads.get("b", "k", None) is not None
            for thread in set(threading.enumerate()) - before:
                if thread.name == "migrator-reader":
                    thread.join(60)
                    assert not thread.is_alive()


def test_a_store_that_nobody_has_any_more_leaves_no_thread_and_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread knows the connection, whose credentials sign each request."""
    monkeypatch.setattr(quick_reads, "IDLE_SECONDS", 0.05)
    before = set(threading.enumerate())
    with serving(Scripted()) as scripted:
        store = Store(endpoint_url=scripted.url)
        connection = weakref.ref(store.at("b"))
        assert store.get("b", "k").data == b"k"
        del store
        for thread in set(threading.enumerate()) - before:
            if thread.name == "migrator-reader":
                thread.join(60)
        gc.collect()
        assert connection() is None


def test_no_thread_ends_while_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no idle time at all, threads end and begin between the requests of many others."""
    monkeypatch.setattr(quick_reads, "IDLE_SECONDS", 0.0001)
    with serving(Scripted()) as scripted, ThreadPoolExecutor(8) as pool:
        reads = scripted.reads()
        keys = [f"k{number}" for number in range(400)]
        answers = list(pool.map(lambda key: reads.get("b", key, None), keys))
    assert [answer and answer.body.decode() for answer in answers] == keys
