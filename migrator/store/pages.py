"""Listings through boto3, page by page. :mod:`migrator.store.listing` lists many prefixes in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import botocore.parsers

from migrator.store.answers import Absurd, Pages
from migrator.store.connection import Connection
from migrator.store.listing import FULL, Page, StoredObject, cut_short
from migrator.store.retries import retry
from migrator.store.strict import ENTRIES

Result = TypeVar("Result")

_PARAMETERS = {
    "prefix": "Prefix",
    "delimiter": "Delimiter",
    "start-after": "StartAfter",
    "continuation-token": "ContinuationToken",
}
"""The parameters of ListObjectsV2: S3's name → boto3's name."""


def list_objects(connection: Connection, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
    """Yield every object under ``prefix``, in the order of the server, which need not be that of the keys."""
    objects: list[StoredObject] = []
    for page in pages(connection, "list_objects_v2", ("ContinuationToken",), bucket, prefix):
        with connection.errors(f"s3://{bucket}/{prefix}"):
            objects = [_stored_object(entry) for entry in page.get("Contents", [])]
        yield from objects
    if len(objects) >= FULL:
        last = objects[-1].key
        yield from (more for more in list_objects(connection, bucket, cut_short(last)) if more.key != last)


def page_of_objects(connection: Connection, bucket: str, parameters: Mapping[str, str]) -> Page:
    """One page of ListObjectsV2; ``parameters`` as S3 names them."""
    with connection.errors(f"s3://{bucket}/{parameters['prefix']}"):
        named = {_PARAMETERS[name]: value for name, value in parameters.items()}
        answer = ask_twice(connection.client.list_objects_v2, Bucket=bucket, **named)
        if answer.get("IsTruncated") and not answer.get("NextContinuationToken"):
            raise Absurd("there are more pages, but no continuation token")
    folders = [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]
    objects = [_stored_object(entry) for entry in answer.get("Contents", [])]
    return Page(objects, folders, answer.get("NextContinuationToken"))


def pages(
    connection: Connection, operation: str, markers: Sequence[str], bucket: str, prefix: str
) -> Iterator[dict[str, Any]]:
    """Yield every page of a listing, as boto3 returns it. Raises StoreError for a listing that has no end.

    ``operation``: the client's method. ``markers``: the parameters that ask for the next page; the same names with
    "Next" before them are in each answer. boto3's paginator ends at a page that says there is more without saying how
    to ask for it; here that is an error.
    """
    ask = getattr(connection.client, operation)
    checked = Pages()
    more: dict[str, str] = {}
    while True:
        with connection.errors(f"s3://{bucket}/{prefix}"):
            page: dict[str, Any] = ask_twice(ask, Bucket=bucket, Prefix=prefix, **more)
            more = {name: page[f"Next{name}"] for name in markers if page.get(f"Next{name}")}
            if page.get("IsTruncated") and not more:
                raise Absurd("there are more pages, but no marker of the next one")
            checked.check(repr(more) if page.get("IsTruncated") else None, _first_entry(page))
        yield page
        if not page.get("IsTruncated"):
            return


def ask_twice(ask: Callable[..., Result], **parameters: Any) -> Result:
    """Send a request, and once more if the answer is not from S3: a proxy may have failed for a moment."""
    return retry(lambda: ask(**parameters), [0.0], _is_not_of_s3)


def _is_not_of_s3(error: Exception) -> bool:
    return isinstance(error, (Absurd, botocore.parsers.ResponseParserError))


def milliseconds_of(moment: datetime | None) -> int:
    """Milliseconds since the epoch; 0 for None."""
    return 0 if moment is None else int(moment.timestamp() * 1000)


def _stored_object(entry: Mapping[str, Any]) -> StoredObject:
    return StoredObject(
        entry["Key"],
        entry["Size"],
        entry["ETag"].strip('"'),
        milliseconds_of(entry["LastModified"]),
        entry.get("StorageClass") or "STANDARD",
    )


def _first_entry(page: Mapping[str, Any]) -> str | None:
    """The names of the first entry of a page, whatever it lists; None for an empty page."""
    entries = page.get("Contents") or page.get(ENTRIES) or page.get("Uploads") or page.get("CommonPrefixes")
    if not entries:
        return None
    first = entries[0]
    return repr([first.get(name) for name in ("Key", "VersionId", "UploadId", "Prefix")])
