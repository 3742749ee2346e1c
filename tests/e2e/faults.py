"""A proxy in front of the real server that causes the faults of networks and servers in requests and answers."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

from migrator.store import OWN_PREFIX

REFUSALS = {
    "slow-down": ("503 Service Unavailable", "SlowDown"),
    "too-many": ("429 Too Many Requests", "SlowDown"),
    "internal": ("500 Internal Server Error", "InternalError"),
    "denied": ("403 Forbidden", "AccessDenied"),
}
ANYWHERE = ("slow-down", "too-many", "internal", "reset-before", "reset-after", "reset-amid", "slow", "cut")
"""Faults of any request: a client that sends the request again succeeds."""
COPIES = ("cut-xml", "twice", "again", "error-200", "busy-200", "spaces", "wrong-etag")
"""Faults that only the answer to a copy has. "again": the same answer is sent again instead of the answer to the next
request on the connection; that request is not sent to the server."""
KINDS = ANYWHERE + COPIES
MOST_FAULTS = 2
"""How many faults of ``at_random`` one request may have: a copy whose ETag is wrong is made three times at most."""
MOST_REPEATED = 2
"""How often at most a request gets the answer to an earlier one."""
STALL = "stall"
"""The request is carried out and never answered. This kind is separate, because the client waits until its timeout."""

_OPERATIONS = {
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "tagging"): "GetObjectTagging",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "list-type"): "ListObjectsV2",
}


@dataclass(frozen=True)
class Request:
    """One request that passes the proxy."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def key(self) -> str:
        """``bucket/key`` of the request."""
        return unquote(urlsplit(self.path).path)[1:]

    @property
    def copies(self) -> str | None:
        """``bucket/key`` of the source, if it is a copy."""
        source = self.headers.get("x-amz-copy-source")
        return unquote(source).lstrip("/") if source else None

    @property
    def operation(self) -> str:
        """S3's name for it, as far as it matters here."""
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        named = next(
            (name for (method, key), name in _OPERATIONS.items() if method == self.method and key in query), ""
        )
        if named or not self.key.partition("/")[2]:
            return named + ("Copy" if named == "UploadPart" and self.copies else "")
        return "CopyObject" if self.copies else f"{self.method.capitalize()}Object"

    @property
    def by_us(self) -> bool:
        """True for a request of migrator's own client, False for one of boto3's."""
        return "user-agent" not in self.headers

    @property
    def by_pyiceberg(self) -> bool:
        return "aiobotocore" in self.headers.get("user-agent", "")

    @property
    def is_first_contact(self) -> bool:
        """True for a request with which migrator finds out whether a server or a bucket exists: it has one retry."""
        return not self.key or "max-keys=1" in urlsplit(self.path).query.split("&")


