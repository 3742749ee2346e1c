"""What is copied with the bytes of an object: its headers, user metadata, storage class and website redirect.

This is the only list of them. A header is bytes, and every value stays as it is, whether it is UTF-8, Latin-1 or
encoded after RFC 2047. In Python each byte is one character: http.client and ``migrator.store.wire`` read headers this
way. boto3 would change or refuse such values: it refuses metadata that is not ASCII, encodes every value as UTF-8,
signs that, and writes ``Expires`` in a format of its own. :func:`carry_bytes` turns this off for one client.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from botocore.auth import SigV4Auth
from botocore.handlers import validate_ascii_metadata

from migrator.store.answers import milliseconds
from migrator.store.signing import canonical_value

USER = "x-amz-meta-"
STORAGE_CLASS = "x-amz-storage-class"
EXPIRES = "ExpiresString"
"""boto3's name for ``Expires`` as the server sent it; boto3's own ``Expires`` is a date."""

HEADERS = {
    # as HTTP names it: as boto3 names it
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "content-type": "ContentType",
    "expires": EXPIRES,
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
}

NOT_COPIED = ("expires", "x-amz-website-redirect-location")
"""Headers that a server may omit when it copies an object in one request: MinIO omits Expires, AWS the redirect. A
copy keeps them if the request contains all headers again, and so does an upload."""

LOCKS = {
    "x-amz-object-lock-mode": "ObjectLockMode",
    "x-amz-object-lock-retain-until-date": "ObjectLockRetainUntilDate",
    "x-amz-object-lock-legal-hold": "ObjectLockLegalHoldStatus",
}
"""Retention and legal hold. They are copied only if the caller asks for it: the target must have object lock."""

_WRITES = ("PutObject", "CopyObject", "CreateMultipartUpload")


def of_answer(answer: Mapping[str, Any], left_out: Container[str] = (), *, locks: bool = False) -> dict[str, Any]:
    """boto3's parameters for an equal object, from its answer to a HEAD or GET; tags and checksums are not included.
    ``left_out``: storage classes that are not sent. ``locks``: with retention and legal hold."""
    attributes = {name: answer[name] for name in HEADERS.values() if name in answer}
    attributes["Metadata"] = answer.get("Metadata", {})
    if answer.get("StorageClass") and answer["StorageClass"] not in left_out:
        attributes["StorageClass"] = answer["StorageClass"]
    if locks:
        attributes |= {name: answer[name] for name in LOCKS.values() if name in answer}
        until = attributes.get("ObjectLockRetainUntilDate")
        if until is not None and until <= datetime.now(timezone.utc):
            _end_retention(attributes, LOCKS.values())
    return attributes


def boto3_answer(headers: Mapping[str, str]) -> dict[str, Any]:
    """What :func:`of_answer` reads, without locks, and ``TagCount``: boto3's answer to a HEAD or GET, made from its
    headers (lower-case names)."""
    named = {**HEADERS, STORAGE_CLASS: "StorageClass"}
    answer: dict[str, Any] = {boto3: headers[name] for name, boto3 in named.items() if name in headers}
    answer["Metadata"] = {name[len(USER) :]: value for name, value in headers.items() if name.startswith(USER)}
    answer["TagCount"] = headers.get("x-amz-tagging-count", "0") != "0"
    return answer


def of_headers(headers: Mapping[str, str], *, locks: bool = False) -> dict[str, str]:
    """A request's headers for an equal object, from those of a HEAD's or GET's answer (lower-case names). The storage
    class is not among them: not every server returns it outside of listings."""
    given = {name: value for name, value in headers.items() if name in HEADERS or name.startswith(USER)}
    if locks:
        given |= {name: headers[name] for name in LOCKS if name in headers}
        until = given.get("x-amz-object-lock-retain-until-date")
        if until is not None and milliseconds(until) <= time.time() * 1000:
            _end_retention(given, LOCKS)
    return given


def _end_retention(given: dict[str, Any], names: Iterable[str]) -> None:
    """Remove a retention that has ended: S3 would refuse it. A legal hold has no end."""
    mode, until, _ = names
    given.pop(mode, None)
    given.pop(until, None)


def given_anew(given: Mapping[str, Any]) -> bool:
    """True if a copy in one request must contain these headers or parameters again, since it may lose some of them."""
    lost = (*NOT_COPIED, *(HEADERS[name] for name in NOT_COPIED), *LOCKS, *LOCKS.values())
    return any(given.get(name) for name in lost)


def without_checksum(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an upload without those that ask for a checksum."""
    return {name: value for name, value in attributes.items() if not name.startswith("Checksum")}


def carry_bytes(client: Any) -> None:
    """Let a boto3 client send header values as they are. ``Expires`` is given as :data:`EXPIRES`."""
    events = client.meta.events
    for operation in _WRITES:
        events.unregister(f"before-parameter-build.s3.{operation}", validate_ascii_metadata)
        events.register(f"before-parameter-build.s3.{operation}", _take_expires)
        events.register(f"before-call.s3.{operation}", _send_expires)
    events.register_first("before-send.s3", _send_bytes)
    signer = client._request_signer
    make = signer.get_auth_instance
    signer.get_auth_instance = lambda *arguments, **named: _signing_bytes(make(*arguments, **named))


def _take_expires(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Runs before boto3 checks the parameters: it would reject this one."""
    if EXPIRES in params:
        context["migrator_expires"] = params.pop(EXPIRES)


def _send_expires(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if "migrator_expires" in context:
        params["headers"]["Expires"] = context["migrator_expires"]


def _send_bytes(request: Any, **_: Any) -> None:
    """boto3 has encoded every header as UTF-8 by now."""
    for name, value in list(request.headers.items()):
        if isinstance(value, bytes) and not value.isascii():
            request.headers[name] = value.decode().encode("latin-1")


class _OneBytePerCharacter(str):
    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1")


def _signing_bytes(auth: Any) -> Any:
    """Let a signer of boto3 sign the bytes that are sent."""
    if isinstance(auth, SigV4Auth):
        sign = auth.string_to_sign
        auth.string_to_sign = lambda request, text: sign(request, _OneBytePerCharacter(text))
        auth._header_value = canonical_value
    return auth
