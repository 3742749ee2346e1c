"""Avro object container files, edited by splicing bytes.

A file is walked with the schema in its own header. Only the byte spans of the fields asked for are decoded
or replaced; the header, the sync marker, all other bytes of a record, and every block in which nothing
changed stay exactly as they were. So nothing that this module does not understand can be lost.

Layout (Avro specification, "Object Container Files"): magic, metadata map, sync marker; then blocks of
record count, byte length, compressed records, sync marker. A file that was cut exactly between two blocks
cannot be told from a complete one: compare the size with the one its parent records.

Inside the module faults are :class:`Malformed`; :class:`Container` turns them into ``Unreadable``.
"""

from __future__ import annotations

import bz2
import io
import json
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO, cast

import zstandard

from migrator.errors import Unreadable

MAGIC = b"Obj\x01"
_SYNC_SIZE = 16


class Malformed(Exception):
    """The bytes do not follow the Avro specification or the schema; the message says what is wrong."""


# --- numbers ---------------------------------------------------------------------------------------


def read_long(data: bytes, pos: int) -> tuple[int, int]:
    """The zigzag varint at ``pos`` and the position behind it. Raises IndexError at the end of the data."""
    byte = data[pos]
    pos += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), pos
    number = byte & 0x7F
    shift = 7
    while byte > 0x7F:
        if shift > 63:
            raise Malformed("a number is longer than ten bytes")
        byte = data[pos]
        pos += 1
        number |= (byte & 0x7F) << shift
        shift += 7
    return (number >> 1) ^ -(number & 1), pos


@lru_cache(maxsize=1024)
def write_long(number: int) -> bytes:
    """``number``, which must fit 64 bits, as a zigzag varint."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _read_bytes(data: bytes, pos: int) -> tuple[bytes, int]:
    size, pos = read_long(data, pos)
    if not 0 <= size <= len(data) - pos:
        raise Malformed(f"a value of {size} bytes does not fit the {len(data) - pos} that are left")
    return data[pos : pos + size], pos + size


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as fault:
        raise Malformed(f"a string is not UTF-8: {raw[:80]!r}") from fault


def _read_count(data: bytes, pos: int) -> tuple[int, int, int | None]:
    """The head of a block of array or map items: count, position behind it, and its end if it says so."""
    count, pos = read_long(data, pos)
    end = None
    if count < 0:  # the count is negated, and the size of the block in bytes follows
        size, pos = read_long(data, pos)
        count, end = -count, pos + size
    # Each item of a real file takes a byte at least; this keeps a damaged count from looping for ever.
    if count > len(data) - pos:
        raise Malformed(f"{count} items do not fit the {len(data) - pos} bytes that are left")
    return count, pos, end


# --- codecs ----------------------------------------------------------------------------------------


_MOST_BYTES = 1 << 30
"""In one block, compressed or not. Some writers put a whole manifest into one block: 100 MB are normal."""


def _deflate(data: bytes) -> bytes:
    # Level 1 is what Iceberg's Java writer uses for manifests.
    stream = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def _unpack(stream: Any, data: bytes) -> bytes:
    out: bytes = stream.decompress(data, _MOST_BYTES)
    # Bytes behind the end are normal: fastavro and pyiceberg leave part of the zlib checksum there.
    if not stream.eof:
        raise Malformed("the data ends too early, or is too large")
    return out


def unzstd(data: bytes) -> bytes:
    """All zstandard frames in ``data``. Raises Malformed when the last one is incomplete, or all are too large."""
    out: list[bytes] = []
    size = pos = 0
    while pos < len(data):
        stream = zstandard.ZstdDecompressor().decompressobj()
        while not stream.eof:
            sip = data[pos : pos + 4096]  # may become 100 MB: this decompressor cannot be told when to stop
            out.append(stream.decompress(sip))
            pos += len(sip)
            size += len(out[-1])
            if not sip or size > _MOST_BYTES:
                raise Malformed("zstandard data ends too early, or is too large")
        pos -= len(stream.unused_data)
    return b"".join(out)


def _unsnappy(data: bytes) -> bytes:
    body, checksum = data[:-4], data[-4:]
    size = shift = 0
    for byte in body[:5]:  # the raw snappy format opens with the size as a varint without zigzag
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > min(64 * len(body), _MOST_BYTES):  # snappy cannot compress better than about 1 : 21
        raise Malformed(f"snappy data announces {size} bytes")
    import pyarrow as pa  # late, since it takes long to import and few manifests are packed so

    try:
        out: bytes = pa.Codec("snappy").decompress(body, decompressed_size=size, asbytes=True)
    except pa.ArrowException as fault:
        raise Malformed(f"snappy data is damaged: {fault}") from fault
    if zlib.crc32(out).to_bytes(4, "big") != checksum:
        raise Malformed("snappy data does not have its checksum")
    return out


def _snappy(data: bytes) -> bytes:
    import pyarrow as pa  # late: see above

    body: bytes = pa.Codec("snappy").compress(data, asbytes=True)
    return body + zlib.crc32(data).to_bytes(4, "big")


def _verbatim(data: bytes) -> bytes:
    return data


_Transform = Callable[[bytes], bytes]
_CODECS: dict[str, tuple[_Transform, _Transform]] = {
    "null": (_verbatim, _verbatim),
    "deflate": (lambda data: _unpack(zlib.decompressobj(-zlib.MAX_WBITS), data), _deflate),
    "zstandard": (unzstd, lambda data: zstandard.ZstdCompressor().compress(data)),
    "snappy": (_unsnappy, _snappy),
    "bzip2": (lambda data: _unpack(bz2.BZ2Decompressor(), data), bz2.compress),
    "xz": (lambda data: _unpack(lzma.LZMADecompressor(memlimit=_MOST_BYTES), data), lzma.compress),
}
"""Codec name in the header → (decompress, compress)."""

_CODEC_FAULTS = (
    zlib.error,
    zstandard.ZstdError,
    lzma.LZMAError,
    OSError,
    ValueError,
    EOFError,
)


# --- schemas ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Type:
    """An Avro type with all names resolved. Logical types are their underlying type."""

    kind: str
    """A primitive type's name, or record, array, map, union, enum, fixed."""
    fields: tuple[Field, ...] = ()
    """Of a record."""
    parts: tuple[Type, ...] = ()
    """A union's branches; the one item type of an array or map."""
    size: int = 0
    """Of a fixed."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record. ``id`` is Iceberg's ``field-id``; some writers leave it out."""

    name: str
    id: int | None
    type: Type


