"""Lifecycle rules: each old rule gets the target prefix in its filter. A rule that would reach further is not carried
over: it could delete what others keep."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from migrator.layout import Rule
from migrator.settings.compare import SIZE_LIMIT, USUAL_LIMIT, canonical_rule
from migrator.settings.kinds import (
    LIFECYCLE,
    MALFORMED,
    UNKNOWN_FORM,
    Agreed,
    Document,
    Lake,
    Told,
    mappings,
    new_name,
    plain,
)
from migrator.settings.places import Place, others_at, overlap, places_of, shared_with, whole_rules

MOST_RULES = 1000
"""The rules that one bucket may have."""
LONGEST_ID = 255
KEPT_FOLDERS = ("warehouse", "checkpoints")
"""Folders and old buckets whose objects are never to be deleted by age: one old file may be what a table needs."""
ABORT = "AbortIncompleteMultipartUpload"
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
_ACTIONS = ("Expiration", "Transitions", "NoncurrentVersionExpiration", "NoncurrentVersionTransitions", ABORT)
_KNOWN = {"ID", "Status", "Prefix", "Filter", *_ACTIONS}
_LIMITS = {"Prefix", "Tag", "And", "Tags", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}


def translate_lifecycle(lake: Lake, told: Told) -> Document | None:
    """The lifecycle of the target with the rules of the old buckets added."""
    target = lake.layout.target_bucket
    document = plain(lake.target.get(LIFECYCLE) or {})
    try:
        present = mappings(document.get("Rules", []))
        known = [canonical_rule(rule) for rule in present]
    except MALFORMED:
        told.block(target, f"its present rules cannot be kept: {UNKNOWN_FORM}")
        return lake.target.get(LIFECYCLE)
    rules = list(present)
    agreed: Agreed = {}
    for bucket, old in lake.having(LIFECYCLE):
        list(_translated(lake, Told(LIFECYCLE), bucket, old, agreed))
    for bucket, old in lake.having(LIFECYCLE):
        _name_minimum_size(told, bucket, old, document)
        for rule in _translated(lake, told, bucket, old, agreed):
            if canonical_rule(rule) in known:
                continue
            if _has_other(present, rule):
                told.block(target, "the target has another rule of this ID", _part(rule), "Rename or remove that rule.")
                continue
            rule["ID"] = new_name(rule["ID"], (str(other.get("ID")) for other in rules), LONGEST_ID)
            rules.append(rule)
            known.append(canonical_rule(rule))
    if len(rules) > MOST_RULES:
        told.block(target, f"it would have {len(rules):,} rules; a bucket takes {MOST_RULES:,}")
    if any("Days" in (rule.get("Expiration") or {}) for rule in rules[len(present) :]):
        told.info(target, "the age of a copy counts from when it was copied: what expires, expires that much later")
    return {**document, "Rules": rules} if rules else lake.target.get(LIFECYCLE)


def _has_other(present: list[dict[str, Any]], rule: Mapping[str, Any]) -> bool:
    return any(str(other.get("ID")) == rule["ID"] for other in present)


def _part(rule: Mapping[str, Any]) -> str:
    return f"rule {str(rule.get('ID') or 'without an ID')!r}"


def _name_minimum_size(told: Told, bucket: str, old: Document, document: Document) -> None:
    if old.get(SIZE_LIMIT, USUAL_LIMIT) != document.get(SIZE_LIMIT, USUAL_LIMIT):
        told.warn(bucket, f"{SIZE_LIMIT} is one for the whole bucket, and the target has another")


def _translated(lake: Lake, told: Told, bucket: str, old: Document, agreed: Agreed) -> Iterator[dict[str, Any]]:
    """The rules of one old bucket as they are to be at the target. What it has in common with others is added to
    ``agreed``, so everything is translated twice."""
    try:
        rules = mappings(plain(old["Rules"]))
    except MALFORMED:
        told.warn(bucket, UNKNOWN_FORM)
        return
    for number, rule in enumerate(rules, 1):
        try:
            yield from _of_rule(lake, told, bucket, {**rule, "ID": rule.get("ID") or f"rule-{number}"}, agreed)
        except MALFORMED:
            told.warn(bucket, UNKNOWN_FORM, _part(rule))


def _of_rule(lake: Lake, told: Told, bucket: str, rule: dict[str, Any], agreed: Agreed) -> list[dict[str, Any]]:
    if unknown := sorted({*rule} - _KNOWN):
        told.warn(bucket, f"it has {', '.join(unknown)}, which migrator does not know", _part(rule))
        return []
    if lake.minio and ABORT in rule:
        told.warn(
            bucket,
            "MinIO takes no rule that removes open uploads: it removes them itself after a day (stale_uploads_expiry)",
            _part(rule),
        )
        del rule[ABORT]
    if not any(rule.get(action) for action in _ACTIONS):
        if not lake.minio:
            told.warn(bucket, "it has no action that migrator knows", _part(rule))
        return []
    prefix, limits = limits_of(rule)
    places = places_of(lake, bucket, prefix)
    if not places:
        told.info(bucket, "nothing below its prefix moves", _part(rule))
    made = [_at(lake, told, bucket, rule, place, whole_rules(places), limits, agreed) for place in places]
    for place, one in zip(places, made, strict=True):
        if one is not None:
            one["ID"] = f"{bucket}-{rule['ID']}{f'-{place.prefix}' if len(places) > 1 else ''}"[: LONGEST_ID - 8]
    return [one for one in made if one is not None]


def limits_of(rule: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The prefix of a rule, and its other limits as the elements of an ``And``. Raises ValueError for unknown ones."""
    given = dict(rule.get("Filter") or {})
    both = dict(given.get("And") or {})
    if {*given, *both} - _LIMITS:
        raise ValueError("unknown limits")
    prefixes = [str(one) for one in (rule.get("Prefix"), given.get("Prefix"), both.get("Prefix")) if one]
    tags = [*mappings(both.get("Tags") or []), *([dict(given["Tag"])] if given.get("Tag") else [])]
    limits: dict[str, Any] = {"Tags": tags} if tags else {}
    for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"):
        if (size := both.get(name, given.get(name))) is not None:
            limits[name] = int(size)
    if len(set(prefixes)) > 1:
        raise ValueError("several prefixes")
    return (prefixes[0] if prefixes else ""), limits


