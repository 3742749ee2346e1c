"""A proxy in front of the real server that behaves like MinIO in everything that matters to a copy.

docs/servers.md names the version of MinIO on which this was observed. A client observes:

- CopyObject of what was uploaded in parts gives a plain ETag, the MD5 of the bytes, and keeps a checksum over all bytes
  if the source keeps one; it drops ``Expires`` and ignores ``If-None-Match`` and ``If-Match``.
- UploadPartCopy in the same parts gives the same ETag, and is refused where the upload was begun with a checksum.
- ListMultipartUploads lists only the uploads of exactly the requested key.
- Other storage classes than STANDARD and REDUCED_REDUNDANCY are refused, and so are keys with ``//``, ``.``, ``..``.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit
from xml.sax.saxutils import escape

from migrator.demo.server import Server

CLASSES = {"STANDARD", "REDUCED_REDUNDANCY"}
TEXT_HEADERS = {
    "ContentType": "Content-Type",
    "ContentEncoding": "Content-Encoding",
    "ContentDisposition": "Content-Disposition",
    "CacheControl": "Cache-Control",
    "ContentLanguage": "Content-Language",
    "Expires": "Expires",
    "Tagging": "x-amz-tagging",
}
"""Parameters of boto3 → headers, as an upload in parts is begun with them."""


@dataclass
class Kept:
    """The checksums that are kept with an object: those of its parts, and that of the whole object."""

    algorithm: str
    value: str
    kind: str
    parts: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """What was asked for, as S3 names it. ``copies``: ``bucket/key`` of the object that is copied, or None."""

    operation: str
    place: str
    copies: str | None


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def checksum_of(algorithm: str, data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big") if algorithm == "CRC32" else hashlib.sha256(data).digest()


def text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


class MinioWays:
    """Use as a context manager. ``seen``: every request, in order."""

    def __init__(self, server: Server) -> None:
        self.client = server.client()
        self._upstream = urlsplit(server.endpoint_url).netloc
        self.seen: list[Request] = []
        self.kept: dict[str, Kept] = {}
        self._uploads: dict[str, tuple[str, dict[int, tuple[int, bytes]]]] = {}
        ways = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                with suppress(OSError):
                    ways.answer(self)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any

        class Quiet(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 256

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:{}".format(self._server.server_port)  # noqa: UP032

    def __enter__(self) -> MinioWays:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked(self, place: str) -> list[str]:
        """The operations that were asked for on one object, and copies of it, in order."""
        return [request.operation for request in self.seen if place in (request.place, request.copies)]

    # -- one request ---------------------------------------------------------------------------------

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        at = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(at.query, keep_blank_values=True).items()}
        place = unquote(at.path).lstrip("/")
        copies = unquote(handler.headers.get("x-amz-copy-source", "")).partition("?")[0].lstrip("/") or None
        operation = _operation(handler.command, place, query, copies)
        self.seen.append(Request(operation, place, copies))
        own: Callable[..., Answer | None] = getattr(self, f"_{operation}", lambda *_: None)
        answer = _refused(handler, place, query) or own(handler, place, query, copies, body)
        answer = answer or self._forward(handler, body)
        handler.send_response_only(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if not any(name.lower() == "content-length" for name in answer.headers):
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(answer.body)

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> Answer:
        there = HTTPConnection(self._upstream, timeout=60)
        there.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            there.putheader(name, value)
        there.endheaders(body or None)
        answer = there.getresponse()
        data = answer.read()
        drop = {"transfer-encoding", "connection"} | ({"content-length"} if handler.command != "HEAD" else set())
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in drop}
        there.close()
        return Answer(answer.status, data, headers)

    # -- what differs --------------------------------------------------------------------------------

    def _CopyObject(self, handler: Any, place: str, query: Any, copies: str, body: bytes) -> Answer | None:
        bucket, _, key = copies.partition("/")
        condition = handler.headers.get("x-amz-copy-source-if-match", "").strip('"')
        with suppress(self.client.exceptions.ClientError):
            head = self.client.head_object(Bucket=bucket, Key=key)
            if condition and head["ETag"].strip('"') != condition:
                return _error(412, "PreconditionFailed")
            replaced = handler.headers.get("x-amz-metadata-directive") == "REPLACE"
            conditional = {"if-none-match", "if-match"} & {name.lower() for name in handler.headers}
            in_parts = "-" in head["ETag"]
            if not in_parts and not conditional and (replaced or "ExpiresString" not in head):
                return self._forward(handler, body)
            if replaced:
                attributes = _given(handler)
            else:
                attributes = {name: head[name] for name in (*TEXT_HEADERS, "Metadata") if name in head}
                attributes.pop("Expires", None)
            to, _, name = place.partition("/")
            if not in_parts:
                how = {"CopySource": {"Bucket": bucket, "Key": key}, "TaggingDirective": "COPY"}
                done = self.client.copy_object(Bucket=to, Key=name, MetadataDirective="REPLACE", **how, **attributes)
                return Answer(200, _copied(done["CopyObjectResult"]["ETag"]))
            data = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
            tags = self.client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
            tagging = urlencode({tag["Key"]: tag["Value"] for tag in tags})
            etag = self.client.put_object(Bucket=to, Key=name, Body=data, Tagging=tagging, **attributes)["ETag"]
            if copies in self.kept:
                algorithm = self.kept[copies].algorithm
                self.kept[place] = Kept(algorithm, text(checksum_of(algorithm, data)), "FULL_OBJECT")
            return Answer(200, _copied(etag))
        return None

    def _CreateMultipartUpload(self, handler: Any, place: str, query: Any, copies: None, body: bytes) -> Answer | None:
        algorithm = handler.headers.get("x-amz-checksum-algorithm")
        if not algorithm:
            return None
        bucket, _, key = place.partition("/")
        given = _given(handler)
        upload = self.client.create_multipart_upload(Bucket=bucket, Key=key, **given)["UploadId"]
        self._uploads[upload] = algorithm, {}
        named = f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>"
        return Answer(200, f"<InitiateMultipartUploadResult>{named}</InitiateMultipartUploadResult>".encode())

    def _UploadPart(self, handler: Any, place: str, query: dict[str, str], copies: None, body: bytes) -> Answer | None:
        algorithm, parts = self._uploads.get(query["uploadId"], ("", {}))
        if algorithm:
            parts[int(query["partNumber"])] = len(body), checksum_of(algorithm, body)
        return None

    def _UploadPartCopy(self, handler: Any, place: str, query: dict[str, str], copies: str, body: bytes) -> Answer:
        if query["uploadId"] in self._uploads:
            return _error(400, "InvalidArgument")
        (bucket, _, key), (to, _, name) = copies.partition("/"), place.partition("/")
        span = handler.headers["x-amz-copy-source-range"]
        condition = handler.headers.get("x-amz-copy-source-if-match")
        try:
            pinned = {"IfMatch": condition} if condition else {}
            data = self.client.get_object(Bucket=bucket, Key=key, Range=span, **pinned)["Body"].read()
        except self.client.exceptions.ClientError:
            return _error(412, "PreconditionFailed")
        number = int(query["partNumber"])
        done = self.client.upload_part(Bucket=to, Key=name, UploadId=query["uploadId"], PartNumber=number, Body=data)
        return Answer(200, f"<CopyPartResult><ETag>{done['ETag']}</ETag></CopyPartResult>".encode())

    def _CompleteMultipartUpload(self, handler: Any, place: str, query: Any, copies: None, body: bytes) -> Answer:
        answer = self._forward(handler, body)
        self.kept.pop(place, None)
        algorithm, parts = self._uploads.pop(query["uploadId"], ("", {}))
        if answer.status == 200 and algorithm:
            ordered = [parts[number] for number in sorted(parts)]
            value = text(checksum_of(algorithm, b"".join(digest for _, digest in ordered)))
            named = [(size, text(digest)) for size, digest in ordered]
            self.kept[place] = Kept(algorithm, f"{value}-{len(parts)}", "COMPOSITE", named)
        return answer

    def _HeadObject(self, handler: Any, place: str, query: dict[str, str], copies: None, body: bytes) -> Answer | None:
        kept = self.kept.get(place)
        answer = self._forward(handler, body)
        if kept is None or answer.status not in (200, 206) or not handler.headers.get("x-amz-checksum-mode"):
            return answer
        own = {name: value for name, value in answer.headers.items() if not name.lower().startswith("x-amz-checksum")}
        headers = {**own, f"x-amz-checksum-{kept.algorithm.lower()}": kept.value, "x-amz-checksum-type": kept.kind}
        if "partNumber" in query:
            size, value = kept.parts[int(query["partNumber"]) - 1]
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
            headers |= {f"x-amz-checksum-{kept.algorithm.lower()}": value, "Content-Length": str(size)}
        return Answer(answer.status, b"", headers)

    def _ListMultipartUploads(
        self, handler: Any, place: str, query: dict[str, str], copies: None, body: bytes
    ) -> Answer:
        answer = self._forward(handler, body)
        key = query.get("prefix", "")
        if f"<Key>{key}</Key>".encode() in answer.body:
            return answer
        return Answer(200, b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")


def _given(handler: BaseHTTPRequestHandler) -> dict[str, Any]:
    """The attributes in a request, as boto3 takes them."""
    given: dict[str, Any] = {
        name: handler.headers[header] for name, header in TEXT_HEADERS.items() if header in handler.headers
    }
    given.setdefault("ContentType", "binary/octet-stream")
    metadata = {name[11:]: value for name, value in handler.headers.items() if name.lower().startswith("x-amz-meta-")}
    return given | {"Metadata": metadata}


def _copied(etag: str) -> bytes:
    return f"<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>".encode()


def _operation(method: str, place: str, query: dict[str, str], copies: str | None) -> str:
    """S3's name of a request, as far as it matters here."""
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if "uploadId" in query:
        named = {"PUT": "UploadPartCopy" if copies else "UploadPart", "POST": "CompleteMultipartUpload"}
        return named.get(method, f"{method}-upload")
    if not place.partition("/")[2] or set(query) - {"partNumber", "versionId", "x-id"}:
        return f"{method}?{'&'.join(sorted(query))}"
    return "CopyObject" if copies else f"{method.capitalize()}Object"


def _refused(handler: BaseHTTPRequestHandler, place: str, query: dict[str, str]) -> Answer | None:
    if handler.headers.get("x-amz-storage-class", "STANDARD") not in CLASSES:
        return _error(400, "InvalidStorageClass")
    segments = place.rstrip("/").split("/")
    if "" in segments[1:] or {".", ".."} & set(segments) or place.endswith("//"):
        return _error(400, "XMinioInvalidObjectName")
    return None


def _error(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>as MinIO says it</Message></Error>".encode())
