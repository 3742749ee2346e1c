"""The fields asked for, found and edited record by record."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from migrator.errors import Unreadable
from migrator.iceberg.avro.places import MOST_NOTED, MOST_SPELLED, Branch, Place, place_of
from migrator.iceberg.avro.schema import Type
from migrator.iceberg.avro.values import decode, encode
from migrator.iceberg.malformed import Malformed


@dataclass(frozen=True, eq=False)
class Target:
    """A field to read or replace: by its Iceberg field id, or by its name where the schema has no id for it.

    ``kind`` is what its type must be, null aside: "string", "long" (or int), "bytes", "bounds" (an array of
    int key and bytes value) or "any". ``parent`` is the record field of the top level that holds it.
    """

    id: int
    name: str
    kind: str
    required: bool = False
    parent: Target | None = None


def _is_bounds(made_of: Type) -> bool:
    item = without_null(made_of.parts[0]) if made_of.kind == "array" else made_of
    if len(item.fields) != 2:
        return False
    key, value = (without_null(f.type) for f in item.fields)
    return key.kind in {"int", "long"} and value.kind == "bytes"


def without_null(made_of: Type) -> Type:
    """The one branch of an optional type that is not null; any other type as it is."""
    values = [b for b in made_of.parts if b.kind != "null"] if made_of.kind == "union" else []
    return values[0] if len(values) == 1 else made_of


def _check(target: Target, made_of: Type) -> None:
    value = without_null(made_of)
    fits = {
        "string": value.kind == "string",
        "long": value.kind in {"int", "long"},
        "bytes": value.kind == "bytes",
        "bounds": _is_bounds(value),
        "any": True,
    }
    if not fits[target.kind]:
        raise Malformed(f"field {target.id} {target.name} has the type {value.kind}")


def _find(record: Type, target: Target) -> int | None:
    """The index of the target's field: its id decides, the name only counts for a field without id."""
    for index, member in enumerate(record.fields):
        if member.id == target.id:
            return index
    for index, member in enumerate(record.fields):
        if member.id is None and member.name == target.name:
            return index
    return None


class _Found:
    """A target's field in a schema."""

    def __init__(self, number: int, made_of: Type) -> None:
        self.number = number
        """Of its span in a record."""
        self.type = made_of
        self.known: dict[bytes, Any] = {}
        """Some values that were decoded before."""

    def decode(self, raw: bytes) -> Any:
        value = decode(self.type, raw, 0)[0]
        if len(self.known) < MOST_NOTED and not isinstance(value, list):
            self.known[raw] = value
        return value


class Walk:
    """A schema compiled for some targets: a list of steps over the top-level record and the parents in it.

    It may be used for many files and by several threads; it gets faster as it learns what the records are like.
    """

    def __init__(self, schema: Type, targets: Sequence[Target]) -> None:
        """Raises Malformed if a required target is missing or a target has a type that it cannot have."""
        if schema.kind != "record":
            raise Malformed(f"its records are of the type {schema.kind}")
        self.found: dict[Target, _Found] = {}
        """The targets that the schema has, in the order of the file."""
        self._steps: list[tuple[Place, bool]] = []
        """Places in the order of the file, and whether they are targets."""
        self._match: Callable[[bytes, int], re.Match[bytes] | None] = lambda data, pos: None
        self._stepped = 0
        self._patience = _PATIENCE
        self._add(schema, targets, None)
        for target in targets:
            if target.required and target not in self.found:
                raise Malformed(f"its schema has no field {target.id} {target.name}")

    def _add(self, record: Type, targets: Sequence[Target], parent: Target | None) -> None:
        here = {_find(record, t): t for t in targets if t.parent is parent}
        parents = {_find(record, t.parent): t.parent for t in targets if t.parent and t.parent.parent is parent}
        for index, member in enumerate(record.fields):
            if index in parents:
                self._enter(member.type, targets, parents[index])
                continue
            target = here.get(index)
            if target is not None:
                _check(target, member.type)
                self.found[target] = _Found(len(self.found) + 1, member.type)
            self._steps.append((place_of(member.type), target is not None))

    def _enter(self, made_of: Type, targets: Sequence[Target], parent: Target) -> None:
        inner = without_null(made_of)
        if inner.kind != "record":
            raise Malformed(f"field {parent.id} {parent.name} has the type {inner.kind}")
        if made_of.kind == "union":
            otherwise = f"field {parent.id} {parent.name} is null"
            self._steps.append((Branch(made_of.parts.index(inner), otherwise), False))
        self._add(inner, targets, parent)

    def record(self, data: bytes, pos: int) -> Spans:
        """The record at ``pos`` and its targets. Raises Malformed if it does not fit the data."""
        return self._match(data, pos) or self._step(data, pos)

    def _step(self, data: bytes, pos: int) -> Spans:
        spans = [(pos, pos)]
        try:
            for place, is_target in self._steps:
                start = pos
                pos = place.skip(data, pos)
                if is_target:
                    spans.append((start, pos))
        except IndexError:
            pos = len(data) + 1
        except RecursionError:
            raise Malformed("its records are nested too deeply") from None
        if pos > len(data):
            raise Malformed("a record runs over the end of its block")
        spans[0] = (spans[0][0], pos)
        self._stepped += 1
        if self._stepped >= self._patience:
            self._learn()
        return _Stepped(data, spans)

    def _learn(self) -> None:
        """Compile what was noted. Each time waits for twice as many new records as the last: compiling is slow."""
        self._stepped = 0
        self._patience *= 2
        pattern = b"".join(b"(%b)" % p.pattern() if is_target else p.pattern() for p, is_target in self._steps)
        if len(pattern) > 4 * MOST_SPELLED:
            return
        with suppress(RecursionError):
            self._match = re.compile(pattern, re.DOTALL).match


