"""Checks that an answer is from S3. Pure: takes bytes and text, raises :class:`Absurd`.

A proxy, a login page or a broken server can also answer with status 200. An object that is missing in such an answer
must not be treated as missing in the lake.
"""

from __future__ import annotations

import re
import threading
from calendar import timegm
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from html import unescape
from typing import Any

MOST_BODY = 32 << 20
"""Bytes in an answer that is not an object. A page of a listing with 1,000 long keys has 4 MB."""
MOST_EMPTY_PAGES = 1_000
"""The most pages in a row without a key. A bucket full of delete markers has such pages, but not more than this."""
MOST_SIZE = 1 << 53
"""Bytes. The largest object of S3 has 50 TB, which is 160 times less."""

ROOTS = {
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListParts": "ListPartsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "DeleteObjects": "DeleteResult",
    "GetObjectTagging": "Tagging",
    "GetBucketVersioning": "Versioning",
    "GetPublicAccessBlock": "PublicAccessBlock",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketOwnershipControls": "OwnershipControls",
    "GetBucketLifecycleConfiguration": "Lifecycle",
    "GetObjectLockConfiguration": "ObjectLock",
    "GetBucketEncryption": "ServerSideEncryption",
    "GetBucketNotificationConfiguration": "Notification",
    "GetBucketCors": "CORS",
    "GetBucketTagging": "Tagging",
    "GetBucketReplication": "Replication",
    "GetBucketWebsite": "Website",
    "GetBucketLogging": "BucketLogging",
}
"""Operation → what the name of the root element contains; servers differ in the rest ("VersioningConfiguration").
An empty answer to any of these would mean "there is none"."""
POLICY = "GetBucketPolicy"
"""The operation whose answer is no XML document, but the policy itself, a JSON object. Without a policy, S3 answers
NoSuchBucketPolicy."""
_JSON_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")
_PAGED = ("ListObjectsV2", "ListObjectVersions", "ListMultipartUploads", "ListParts")

_PROLOG = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?(?:(?!\?>).)*\?>\s*|<!--(?:(?!-->).)*-->\s*)*<(?:[\w.-]+:)?([\w.-]+)[\s/>]",
    re.DOTALL,
)
_BEGINNING = 4096
_LISTED = re.compile(rb"<(Size|LastModified|Initiated|ETag|StorageClass|VersionId|UploadId|IsTruncated)>([^<]*)<")
_KEY = re.compile(rb"<Key>([^<]*)<")
_SIZE = re.compile(r"[0-9]{1,16}")
_ETAG = re.compile(r"[\x21\x23-\x7e]{0,256}")
_NAME = re.compile(r"[\x21-\x7e]{0,1024}")
_TIME = re.compile(
    r"([12][0-9]{3})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(?:Z|\+00:00)?"
)


class Absurd(Exception):
    """An answer that cannot be from S3; ``str()`` says why."""


def check_answer(operation: str, status: int, body: bytes) -> None:
    """Raises Absurd for an answer with status 200 that is not the document which S3 returns for ``operation``."""
    root = ROOTS.get(operation)
    if status != 200 or is_error(body):
        return
    if operation == POLICY:
        _check_begins(body, _JSON_OBJECT.match(body[:_BEGINNING]) is not None)
    if root is None:
        return
    check_root(body, root)
    if operation in _PAGED:
        _check_listed(body)


def check_root(body: bytes, root: str) -> None:
    """Raises Absurd unless ``body`` begins as an XML document with a root of this name, and with no declarations: S3
    needs none, and a few lines of them can become gigabytes."""
    found = _PROLOG.match(body[:_BEGINNING])
    _check_begins(body, found is not None and root in found[1].decode())


def _check_begins(body: bytes, as_expected: bool) -> None:
    """Raises Absurd, which shows how ``body`` begins, unless that is ``as_expected``."""
    if not body.strip():
        raise Absurd("it is empty")
    if not as_expected:
        raise Absurd(f"it begins with {body[:60].decode('utf-8', 'replace')!r}")


def is_error(body: bytes) -> bool:
    """True if the document is an S3 error, which may come with the status 200."""
    found = _PROLOG.match(body[:_BEGINNING])
    return found is not None and found[1] == b"Error"


