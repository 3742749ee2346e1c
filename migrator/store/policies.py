"""Bucket policies: read, set and deleted as text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions

from migrator.errors import StoreError
from migrator.store.server_errors import error_code
from migrator.store.store import Store

_NONE = "NoSuchBucketPolicy"
_NOT_KNOWN = ("NotImplemented", "MethodNotAllowed", "405", "501")


def read_policy(store: Store, bucket: str) -> str | None:
    """The policy of a bucket as JSON; None if it has none. Raises StoreError, also where the server has no policies."""
    try:
        with _errors(store, bucket):
            text = str(store.at(bucket).client.get_bucket_policy(Bucket=bucket)["Policy"])
    except _NoPolicy:
        return None
    return text or None


def write_policy(store: Store, bucket: str, policy: str | None) -> None:
    """Set the policy of a bucket, or delete it if ``policy`` is None. Raises StoreError."""
    client = store.at(bucket).client
    try:
        with _errors(store, bucket):
            if policy is None:
                client.delete_bucket_policy(Bucket=bucket)
            else:
                client.put_bucket_policy(Bucket=bucket, Policy=policy)
    except _NoPolicy:
        return


class _NoPolicy(Exception):
    pass


@contextmanager
def _errors(store: Store, bucket: str) -> Iterator[None]:
    with store.at(bucket).errors(f"s3://{bucket}"):
        try:
            yield
        except botocore.exceptions.ClientError as error:
            if error_code(error) == _NONE:
                raise _NoPolicy from error
            if error_code(error) in _NOT_KNOWN:
                raise StoreError(f"s3://{bucket}: the server has no bucket policies.") from error
            raise
