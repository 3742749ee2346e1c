"""Which attributes of a new object a server drops or changes, found with small objects of our own.

No answer to a PUT names them: SeaweedFS drops website redirects, for example. A copy between two servers has the
attributes of its source in memory, so the kinds that the target drops are enough to count the objects that lose some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrator.errors import StoreError, Unreachable
from migrator.store.attributes import EXPIRES, HEADERS
from migrator.store.trials import trial_keys

if TYPE_CHECKING:
    from migrator.store.store import Store

TAGS = "tags"
METADATA, EMPTY_METADATA = "x-amz-meta-*", "x-amz-meta-* with an empty value"
PARAMETERS = "content-type with parameters"

_GIVEN: dict[str, Any] = {
    "CacheControl": "max-age=60, private",
    "ContentDisposition": 'attachment; filename="a b.csv"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de-CH, en",
    "ContentType": "text/csv; charset=utf-8",
    EXPIRES: "Tue, 06 May 2031 07:08:09 GMT",
    "WebsiteRedirectLocation": "/elsewhere",
    "Metadata": {"kept": "a  b", "empty": ""},
}
_TAGGED = {"Tagging": "path=a%2Fb%3Ac"}
_CONTENT = b"-"


@dataclass(frozen=True, slots=True)
class Dropped:
    """The kinds of attributes (see :func:`kinds_of`) that a server does not keep as they are.

    ``folders``: those of empty objects whose key ends in ``/``; ``content``: it does not keep the bytes of objects with
    such a key, either.
    """

    objects: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    content: bool = False

    def __bool__(self) -> bool:
        return bool(self.objects or self.folders or self.content)

    def of(self, key: str, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        """The kinds that an object with this key and these parameters of PutObject loses, in the order of their
        names."""
        kinds = self.folders if key.endswith("/") else self.objects
        return tuple(sorted(kinds & kinds_of(attributes))) if kinds else ()


def kinds_of(attributes: Mapping[str, Any]) -> frozenset[str]:
    """The kinds of attributes that an object has. ``attributes``: boto3's parameters of PutObject, or what
    :func:`~migrator.store.attributes.boto3_answer` returns."""
    kinds = {http for http, boto3 in HEADERS.items() if attributes.get(boto3)}
    if "content-type" in kinds:
        kinds.remove("content-type")  # every server has one for each object
        kinds |= {PARAMETERS} if ";" in attributes["ContentType"] else set()
    metadata = attributes.get("Metadata") or {}
    kinds |= {METADATA if value else EMPTY_METADATA for value in metadata.values()}
    return frozenset(kinds | ({TAGS} if attributes.get("Tagging") or attributes.get("TagCount") else set()))


def probe_dropped(store: Store, bucket: str) -> Dropped:
    """Try it in ``bucket``, the target. Deletes what it wrote. What the server refuses to write does not count as
    dropped: copying such an object fails."""
    target = store.ends[1]
    with trial_keys(target, bucket, "", "-folder/") as keys:
        groups = [_GIVEN] if "tags" in target.at(bucket).left_out else [_GIVEN, _TAGGED]
        objects, folders = (
            frozenset[str]().union(*(_dropped(target, bucket, key, given) for given in groups)) for key in keys
        )
        return Dropped(objects, folders, _drops_content(target, bucket, keys[1]))


def _dropped(target: Store, bucket: str, key: str, given: Mapping[str, Any]) -> frozenset[str]:
    """The kinds of ``given`` that an empty object written with them does not have."""
    from migrator.store.objects import Content

    try:
        etag = target.put(bucket, key, Content(b"", "", given))
        found = target.attributes(bucket, key, etag)
    except Unreachable:
        raise
    except StoreError:  # it may refuse one of them only
        each = [] if len(given) == 1 else [_dropped(target, bucket, key, {name: given[name]}) for name in given]
        return frozenset[str]().union(*each)
    lost = {name: value for name, value in given.items() if name != "Metadata" and found.get(name) != value}
    kept = found.get("Metadata", {})
    metadata = given.get("Metadata", {})
    lost["Metadata"] = {name: value for name, value in metadata.items() if kept.get(name) != value}
    return kinds_of(lost)


def _drops_content(target: Store, bucket: str, key: str) -> bool:
    """True if an object that was written with bytes is listed as empty, or is gone."""
    from migrator.store.objects import Content

    try:
        target.put(bucket, key, Content(_CONTENT, ""))
    except Unreachable:
        raise
    except StoreError:
        return False
    found = target.find(bucket, key)
    return found is None or found.size != len(_CONTENT)
