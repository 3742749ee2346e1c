"""The bytes that boto3 sends for a header that is not ASCII; it must sign the same bytes. e2e/test_attributes.py uses a
real server, which refuses bytes that are not UTF-8. Other servers keep them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from migrator.store import Content, Store
from migrator.store.attributes import HEADERS, USER, of_answer, of_headers
from migrator.store.signing import Credentials, signed_headers

VALUES = {
    "utf-8": "Jürgen".encode(),
    "latin-1": b"J\xfcrgen",
    "latin-1 spaces": b"a\x85b\xa0",
    "no-break space": "«\u00a0x".encode(),
    "rfc 2047": b"=?UTF-8?Q?J=C3=BCrgen?=",
}


class _Recorder(BaseHTTPRequestHandler):
    heads: ClassVar[list[tuple[str, dict[str, bytes]]]] = []

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self.heads.append((self.path, {k.lower(): v.encode("latin-1") for k, v in self.headers.items()}))
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Recorder) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_boto3_sends_and_signs_the_bytes(server: str, value: bytes) -> None:
    text = value.decode("latin-1")
    names = {name: boto3 for name, boto3 in HEADERS.items() if name != "expires"}
    attributes = {**dict.fromkeys(names.values(), text), "Metadata": {"author": text}, "ExpiresString": "0"}
    _Recorder.heads.clear()
    Store(endpoint_url=server).put("bucket", "key", Content(b"x", "", attributes))
    ((path, sent),) = _Recorder.heads
    assert {name: sent[name] for name in names} == dict.fromkeys(names, value)
    assert (sent[f"{USER}author"], sent["expires"]) == (value, b"0")
    said = sent.pop("authorization").decode()
    signed = re.search(r"SignedHeaders=([^,]+)", said)
    assert signed is not None and {f"{USER}author", "content-disposition"} <= set(signed[1].split(";"))
    ours = signed_headers(
        Credentials("test", "test-secret-never-shown"),
        "us-east-1",
        sent.pop("x-amz-date").decode(),
        "PUT",
        path,
        "",
        {name: sent[name].decode("latin-1") for name in signed[1].split(";") if name in sent},
        sent["x-amz-content-sha256"].decode(),
    )
    assert ours["authorization"] == said


def test_the_same_attributes_for_boto3_and_for_the_wire() -> None:
    headers = {**{name: f"a {name}" for name in HEADERS}, f"{USER}x": "1", "etag": '"0"', "x-amz-storage-class": "COLD"}
    answer = {**{boto3: f"a {name}" for name, boto3 in HEADERS.items()}, "Metadata": {"x": "1"}, "StorageClass": "COLD"}
    assert of_headers(headers) == {**{name: f"a {name}" for name in HEADERS}, f"{USER}x": "1"}
    assert of_answer(answer) == answer and "StorageClass" not in of_answer(answer, {"COLD"})
