"""Conditional writes, and which of them a server honours: that is found out by trying, since servers ignore headers
that they do not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.store.trials import trial_keys

if TYPE_CHECKING:
    from migrator.store.client import Store

WRONG = "0" * 32
ANYTHING = "*"
"""Whatever is there may be replaced. SeaweedFS 4.48 takes the folder of other keys for an object that is there."""


@dataclass(frozen=True, slots=True)
class Conditional:
    """Whether ``If-None-Match`` and ``If-Match`` are honoured by PutObject, CopyObject and CompleteMultipartUpload."""

    put: bool = False
    copy: bool = False
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """What may be at a key when an object is written there: nothing, the object with this ETag, or ANYTHING."""

    etag: str | None = None

    @property
    def arguments(self) -> dict[str, str]:
        """As boto3 takes them."""
        if self.etag == ANYTHING:
            return {}
        return {"IfNoneMatch": "*"} if self.etag is None else {"IfMatch": f'"{self.etag}"'}

    @property
    def headers(self) -> dict[str, str]:
        """As a request carries them."""
        if self.etag == ANYTHING:
            return {}
        return {"if-none-match": "*"} if self.etag is None else {"if-match": f'"{self.etag}"'}


def probe_conditional(store: Store, bucket: str) -> Conditional:
    """Ask the server of ``bucket`` with a small object of our own, and remember the answer in its store.

    Whatever is not clearly refused because of its condition counts as not honoured. Leaves nothing behind.
    """
    from migrator.store.client import Content

    there = store.ends[1]
    with trial_keys(there, bucket, "", "-source") as keys:
        key = keys[0]

        def honoured(operation: str) -> bool:
            return all(there.refuses(bucket, key, operation, expected) for expected in (Expected(), Expected(WRONG)))

        for name in keys:
            there.put(bucket, name, Content(name.encode(), ""))
        there.conditional = Conditional(honoured("put"), honoured("copy"), honoured("complete"))
    return there.conditional
