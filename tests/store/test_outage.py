"""migrator waits for a server that cannot be reached for a while, for example during a restart. A wrong endpoint is
reported at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from migrator.errors import StoreError, Unreachable
from migrator.store import Store
from migrator.store import outage as outage_module

PAGE = b"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated></ListBucketResult>"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    monkeypatch.setattr(outage_module, "LONGEST_PAUSE", 0.05)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def server(port: int, status: Callable[[], int] = lambda: 200) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status())
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        allow_reuse_address = True

    with Server(("127.0.0.1", port), Handler) as served:
        served.daemon_threads = True
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield
        served.shutdown()


ASKS: dict[str, Callable[[Store], Any]] = {
    "boto3": lambda store: list(store.list("bucket")),
    "requests of our own": lambda store: list(store.list_all([("bucket", "")])),
    "what must not be done twice": lambda store: store.at("bucket").once_client.list_objects_v2(Bucket="bucket"),
}


@pytest.mark.parametrize("ask", ASKS)
def test_a_server_that_is_restarted_is_waited_for(ask: str) -> None:
    """It comes back only after many more failed requests than boto3 would send by itself."""
    port = free_port()
    store = Store(endpoint_url=f"http://127.0.0.1:{port}")
    with server(port):
        ASKS[ask](store)
    failed = threading.Event()
    count = iter(range(1_000))

    def note() -> None:
        store_failed()
        if next(count) == 20:
            failed.set()

    store_failed = store.outage.failed
    store.outage.failed = note  # type: ignore[method-assign]
    asking = threading.Thread(target=ASKS[ask], args=(store,))
    asking.start()
    assert failed.wait(30)
    with server(port):
        asking.join(30)
        assert not asking.is_alive()


@pytest.mark.parametrize("status", sorted(outage_module.GATEWAY))
def test_a_proxy_answers_for_the_server(status: int) -> None:
    said = iter([200, *[status] * 20])
    port = free_port()
    with server(port, lambda: next(said, 200)):
        store = Store(endpoint_url=f"http://127.0.0.1:{port}")
        for ask in ("boto3", "requests of our own"):
            ASKS[ask](store)


@pytest.mark.parametrize("ask", ["bucket_exists", "list", "find", "get", "keeps_versions"])
def test_a_server_that_has_never_answered_is_not_waited_for(ask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint is probably wrong, or the old server was removed: boto3 alone would try for half a minute."""
    delays: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", delays.append)
    store = Store(endpoint_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unreachable, match="did not answer"):
        result = getattr(store, ask)("bucket", *(["key"] if ask in ("find", "get") else []))
        next(result)
    assert len(delays) == outage_module.FIRST_ATTEMPTS - 1


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage_module, "PATIENCE", 0.3)
    store = Store(endpoint_url=f"http://127.0.0.1:{free_port()}")
    store.wait_from_first_request()
    for ask in ("boto3", "requests of our own"):
        with pytest.raises(StoreError):
            ASKS[ask](store)


def test_who_gives_up_does_not_wait() -> None:
    store = Store(endpoint_url=f"http://127.0.0.1:{free_port()}")
    store.wait_from_first_request()
    store.give_up()
    with pytest.raises(Unreachable):
        store.is_versioned("bucket")