_FIXED_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}


def parse_schema(schema: Any) -> Type:
    """The type that a decoded ``avro.schema`` describes.

    A name may be defined twice (a quirk of some writers); a reference means the definition before it.
    Raises Malformed for an undefined or recursive name and for anything that is no schema.
    """
    return _parse(schema, "", {})


def _parse(schema: Any, namespace: str, names: dict[str, Type]) -> Type:
    if isinstance(schema, list):
        return Type("union", parts=tuple(_parse(branch, namespace, names) for branch in schema))
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return Type(schema)
        for name in (_full_name(schema, namespace), schema):
            if name in names:
                return names[name]
        raise Malformed(f"its schema uses the type {schema!r}, which is not defined before it or is recursive")
    if not isinstance(schema, dict) or "type" not in schema:
        raise Malformed(f"its schema has {schema!r} where a type belongs")
    match schema["type"]:
        case "array":
            return Type("array", parts=(_parse(schema.get("items"), namespace, names),))
        case "map":
            return Type("map", parts=(_parse(schema.get("values"), namespace, names),))
        case "record" | "enum" | "fixed":
            return _parse_named(schema, namespace, names)
        case inner:
            return _parse(inner, namespace, names)


def _parse_named(schema: dict[str, Any], namespace: str, names: dict[str, Type]) -> Type:
    name = _full_name(str(schema.get("name", "")), str(schema.get("namespace") or namespace))
    namespace = name.rpartition(".")[0]
    match schema:
        case {"type": "record", "fields": [*fields]}:
            made = Type("record", fields=tuple(_parse_field(f, namespace, names) for f in fields))
        case {"type": "enum"}:
            made = Type("enum")
        case {"type": "fixed", "size": int(size)} if size >= 0:
            made = Type("fixed", size=size)
        case _:
            raise Malformed(f"its schema does not say what the {schema['type']} {name!r} is made of")
    names[name] = made
    return made


