"""AWS Signature Version 4 for S3. Pure: no clock, no network.

boto3 builds a request from a model, through dozens of hooks, which takes a millisecond of CPU. Copying millions of
objects needs the same known request millions of times, so it is signed here. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

EMPTY_SHA256 = hashlib.sha256().hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. Never print or store it."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return "Credentials(…)"


def quoted_key(key: str) -> str:
    """A key as a request's path and ``x-amz-copy-source`` contain it: S3 encodes once, and does not encode slashes."""
    folder, slash, name = key.rpartition("/")
    return f"{_quoted_folder(folder)}{slash}{quote(name, safe='')}"


@lru_cache(maxsize=256)  # a lake has many keys and few folders
def _quoted_folder(folder: str) -> str:
    return quote(folder)


def quoted_query(parameters: Iterable[tuple[str, str]]) -> str:
    """A query string in canonical order and spelling, which is also a valid one to send."""
    return "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(parameters))


def canonical_value(value: str) -> str:
    """A header's value, one character per byte, as it is signed: without spaces around it, and with single ones inside.
    MinIO and SeaweedFS treat all spaces of Unicode as spaces, but not single bytes of other letters (\x85, \xa0)."""
    if value.isascii():
        return " ".join(value.split())
    text = value.encode("latin-1").decode("utf-8", "surrogateescape")
    return " ".join(text.split()).encode("utf-8", "surrogateescape").decode("latin-1")


def signed_headers(
    credentials: Credentials,
    region: str,
    amz_date: str,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    payload: str,
) -> dict[str, str]:
    """``headers`` (lower-case names, ``host`` among them) and the headers that sign all of them.

    ``amz_date`` is like ``20261123T150000Z``; ``path`` and ``query`` are as they will be sent (see
    :func:`quoted_key`, :func:`quoted_query`); ``payload`` is the body's SHA-256 in hex, or :data:`UNSIGNED`.
    """
    signed = dict(headers)
    signed["x-amz-content-sha256"] = payload
    signed["x-amz-date"] = amz_date
    if credentials.token:
        signed["x-amz-security-token"] = credentials.token
    names = sorted(signed)
    listed = ";".join(names)
    lines = "".join([f"{name}:{canonical_value(signed[name])}\n" for name in names])
    request = f"{method}\n{path}\n{query}\n{lines}\n{listed}\n{payload}"
    scope = f"{amz_date[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode("latin-1")).hexdigest()  # headers are bytes, and were read as such
    text = f"AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{digest}"
    signature = hmac.digest(_key(credentials.secret_key, amz_date[:8], region), text.encode(), "sha256").hex()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return signed


@lru_cache(maxsize=8)
def _key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
