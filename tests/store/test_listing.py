"""Listings in parallel of which several fail at once."""

from __future__ import annotations

import gc
import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from migrator.errors import StoreError
from migrator.store import Store

ANSWERS = [(200, b"<!doctype html><html>Log in</html>"), (200, b""), (403, b"<Error><Code>AccessDenied</Code></Error>")]


@pytest.mark.parametrize(("status", "body"), ANSWERS, ids=["html", "empty", "denied"])
def test_several_that_fail_are_one_error_and_no_traceback(
    caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    """asyncio prints every error that nobody takes, with a traceback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        store = Store(endpoint_url=f"http://127.0.0.1:{server.server_port}")
        with caplog.at_level(logging.ERROR, logger="asyncio"), pytest.raises(StoreError):
            list(store.list_all([(f"bucket-{number}", "") for number in range(12)]))
        gc.collect()
        server.shutdown()
    assert not caplog.records