def _parse_field(schema: Any, namespace: str, names: dict[str, Type]) -> Field:
    match schema:
        case {"name": str(name), "type": of_type}:
            field_id = schema.get("field-id")
            known = field_id if isinstance(field_id, int) else None
            return Field(name, known, _parse(of_type, namespace, names))
    raise Malformed(f"its schema has {schema!r} where a field belongs")


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


# --- walking: where does a value end? ----------------------------------------------------------------


class Place:
    """Where a value of some type stands in a record.

    :meth:`skip` passes over the value: position → position behind it. It may overshoot the end of damaged
    data; IndexError says so too. On its way it notes every number that decides what comes next: a union's
    branch, the count of an array's items, the size of a string.

    :meth:`pattern` is a regular expression for values in which these numbers are among those noted before, spelled
    as they usually are. Nearly all records of a manifest are alike, so a few of them are stepped through and
    the rest is matched in C. A match is always what ``skip`` would pass over, span by span: at each place
    the alternatives begin with different numbers, no number's bytes begin another's, and so one of them at
    most can match.
    """

    def skip(self, data: bytes, pos: int) -> int:
        raise NotImplementedError

    def skip_times(self, data: bytes, pos: int, times: int) -> int:
        """``skip`` for that many values in a row."""
        for _ in range(times):
            start = pos
            pos = self.skip(data, pos)
            if pos == start:  # values without bytes: a damaged count of them must not loop for ever
                break
        return pos

    def pattern(self) -> bytes:
        raise NotImplementedError


_MOST_NOTED = 64
_MOST_SPELLED = 1 << 16
_VARINT = rb"[\x80-\xff]*+[\x00-\x7f]" if sys.version_info >= (3, 11) else rb"[\x80-\xff]*[\x00-\x7f]"


def _note(noted: set[int], number: int) -> None:
    """Numbers that are large or of a wild variety are not worth a pattern."""
    if number < 4096 and len(noted) < _MOST_NOTED:
        noted.add(number)


def _spelled(number: int) -> bytes:
    return re.escape(write_long(number))


def _one_of(alternatives: list[bytes]) -> bytes:
    pattern = b"(?:%b)" % b"|".join(alternatives)
    return pattern if alternatives and len(pattern) <= _MOST_SPELLED else b"(?!)"  # matches nothing


def _times(pattern: bytes, count: int) -> bytes:
    spelled_out = count * len(pattern) < 2000  # matches faster, but takes longer to compile
    return pattern * count if spelled_out else b"(?:%b){%d}" % (pattern, count)


class _Fixed(Place):
    def __init__(self, width: int) -> None:
        self._width = width

    def skip(self, data: bytes, pos: int) -> int:
        return pos + self._width

    def pattern(self) -> bytes:
        return b".{%d}" % self._width


class _Varints(Place):
    """Some numbers in a row."""

    def __init__(self, count: int) -> None:
        self.count = count

    def skip(self, data: bytes, pos: int) -> int:
        return self.skip_times(data, pos, 1)

    def skip_times(self, data: bytes, pos: int, times: int) -> int:
        for _ in range(self.count * times):
            while data[pos] > 0x7F:
                pos += 1
            pos += 1
        return pos

    def pattern(self) -> bytes:
        return _VARINT * self.count


class _Bytes(Place):
    def __init__(self) -> None:
        self._noted: set[int] = set()

    def skip(self, data: bytes, pos: int) -> int:
        size, pos = read_long(data, pos)
        if size < 0:
            raise Malformed(f"a value has the size {size}")
        _note(self._noted, size >> 2)  # with the sizes around it, which are likely to come
        return pos + size

    def pattern(self) -> bytes:
        sizes = [size for some in sorted(self._noted) for size in range(some << 2, (some + 1) << 2)]
        return _one_of([_spelled(size) + (b"." * size if size <= 16 else b".{%d}" % size) for size in sizes])


