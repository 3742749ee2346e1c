"""Notifications: each one gets the target prefix in its filter. S3 refuses two that overlap, so overlaps are detected
here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from migrator.settings.compare import same
from migrator.settings.kinds import (
    MALFORMED,
    NOTIFICATIONS,
    UNKNOWN_FORM,
    Document,
    Lake,
    Notes,
    mappings,
    new_name,
    plain,
)
from migrator.settings.places import Place, others_at, overlap, places_of, shared_with, whole_rules

KINDS = {
    "TopicConfigurations": "TopicArn",
    "QueueConfigurations": "QueueArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
}
"""The lists of a document, and the element with the destination of a notification."""
_BRIDGE = "EventBridgeConfiguration"


def translate_notifications(lake: Lake, notes: Notes) -> Document | None:
    """The notifications of the target with those of the old buckets added."""
    target, present = lake.layout.target_bucket, lake.target.get(NOTIFICATIONS)
    wanted: dict[str, Any] = dict(plain(present or {}))
    try:
        known = [("", kind, one) for kind in KINDS for one in mappings(wanted.get(kind, []))]
        limits = [limits_of(one) for _, _, one in known]
    except MALFORMED:
        notes.block(target, f"its present notifications cannot be kept: {UNKNOWN_FORM}")
        return present
    mine = list(known)
    for bucket, old in lake.having(NOTIFICATIONS):
        for kind, one in _translated(lake, notes, bucket, old):
            if any(kind == other and _equal(kind, one, theirs) for _, other, theirs in known):
                continue
            if any(str(theirs.get("Id")) == one["Id"] for source, _, theirs in known if not source):
                notes.block(target, "the target has another notification of this Id", one["Id"], "Rename that one.")
                continue
            one["Id"] = new_name(one["Id"], (str(theirs.get("Id")) for _, _, theirs in known), 255)
            for (source, _, theirs), theirs_limits in zip(known, limits, strict=True):
                if source != bucket and _overlapping(one, limits_of(one), theirs, theirs_limits):
                    notes.block(bucket, f"it overlaps with {theirs.get('Id')!r}, which S3 refuses", one["Id"])
            known.append((bucket, kind, one))
            limits.append(limits_of(one))
            wanted.setdefault(kind, []).append(one)
    if lake.elsewhere and len(known) > len(mine):
        notes.warn(
            target, "the target is on another server or account: check whether the queues and topics can be reached"
        )
    _bridge(lake, notes, wanted)
    return wanted or None


def _bridge(lake: Lake, notes: Notes, wanted: dict[str, Any]) -> None:
    if _BRIDGE in wanted:
        return
    having = [bucket for bucket, old in lake.having(NOTIFICATIONS) if _BRIDGE in old]
    if having and set(having) == set(lake.old):
        wanted[_BRIDGE] = {}
    else:
        for bucket in having:
            notes.warn(bucket, "it would apply to the objects of the other buckets, too", "EventBridge")


def _equal(kind: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    alike = [{kind: [{key: value for key, value in each.items() if key != "Id"}]} for each in (one, other)]
    return same(NOTIFICATIONS, *alike)


def limits_of(one: Mapping[str, Any]) -> dict[str, str]:
    """The prefix and the suffix of a notification. Raises ValueError for a filter of another kind."""
    given = dict(one.get("Filter") or {})
    rules = mappings(dict(given.pop("Key", None) or {}).get("FilterRules") or [])
    found = {str(rule["Name"]).lower(): str(rule.get("Value") or "") for rule in rules}
    if given or not {*found} <= {"prefix", "suffix"} or len(found) != len(rules):
        raise ValueError("unknown filter")
    return {"prefix": "", "suffix": "", **found}


def _translated(lake: Lake, notes: Notes, bucket: str, old: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """(list, notification) of one old bucket for the target."""
    for name in sorted({*old} - {*KINDS, _BRIDGE}):
        notes.warn(bucket, f"migrator does not know {name}")
    for kind, arn in KINDS.items():
        try:
            configured = mappings(plain(old.get(kind, [])))
        except MALFORMED:
            notes.warn(bucket, UNKNOWN_FORM, kind)
            continue
        for number, one in enumerate(configured, 1):
            part = str(one.get("Id") or f"{kind} {number}")
            try:
                if {*one} - {"Id", arn, "Events", "Filter"} or not one[arn]:
                    raise ValueError("unknown elements")
                name = f"{bucket}-{one.get('Id') or f'{arn}-{number}'}"[:240]
                for place, made in _at_places(lake, notes, bucket, one, part):
                    yield kind, {**made, "Id": name if place.prefix == "" else f"{name}-{place.prefix}"[:255]}
            except MALFORMED:
                notes.warn(bucket, UNKNOWN_FORM, part)


def _at_places(
    lake: Lake, notes: Notes, bucket: str, one: Mapping[str, Any], part: str
) -> Iterator[tuple[Place, dict[str, Any]]]:
    limits = limits_of(one)
    [str(event) for event in one["Events"]]
    places = places_of(lake, bucket, limits["prefix"])
    if not places:
        notes.info(bucket, "nothing below its prefix moves", part)
    for place in places:
        if others := others_at(lake, place, whole_rules(places)):
            notes.warn(bucket, shared_with(others), part, f"If it may: --shared {place.prefix}")
            continue
        rules = [{"Name": "prefix", "Value": place.prefix}] if place.prefix else []
        rules += [{"Name": "suffix", "Value": limits["suffix"]}] if limits["suffix"] else []
        yield place, {**one, "Filter": {"Key": {"FilterRules": rules}}} if rules else dict(one)


def _overlapping(
    one: Mapping[str, Any], limits: Mapping[str, str], other: Mapping[str, Any], other_limits: Mapping[str, str]
) -> bool:
    """True if one event at one key may match both."""
    suffixes = limits["suffix"], other_limits["suffix"]
    return (
        overlap(limits["prefix"], other_limits["prefix"])
        and (suffixes[0].endswith(suffixes[1]) or suffixes[1].endswith(suffixes[0]))
        and any(
            fnmatchcase(str(event), str(theirs)) or fnmatchcase(str(theirs), str(event))
            for event in one["Events"]
            for theirs in other.get("Events") or []
        )
    )
