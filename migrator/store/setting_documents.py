"""The documents of a bucket's settings: read completely, written, and deleted.

boto3 drops the elements that it does not know. A document that is written back would lose them, so their names are
reported.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import botocore.exceptions

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import AccessDenied, StoreError
from migrator.settings.compare import SIZE_LIMIT
from migrator.settings.kinds import (
    CORS,
    ENCRYPTION,
    LIFECYCLE,
    LOCK,
    NOTIFICATIONS,
    POLICY,
    TAGS,
    VERSIONING,
    Document,
)
from migrator.store.bucket_settings import AT_ONCE, LISTING, SETTINGS, Setting, ask_boto3
from migrator.store.connection import Connection
from migrator.store.store import Store

READ = (*SETTINGS, Setting(VERSIONING, "GetBucketVersioning", "versioning", "s3:GetBucketVersioning"))
"""All settings that are read."""
_BY_NAME = {setting.name: setting for setting in READ}
_ELEMENT = re.compile(rb"<(?![?!/])(?:[\w.-]+:)?([\w.-]+)")

ACTIONS = {
    POLICY: ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
    LIFECYCLE: ("s3:PutLifecycleConfiguration",),
    ENCRYPTION: ("s3:PutEncryptionConfiguration",),
    VERSIONING: ("s3:PutBucketVersioning",),
    TAGS: ("s3:PutBucketTagging",),
    CORS: ("s3:PutBucketCORS",),
    NOTIFICATIONS: ("s3:PutBucketNotification",),
    LOCK: ("s3:PutBucketObjectLockConfiguration",),
}
"""The permissions that writing each setting needs."""


@dataclass
class Documents:
    """The settings of one bucket. ``found``: name → document, for what is set; ``unread``: name → why it could not be
    read, or not completely. ``server``: the name that the server gives itself, "" for none."""

    found: dict[str, Document] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    server: str = ""


def read_all(store: Store, buckets: Iterable[str]) -> dict[str, Documents]:
    """All settings of these buckets, which exist. What cannot be read is in the result, with the reason."""
    read = {bucket: Documents() for bucket in buckets}
    questions = [(bucket, setting) for bucket in read for setting in READ]
    for outcome in run_in_threads(partial(_ask, store), questions, workers=AT_ONCE):
        bucket, setting = outcome.item
        if isinstance(outcome, Failed):
            denied = isinstance(outcome.error, AccessDenied)
            why = f"{setting.action} is not allowed" if denied else outcome.error.message
            read[bucket].unread[setting.name] = why
            continue
        document, unknown, server = outcome.result
        if unknown:
            read[bucket].unread[setting.name] = f"it has {', '.join(unknown)}, which migrator does not know"
        elif document:
            read[bucket].found[setting.name] = document
        read[bucket].server = read[bucket].server or server
    return read


def server_name(store: Store, bucket: str) -> str:
    """The name that the server of a bucket gives itself, "" for none. The bucket need not exist. Raises StoreError."""
    connection = store.at(bucket)
    with connection.errors(connection.endpoint_url):
        try:
            answer = connection.client.head_bucket(Bucket=bucket)
        except botocore.exceptions.ClientError as error:
            answer = error.response
    return str(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("server", ""))


def read_document(store: Store, bucket: str, setting: str) -> Document | None:
    """One setting of a bucket as it is now; None if nothing is set. Raises StoreError, also if it has elements that
    would be lost if it were written back."""
    document, unknown, _ = _ask(store, (bucket, _BY_NAME[setting]))
    if unknown:
        names = ", ".join(unknown)
        raise StoreError(f"s3://{bucket}: its {setting} has {names}, which migrator does not know and would lose.")
    return document


def write_document(store: Store, bucket: str, setting: str, document: Document | None) -> None:
    """Set one setting of a bucket; None removes it. Versioning cannot be removed, and is suspended instead. Raises
    StoreError."""
    client = store.at(bucket).client
    with store.at(bucket).errors(f"s3://{bucket}"):
        _WRITERS[setting](client, bucket, document)


def _put(name: str, parameters: Callable[[Document], dict[str, Any]], remove: str) -> Callable[..., None]:
    def write(client: Any, bucket: str, document: Document | None) -> None:
        if document is None:
            getattr(client, remove)(Bucket=bucket)
        else:
            getattr(client, name)(Bucket=bucket, **parameters(document))

    return write


def _put_lifecycle(document: Document) -> dict[str, Any]:
    limit = {SIZE_LIMIT: document[SIZE_LIMIT]} if SIZE_LIMIT in document else {}
    return {"LifecycleConfiguration": {"Rules": document["Rules"]}, **limit}


def _put_versioning(client: Any, bucket: str, document: Document | None) -> None:
    status = (document or {}).get("Status", "Suspended")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def _put_notifications(client: Any, bucket: str, document: Document | None) -> None:
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=document or {})


def _put_lock(client: Any, bucket: str, document: Document | None) -> None:
    wanted = (document or {}).get("ObjectLockConfiguration", {"ObjectLockEnabled": "Enabled"})
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)


_WRITERS: Mapping[str, Callable[..., None]] = {
    POLICY: _put("put_bucket_policy", lambda found: {"Policy": found["Policy"]}, "delete_bucket_policy"),
    LIFECYCLE: _put("put_bucket_lifecycle_configuration", _put_lifecycle, "delete_bucket_lifecycle"),
    ENCRYPTION: _put("put_bucket_encryption", dict, "delete_bucket_encryption"),
    VERSIONING: _put_versioning,
    TAGS: _put("put_bucket_tagging", lambda found: {"Tagging": found}, "delete_bucket_tagging"),
    CORS: _put("put_bucket_cors", lambda found: {"CORSConfiguration": found}, "delete_bucket_cors"),
    NOTIFICATIONS: _put_notifications,
    LOCK: _put_lock,
}


def _ask(store: Store, question: tuple[str, Setting]) -> tuple[Document | None, list[str], str]:
    """(document, names of elements that boto3 does not know, name of the server)."""
    bucket, setting = question
    connection = store.at(bucket)
    _listen(connection.client)
    answer = ask_boto3(connection, question)
    server = str(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("server", ""))
    document = {
        name: value
        for name, value in answer.items()
        if name != "ResponseMetadata" and (value not in ({}, [], "") or name == "EventBridgeConfiguration")
    }
    if LISTING in str(document.get("Policy", "")):  # the server ignores the question, and lists the bucket
        document = {}
    unknown = _unknown(connection, setting, _bodies.last) if document and setting.name != POLICY else []
    return document or None, unknown, server


_bodies = threading.local()
_listening: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()


def _listen(client: Any) -> None:
    """From now on, keep the bytes of the last answer that a client of this thread gets."""
    with _lock:
        if client not in _listening:
            client.meta.events.register("before-parse.s3", _keep)
            _listening.add(client)
    _bodies.last = b""


def _keep(response_dict: Mapping[str, Any], **_: Any) -> None:
    body = response_dict.get("body")
    _bodies.last = body if isinstance(body, bytes) else b""


def _unknown(connection: Connection, setting: Setting, body: bytes) -> list[str]:
    """The names of the elements of a document, but for its root, that boto3 does not know."""
    shape = connection.client.meta.service_model.operation_model(setting.operation).output_shape
    found = {name.decode("ascii", "replace") for name in _ELEMENT.findall(body)[1:]}
    return sorted(found - set(_names(shape)))


def _names(shape: Any) -> Iterable[str]:
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield member.serialization.get("name", name)
            yield from _names(member)
    elif shape.type_name == "list":
        yield shape.member.serialization.get("name", "member")
        yield from _names(shape.member)