def filter_of(prefix: str, limits: Mapping[str, Any]) -> dict[str, Any]:
    """The filter of a rule with this prefix and these limits."""
    return {"And": {"Prefix": prefix, **limits}} if limits else {"Prefix": prefix}


def _at(
    lake: Lake,
    told: Told,
    bucket: str,
    rule: Mapping[str, Any],
    place: Place,
    own: set[Rule],
    limits: Mapping[str, Any],
    agreed: Agreed,
) -> dict[str, Any] | None:
    """The rule for one place; None if it must not be there."""
    part = f"{_part(rule)} below {place.prefix}"
    if not place.prefix:
        told.block(bucket, "it would hold for the whole target bucket", _part(rule), "Give the bucket a prefix.")
        return None
    rest = {key: value for key, value in rule.items() if key not in ("Filter", "Prefix")}
    made = {**rest, "Filter": filter_of(place.prefix, limits)}
    alike = agreed.setdefault(json.dumps(canonical_rule(made), sort_keys=True), set())
    alike.add(place.rule)
    if others := others_at(lake, place, own | alike):
        told.warn(bucket, shared_with(others), part, f"If it may: --shared {place.prefix}")
        return None
    if (does := _takes_away(rule)) and not lake.decisions.expire_tables and (kept := kept_below(lake, place.prefix)):
        told.block(bucket, f"it {does}, also of {kept}", part, "If you want that: --expire-tables.")
        return None
    return made


def _takes_away(rule: Mapping[str, Any]) -> str:
    """What a rule does to current objects that a table could not bear; "" if nothing, or if it is not enabled."""
    if rule.get("Status") != "Enabled":
        return ""
    expiration = rule.get("Expiration") or {}
    if "Days" in expiration or "Date" in expiration:
        return "deletes objects by age"
    moves = mappings(rule.get("Transitions") or [])
    return "moves objects to an archive" if any(move.get("StorageClass") in _ARCHIVES for move in moves) else ""


def kept_below(lake: Lake, prefix: str) -> str:
    """A folder of tables or checkpoints in which objects begin with this prefix; "" if there is none."""
    named = [f"{name}/" for name in KEPT_FOLDERS]
    named += [f"{rule.target}/" for rule in lake.layout.rules if rule.bucket in KEPT_FOLDERS and rule.target]
    return next((folder for folder in (*named, *lake.tables) if overlap(folder, prefix)), "")
