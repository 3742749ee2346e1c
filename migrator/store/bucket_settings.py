"""The settings of buckets: policy, lifecycle, encryption and so on, each asked for once.

These are a dozen small requests per bucket, so they are sent by :mod:`migrator.store.wire` if possible. boto3 repeats
the requests without a clear answer: it retries with backoff, and follows a bucket to another region.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar

import botocore
import botocore.exceptions
import botocore.parsers

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import AccessDenied
from migrator.settings.kinds import (
    ACL,
    CORS,
    ENCRYPTION,
    LIFECYCLE,
    LOCK,
    LOGGING,
    NOTIFICATIONS,
    OWNERSHIP,
    POLICY,
    PUBLIC,
    REPLICATION,
    TAGS,
    WEBSITE,
)
from migrator.store.answers import Absurd, check_answer, has_declarations, is_error
from migrator.store.connection import Connection
from migrator.store.retries import count_left_to_boto3
from migrator.store.store import Store
from migrator.store.wire import Answer, Endpoint, Lost, Wire

Told = TypeVar("Told")

AT_ONCE = 16
PATIENCE_SECONDS = 20.0
"""Seconds without a byte of an answer; then boto3 repeats the request."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One kind of setting, and the request for it. ``operation``: boto3's name of the request; ``query``: S3's query
    parameter; ``action``: the permission that it needs."""

    name: str
    operation: str
    query: str
    action: str


SETTINGS = (
    Setting(POLICY, "GetBucketPolicy", "policy", "s3:GetBucketPolicy"),
    Setting(PUBLIC, "GetPublicAccessBlock", "publicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    Setting(ACL, "GetBucketAcl", "acl", "s3:GetBucketAcl"),
    Setting(OWNERSHIP, "GetBucketOwnershipControls", "ownershipControls", "s3:GetBucketOwnershipControls"),
    Setting(LIFECYCLE, "GetBucketLifecycleConfiguration", "lifecycle", "s3:GetLifecycleConfiguration"),
    Setting(LOCK, "GetObjectLockConfiguration", "object-lock", "s3:GetBucketObjectLockConfiguration"),
    Setting(ENCRYPTION, "GetBucketEncryption", "encryption", "s3:GetEncryptionConfiguration"),
    Setting(NOTIFICATIONS, "GetBucketNotificationConfiguration", "notification", "s3:GetBucketNotification"),
    Setting(CORS, "GetBucketCors", "cors", "s3:GetBucketCORS"),
    Setting(TAGS, "GetBucketTagging", "tagging", "s3:GetBucketTagging"),
    Setting(REPLICATION, "GetBucketReplication", "replication", "s3:GetReplicationConfiguration"),
    Setting(WEBSITE, "GetBucketWebsite", "website", "s3:GetBucketWebsite"),
    Setting(LOGGING, "GetBucketLogging", "logging", "s3:GetBucketLogging"),
)
"""All settings that are read. Versioning is read where older versions are listed. Quotas can be read only through a
server's admin API."""

_NOT_KNOWN = (405, 501)
"""HTTP statuses of servers which do not know the setting."""
_NONE_WITH_CODE = (400, 404)
"""HTTP statuses which mean the same, or that nothing is set, if S3 gives an error code. An answer without a code is the
page of a proxy, and says nothing about the setting."""
LISTING = "ListBucketResult"
"""The root of the answer of a server that ignores the query parameter: it lists the bucket."""
_OTHER_TROUBLE = {
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidToken",
    "NoSuchBucket",
    "RequestTimeout",
    "TokenRefreshRequired",
}
"""Error codes with the same statuses that say nothing about the setting."""


@dataclass
class BucketSettings:
    """The settings of one bucket. ``found``: name → boto3's answer, only for what is set; ``denied``: name → the S3
    action that is not allowed; ``failed``: name → why it could not be read."""

    bucket: str
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    denied: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def read_settings(store: Store, buckets: Iterable[str]) -> dict[str, BucketSettings]:
    """Ask for every setting of every bucket, in parallel. The result contains what cannot be read, and why: a setting
    that cannot be read raises no error."""
    read = {bucket: BucketSettings(bucket) for bucket in buckets}
    by_connection: dict[Connection, list[tuple[str, Setting]]] = {}
    for bucket in read:
        by_connection.setdefault(store.at(bucket), []).extend((bucket, setting) for setting in SETTINGS)
    for connection, questions in by_connection.items():
        _read_from(connection, questions, read)
    for settings in read.values():
        settings.found, settings.denied = _in_order(settings.found), _in_order(settings.denied)
        settings.failed = _in_order(settings.failed)
    return read


