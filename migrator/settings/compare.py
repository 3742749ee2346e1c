"""Compares two documents of a bucket's settings by their meaning. Servers change the order of elements, write one value
as a list, and add defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from migrator.settings.kinds import LIFECYCLE, MALFORMED, NOTIFICATIONS, POLICY, Document, plain

_SINGLE = ("Version", "Id", "Sid", "Effect")
"""Elements of a policy that are never lists."""
SIZE_LIMIT, USUAL_LIMIT = "TransitionDefaultMinimumObjectSize", "all_storage_classes_128K"
"""An additional element of a lifecycle on AWS, and its default."""
_KMS = "arn:aws:kms:"
"""MinIO puts this before the plain name of a key."""


def same(setting: str, one: Document | None, other: Document | None) -> bool:
    """True if both documents mean the same; None is the same as a document in which nothing is set."""
    return bool(_meaning(setting, one) == _meaning(setting, other))


def same_policy(one: str | None, other: str | None) -> bool:
    """The same for the texts of two policies."""
    if one is None or other is None:
        return one is other
    return bool(canonical_policy(json.loads(one)) == canonical_policy(json.loads(other)))


def canonical_policy(value: Any, name: str = "") -> Any:
    """A policy, or a part of one, in a form that is equal for equal meanings."""
    if name == "Principal" and value == "*":
        value = {"AWS": "*"}
    if isinstance(value, dict):
        return {key: canonical_policy(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((canonical_policy(inner) if isinstance(inner, dict) else inner for inner in value), key=_text)
    return value if name in _SINGLE else [value]


def canonical_rule(rule: Mapping[str, Any]) -> Any:
    """A lifecycle rule without its ID, in a form that is equal for equal meanings."""
    given = dict(rule.get("Filter") or {})
    both = dict(given.pop("And", None) or {})
    tags = [*(both.pop("Tags", None) or []), *([given.pop("Tag")] if given.get("Tag") else [])]
    limits = {**given, **both, "Prefix": both.get("Prefix") or given.get("Prefix") or rule.get("Prefix")}
    rest = {key: value for key, value in rule.items() if key not in ("ID", "Filter", "Prefix")}
    return _canonical({**rest, "Filter": {**limits, "Tags": tags}})


def _meaning(setting: str, document: Document | None) -> Any:
    found: Any = plain(document or {})
    try:
        return _known_meaning(setting, found)
    except MALFORMED:
        return found


def _known_meaning(setting: str, found: Any) -> Any:
    if setting == POLICY:
        text = found.get("Policy") or "{}"
        return canonical_policy(json.loads(text))
    if setting == LIFECYCLE:
        rules = {str(rule.get("ID")): canonical_rule(rule) for rule in found.get("Rules") or []}
        limit = found.get(SIZE_LIMIT, USUAL_LIMIT)
        return _canonical({**found, "Rules": rules, SIZE_LIMIT: "" if limit == USUAL_LIMIT else limit})
    if setting == NOTIFICATIONS:
        return _canonical(_lower_names(found))
    return _canonical(found)


def _canonical(value: Any, name: str = "") -> Any:
    """The value without empty, false and zero elements, which are the same as missing ones, and with sorted lists."""
    if isinstance(value, dict):
        inner = {key: _canonical(one, key) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one}
    if isinstance(value, list):
        return sorted((_canonical(one) for one in value), key=_text)
    if name == "KMSMasterKeyID" and isinstance(value, str) and ":" not in value.removeprefix(_KMS):
        return value.removeprefix(_KMS)
    return value


def _lower_names(value: Any) -> Any:
    """Filter rules of notifications are named "Prefix" by AWS, and "prefix" by other servers."""
    if isinstance(value, dict):
        return {
            key: str(inner).lower() if key == "Name" else _lower_names(inner)
            for key, inner in value.items()
            if key != "EventBridgeConfiguration"
        } | ({"EventBridgeConfiguration": "on"} if "EventBridgeConfiguration" in value else {})
    return [_lower_names(inner) for inner in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
