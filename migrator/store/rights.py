"""Small requests that show what the credentials may do in a bucket, and what its server takes.

Each method raises what the server said, as a StoreError. What they write lies below one key of a random name, and
:meth:`Rights.clean` removes all of it, by version where the bucket keeps versions.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

import botocore.exceptions

from migrator.errors import StoreError
from migrator.store.client import OWN_PREFIX, Store, Upload


class Rights:
    """What may be done in one bucket. Not for several threads, but for :meth:`read` and :meth:`read_tags`."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._store = store.store_of(bucket)
        self._client = self._store._client
        self._bucket = bucket
        self._below = f"{OWN_PREFIX}preflight-{uuid.uuid4().hex}"
        self._written: list[tuple[str, str | None]] = []
        self._unsure = False
        self._upload: Upload | None = None
        self.error: StoreError | None = None
        """What :meth:`clean` met first."""

    @property
    def resource(self) -> str:
        """The bucket's objects, as a policy names them."""
        return f"arn:aws:s3:::{self._bucket}/*"

    def read(self, key: str, size: int, version_id: str | None = None) -> None:
        """Read the first byte of an object."""
        span = {"Range": "bytes=0-0"} if size else {}
        with self._store._errors(f"s3://{self._bucket}/{key}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **span, **_version(version_id))
            answer["Body"].close()

    def read_tags(self, key: str, version_id: str | None = None) -> None:
        """Ask for an object's tags."""
        with self._store._errors(f"s3://{self._bucket}/{key}"):
            self._client.get_object_tagging(Bucket=self._bucket, Key=key, **_version(version_id))

    def keeps_by_default(self) -> bool:
        """True if the bucket locks every new object for some time, so that nothing of ours could be removed."""
        try:
            answer = self._client.get_object_lock_configuration(Bucket=self._bucket)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            return False  # no lock there, or no right to know of one
        rule = answer.get("ObjectLockConfiguration", {}).get("Rule", {})
        return bool(rule.get("DefaultRetention"))

    def write(self, name: str = "", **options: str) -> None:
        """Write an empty object. ``name`` follows the key of our own; ``options`` are boto3's."""
        key = self._below + (f"/{name}" if name else f"-{len(self._written)}")
        with self._store._errors(f"s3://{self._bucket}"):
            try:
                answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=b"", **options)
            except botocore.exceptions.BotoCoreError:
                self._unsure = True  # it may have been written all the same
                raise
        self._unsure |= bool(answer["ResponseMetadata"].get("RetryAttempts"))
        self._written.append((key, answer.get("VersionId")))

    def upload_in_parts(self) -> None:
        """Begin a multipart upload and send a part, then :meth:`abort` it."""
        self._upload = self._store.begin_upload(self._bucket, f"{self._below}-parts", {})
        self._store.put_part(self._upload, 1, b"-")

    def abort(self) -> None:
        """Abort the upload that :meth:`upload_in_parts` began."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            self._store.abort_upload(upload)

    def listed(self, name: str) -> bool:
        """True if the object that was written with this name is listed under exactly this key."""
        return f"{self._below}/{name}" in self._keys()

    def clean(self, *, existed: bool = True) -> list[str]:
        """Remove everything that was written, and return what cannot be removed. Raises nothing. ``existed`` False:
        there was no bucket; if the server made one by itself, that is removed as well."""
        left, written, error = [], list(self._written), None
        for key, version_id in written:
            try:
                self._store.delete(self._bucket, key, version_id=version_id)
            except StoreError as caught:
                left.append(f"s3://{self._bucket}/{key}")
                error = error or caught
        if self._unsure or any("/" in key[len(self._below) :] for key, _ in written):
            left += self._sweep()
        if written and not existed:
            with suppress(botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                self._client.delete_bucket(Bucket=self._bucket)  # refused if anything is in it
        self._written, self._unsure, self.error = [], False, error
        return sorted(set(left))

    def _sweep(self) -> list[str]:
        """Remove what lies below our key although we do not know that we wrote it: the server may have changed a key
        or done something twice."""
        left = []
        try:
            entries: list[tuple[str, str | None]] = [(key, None) for key in self._keys()]
            if any(version_id for _, version_id in self._written):
                pages = self._client.get_paginator("list_object_versions")
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._below):
                    found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                    entries = [(entry["Key"], entry["VersionId"]) for entry in found]
        except (StoreError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            return [f"s3://{self._bucket}/{self._below}"] if self._unsure else []
        for key, version_id in entries:
            try:
                self._client.delete_object(Bucket=self._bucket, Key=key, **_version(version_id))
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                left.append(f"s3://{self._bucket}/{key}")
        return left

    def _keys(self) -> set[str]:
        return {found.key for found in self._store.list(self._bucket, self._below)}


def refused(error: StoreError) -> bool:
    """True if the server said that it never does this, rather than that it cannot at the moment."""
    cause = error.__cause__
    if isinstance(cause, botocore.exceptions.ParamValidationError):
        return True
    if not isinstance(cause, botocore.exceptions.ClientError):
        return False
    answer: dict[str, Any] = cause.response.get("ResponseMetadata", {})
    status = answer.get("HTTPStatusCode", 0)
    return (400 <= status < 500 and status not in (403, 404, 408, 409, 429)) or status == 501


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"VersionId": version_id}
