"""Where the objects below an old prefix lie in the target, and which other old places have objects there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from migrator.layout import Rule
from migrator.settings.kinds import Lake

OF_PATTERNS = frozenset("*?$")
"""Characters with a meaning in the resources and conditions of policies."""


@dataclass(frozen=True, slots=True)
class Place:
    """Objects below an old prefix that one rule moves. ``prefix``: the beginning of their keys in the target.
    ``whole``: these are all objects of the rule."""

    rule: Rule
    prefix: str
    whole: bool


def below(rule: Rule) -> str:
    """The beginning of the old keys of a rule."""
    return f"{rule.prefix}/" if rule.prefix else ""


def base(rule: Rule) -> str:
    """The beginning of the new keys of a rule."""
    return f"{rule.target}/" if rule.target else ""


def places_of(lake: Lake, bucket: str, prefix: str) -> list[Place]:
    """Where the objects of a bucket go whose keys begin with ``prefix``, which need not end at a slash. Those that stay
    are left out."""
    rules = [rule for rule in lake.layout.rules if rule.bucket == bucket]
    around = [rule for rule in rules if prefix.startswith(below(rule))]
    nearest = max(around, key=lambda rule: len(rule.prefix), default=None)
    found = []
    for rule in rules:
        if rule.target is None:
            continue
        if below(rule).startswith(prefix):
            found.append(Place(rule, base(rule), whole=True))
        elif rule is nearest:
            found.append(Place(rule, base(rule) + prefix[len(below(rule)) :], whole=False))
    return found


def others_at(lake: Lake, place: Place, own: Collection[Rule]) -> list[str]:
    """The old places of other rules than ``own`` whose objects may lie at ``place``, too: a setting for ``place`` would
    apply to them. Empty if the user has allowed that."""
    if any(place.prefix.startswith(shared) for shared in lake.decisions.shared if shared):
        return []
    return [
        rule.source
        for rule in lake.layout.rules
        if rule.target is not None
        and rule not in own
        and rule != place.rule
        and (rule.bucket, rule.prefix) not in lake.unused
        and overlap(base(rule), place.prefix)
    ]


def others_of_key(lake: Lake, bucket: str, old: str, new: str) -> list[str]:
    """The other old places from which an object would go to the same new key as ``bucket``/``old``."""
    if any(new.startswith(shared) for shared in lake.decisions.shared if shared):
        return []
    found = []
    for place in lake.layout.sources_of(new):
        rule = lake.layout.rule_for(*place)
        if rule is not None and place != (bucket, old) and (rule.bucket, rule.prefix) not in lake.unused:
            found.append(rule.source)
    return found


def whole_rules(places: Collection[Place]) -> set[Rule]:
    """The rules whose objects are all at these places."""
    return {place.rule for place in places if place.whole}


def overlap(one: str, other: str) -> bool:
    """True if a key may begin with both prefixes."""
    return one.startswith(other) or other.startswith(one)


def shared_with(others: list[str]) -> str:
    """The reason not to carry something over to a place that others share."""
    return f"it would also apply to the objects of {', '.join(sorted(set(others))[:3])}, which go to the same place"


def pattern_places(lake: Lake, bucket: str, pattern: str) -> list[tuple[Place, str]] | None:
    """Where the keys that match a pattern of a policy go: each place, and the pattern of the new keys. None if the
    pattern cannot be translated: it has a wildcard that matches several rules."""
    at = min((pattern.find(char) for char in OF_PATTERNS if char in pattern), default=-1)
    if at < 0:
        rule = lake.layout.rule_for(bucket, pattern)
        key = lake.layout.map_key(bucket, pattern)
        return [] if rule is None or key is None else [(Place(rule, key, whole=False), key)]
    literal, rest = pattern[:at], pattern[at:]
    places = places_of(lake, bucket, literal)
    if rest == "*":
        return [(place, f"{place.prefix}*") for place in places]
    if not places:
        return []
    if len(places) > 1 or not literal.startswith(below(places[0].rule)):
        return None
    return [(places[0], places[0].prefix + rest)]
