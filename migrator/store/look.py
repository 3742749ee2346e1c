"""What objects have besides their bytes and headers: restored archives, locks, access control lists, SSE-C keys.

Each method raises the server's error as a StoreError. If a server does not know a request, its objects have nothing of
that kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from migrator.errors import NotFound, StoreError
from migrator.store.attributes import NOT_COPIED, boto3_answer
from migrator.store.kept import kinds_of
from migrator.store.objects import head_headers
from migrator.store.rights import refused
from migrator.store.server_errors import OWN_KEY
from migrator.store.store import Store

Result = TypeVar("Result")

ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes whose objects cannot be read until they are restored."""

S3_CLASSES = frozenset(
    {
        *ARCHIVES,
        *("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"),
        *("OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS", "FSX_ONTAP"),
    }
)
"""The storage classes of S3. Any other class exists on one kind of server only: a tier of MinIO, a placement of
Ceph."""


@dataclass(frozen=True)
class HeadResult:
    """What the answer to a HEAD says about one object. ``own_key``: it can only be read with its own key (SSE-C); then
    nothing else is known."""

    restored: bool = False
    restoring: bool = False
    locked: bool = False
    not_copied: bool = False
    """It has headers that a server may omit from a copy."""
    encryption: str = ""
    """The algorithm that the server encrypts it with (AES256, aws:kms, …); "" if it says nothing of that."""
    own_key: bool = False
    kinds: frozenset[str] = frozenset()
    """The kinds of its attributes; see :mod:`migrator.store.kept`."""


class Look:
    """Asks about objects of one bucket. Safe to share between threads."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._connection = store.at(bucket)
        self._client = self._connection.client
        self._bucket = bucket

    def grants(self, key: str) -> list[str] | None:
        """The grantees of the object's access control list except its owner: names of groups, or ids. None on a server
        whose lists name no owner, because it returns the same list for all objects."""
        answer = self._ask("get_object_acl", key)
        owner = (answer or {}).get("Owner", {}).get("ID")
        if answer is None or not owner:
            return None
        others = [grant.get("Grantee", {}) for grant in answer.get("Grants", [])]
        named = [other.get("URI", "").rpartition("/")[2] or other.get("ID", "somebody") for other in others]
        return sorted({name for name in named if name != owner})

    def may_read_locks(self, key: str) -> None:
        """Raises AccessDenied if an object's retention and legal hold may not be read: a HEAD would just omit them."""
        for operation in ("get_object_retention", "get_object_legal_hold"):
            with suppress(NotFound):  # it has none
                self._ask(operation, key)

    def head(self, key: str, version_id: str | None = None) -> HeadResult | None:
        """What one object has; None if it does not exist."""
        try:
            headers = self._asked(key, partial(head_headers, self._connection, self._bucket, key, version_id))
        except NotFound:
            return None
        if headers is None:
            return HeadResult(own_key=self._has_own_key(key))
        restore = headers.get("x-amz-restore", "")
        return HeadResult(
            restored='ongoing-request="false"' in restore,
            restoring='ongoing-request="true"' in restore,
            locked=bool(headers.get("x-amz-object-lock-mode")) or headers.get("x-amz-object-lock-legal-hold") == "ON",
            not_copied=any(headers.get(name) for name in NOT_COPIED),
            encryption=headers.get("x-amz-server-side-encryption", ""),
            kinds=kinds_of(boto3_answer(headers)),
        )

    def _has_own_key(self, key: str) -> bool:
        """The answer to a refused HEAD gives no reason; the answer to a GET does."""
        try:
            with self._connection.errors(f"s3://{self._bucket}/{key}"):
                self._client.get_object(Bucket=self._bucket, Key=key, Range="bytes=0-0")["Body"].close()
        except StoreError as error:
            return OWN_KEY in error.message.lower()
        return False

    def _ask(self, operation: str, key: str) -> Mapping[str, Any] | None:
        """boto3's answer; None if the server has nothing of that kind."""
        return self._asked(key, partial(getattr(self._client, operation), Bucket=self._bucket, Key=key))

    def _asked(self, key: str, ask: Callable[[], Result]) -> Result | None:
        """What ``ask`` returns; None if the server has nothing of that kind."""
        try:
            with self._connection.errors(f"s3://{self._bucket}/{key}"):
                return ask()
        except NotFound:
            raise
        except StoreError as error:
            if refused(error) or _not_found(error):
                return None
            raise


def _not_found(error: StoreError) -> bool:
    """True for a configuration that does not exist. S3 has an error code for each kind of it, all with status 404."""
    response = getattr(error.__cause__, "response", {})
    return bool(response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404)
