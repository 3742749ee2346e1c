"""Deleting objects of the old buckets, and removing empty buckets. Only ``migrator retire`` calls these.

Every deletion names one version, or one ETag. The server's answer must confirm each deletion: what it does not mention
counts as not deleted.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from migrator.errors import AccessDenied, MigratorError, NotFound
from migrator.store.connection import Connection
from migrator.store.objects import version_parameter
from migrator.store.server_errors import CHANGED, MISSING, error_code, place_of
from migrator.store.store import Store

MOST_DELETIONS = 1000
"""S3 takes at most so many keys in one DeleteObjects."""

CHANGED_MEANWHILE = "it changed at this moment, so the server did not delete it"
NOT_CONFIRMED = "the server did not confirm the deletion"

_NO_ETAGS = frozenset({"MalformedXML", "InvalidArgument", "InvalidRequest", "NotImplemented"})
"""Error codes of a server that does not know ETags in DeleteObjects."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """One object to delete. With a ``version_id`` exactly that version is deleted, for good. Without one, the object is
    deleted if its ETag is ``etag``, as far as the server honours this condition (AWS does)."""

    key: str
    etag: str
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotDeleted:
    """An object that the server did not delete, and why."""

    deletion: Deletion
    reason: str


def delete_objects(store: Store, bucket: str, deletions: Sequence[Deletion]) -> list[NotDeleted]:
    """Delete these objects, at most ``MOST_DELETIONS``. Returns those that were not deleted. An object that is gone
    already counts as deleted.

    Requests without exact version ids are sent once only: a repeated one could meet another object. Raises StoreError
    if the server does not answer or refuses the whole request; what was deleted then is unknown: list the bucket again.
    """
    if len(deletions) > MOST_DELETIONS:
        raise ValueError(f"{len(deletions)} deletions in one request")
    connection = store.at(bucket)
    plain = [deletion for deletion in deletions if _fits_in_xml(deletion)]
    failed = _delete_together(connection, bucket, plain) if plain else []
    for deletion in deletions:
        if not _fits_in_xml(deletion) and (reason := _delete_one(connection, bucket, deletion)):
            failed.append(NotDeleted(deletion, reason))
    return failed


def delete_bucket(store: Store, bucket: str) -> None:
    """Remove an empty bucket. Raises StoreError if the server says that it is not empty. Not every server checks this
    (SeaweedFS does not): list the bucket before."""
    connection = store.at(bucket)
    with suppress(NotFound), connection.errors(f"s3://{bucket}"):  # gone: boto3 repeated it after a lost answer
        connection.client.delete_bucket(Bucket=bucket)


def _delete_together(connection: Connection, bucket: str, deletions: Sequence[Deletion]) -> list[NotDeleted]:
    exact = not any(_may_be_another(deletion) for deletion in deletions)
    client = connection.client if exact else connection.once_client
    client.meta.events.register("before-call.s3.DeleteObjects", _add_md5, unique_id="migrator-delete-md5")
    place = f"s3://{bucket}/{deletions[0].key} and {len(deletions) - 1} more"
    with connection.errors(place):
        try:
            answer = client.delete_objects(Bucket=bucket, Delete=_request(deletions, with_etags=True))
        except botocore.exceptions.ClientError as error:
            if error_code(error) not in _NO_ETAGS:
                raise
            answer = client.delete_objects(Bucket=bucket, Delete=_request(deletions, with_etags=False))
    return _not_deleted(place, deletions, answer)


def _may_be_another(deletion: Deletion) -> bool:
    """True if another object may be in its place by now. "null" is the id of whatever was written last without
    versioning."""
    return deletion.version_id in (None, "null")


def _request(deletions: Sequence[Deletion], *, with_etags: bool) -> dict[str, Any]:
    objects = []
    for deletion in deletions:
        condition = {"ETag": f'"{deletion.etag}"'} if with_etags and _may_be_another(deletion) else {}
        objects.append({"Key": deletion.key, **version_parameter(deletion.version_id), **condition})
    return {"Objects": objects, "Quiet": False}


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    """Servers that do not know S3's newer checksums demand a Content-MD5 with this request."""
    body = params["body"]
    if isinstance(body, bytes):
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        params["headers"].setdefault("Content-MD5", base64.b64encode(md5).decode())


def _not_deleted(place: str, deletions: Sequence[Deletion], answer: Mapping[str, Any]) -> list[NotDeleted]:
    """Compare the answer with what was asked. Raises MigratorError for an answer about anything else."""
    asked = {(deletion.key, deletion.version_id): deletion for deletion in deletions}
    deleted = {_named(entry) for entry in answer.get("Deleted", [])}
    errors = {_named(entry): _reason(entry) for entry in answer.get("Errors", [])}
    keys = {deletion.key for deletion in deletions}
    strange = [key for key, _ in (*deleted, *errors) if key not in keys]
    if strange:
        raise MigratorError(
            f"{place}: the server says that it deleted {strange[0]!r}, which was not requested.",
            next_move="Check the server before you go on: look whether that object is still there.",
        )
    failed = []
    for (key, version), deletion in asked.items():
        # A server may leave the version id out of an error, and MinIO out of the deletion of the version "null".
        reason = errors.get((key, version), errors.get((key, None)))
        confirmed = (key, version) in deleted or (version in (None, "null") and any(key == k for k, _ in deleted))
        if reason is None and not confirmed:
            reason = NOT_CONFIRMED
        if reason:
            failed.append(NotDeleted(deletion, reason))
    return failed


def _named(entry: Mapping[str, Any]) -> tuple[str, str | None]:
    return str(entry.get("Key", "")), entry.get("VersionId") or None


def _reason(entry: Mapping[str, Any]) -> str:
    """Why an object was not deleted; "" for one that does not exist any more."""
    code = str(entry.get("Code", ""))
    if code in MISSING:
        return ""
    if code in CHANGED:
        return CHANGED_MEANWHILE
    return f"{code}: {entry.get('Message') or 'no reason given'}"


def _delete_one(connection: Connection, bucket: str, deletion: Deletion) -> str:
    """Delete an object whose key cannot be written in XML. Returns why it was not deleted, "" if it was."""
    try:
        with connection.errors(place_of(bucket, deletion.key, deletion.version_id)):
            connection.once_client.delete_object(
                Bucket=bucket, Key=deletion.key, **version_parameter(deletion.version_id)
            )
    except NotFound:
        return ""
    except AccessDenied as error:
        return error.message
    return ""


def _fits_in_xml(deletion: Deletion) -> bool:
    """True if the key arrives in XML as it was sent. Control characters and line ends do not."""
    return all(0x20 <= ord(c) < 0x7F or 0xA0 <= ord(c) < 0xD800 or 0xE000 <= ord(c) < 0xFFFE for c in deletion.key)
