"""Finds tables whose locations would overlap at the target.

Engines drop a table's location as a whole, and delete files in it that the table does not name. A table inside another
one's location would lose its files. So locations that do not overlap in the old buckets must not overlap at the target.
Tables that overlap in the old buckets already may do so in the same way at the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from migrator.findings import Finding, first_of
from migrator.inventory.advice import Rules
from migrator.layout import Layout, Location
from migrator.layout.recorded import folder_of
from migrator.planfile.file import PlanFile

MOST_PAIRS = 50
"""How many pairs of tables are named one by one; the rest are counted."""

EQUAL, INSIDE, AROUND = "equal", "inside", "around"

PATHS = (
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
)
"""Properties that name a further folder of a table."""


@dataclass
class Claim:
    """The folders that one table uses at the target."""

    label: str
    uuid: str | None
    named: bool
    """True if a catalog names it."""
    lives: bool
    """True if it lives at the target already."""
    places: list[tuple[str, str]]
    """Old URI and new URI of its location and of the other folders that it writes to."""
    former: list[str] = field(default_factory=list)
    """Where a table that lives at the target was before."""
    came_before: bool = False
    """True if an earlier migration wrote some of its metadata to the target."""
    moves: bool = True
    """False for a table that is not part of this wave."""


def claim_of(
    label: str,
    uuid: str | None,
    location: str,
    properties: Mapping[str, str],
    layout: Layout,
    *,
    named: bool,
    lives: bool = False,
    former: Iterable[str] = (),
    came_before: bool = False,
) -> Claim:
    """The claim of a table with this location and these properties."""
    olds = [location, *(properties[name] for name in PATHS if name in properties)]
    at = layout.place_of(location)
    if at is not None:  # a rule for a folder below the location gives the table one more place
        olds += [rule.source for rule in layout.rules if rule.bucket == at.bucket and _is_below(rule.prefix, at.key)]
    mapped = ((old, layout.map_uri(old)) for old in dict.fromkeys(olds))
    places = [(old, new) for old, new in mapped if new is not None]
    return Claim(label, uuid, named, lives, places, list(former), came_before)


def find_overlaps(plan: PlanFile, layout: Layout, claims: list[Claim], rules: Rules) -> None:
    """Add a blocking finding for every two tables that would overlap at the target and do not now."""
    pairs = dict.fromkeys(_overlaps(claims))
    for (one, other), count in first_of([*pairs], MOST_PAIRS):
        a, b = claims[one], claims[other]
        old, new = a.places[0] if a.places else ("", "")
        there = b.places[0] if b.places else ("", "")
        message = (
            f"{a.label} (now at {old}) and {b.label} (now at {there[0]}) become one place, or one inside the other: "
            f"{new} and {there[1]}"
        )
        move = "Give one of them a rule of its own in [layout]."
        rule = _parting(claims, one, other, layout, rules)
        if rule is not None:
            move = f"Give one of them another place, with this rule in [layout]: {rule}"
        plan.add_finding(Finding.of("tables-overlap", new, message, move, count=count))


def _parting(claims: list[Claim], one: int, other: int, layout: Layout, rules: Rules) -> str | None:
    """A rule that moves one of the two tables so that they no longer overlap; None if there is none."""
    for moved in (other, one):
        claim = claims[moved]
        if claim.lives or not claim.places:
            continue
        for old, _ in claim.places:
            proposed = rules.elsewhere(old)
            if proposed is None:
                continue
            text, changed = proposed
            again = [*claims]
            again[moved] = replace(claim, places=[(at, changed.map_uri(at) or new) for at, new in claim.places])
            if not any({one, other} == set(pair) for pair in _overlaps(again, only=moved)):
                return text
    return None


def _overlaps(claims: list[Claim], only: int | None = None) -> Iterator[tuple[int, int]]:
    """The pairs of tables, by number, that overlap at the target in a way in which they do not overlap now.
    ``only``: yield only pairs with this table."""
    entries = []
    for number, claim in enumerate(claims):
        for which, (_, new) in enumerate(claim.places):
            folder = _folder(new)
            if folder is not None:
                entries.append((folder, number, which))
    entries.sort()
    around: list[tuple[tuple[str, str], int, int]] = []
    for entry in entries:
        while around and relation(entry[0], around[-1][0]) is None:
            around.pop()
        for outer in around:
            pair = (outer[1], entry[1])
            if pair[0] == pair[1] or (only is not None and only not in pair):
                continue
            if not claims[pair[0]].moves and not claims[pair[1]].moves:
                continue
            if _is_new(claims[pair[0]], outer[2], claims[pair[1]], entry[2]):
                yield min(pair), max(pair)
        around.append(entry)


def _is_new(a: Claim, place_a: int, b: Claim, place_b: int) -> bool:
    """True if these two places did not overlap in this way in the old buckets."""
    if a.lives and b.lives:
        return False
    same = a.uuid is not None and a.uuid == b.uuid
    if same and (a.lives or b.lives):
        return False  # the table and its own old copy, which are compared elsewhere
    (old_a, new_a), (old_b, new_b) = a.places[place_a], b.places[place_b]
    now = relation(_folder(new_a), _folder(new_b))
    comer = b if a.lives else a
    if (a.lives or b.lives) and comer.named and not comer.came_before:
        return True  # a new table, created where the other one was before it moved
    olds_a = a.former if a.lives else [old_a]
    olds_b = b.former if b.lives else [old_b]
    return not any(relation(_folder(x), _folder(y)) == now for x in olds_a for y in olds_b)


def relation(a: tuple[str, str] | None, b: tuple[str, str] | None) -> str | None:
    """How two folders (bucket, key with a slash at its end) overlap; None if they do not."""
    if a is None or b is None or a[0] != b[0]:
        return None
    if a[1] == b[1]:
        return EQUAL
    if a[1].startswith(b[1]):
        return INSIDE
    return AROUND if b[1].startswith(a[1]) else None


def _folder(uri: str) -> tuple[str, str] | None:
    at = Location.parse(uri)
    if at is None:
        return folder_of(uri)
    key = at.collapsed.key.rstrip("/")
    return at.bucket, f"{key}/" if key else ""


def _is_below(prefix: str, key: str) -> bool:
    key = key.strip("/")
    return prefix != key and (not key or prefix.startswith(f"{key}/"))