class _Union(Place):
    def __init__(self, branches: list[Place]) -> None:
        self._branches = branches
        self._noted: set[int] = set()

    def skip(self, data: bytes, pos: int) -> int:
        branch, pos = _read_branch(data, pos, len(self._branches))
        _note(self._noted, branch)
        return self._branches[branch].skip(data, pos)

    def pattern(self) -> bytes:
        return _one_of([_spelled(branch) + self._branches[branch].pattern() for branch in sorted(self._noted)])


class _Array(Place):
    def __init__(self, item: Place) -> None:
        self._item = item
        self._noted: set[int] = set()

    def skip(self, data: bytes, pos: int) -> int:
        while True:
            count, pos, end = _read_count(data, pos)
            if count == 0:
                return pos
            start, pos = pos, self._item.skip_times(data, pos, count)
            if end is not None and pos != end:
                raise Malformed("a block of items does not have the size that it announces")
            if end is None and pos > start:  # whether items without bytes fit depends on what follows them
                _note(self._noted, count)

    def pattern(self) -> bytes:
        counts = sorted(self._noted)
        item = self._item.pattern() if counts else b""
        return _one_of([_spelled(0)] + [_spelled(n) + _times(item, n) + _spelled(0) for n in counts])


class _Record(Place):
    def __init__(self, members: list[Place]) -> None:
        self._members = members

    def skip(self, data: bytes, pos: int) -> int:
        for member in self._members:
            pos = member.skip(data, pos)
        return pos

    def pattern(self) -> bytes:
        return b"".join(member.pattern() for member in self._members)


class _Branch(Place):
    """The number of a union's branch, which must be this one."""

    def __init__(self, branch: int, otherwise: str) -> None:
        self._branch = branch
        self._otherwise = otherwise

    def skip(self, data: bytes, pos: int) -> int:
        branch, pos = read_long(data, pos)
        if branch != self._branch:
            raise Malformed(self._otherwise)
        return pos

    def pattern(self) -> bytes:
        return _spelled(self._branch)


def place_of(made_of: Type) -> Place:
    """A place for values of this type."""
    match made_of.kind:
        case "int" | "long" | "enum":
            return _Varints(1)
        case "bytes" | "string":
            return _Bytes()
        case "union":
            return _Union([place_of(branch) for branch in made_of.parts])
        case "array":
            return _Array(place_of(made_of.parts[0]))
        case "map":
            return _Array(_Record([_Bytes(), place_of(made_of.parts[0])]))
        case "record":
            members = [place_of(f.type) for f in made_of.fields]
            counts = [member.count for member in members if isinstance(member, _Varints)]
            return _Varints(sum(counts)) if len(counts) == len(members) else _Record(members)
    return _Fixed(made_of.size if made_of.kind == "fixed" else _FIXED_SIZES[made_of.kind])


def _read_branch(data: bytes, pos: int, branches: int) -> tuple[int, int]:
    branch, pos = read_long(data, pos)
    if not 0 <= branch < branches:
        raise Malformed(f"a union has no branch {branch}")
    return branch, pos


# --- values ----------------------------------------------------------------------------------------


def decode(made_of: Type, data: bytes, pos: int) -> tuple[Any, int]:
    """The value of this type at ``pos`` and the position behind it. A record or an array is a list, a null is None.

    Raises Malformed for a type that no target has (map, enum, fixed, boolean, floating point).
    """
    match made_of.kind:
        case "int" | "long":
            return read_long(data, pos)
        case "string":
            raw, pos = _read_bytes(data, pos)
            return _text(raw), pos
        case "bytes":
            return _read_bytes(data, pos)
        case "null":
            return None, pos
        case "union":
            branch, pos = _read_branch(data, pos, len(made_of.parts))
            return decode(made_of.parts[branch], data, pos)
        case "record":
            values = []
            for member in made_of.fields:
                value, pos = decode(member.type, data, pos)
                values.append(value)
            return values, pos
        case "array":
            values = []
            while True:
                count, pos, _ = _read_count(data, pos)
                if count == 0:
                    return values, pos
                for _ in range(count):
                    value, pos = decode(made_of.parts[0], data, pos)
                    values.append(value)
    raise Malformed(f"a field has the type {made_of.kind}")


