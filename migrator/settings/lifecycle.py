"""Lifecycle rules: each old rule gets the target prefix in its filter. A rule that would also apply to other objects is
not carried over: it could delete objects that others keep."""

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
    Notes,
    mappings,
    new_name,
    plain,
)
from migrator.settings.places import Place, others_at, overlap, places_of, shared_with, whole_rules

MOST_RULES = 1000
"""The rules that one bucket may have."""
LONGEST_ID = 255
KEPT_FOLDERS = ("warehouse", "checkpoints")
"""Folders and old buckets whose objects are never to be deleted by age: a table may need one old file."""
ABORT = "AbortIncompleteMultipartUpload"
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
_ACTIONS = ("Expiration", "Transitions", "NoncurrentVersionExpiration", "NoncurrentVersionTransitions", ABORT)
_KNOWN = {"ID", "Status", "Prefix", "Filter", *_ACTIONS}
_LIMITS = {"Prefix", "Tag", "And", "Tags", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}


def translate_lifecycle(lake: Lake, notes: Notes) -> Document | None:
    """The lifecycle of the target with the rules of the old buckets added."""
    target = lake.layout.target_bucket
    document = plain(lake.target.get(LIFECYCLE) or {})
    try:
        present = mappings(document.get("Rules", []))
        known = [canonical_rule(rule) for rule in present]
    except MALFORMED:
        notes.block(target, f"its present rules cannot be kept: {UNKNOWN_FORM}")
        return lake.target.get(LIFECYCLE)
    rules = list(present)
    agreed: Agreed = {}
    for bucket, old in lake.having(LIFECYCLE):
        list(_translated(lake, Notes(LIFECYCLE), bucket, old, agreed))
    for bucket, old in lake.having(LIFECYCLE):
        _name_minimum_size(notes, bucket, old, document)
        for rule in _translated(lake, notes, bucket, old, agreed):
            if canonical_rule(rule) in known:
                continue
            if _has_other(present, rule):
                notes.block(
                    target, "the target has another rule of this ID", _part(rule), "Rename or remove that rule."
                )
                continue
            rule["ID"] = new_name(rule["ID"], (str(other.get("ID")) for other in rules), LONGEST_ID)
            rules.append(rule)
            known.append(canonical_rule(rule))
    if len(rules) > MOST_RULES:
        notes.block(target, f"it would have {len(rules):,} rules; a bucket may have {MOST_RULES:,}")
    if any("Days" in (rule.get("Expiration") or {}) for rule in rules[len(present) :]):
        notes.info(
            target, "the age of a copy counts from the time of copying, so copies expire later than their sources"
        )
    return {**document, "Rules": rules} if rules else lake.target.get(LIFECYCLE)


def _has_other(present: list[dict[str, Any]], rule: Mapping[str, Any]) -> bool:
    return any(str(other.get("ID")) == rule["ID"] for other in present)


def _part(rule: Mapping[str, Any]) -> str:
    return f"rule {str(rule.get('ID') or 'without an ID')!r}"


def _name_minimum_size(notes: Notes, bucket: str, old: Document, document: Document) -> None:
    if old.get(SIZE_LIMIT, USUAL_LIMIT) != document.get(SIZE_LIMIT, USUAL_LIMIT):
        notes.warn(bucket, f"{SIZE_LIMIT} applies to the whole bucket, and the target has another value")


def _translated(lake: Lake, notes: Notes, bucket: str, old: Document, agreed: Agreed) -> Iterator[dict[str, Any]]:
    """The rules of one old bucket for the target. Rules that other old buckets have, too, are added to ``agreed``, so
    everything is translated twice."""
    try:
        rules = mappings(plain(old["Rules"]))
    except MALFORMED:
        notes.warn(bucket, UNKNOWN_FORM)
        return
    for number, rule in enumerate(rules, 1):
        try:
            yield from _of_rule(lake, notes, bucket, {**rule, "ID": rule.get("ID") or f"rule-{number}"}, agreed)
        except MALFORMED:
            notes.warn(bucket, UNKNOWN_FORM, _part(rule))


def _of_rule(lake: Lake, notes: Notes, bucket: str, rule: dict[str, Any], agreed: Agreed) -> list[dict[str, Any]]:
    if unknown := sorted({*rule} - _KNOWN):
        notes.warn(bucket, f"it has {', '.join(unknown)}, which migrator does not know", _part(rule))
        return []
    if lake.minio and ABORT in rule:
        notes.warn(
            bucket,
            "MinIO accepts no rule that removes open uploads: it removes them itself after a day "
            "(stale_uploads_expiry)",
            _part(rule),
        )
        del rule[ABORT]
    if not any(rule.get(action) for action in _ACTIONS):
        if not lake.minio:
            notes.warn(bucket, "it has no action that migrator knows", _part(rule))
        return []
    prefix, limits = limits_of(rule)
    places = places_of(lake, bucket, prefix)
    if not places:
        notes.info(bucket, "nothing below its prefix moves", _part(rule))
    made = [_at(lake, notes, bucket, rule, place, whole_rules(places), limits, agreed) for place in places]
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
    notes: Notes,
    bucket: str,
    rule: Mapping[str, Any],
    place: Place,
    own: set[Rule],
    limits: Mapping[str, Any],
    agreed: Agreed,
) -> dict[str, Any] | None:
    """The rule for one place; None if the place must not have it."""
    part = f"{_part(rule)} below {place.prefix}"
    if not place.prefix:
        notes.block(bucket, "it would apply to the whole target bucket", _part(rule), "Give the bucket a prefix.")
        return None
    rest = {key: value for key, value in rule.items() if key not in ("Filter", "Prefix")}
    made = {**rest, "Filter": filter_of(place.prefix, limits)}
    alike = agreed.setdefault(json.dumps(canonical_rule(made), sort_keys=True), set())
    alike.add(place.rule)
    if others := others_at(lake, place, own | alike):
        notes.warn(bucket, shared_with(others), part, f"If it may: --shared {place.prefix}")
        return None
    if (does := _takes_away(rule)) and not lake.decisions.expire_tables and (kept := kept_below(lake, place.prefix)):
        notes.block(bucket, f"it {does}, also of {kept}", part, "If you want that: --expire-tables.")
        return None
    return made


def _takes_away(rule: Mapping[str, Any]) -> str:
    """How a rule deletes or archives current objects, which would break a table; "" if it does not, or if it is not
    enabled."""
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