def has_declarations(body: bytes) -> bool:
    """True if the document may declare entities, or is an HTML page."""
    return b"<!" in body[:_BEGINNING].replace(b"<!--", b"").replace(b"<![CDATA[", b"")


def _check_listed(body: bytes) -> None:
    """Raises Absurd for values that boto3 would reject, or return, without naming the key."""
    key, truncated = "", False
    for found in re.finditer(_KEY.pattern + b"|" + _LISTED.pattern, body):
        if found[1] is not None:
            key = found[1].decode("utf-8", "replace")
            continue
        name, text = found[2].decode(), unescape(found[3].decode("utf-8", "replace"))
        if name == "IsTruncated":
            truncated = True
            checked_bool(text)
            continue
        _CHECKS[name](text, key)
    if not truncated:
        raise Absurd("it does not say whether there is more (IsTruncated)")


def checked_bool(text: str | None) -> bool:
    """The value of IsTruncated. Raises Absurd for anything but "true" and "false"."""
    if text not in ("true", "false"):
        raise Absurd("it does not say whether there is more (IsTruncated)")
    return text == "true"


def checked_size(text: str, key: str) -> int:
    """A size in bytes. Raises Absurd, which names the key, as the next functions do."""
    if not _SIZE.fullmatch(text) or int(text) > MOST_SIZE:
        raise Absurd(f"{key!r} has the size {text[:40]!r}")
    return int(text)


def checked_etag(text: str, key: str) -> str:
    """An ETag without its quotes. Requests contain it in a header, so it must be printable ASCII."""
    etag = text.strip('"')
    if not _ETAG.fullmatch(etag):
        raise Absurd(f"{key!r} has the ETag {text[:80]!r}")
    return etag


def checked_name(text: str, key: str) -> str:
    """A storage class, a version id or an upload's id: requests contain them in headers and URLs."""
    if not _NAME.fullmatch(text):
        raise Absurd(f"{key!r} has {text[:80]!r} where a storage class or an id belongs")
    return text


def checked_time(text: str, key: str) -> int:
    """``2026-11-23T15:24:10.123Z`` in milliseconds since the epoch."""
    try:
        return milliseconds(text)
    except ValueError:
        raise Absurd(f"{key!r} has the time {text[:40]!r}") from None


@lru_cache(maxsize=4096)
def milliseconds(text: str) -> int:
    """``2026-11-23T15:24:10.123Z`` in milliseconds since the epoch. Raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"no time: {text[:40]}")
    year, month, day, hour, minute, second = (int(number) for number in found.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        raise ValueError(f"no time: {text[:40]}")
    return timegm((year, month, day, hour, minute, second)) * 1000 + int(((found[7] or "") + "000")[:3])


_CHECKS: dict[str, Any] = {
    "Size": checked_size,
    "LastModified": checked_time,
    "Initiated": checked_time,
    "ETag": checked_etag,
    "StorageClass": checked_name,
    "VersionId": checked_name,
    "UploadId": checked_name,
}


class Pages:
    """The pages of one listing. Raises Absurd if they have no end."""

    def __init__(self) -> None:
        self._tokens: set[int] = set()
        self._firsts: set[int] = set()
        self._empty = 0

    def check(self, token: str | None, first: str | None) -> None:
        """Check the next page. ``token``: the parameter for the page after it, None at the end; ``first``: the first
        name in this page, None if it is empty."""
        self._empty = 0 if first is not None else self._empty + 1
        if self._empty > MOST_EMPTY_PAGES:
            raise Absurd(f"{self._empty:,} pages in a row name no object")
        if first is not None:
            if hash(first) in self._firsts:
                raise Absurd(f"the page that begins with {first!r} came twice")
            self._firsts.add(hash(first))
        if token is not None:
            if hash(token) in self._tokens:
                raise Absurd(f"the continuation token {token[:60]!r} came twice")
            self._tokens.add(hash(token))


class RequestIds:
    """The ids of the last answers of one server, to all its clients in this process. Every server gives each request an
    id of its own, so an answer with an id that came before is the answer to another request. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: deque[str] = deque(maxlen=256)

    def is_new(self, headers: Mapping[str, str]) -> bool:
        """False for an answer that came before, on any connection. True for one without an id. Notes the id."""
        request_id = headers.get("x-amz-request-id")
        if not request_id:
            return True
        with self._lock:
            new = request_id not in self._seen
            self._seen.append(request_id)
        return new