_PATIENCE = 64
"""Records that are stepped through before the first pattern is made, which takes as long as a hundred of them."""


class _Stepped:
    """What stepping through a record found, in the manner of ``re.Match``."""

    def __init__(self, string: bytes, spans: list[tuple[int, int]]) -> None:
        self.string = string
        self._spans = spans

    def span(self, number: int) -> tuple[int, int]:
        return self._spans[number]

    def group(self, number: int) -> bytes:
        start, end = self._spans[number]
        return self.string[start:end]

    def end(self) -> int:
        return self._spans[0][1]


Spans = re.Match[bytes] | _Stepped
"""The span of a record, number 0, and those of its targets."""

_UNKNOWN = object()


class Record:
    """The targets of one record: where they lie, and what is to stand there instead."""

    __slots__ = ("edits", "place", "spans", "walk")

    def __init__(self, walk: Walk, spans: Spans, place: str) -> None:
        self.walk = walk
        self.spans = spans
        self.place = place
        self.edits: dict[int, bytes] = {}
        """Number of a span → the bytes to stand there."""

    def get(self, target: Target) -> Any:
        """The value as it is in the file; None if it is null or the schema has no such field.

        Not for targets of kind "any". Raises Unreadable for text that is not UTF-8.
        """
        found = self.walk.found.get(target)
        if found is None:
            return None
        raw = self.spans.group(found.number)
        value = found.known.get(raw, _UNKNOWN)
        if value is not _UNKNOWN:
            return value
        try:
            return found.decode(raw)
        except Malformed as fault:
            raise Unreadable(self.place, f"field {target.id} {target.name}: {fault}") from fault

    def put(self, target: Target, value: Any) -> None:
        """Replace the value of a field that the schema has; None only where :meth:`nullable`."""
        found = self.walk.found[target]
        new = encode(found.type, value)
        if new != self.spans.group(found.number):
            self.edits[found.number] = new

    def nullable(self, target: Target) -> bool:
        """True if the schema has the field and lets it be null."""
        found = self.walk.found.get(target)
        return found is not None and any(b.kind == "null" for b in found.type.parts)

    def splice(self, pieces: list[bytes], kept: int) -> int:
        """Add the data from ``kept`` to the end of the last edit, with the new values in it; returns that end."""
        for number, new in sorted(self.edits.items()):
            start, end = self.spans.span(number)
            pieces += self.spans.string[kept:start], new
            kept = end
        return kept

    def edited(self) -> bytes:
        """The whole record, with the new values in it."""
        pieces: list[bytes] = []
        start, end = self.spans.span(0)
        kept = self.splice(pieces, start)
        return b"".join([*pieces, self.spans.string[kept:end]])