def encode(made_of: Type, value: Any) -> bytes:
    """The inverse of :func:`decode`. An array becomes one block; a union takes null or its other branch."""
    match made_of.kind:
        case "int" | "long":
            return write_long(value)
        case "string":
            raw: bytes = value.encode()
            return write_long(len(raw)) + raw
        case "bytes":
            return write_long(len(value)) + cast(bytes, value)
        case "null":
            return b""
        case "union":
            index = next(i for i, b in enumerate(made_of.parts) if (b.kind == "null") == (value is None))
            return write_long(index) + encode(made_of.parts[index], value)
        case "record":
            return b"".join(encode(m.type, v) for m, v in zip(made_of.fields, value, strict=True))
        case "array":
            items = b"".join(encode(made_of.parts[0], v) for v in value)
            return write_long(len(value)) + items + b"\0" if value else b"\0"
    raise Malformed(f"a field has the type {made_of.kind}")


# --- the fields asked for --------------------------------------------------------------------------


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
        if len(self.known) < _MOST_NOTED and not isinstance(value, list):
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
            self._steps.append((_Branch(made_of.parts.index(inner), otherwise), False))
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
        if len(pattern) > 4 * _MOST_SPELLED:
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


# --- the container ---------------------------------------------------------------------------------


Source = bytes | BinaryIO
"""A whole file, or a stream that is read once, forward."""


_CHUNK = 1 << 20


