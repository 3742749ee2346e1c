"""Answers with status 200 that no S3 server gives. Each listing must fail soon, and never say "there is none"."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.errors import StoreError
from migrator.store import Store
from migrator.store.answers import (
    Absurd,
    Pages,
    check_answer,
    checked_etag,
    checked_size,
    checked_time,
    has_declarations,
)
from migrator.store.listing import parse_page
from migrator.store.signing import Credentials
from migrator.store.wire import Endpoint, Garbled, Wire

ENTRY = (
    "<Contents><Key>raw/a</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;0cc175b9c0f1b6a831c399e269772661&quot;</ETag><Size>1</Size></Contents>"
)


def listing(
    inside: str = ENTRY, root: str = "ListBucketResult", end: str = "<IsTruncated>false</IsTruncated>"
) -> bytes:
    return f'<?xml version="1.0"?><{root}><EncodingType>url</EncodingType>{end}{inside}</{root}>'.encode()


VERSION = ENTRY.replace("Contents", "Version").replace(
    "<Size>", "<VersionId>v</VersionId><IsLatest>true</IsLatest><Size>"
)
UPLOAD = "<Upload><Key>raw/a</Key><UploadId>u</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
BOMB = b"<!DOCTYPE x [<!ENTITY a '" + b"a" * 1000 + b"'><!ENTITY b '" + b"&a;" * 1000 + b"'>]>"
PAGES = {
    "empty": b"",
    "blank": b" \n",
    "html": b"<!doctype html><html><body>Welcome</body></html>",
    "xhtml": b"<html><body>Welcome</body></html>",
    "json": b'{"message": "hello"}',
    "binary": bytes(range(256)) * 4,
    "another document": b"<?xml version='1.0'?><ListAnything/>",
    "entities": BOMB + listing().replace(b"raw/a", b"&b;"),
    "cut": listing()[:-20],
}
LISTINGS: dict[str, Callable[[Store], Any]] = {
    "objects": lambda store: list(store.list("bucket")),
    "objects at once": lambda store: list(store.list_all([("bucket", "")])),
    "versions": lambda store: list(store.list_versions("bucket")),
    "uploads": lambda store: list(store.uploads.list("bucket")),
    "open uploads": lambda store: store.uploads.count_open("bucket"),
    "the bucket": lambda store: store.bucket_exists("bucket"),
    "tags": lambda store: store.tagging("bucket", "key"),
    "versioning": lambda store: store.is_versioned("bucket"),
}


@contextmanager
def server(body: Callable[[str], bytes] | bytes, status: int = 200) -> Iterator[tuple[Store, list[str]]]:
    """A store on a server that answers every request with this body, and the list of the requests."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            said = body if isinstance(body, bytes) else body(self.path)
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.daemon_threads = True
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield Store(endpoint_url=f"http://127.0.0.1:{served.server_port}"), asked
        served.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    monkeypatch.setattr("migrator.store.outage.PATIENCE", 0.2)


@pytest.mark.parametrize("listed", LISTINGS)
@pytest.mark.parametrize("page", PAGES)
def test_an_answer_that_is_no_listing_is_an_error(page: str, listed: str) -> None:
    with server(PAGES[page]) as (store, asked), pytest.raises(StoreError, match=r"bucket") as error:
        LISTINGS[listed](store)
    assert "127.0.0.1" in str(error.value) and len(asked) <= 8