class FaultProxy:
    """Use as a context manager. ``choose`` returns for each request one of KINDS, or None.

    ``counts``: kind → number of requests that had this fault; ``seen``: every request, in order. One thread at a time
    calls ``choose``.
    """

    def __init__(self, upstream: str) -> None:
        at = urlsplit(upstream)
        self._upstream = (at.hostname or "", at.port or 80)
        self._choosing = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Let every request pass, and forget the earlier requests."""
        self.choose: Callable[[Request], str | None] = lambda request: None
        self.counts: Counter[str] = Counter()
        self.seen: list[Request] = []
        self._repeated: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> FaultProxy:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = "http://127.0.0.1:{}".format(self._socket.getsockname()[1])  # noqa: UP032
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def copied(self) -> Counter[str]:
        """How many copies of each object of the lake were requested, without migrator's own objects."""
        return Counter(
            place for place in (request.copies for request in self.seen) if place and OWN_PREFIX not in place
        )

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            self._pass_on(client)
        finally:
            # No thread may wait for an answer that does not come: pytest keeps the traceback of an error that was not
            # expected, and with it the file that keeps the socket open.
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()

    def _pass_on(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), socket.create_connection(self._upstream) as server:
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked, answers = client.makefile("rb"), server.makefile("rb")
            again: bytes | None = None
            while True:
                head, body = read(asked, None, expected=client)
                request = parse(head)
                self.seen.append(request)
                repeated, again = again, None
                if repeated is not None and self._takes_repeated(request):
                    client.sendall(repeated)
                    continue
                with self._choosing:
                    kind = self.choose(request)
                    if kind not in (None, "again"):
                        self.counts[kind] += 1
                if kind in REFUSALS:
                    client.sendall(refusal(*REFUSALS[kind]))
                    continue
                if kind in ("error-200", "busy-200"):
                    client.sendall(refusal("200 OK", "InternalError" if kind == "error-200" else "SlowDown"))
                    continue
                if kind == "reset-before":
                    reset(client)
                    return
                server.sendall(head + body)
                head, body = read(answers, request.method)
                while head.startswith(b"HTTP/1.1 100"):  # the proxy has sent this already
                    head, body = read(answers, request.method)
                if not self._answer(client, kind, head, body):
                    return
                if kind == "again":
                    again = head + body

    def _takes_repeated(self, request: Request) -> bool:
        """Count that the request gets the answer to an earlier one, unless that has happened MOST_REPEATED times."""
        with self._choosing:
            self._repeated[request.method, request.path] += 1
            taken = self._repeated[request.method, request.path] <= MOST_REPEATED
            self.counts["again"] += taken
            return taken

    @staticmethod
    def _answer(client: socket.socket, kind: str | None, head: bytes, body: bytes) -> bool:
        """Send the answer, unchanged or with the fault ``kind``. False if the connection cannot be used any more."""
        if kind == "reset-after":
            reset(client)
            return False
        if kind == STALL:
            client.recv(1)  # until the client hangs up
            return False
        if kind in ("reset-amid", "cut"):
            whole = head + body
            client.sendall(whole[: len(whole) - max(1, len(body) // 2)] if body else whole[: len(whole) // 2])
            if kind == "reset-amid":
                reset(client)
            return False
        if kind == "slow":
            whole = head + body
            for start in range(0, len(whole), max(1, len(whole) // 20)):
                client.sendall(whole[start : start + max(1, len(whole) // 20)])
                time.sleep(0.01)
            return True
        if kind == "cut-xml":
            head, body = resized(head, body[: len(body) // 2])
        elif kind == "spaces":
            head, body = resized(
                head, b'<?xml version="1.0" encoding="UTF-8"?>\n    \n' + re.sub(rb"<\?.*?\?>", b"", body)
            )
        elif kind == "wrong-etag":
            body = re.sub(rb"[0-9a-f]{32}", b"0" * 32, body)
        client.sendall(head + body)
        if kind == "twice":
            client.sendall(head + body)
        return True


def first(count: int, kind: str, of: Callable[[Request], bool]) -> Callable[[Request], str | None]:
    """For ``FaultProxy.choose``: the first ``count`` of such requests have this fault."""
    left = count

    def choose(request: Request) -> str | None:
        nonlocal left
        if left == 0 or not of(request):
            return None
        left -= 1
        return kind

    return choose


def at_random(kinds: tuple[str, ...], share: float, seed: int = 1) -> Callable[[Request], str | None]:
    """For ``FaultProxy.choose``: this share of migrator's requests has one of the faults ``kinds``.

    What happens to a request depends on its method, its path, and how often it was sent, never on the order in which
    threads send theirs. A request has at most MOST_FAULTS faults, a first contact at most one: fewer than its retries.
    Only copies by migrator's own client have the faults of copies.
    """
    sent: Counter[tuple[str, str]] = Counter()
    suffered: Counter[tuple[str, str]] = Counter()

    def choose(request: Request) -> str | None:
        what = (request.method, request.path)
        sent[what] += 1
        dice = random.Random(f"{seed} {request.method} {request.path} {sent[what]}")
        most = 1 if request.is_first_contact else MOST_FAULTS
        if request.by_pyiceberg or suffered[what] >= most or dice.random() >= share:
            return None
        kind = dice.choice(kinds)
        if kind not in ANYWHERE and not (request.copies and request.by_us):
            return None
        suffered[what] += 1
        return kind

    return choose


def read(stream: object, method: str | None, expected: socket.socket | None = None) -> tuple[bytes, bytes]:
    """Head and body of one message as they are sent; ``method`` of the request if it is an answer."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()  # type: ignore[attr-defined]
        if not line:
            raise EOFError
        head += line
    lower = head.lower()
    if method == "HEAD" or (method and head.split(b" ", 2)[1] in (b"204", b"304")):
        return head, b""
    if b"\r\ntransfer-encoding: chunked" in lower:
        return head, b"".join(chunks(stream))
    if expected is not None and b"\r\nexpect: 100-continue" in lower:
        expected.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *([0-9]+)", lower)
    body = stream.read(int(length[1])) if length else b""  # type: ignore[attr-defined]
    return head, body


def chunks(stream: object) -> Iterator[bytes]:
    while True:
        line = stream.readline()  # type: ignore[attr-defined]
        if not line:
            raise EOFError
        yield line
        size = int(line.split(b";")[0], 16)
        if size == 0:
            while line not in (b"\r\n", b""):
                line = stream.readline()  # type: ignore[attr-defined]
                yield line
            return
        yield stream.read(size + 2)  # type: ignore[attr-defined]


def parse(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return Request(method, path, {name.lower(): value.strip() for name, _, value in pairs})


_number = iter(range(10**9))


def refusal(status: str, code: str) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>made up</Message></Error>'.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nContent-Type: application/xml\r\n"
    return f"{head}x-amz-request-id: proxy-{next(_number)}\r\n\r\n".encode() + body


def resized(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """The head says how long the new body is."""
    return re.sub(rb"(?i)(\r\ncontent-length: *)[0-9]+", rb"\g<1>%d" % len(body), head), body


def reset(client: socket.socket) -> None:
    """The connection is not closed normally: the other side sees "connection reset by peer"."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
