"""Objects of all kinds: what is written, and what a server then returns."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode

from botocore.exceptions import ClientError

MIB = 1 << 20
PART = 5 * MIB
HEADERS = (
    "ContentType",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "Expires",
    "WebsiteRedirectLocation",
    "StorageClass",
)
ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")

Attributes = dict[str, Any]
"""Name, as boto3 has it → value; with ``Tags``, ``Checksum`` (algorithm, kind and value) and ``Metadata``."""


@dataclass(frozen=True)
class Written:
    """One object. ``name`` is what a test calls it; ``parts``: how many bytes a part has, 0 for a plain PUT."""

    name: str
    key: str
    body: bytes
    given: Mapping[str, Any] = field(default_factory=dict)
    parts: int = 0

    @property
    def place(self) -> str:
        return f"gold/{self.key}"

    def expected(self) -> Attributes:
        """What the server should return: only what was written."""
        found = {name: self.given[name] for name in (*HEADERS, "Metadata") if name in self.given}
        if "Tagging" in self.given:
            found["Tags"] = sorted(parse_qsl(self.given["Tagging"]))
        return found

    def put(self, client: Any) -> None:
        here = {"Bucket": "gold", "Key": self.key}
        if not self.parts:
            client.put_object(**here, Body=self.body, **self.given)
            return
        upload = client.create_multipart_upload(**here, **self.given)["UploadId"]
        algorithm = {name: value for name, value in self.given.items() if name == "ChecksumAlgorithm"}
        parts = []
        for number, start in enumerate(range(0, len(self.body), self.parts), 1):
            body = self.body[start : start + self.parts]
            done = client.upload_part(**here, UploadId=upload, PartNumber=number, Body=body, **algorithm)
            checksums = {f"Checksum{name}": done[f"Checksum{name}"] for name in ALGORITHMS if f"Checksum{name}" in done}
            parts.append({"PartNumber": number, "ETag": done["ETag"], **(checksums if algorithm else {})})
        client.complete_multipart_upload(**here, UploadId=upload, MultipartUpload={"Parts": parts})


def objects() -> Iterator[Written]:
    """The same at every call."""
    text = {
        "ContentType": "text/csv; charset=utf-8",
        "CacheControl": "max-age=60, private",
        "ContentDisposition": 'attachment; filename="a b.csv"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de-CH, en",
    }
    metadata = {"owner": "bi", "note": "two  spaces; a=b, c", "long": "x" * 500}
    tags = urlencode({"team": "bi + co", "path": "a/b:c@d=e", "name": "Zürich"})
    everything = {**text, "Metadata": metadata, "Tagging": tags}
    yield Written("text headers", "all/text", b"a;b", text)
    yield Written("Expires", "all/expires", b"soon", {"Expires": datetime(2031, 5, 6, 7, 8, 9, tzinfo=timezone.utc)})
    yield Written("metadata", "all/metadata", b"m", {"Metadata": metadata})
    yield Written("tags", "all/tags", b"t", {"Tagging": tags})
    yield Written("storage class", "all/class", b"c", {"StorageClass": "REDUCED_REDUNDANCY"})
    yield Written("colder class", "all/colder", b"c", {"StorageClass": "STANDARD_IA"})
    yield Written("redirect", "all/redirect", b"r", {"WebsiteRedirectLocation": "/all/text"})
    yield Written("everything, empty", "all/nothing", b"", everything)
    for name in ("with space", "plus+and%20percent%", "ünï/日本/🙂", "a=b/c:d&e", 'it\'s "quoted"', "tilde~!*()"):
        yield Written(f"key {name}", f"keys/{name}", name.encode(), {"Tagging": "kind=key"})
    yield Written("k", "below/k", b"k")
    yield Written("k/sub", "below/k/sub", b"sub")
    yield Written("two slashes", "keys//double", b"//")
    yield Written("marker", "marker/", b"", {"Metadata": {"kind": "marker"}})
    yield Written("marker with an object below", "marker/inside/", b"")
    yield Written("below the marker", "marker/inside/x", b"x")
    yield Written("parts", "parts/three", random.Random(1).randbytes(12 * MIB), everything, PART)
    crc = {**everything, "ChecksumAlgorithm": "CRC32"}
    yield Written("parts with CRC32", "parts/crc32", random.Random(2).randbytes(11 * MIB), crc, PART)
    yield Written("parts, nothing else", "parts/two", random.Random(4).randbytes(6 * MIB), {}, PART)
    yield Written("one part", "parts/one", random.Random(3).randbytes(2000), {}, PART)
    yield Written("SHA-256", "all/sha256", b"s", {"ChecksumAlgorithm": "SHA256"})


def put_all(client: Any) -> tuple[list[Written], dict[str, str]]:
    """Write all objects. Returns those that exist with their keys, and those that do not → the reason."""
    taken, refused = [], {}
    for written in objects():
        try:
            written.put(client)
            taken.append(written)
        except ClientError as error:
            refused[written.name] = error.response["Error"]["Code"]
    listed = {entry["Key"] for entry in client.list_objects_v2(Bucket="gold")["Contents"]}
    refused |= {written.name: "not listed under its key" for written in taken if written.key not in listed}
    return [written for written in taken if written.key in listed], refused


def attributes(client: Any, place: str) -> Attributes:
    """The attributes that a server returns for an object."""
    bucket, _, key = place.partition("/")
    head = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    found = {name: head[name] for name in HEADERS if name in head}
    found["Metadata"] = head["Metadata"]
    found.setdefault("StorageClass", "STANDARD")
    tags = client.get_object_tagging(Bucket=bucket, Key=key).get("TagSet", ())
    found["Tags"] = sorted((tag["Key"], tag["Value"]) for tag in tags)
    for algorithm in ALGORITHMS:
        if value := head.get(f"Checksum{algorithm}"):
            found["Checksum"] = algorithm, head.get("ChecksumType"), value
    return found


def unlike(wanted: Attributes, found: Attributes) -> set[str]:
    """The attributes of ``wanted`` that are different in ``found``, or missing."""
    return {name for name, value in wanted.items() if found.get(name) != value}