def _read_from(
    connection: Connection, questions: Sequence[tuple[str, Setting]], read: Mapping[str, BucketSettings]
) -> None:
    """Ask one server for these (bucket, setting), and note the answers in ``read``."""
    endpoint = connection.endpoint()
    answers: Sequence[Answer | None] = [None] * len(questions)
    if endpoint is not None:
        answers = asyncio.run(_ask_all(endpoint, questions))
    unclear = []
    for (bucket, setting), answer in zip(questions, answers, strict=True):
        if answer is None or not _take(connection, read[bucket], setting, answer):
            if answer is not None:
                count_left_to_boto3(answer.status)
            unclear.append((bucket, setting))
    for outcome in run_in_threads(partial(ask_boto3, connection), unclear, workers=AT_ONCE):
        bucket, setting = outcome.item
        if not isinstance(outcome, Failed):
            _note(read[bucket], setting, outcome.result)
        elif isinstance(outcome.error, AccessDenied):
            read[bucket].denied[setting.name] = setting.action
        else:
            read[bucket].failed[setting.name] = outcome.error.message


def _in_order(named: Mapping[str, Told]) -> dict[str, Told]:
    return {setting.name: named[setting.name] for setting in SETTINGS if setting.name in named}


async def _ask_all(endpoint: Endpoint, questions: Sequence[tuple[str, Setting]]) -> list[Answer | None]:
    """The answers in the order of the questions; None for a request without an answer."""
    wire, room = Wire(endpoint), asyncio.Semaphore(AT_ONCE)

    async def ask(bucket: str, setting: Setting) -> Answer | None:
        async with room:
            try:
                return await wire.request("GET", bucket, query=[(setting.query, "")], patience=PATIENCE_SECONDS)
            except Lost:
                count_left_to_boto3(None)
                return None

    try:
        return await asyncio.gather(*(ask(*question) for question in questions))
    finally:
        wire.close()


def _take(connection: Connection, settings: BucketSettings, setting: Setting, answer: Answer) -> bool:
    """Note an answer; False if it is not clear what it means."""
    try:
        check_answer(setting.operation, answer.status, answer.body)
    except Absurd as error:
        return LISTING in str(error)
    if answer.status == 200 and not is_error(answer.body):
        if _NOTHING.fullmatch(answer.body):
            return True
        return not has_declarations(answer.body) and _parse(connection, settings, setting, answer)
    found = _CODE.search(answer.body)
    code = found[1].decode("utf-8", "replace") if found else ""
    if answer.status == 403 and code == "AccessDenied":
        settings.denied[setting.name] = setting.action
        return True
    return _is_none(answer.status, code)


_NOTHING = re.compile(rb"\s*(?:<\?[^>]*\?>\s*)?<([\w:]+)(?:\s[^<>]*)?(?:/>|>\s*</\1>)\s*")
"""A document whose root is empty: nothing is set, and it need not be parsed."""
_CODE = re.compile(rb"<Code>([^<]*)</Code>")


def _parse(connection: Connection, settings: BucketSettings, setting: Setting, answer: Answer) -> bool:
    raw = {"status_code": answer.status, "headers": answer.headers, "body": answer.body, "context": {}}
    shape = connection.client.meta.service_model.operation_model(setting.operation).output_shape
    try:
        _note(settings, setting, _parser().parse(raw, shape))
    except (botocore.parsers.ResponseParserError, ValueError):
        return False
    return True


@cache
def _parser() -> Any:
    return botocore.parsers.create_parser("rest-xml")


def _is_none(status: int, code: str) -> bool:
    # boto3 takes the status for the code, if the answer has none.
    is_s3 = bool(code) and not code.isdigit()
    return (status in _NOT_KNOWN or (status in _NONE_WITH_CODE and is_s3)) and code not in _OTHER_TROUBLE


def ask_boto3(connection: Connection, question: tuple[str, Setting]) -> dict[str, Any]:
    """boto3's answer for one (bucket, setting); {} if nothing is set. Raises StoreError."""
    bucket, setting = question
    method = getattr(connection.client, botocore.xform_name(setting.operation))
    with connection.errors(f"s3://{bucket}"):
        try:
            answer: dict[str, Any] = method(Bucket=bucket)
        except botocore.exceptions.ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if _is_none(status, str(error.response.get("Error", {}).get("Code", ""))):
                return {}
            raise
        except Absurd as error:
            if LISTING in str(error):
                return {}
            raise
        return answer


def _note(settings: BucketSettings, setting: Setting, answer: Mapping[str, Any]) -> None:
    document = {
        name: value for name, value in answer.items() if name != "ResponseMetadata" and value not in ({}, [], "")
    }
    if document:
        settings.found[setting.name] = document