class _Input:
    """A source, read forward a piece at a time."""

    def __init__(self, source: Source) -> None:
        self._stream = io.BytesIO(source) if isinstance(source, bytes) else source
        self.passed: list[bytes] = []
        """What was read, verbatim, since the caller last cleared it."""

    def up_to(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer at the end. Makes no room for more than there is."""
        pieces = []
        while size and (piece := self._stream.read(min(size, _CHUNK))):
            pieces.append(piece)
            size -= len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.passed.append(data)
        return data

    def exactly(self, size: int) -> bytes:
        data = self.up_to(size)
        if len(data) < size:
            raise Malformed("it ends too early")
        return data

    def long(self, first: bytes = b"") -> int:
        """The zigzag varint that comes next, ``first`` being its first byte if that was read already."""
        number = first or self.exactly(1)
        while number[-1] > 0x7F and len(number) <= 10:
            number += self.exactly(1)
        return read_long(number, 0)[0]

    def sized(self) -> bytes:
        """The bytes or text that comes next."""
        size = self.long()
        if not 0 <= size <= _MOST_BYTES:
            raise Malformed(f"a part of it has the size {size}")
        return self.exactly(size)


@dataclass(frozen=True, slots=True)
class _Block:
    count: int
    records: bytes
    """Decompressed."""
    verbatim: list[bytes]
    """The whole block as it is in the file, its sync marker included, in pieces."""


@lru_cache(maxsize=64)
def _schema_of(text: bytes) -> Type:
    try:
        return parse_schema(json.loads(text))
    except ValueError as fault:
        raise Malformed("its Avro schema is not JSON") from fault


@lru_cache(maxsize=64)
def _walk_of(schema: bytes, targets: tuple[Target, ...], folder: str) -> Walk:
    """One walk for all files of a folder, that is of a table: what one of them taught helps with the next."""
    return Walk(_schema_of(schema), targets)


class Container:
    """An Avro object container file whose header has been read."""

    def __init__(self, source: Source, place: str) -> None:
        """Raises Unreadable if the header is no Avro header, or its schema or codec cannot be used."""
        self._input = _Input(source)
        self._place = place
        self.metadata: dict[str, bytes] = {}
        """The header's key-value entries, unknown keys included."""
        try:
            self._read_header()
        except (Malformed, RecursionError) as fault:
            raise Unreadable(place, str(fault)) from fault

    def _read_header(self) -> None:
        if self._input.up_to(len(MAGIC)) != MAGIC:
            raise Malformed("it is not an Avro file")
        while count := self._input.long():
            if count < 0:  # the size of the entries in bytes follows
                self._input.long()
            for _ in range(abs(count)):
                key = _text(self._input.sized())
                self.metadata[key] = self._input.sized()
        self._sync = self._input.exactly(_SYNC_SIZE)
        self._header = b"".join(self._input.passed)
        codec = self.metadata.get("avro.codec", b"null").decode("utf-8", "replace")
        if codec not in _CODECS:
            raise Malformed(f"its Avro codec {codec!r} is not known")
        self._decompress, self._compress = _CODECS[codec]
        self._schema = self.metadata.get("avro.schema", b"")
        self.schema = _schema_of(self._schema)

    def records(self, targets: Sequence[Target]) -> Iterator[Record]:
        """Every record, in order; to be asked for once. Raises Unreadable at the first one that is damaged."""
        try:
            walk = self._walk(targets)
            for block in self._blocks():
                yield from self._records(walk, block)
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault

    def rewrite(self, targets: Sequence[Target], edit: Callable[[Record], None], sink: BinaryIO) -> None:
        """Write the file to ``sink`` after ``edit`` has seen every record and ``put`` new values into some.

        Blocks without a change are kept as they are. Raises Unreadable if any part of the file is damaged;
        what ``edit`` raises passes. Holds one block at a time; a source that is a stream can be used once.
        """
        sink.write(self._header)
        try:
            walk = self._walk(targets)
            for block in self._blocks():
                pieces: list[bytes] = []
                kept = 0
                for record in self._records(walk, block):
                    edit(record)
                    if record.edits:
                        kept = record.splice(pieces, kept)
                pieces.append(block.records[kept:])
                sink.writelines(self._packed(block.count, pieces) if len(pieces) > 1 else block.verbatim)
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault

    def _packed(self, count: int, pieces: list[bytes]) -> tuple[bytes, ...]:
        """A block of that many encoded records."""
        packed = self._compress(b"".join(pieces))
        return write_long(count), write_long(len(packed)), packed, self._sync

    def _walk(self, targets: Sequence[Target]) -> Walk:
        return _walk_of(self._schema, tuple(targets), self._place.rpartition("/")[0])

    def _records(self, walk: Walk, block: _Block) -> Iterator[Record]:
        data, pos = block.records, 0
        for _ in range(block.count):
            spans = walk.record(data, pos)
            pos = spans.end()
            yield Record(walk, spans, self._place)
        if pos != len(data):
            raise Malformed(f"a block has {len(data) - pos} bytes behind its last record")

    def _blocks(self) -> Iterator[_Block]:
        source = self._input
        while True:
            source.passed = []
            first = source.up_to(1)
            if not first:
                return
            count = source.long(first)
            packed = source.sized()
            if source.exactly(_SYNC_SIZE) != self._sync:
                raise Malformed("a block does not end with the sync marker")
            try:
                records = self._decompress(packed)
            except _CODEC_FAULTS as fault:
                raise Malformed(f"a block cannot be decompressed: {fault}") from fault
            if not 0 <= count <= len(records):
                raise Malformed(f"a block of {len(records)} bytes announces {count} records")
            yield _Block(count, records, source.passed)

    def rewrite_sorted(
        self,
        targets: Sequence[Target],
        edit: Callable[[Record], None],
        key: Callable[[Record], Any],
        sink: BinaryIO,
    ) -> None:
        """Like :meth:`rewrite`, with the records in the order of their keys; each block keeps its number of them.

        Holds all records in memory.
        """
        sink.write(self._header)
        counts: list[int] = []
        rows: list[tuple[Any, bytes]] = []
        try:
            walk = self._walk(targets)
            for block in self._blocks():
                counts.append(block.count)
                for record in self._records(walk, block):
                    edit(record)
                    rows.append((key(record), record.edited()))
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault
        rows.sort(key=lambda row: row[0])
        start = 0
        for count in counts:
            sink.writelines(self._packed(count, [row for _, row in rows[start : start + count]]))
            start += count
