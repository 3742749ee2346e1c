"""Small requests that show what the credentials may do in a bucket, and what its server accepts.

Each method raises the server's error as a StoreError. All keys that they write begin with one random name of our own.
:meth:`Rights.clean` deletes these objects, by version where the bucket keeps versions.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

import botocore.exceptions

from migrator.errors import StoreError
from migrator.store.objects import version_parameter
from migrator.store.own_keys import OWN_PREFIX
from migrator.store.store import Store
from migrator.store.uploads import Upload


class Rights:
    """What may be done in one bucket. Only :meth:`read` and :meth:`read_tags` are safe between threads."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._store, self._connection = store, store.at(bucket)
        self._client = self._connection.client
        self._bucket = bucket
        self._below = f"{OWN_PREFIX}preflight-{uuid.uuid4().hex}"
        self._written: list[tuple[str, str | None]] = []
        self._unsure = False
        self._upload: Upload | None = None
        self.error: StoreError | None = None
        """The first error of :meth:`clean`."""

    @property
    def resource(self) -> str:
        """The ARN of the bucket's objects, as a policy names them."""
        return f"arn:aws:s3:::{self._bucket}/*"

    def read(self, key: str, size: int, version_id: str | None = None) -> None:
        """Read the first byte of an object."""
        span = {"Range": "bytes=0-0"} if size else {}
        with self._connection.errors(f"s3://{self._bucket}/{key}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **span, **version_parameter(version_id))
            answer["Body"].close()

    def read_tags(self, key: str, version_id: str | None = None) -> None:
        """Ask for an object's tags."""
        with self._connection.errors(f"s3://{self._bucket}/{key}"):
            self._client.get_object_tagging(Bucket=self._bucket, Key=key, **version_parameter(version_id))

    def keeps_by_default(self) -> bool:
        """True if the bucket locks every new object for some time, so that our objects could not be deleted."""
        try:
            answer = self._client.get_object_lock_configuration(Bucket=self._bucket)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            return False  # no object lock, or no right to read its configuration
        rule = answer.get("ObjectLockConfiguration", {}).get("Rule", {})
        return bool(rule.get("DefaultRetention"))

    def write(self, name: str = "", **options: str) -> None:
        """Write an empty object. ``name`` follows the key of our own; ``options`` are boto3's."""
        key = self._below + (f"/{name}" if name else f"-{len(self._written)}")
        with self._connection.errors(f"s3://{self._bucket}"):
            try:
                answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=b"", **options)
            except botocore.exceptions.BotoCoreError:
                self._unsure = True  # it may have been written, and only the answer was lost
                raise
        self._unsure |= bool(answer["ResponseMetadata"].get("RetryAttempts"))
        self._written.append((key, answer.get("VersionId")))

    def upload_in_parts(self) -> None:
        """Begin a multipart upload and send a part, then :meth:`abort` it."""
        self._upload = self._store.uploads.begin(self._bucket, f"{self._below}-parts", {})
        self._store.uploads.put_part(self._upload, 1, b"-")

    def abort(self) -> None:
        """Abort the upload that :meth:`upload_in_parts` began."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            self._store.uploads.abort(upload)

    def listed(self, name: str) -> bool:
        """True if the object that was written with this name is listed under exactly this key."""
        return f"{self._below}/{name}" in self._keys()

    def clean(self, *, existed: bool = True) -> list[str]:
        """Delete everything that was written, and return the addresses of what cannot be deleted. Raises no error.
        ``existed`` False: there was no bucket; if the server created one by itself, it is deleted as well."""
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
        """Delete all objects whose key begins with ours, also those that we do not know of: the server may have changed
        a key or carried out a request twice."""
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
                self._client.delete_object(Bucket=self._bucket, Key=key, **version_parameter(version_id))
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                left.append(f"s3://{self._bucket}/{key}")
        return left

    def _keys(self) -> set[str]:
        return {found.key for found in self._store.list(self._bucket, self._below)}


def refused(error: StoreError) -> bool:
    """True if the server never does this; False if it may do it at another time, or with other credentials."""
    cause = error.__cause__
    if isinstance(cause, botocore.exceptions.ParamValidationError):
        return True
    if not isinstance(cause, botocore.exceptions.ClientError):
        return False
    answer: dict[str, Any] = cause.response.get("ResponseMetadata", {})
    status = answer.get("HTTPStatusCode", 0)
    return (400 <= status < 500 and status not in (403, 404, 408, 409, 429)) or status == 501