@pytest.mark.parametrize("listed", ["objects", "objects at once", "versions", "uploads"])
@pytest.mark.parametrize("tokens", ["the same", "two in turn", "always new", "none", "not said"])
@pytest.mark.parametrize("empty", [False, True])
def test_a_listing_without_end_is_an_error(
    listed: str, tokens: str, empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.store.answers.MOST_EMPTY_PAGES", 20)
    count = iter(range(10_000))
    root = {"versions": "ListVersionsResult", "uploads": "ListMultipartUploadsResult"}.get(listed, "ListBucketResult")
    inside = "" if empty else {"versions": VERSION, "uploads": UPLOAD}.get(listed, ENTRY)

    def page(path: str) -> bytes:
        number = next(count)
        token = {"the same": "x", "two in turn": f"x{number % 2}"}.get(tokens, f"x{number}")
        names = ("NextContinuationToken", "NextKeyMarker", "NextVersionIdMarker", "NextUploadIdMarker")
        more = "".join(f"<{name}>{token}</{name}>" for name in names)
        end = "" if tokens == "not said" else "<IsTruncated>true</IsTruncated>"
        return listing(inside, root, end + ("" if tokens == "none" else more))

    with server(page) as (store, asked), pytest.raises(StoreError, match="bucket"):
        LISTINGS[listed](store)
    assert len(asked) <= 50


ODD = {
    "Size": ["abc", "-1", "1e3", "", "9" * 30, "1_000", " 1"],
    "LastModified": ["yesterday", "2026-13-01T00:00:00.000Z", "9" * 40, ""],
    "ETag": ["a&#13;&#10;X-Injected: yes", "a\nb", "ü", "a b", "x" * 5000],
    "StorageClass": ["A&#10;B", "Ä"],
}


@pytest.mark.parametrize("listed", ["objects", "objects at once", "versions"])
@pytest.mark.parametrize(("field", "text"), [(field, text) for field, texts in ODD.items() for text in texts])
def test_numbers_dates_and_etags_that_are_none_are_one_message(field: str, text: str, listed: str) -> None:
    entry = (VERSION if listed == "versions" else ENTRY).replace(
        "<Size>", "<StorageClass>STANDARD</StorageClass><Size>"
    )
    entry = re.sub(f"<{field}>.*?</{field}>", lambda _: f"<{field}>{text}</{field}>", entry)
    root = "ListVersionsResult" if listed == "versions" else "ListBucketResult"
    with server(listing(entry, root)) as (store, _), pytest.raises(StoreError, match="raw/a"):
        LISTINGS[listed](store)


@pytest.mark.parametrize("body", [b"<html>Not found</html>", b"", b"<!doctype html>"])
def test_a_404_of_a_proxy_is_not_a_missing_bucket(body: bytes) -> None:
    with server(body, 404) as (store, _), pytest.raises(StoreError, match="not S3's"):
        store.bucket_exists("bucket")
    with server(b"<Error><Code>NoSuchBucket</Code></Error>", 404) as (store, _):
        assert not store.bucket_exists("bucket")


# -- what comes before a body, and how long that is --------------------------------------------------------

HEADS = {
    "many interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 400,
    "many continues": b"HTTP/1.1 100 Continue\r\n\r\n" * 400,
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(20_000)),
    "a header without end": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 400_000,
    "a length of its own": b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n" + b"x" * (40 << 20),
    "chunks without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + (b"100000\r\n" + bytes(1 << 20) + b"\r\n") * 40,
}


@contextmanager
def raw(answer: bytes) -> Iterator[str]:
    """The URL of a server that sends these bytes for every request, and then closes the connection."""
    import socket

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65536)
                        connection.sendall(answer)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("head", HEADS)
def test_an_answer_without_end_is_an_error_soon(head: str) -> None:
    with raw(HEADS[head]) as url:
        with pytest.raises(StoreError, match="bucket"):
            Store(endpoint_url=url).is_versioned("bucket")

        async def ask() -> None:
            wire = Wire(Endpoint("us-east-1", lambda: Credentials("a", "b"), lambda bucket: f"{url}/b/"))
            await wire.request("GET", "b")

        with pytest.raises(Garbled):
            asyncio.run(asyncio.wait_for(ask(), 20))


def test_some_interim_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    with raw(early + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as url:
        assert Store(endpoint_url=url).is_versioned("bucket")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -5",
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Transfer-Encoding: gzip",
        b"ETag: a\nX-Injected: yes",
        b"Transfer-Encoding: chunked\r\n\r\n-5",
    ],
)
def test_a_head_that_could_mean_two_things_is_none(head: bytes) -> None:
    with raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nabc\r\n\r\n") as url:

        async def ask() -> None:
            wire = Wire(Endpoint("us-east-1", lambda: Credentials("a", "b"), lambda bucket: f"{url}/b/"))
            await wire.request("GET", "b")

        with pytest.raises(Garbled):
            asyncio.run(asyncio.wait_for(ask(), 20))


def test_a_header_with_a_line_break_is_never_sent() -> None:
    async def ask() -> None:
        wire = Wire(Endpoint("us-east-1", lambda: Credentials("a", "b"), lambda bucket: "http://127.0.0.1:1/b/"))
        await wire.request("GET", "b", headers={"if-match": "a\r\nX-Injected: yes"})

    with pytest.raises(StoreError, match="control character"):
        asyncio.run(ask())


# -- anything ------------------------------------------------------------------------------------------------


@given(
    st.binary(max_size=300)
    | st.builds(lambda a, b: listing()[:a] + b + listing()[a:], st.integers(0, 300), st.binary())
)
@settings(max_examples=150)
def test_whatever_a_page_is_it_is_read_or_absurd(body: bytes) -> None:
    try:
        page = parse_page(body)
    except Absurd:
        return
    assert all(found.key and found.size >= 0 and found.etag.isprintable() for found in page.entries)
    assert not has_declarations(body)
    check_answer("ListObjectsV2", 200, body)


@given(st.text())
@settings(max_examples=100)
def test_whatever_a_value_is_it_is_checked(text: str) -> None:
    for check in (checked_size, checked_time):
        try:
            check(text, "k")
        except Absurd as error:
            assert "'k'" in str(error)
    try:
        assert "\n" not in checked_etag(text, "k") and "\r" not in checked_etag(text, "k")
    except Absurd as error:
        assert "'k'" in str(error)


def test_pages_may_be_empty_and_their_tokens_new() -> None:
    pages = Pages()
    for number in range(100):
        pages.check(f"t{number}", None if number % 2 else f"k{number}")
    pages.check(None, None)
