"""Conditional writes, and which of them a server honours. Servers ignore headers that they do not know, so
:func:`probe_conditional` tries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.errors import SourceChanged, StoreError
from migrator.store.trials import trial_keys

if TYPE_CHECKING:
    from migrator.store.store import Store
    from migrator.store.uploads import Upload

WRONG = "0" * 32
"""An ETag that no object has."""
ANYTHING = "*"
"""Instead of an ETag: any object may be replaced. SeaweedFS 4.48 treats the folder of other keys as an object."""


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
        """The parameters of a request by boto3."""
        if self.etag == ANYTHING:
            return {}
        return {"IfNoneMatch": "*"} if self.etag is None else {"IfMatch": f'"{self.etag}"'}

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request."""
        if self.etag == ANYTHING:
            return {}
        return {"if-none-match": "*"} if self.etag is None else {"if-match": f'"{self.etag}"'}


def probe_conditional(store: Store, bucket: str) -> Conditional:
    """Try conditional writes in ``bucket`` with a small object of our own, and keep the result as
    :attr:`Store.conditional` of the target.

    A write that is not clearly refused because of its condition counts as not honoured. Deletes what it wrote.
    """
    from migrator.store.objects import Content

    target = store.ends[1]
    with trial_keys(target, bucket, "", "-source") as keys:
        key = keys[0]

        def honoured(operation: str) -> bool:
            return all(_refuses(target, bucket, key, operation, expected) for expected in (Expected(), Expected(WRONG)))

        for name in keys:
            target.put(bucket, name, Content(name.encode(), ""))
        target.conditional = Conditional(honoured("put"), honoured("copy"), honoured("complete"))
    return target.conditional


def _refuses(store: Store, bucket: str, key: str, operation: str, expected: Expected) -> bool:
    """True if the server refuses to write an object because of this condition. ``operation``: "put", "copy" (of the
    object KEY-source) or "complete", the end of an upload in parts."""
    connection, place = store.at(bucket), {"Bucket": bucket, "Key": key}
    upload: Upload | None = None
    try:
        with connection.errors(f"s3://{bucket}/{key}"):
            if operation == "put":
                connection.client.put_object(**place, Body=b"probe", **expected.arguments)
            elif operation == "copy":
                source = {"Bucket": bucket, "Key": f"{key}-source"}
                connection.client.copy_object(**place, CopySource=source, **expected.arguments)
            else:
                upload = store.uploads.begin(bucket, key, {})
                store.uploads.finish(upload, [store.uploads.put_part(upload, 1, b"probe")], expected=expected)
    except SourceChanged:
        return True
    except StoreError:
        return False
    finally:
        if upload is not None:
            store.uploads.abort(upload)
    return False
