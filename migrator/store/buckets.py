"""Buckets: whether they exist, creating them, and whether they keep versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from migrator.errors import NotFound
from migrator.store.connection import Connection
from migrator.store.pages import ask_twice


def exists(connection: Connection, bucket: str) -> bool:
    """True if the bucket exists. Raises Unreachable if the server does not answer, AccessDenied if the credentials may
    not list the bucket."""
    try:
        with connection.errors(f"s3://{bucket}"):
            ask_twice(connection.quick_client.list_objects_v2, Bucket=bucket, MaxKeys=1)
    except NotFound:
        return False
    return True


def names(connection: Connection) -> Sequence[str]:
    """The sorted names of all buckets of the account. Raises AccessDenied if the credentials may not list them."""
    with connection.errors(connection.endpoint_url):
        answer = connection.quick_client.list_buckets()
    return sorted(str(bucket["Name"]) for bucket in answer.get("Buckets") or ())


def create(connection: Connection, bucket: str) -> None:
    """Create the bucket unless it exists, with object lock if this connection copies locks."""
    client, options = connection.client, dict[str, Any]()
    if connection.region != "us-east-1":
        options["CreateBucketConfiguration"] = {"LocationConstraint": connection.region}
    if connection.locks:
        options["ObjectLockEnabledForBucket"] = True
    with connection.errors(f"s3://{bucket}"):
        try:
            client.create_bucket(Bucket=bucket, **options)
        except (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            if not exists(connection, bucket):
                raise


def versioning(connection: Connection, bucket: str) -> str:
    """The versioning status: "Enabled", "Suspended", or "" if it was never enabled."""
    with connection.errors(f"s3://{bucket}"):
        return str(connection.client.get_bucket_versioning(Bucket=bucket).get("Status", ""))


def enable_versioning(connection: Connection, bucket: str) -> None:
    """Enable versioning on the bucket."""
    with connection.errors(f"s3://{bucket}"):
        connection.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
