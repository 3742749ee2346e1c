"""Finding and replacing target fields, record by record."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from migrator.errors import Unreadable
from migrator.iceberg.avro.matchers import MOST_NOTED, MOST_SPELLED, BranchMatcher, Matcher, matcher_of
from migrator.iceberg.avro.schema import Type
from migrator.iceberg.avro.values import decoder_of, encode
from migrator.iceberg.malformed import Malformed


@dataclass(frozen=True, eq=False)
class Target:
    """A field to read or replace: by its Iceberg field id, or by its name if the schema has no id for it.

    ``kind`` is its required type, apart from null: "string", "long" (or int), "bytes", "bounds" (an array of
    int key and bytes value) or "any". ``parent`` is the top-level record field that contains it.
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
    """The index of the target's field: the one with its id, else one with its name and without an id."""
    for index, member in enumerate(record.fields):
        if member.id == target.id:
            return index
    for index, member in enumerate(record.fields):
        if member.id is None and member.name == target.name:
            return index
    return None


class _Known(dict[bytes, Any]):
    """A cache of decoded values. Looking up a cached value takes no function call."""

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        self._decode = decode

    def __missing__(self, raw: bytes) -> Any:
        value = self._decode(raw)
        if len(self) < MOST_NOTED and not isinstance(value, list):
            self[raw] = value
        return value


class _TargetField:
    """A target's field in a schema."""

    def __init__(self, number: int, made_of: Type) -> None:
        self.number = number
        """The number of its span in a record."""
        self.type = made_of
        self._decode = decoder_of(made_of)
        self.known = _Known(self._decode)
        """Bytes → value. Raises Malformed for bytes that are not a value."""

    @property
    def decode(self) -> Callable[[bytes], Any]:
        """The fastest decoder for many values: the cache, or the plain decoder if the field has many different values,
        such as paths. Call this again from time to time."""
        return self.known.__getitem__ if len(self.known) < MOST_NOTED else self._decode


class RecordScanner:
    """Finds the spans of some targets in records of one schema.

    It may be used for many files and by several threads. The first records are read field by field; then it compiles
    a regular expression from them, which most later records match.
    """

    def __init__(self, schema: Type, targets: Sequence[Target]) -> None:
        """Raises Malformed if a required target is missing or a target has a wrong type."""
        if schema.kind != "record":
            raise Malformed(f"its records are of the type {schema.kind}")
        self.fields: dict[Target, _TargetField] = {}
        """The targets that the schema has, in the order of the file."""
        self._steps: list[tuple[Matcher, bool]] = []
        """A matcher for each field, in the order of the file, and whether the field is a target."""
        self._match: Callable[[bytes, int], re.Match[bytes] | None] = lambda data, pos: None
        self._stepped = 0
        self._compile_after = _FIRST_COMPILE_AFTER
        self._add(schema, targets, None)
        for target in targets:
            if target.required and target not in self.fields:
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
                self.fields[target] = _TargetField(len(self.fields) + 1, member.type)
            self._steps.append((matcher_of(member.type), target is not None))

    def _enter(self, made_of: Type, targets: Sequence[Target], parent: Target) -> None:
        inner = without_null(made_of)
        if inner.kind != "record":
            raise Malformed(f"field {parent.id} {parent.name} has the type {inner.kind}")
        if made_of.kind == "union":
            otherwise = f"field {parent.id} {parent.name} is null"
            self._steps.append((BranchMatcher(made_of.parts.index(inner), otherwise), False))
        self._add(inner, targets, parent)

    def scan(self, data: bytes, pos: int) -> Spans:
        """The record at ``pos`` and its targets. Raises Malformed if it does not fit the data."""
        return self._match(data, pos) or self._step(data, pos)

    def _step(self, data: bytes, pos: int) -> Spans:
        spans = [(pos, pos)]
        try:
            for matcher, is_target in self._steps:
                start = pos
                pos = matcher.skip(data, pos)
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
        if self._stepped >= self._compile_after:
            self._compile()
        return _SteppedSpans(data, spans)

    def _compile(self) -> None:
        """Compile the patterns of the records read so far, and double the number of records before the next time."""
        self._stepped = 0
        self._compile_after *= 2
        pattern = b"".join(b"(%b)" % m.pattern() if is_target else m.pattern() for m, is_target in self._steps)
        if len(pattern) > 4 * MOST_SPELLED:
            return
        with suppress(RecursionError):
            self._match = re.compile(pattern, re.DOTALL).match


_FIRST_COMPILE_AFTER = 64
"""How many records are read field by field before the first pattern is compiled. Compiling takes as long as reading
a hundred records."""


class _SteppedSpans:
    """The spans of a record that was read field by field, with the methods of ``re.Match``."""

    def __init__(self, string: bytes, spans: list[tuple[int, int]]) -> None:
        self.string = string
        self._spans = spans

    def span(self, number: int) -> tuple[int, int]:
        return self._spans[number]

    def group(self, number: int) -> bytes:
        start, end = self._spans[number]
        return self.string[start:end]

    def groups(self) -> tuple[bytes, ...]:
        return tuple(self.string[start:end] for start, end in self._spans[1:])

    def end(self) -> int:
        return self._spans[0][1]


Spans = re.Match[bytes] | _SteppedSpans
"""The span of a record (number 0) and the spans of its targets."""


class Record:
    """The targets of one record: their spans, and the new values that replace them."""

    __slots__ = ("edits", "place", "scanner", "spans")

    def __init__(self, scanner: RecordScanner, spans: Spans, place: str) -> None:
        self.scanner = scanner
        self.spans = spans
        self.place = place
        self.edits: dict[int, bytes] = {}
        """Number of a span → the bytes that replace it."""

    def get(self, target: Target) -> Any:
        """The value as it is in the file; None if it is null or the schema has no such field.

        Not for targets of kind "any". Raises Unreadable for text that is not UTF-8.
        """
        field = self.scanner.fields.get(target)
        if field is None:
            return None
        try:
            return field.known[self.spans.group(field.number)]
        except Malformed as fault:
            raise Unreadable(self.place, f"field {target.id} {target.name}: {fault}") from fault

    def put(self, target: Target, value: Any) -> None:
        """Replace the value of a field that the schema has; None only if it is :meth:`nullable`."""
        field = self.scanner.fields[target]
        new = encode(field.type, value)
        if new != self.spans.group(field.number):
            self.edits[field.number] = new

    def nullable(self, target: Target) -> bool:
        """True if the schema has the field and its type allows null."""
        field = self.scanner.fields.get(target)
        return field is not None and any(b.kind == "null" for b in field.type.parts)

    def splice(self, pieces: list[bytes], kept: int) -> int:
        """Add the data from ``kept`` to the end of the last edit, with the new values in it; returns that end."""
        edits = self.edits.items()
        for number, new in sorted(edits) if len(edits) > 1 else edits:
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
