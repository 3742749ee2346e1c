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
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, BinaryIO, cast

import pyarrow as pa
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


def _read_string(data: bytes, pos: int) -> tuple[str, int]:
    raw, pos = _read_bytes(data, pos)
    try:
        return raw.decode(), pos
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


def _inflate(data: bytes) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    out = stream.decompress(data)
    # Bytes behind the end are normal: fastavro and pyiceberg leave part of the zlib checksum there.
    if not stream.eof:
        raise Malformed("deflate data ends too early")
    return out


def _deflate(data: bytes) -> bytes:
    # Level 1 is what Iceberg's Java writer uses for manifests.
    stream = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def unzstd(data: bytes) -> bytes:
    """All zstandard frames in ``data``. Raises Malformed when the last one is incomplete."""
    out = []
    while data:
        stream = zstandard.ZstdDecompressor().decompressobj()
        out.append(stream.decompress(data))
        if not stream.eof:
            raise Malformed("zstandard data ends too early")
        data = stream.unused_data
    return b"".join(out)


def _unsnappy(data: bytes) -> bytes:
    body, checksum = data[:-4], data[-4:]
    size = shift = 0
    for byte in body[:5]:  # the raw snappy format opens with the size as a varint without zigzag
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > 64 * len(body):  # snappy cannot compress better than about 1 : 21
        raise Malformed(f"snappy data announces {size} bytes")
    out: bytes = pa.Codec("snappy").decompress(body, decompressed_size=size, asbytes=True)
    if zlib.crc32(out).to_bytes(4, "big") != checksum:
        raise Malformed("snappy data does not have its checksum")
    return out


def _snappy(data: bytes) -> bytes:
    body: bytes = pa.Codec("snappy").compress(data, asbytes=True)
    return body + zlib.crc32(data).to_bytes(4, "big")


def _verbatim(data: bytes) -> bytes:
    return data


_Transform = Callable[[bytes], bytes]
_CODECS: dict[str, tuple[_Transform, _Transform]] = {
    "null": (_verbatim, _verbatim),
    "deflate": (_inflate, _deflate),
    "zstandard": (unzstd, lambda data: zstandard.ZstdCompressor().compress(data)),
    "snappy": (_unsnappy, _snappy),
    "bzip2": (bz2.decompress, bz2.compress),
    "xz": (lzma.decompress, lzma.compress),
}
"""Codec name in the header → (decompress, compress)."""

_CODEC_FAULTS = (
    zlib.error,
    zstandard.ZstdError,
    pa.ArrowException,
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

Skip = Callable[[bytes, int], int]
"""Position of a value → position behind it. May overshoot the end of damaged data; IndexError says so too."""


def _skip_varint(data: bytes, pos: int) -> int:
    while data[pos] > 0x7F:
        pos += 1
    return pos + 1


def _skip_bytes(data: bytes, pos: int) -> int:
    size = data[pos]
    if size & 0x81:  # more than one byte, or negative
        size, pos = read_long(data, pos)
        if size < 0:
            raise Malformed(f"a value has the size {size}")
        return pos + size
    return pos + 1 + (size >> 1)


def skipper(made_of: Type) -> Skip:
    """A function that passes over a value of this type."""
    match made_of.kind:
        case "int" | "long" | "enum":
            return _skip_varint
        case "bytes" | "string":
            return _skip_bytes
        case "union":
            return _union_skipper(made_of)
        case "array":
            return _array_skipper(made_of.parts[0])
        case "map":
            key = Field("key", None, Type("string"))
            return _array_skipper(Type("record", fields=(key, Field("value", None, made_of.parts[0]))))
        case "record":
            return _record_skipper(made_of)
    width = made_of.size if made_of.kind == "fixed" else _FIXED_SIZES[made_of.kind]
    return lambda data, pos: pos + width


def _record_skipper(made_of: Type) -> Skip:
    skips = [skipper(f.type) for f in made_of.fields]

    def skip(data: bytes, pos: int) -> int:
        for step in skips:
            pos = step(data, pos)
        return pos

    pattern = _pattern(made_of)
    if pattern is None or len(skips) < 2:
        return skip
    match = re.compile(pattern, re.DOTALL).match

    def fast(data: bytes, pos: int) -> int:  # see _fast_array_skipper
        found = match(data, pos)
        return skip(data, pos) if found is None else found.end()

    return fast


def _union_skipper(made_of: Type) -> Skip:
    skips = [skipper(branch) for branch in made_of.parts]

    def skip(data: bytes, pos: int) -> int:
        branch, pos = _read_branch(data, pos, len(skips))
        return skips[branch](data, pos)

    if len(skips) != 2 or made_of.parts[0].kind != "null":
        return skip
    skip_value = skips[1]

    def skip_optional(data: bytes, pos: int) -> int:
        branch = data[pos]
        if branch == 0:
            return pos + 1
        return skip_value(data, pos + 1) if branch == 2 else skip(data, pos)

    return skip_optional


def _read_branch(data: bytes, pos: int, branches: int) -> tuple[int, int]:
    branch, pos = read_long(data, pos)
    if not 0 <= branch < branches:
        raise Malformed(f"a union has no branch {branch}")
    return branch, pos


def _array_skipper(item: Type) -> Skip:
    skip_item = skipper(item)

    def skip(data: bytes, pos: int) -> int:
        while data[pos]:
            count, pos, end = _read_count(data, pos)
            for _ in range(count):
                pos = skip_item(data, pos)
            if end is not None and pos != end:
                raise Malformed("a block of items does not have the size that it announces")
        return pos + 1

    pattern = _pattern(item)
    return skip if pattern is None else _fast_array_skipper(pattern, skip)


def _fast_array_skipper(pattern: bytes, skip: Skip) -> Skip:
    """``skip`` with a short cut: most arrays are one block, which a regular expression passes over in C.

    Column statistics are nearly all of a manifest. Anything unusual does not match and is left to ``skip``,
    so the pattern must match nothing but what ``skip`` would pass over.
    """

    @lru_cache(maxsize=512)
    def matcher(count: int) -> Callable[[bytes, int], re.Match[bytes] | None]:
        spelled_out = len(pattern) * count < 2000  # matches faster, but must be compiled too
        items = pattern * count if spelled_out else rb"(?:%b){%d}" % (pattern, count)
        return re.compile(items + rb"\x00", re.DOTALL).match

    def fast(data: bytes, pos: int) -> int:
        count = data[pos]
        start = pos + 1
        if count == 0:
            return start
        if count & 0x80:
            count, start = read_long(data, pos)
        elif not count & 1:
            count >>= 1
        else:
            return skip(data, pos)
        match = matcher(count)(data, start) if 0 < count <= 4096 else None
        return skip(data, pos) if match is None else match.end()

    return fast


_VARINT = rb"[\x80-\xff]*[\x00-\x7f]"
_SIZES = sorted(range(64), key=lambda size: (size not in {8, 4, 16}, size))  # the usual bounds come first
_SHORT_BYTES = b"(?:%b)" % b"|".join(rb"\x%02x.{%d}" % (size << 1, size) for size in _SIZES)


def _pattern(made_of: Type) -> bytes | None:
    """A regular expression for the values of this type, those with 64 bytes or more in a row left out.

    None if there is none, or it would not be worth it.
    """
    match made_of.kind:
        case "int" | "long" | "enum":
            return _VARINT
        case "bytes" | "string":
            return _SHORT_BYTES
        case "union":
            parts = [_pattern(branch) if branch.kind != "null" else b"" for branch in made_of.parts]
            branches = [rb"\x%02x%b" % (i << 1, part) for i, part in enumerate(parts) if part is not None]
            return b"(?:%b)" % b"|".join(branches) if len(branches) == len(parts) < 64 else None
        case "record":
            members = [_pattern(f.type) for f in made_of.fields]
            return b"".join(m for m in members if m) if members and None not in members else None
    return None


# --- values ----------------------------------------------------------------------------------------

Decode = Callable[[bytes, int], tuple[Any, int]]
"""Position of a value → the value and the position behind it."""


def decoder(made_of: Type) -> Decode:
    """A function that reads values of this type: a record or an array is a list, a null is None.

    Raises Malformed for a type that no target has (map, enum, fixed, boolean, floating point).
    """
    match made_of.kind:
        case "int" | "long":
            return read_long
        case "string":
            return _read_string
        case "bytes":
            return _read_bytes
        case "null":
            return lambda data, pos: (None, pos)
        case "union":
            return _union_decoder([decoder(branch) for branch in made_of.parts])
        case "record":
            return _record_decoder([decoder(f.type) for f in made_of.fields])
        case "array":
            return _array_decoder(decoder(made_of.parts[0]))
    raise Malformed(f"a field has the type {made_of.kind}")


def _union_decoder(branches: list[Decode]) -> Decode:
    def decode(data: bytes, pos: int) -> tuple[Any, int]:
        branch, pos = _read_branch(data, pos, len(branches))
        return branches[branch](data, pos)

    return decode


def _record_decoder(members: list[Decode]) -> Decode:
    def decode(data: bytes, pos: int) -> tuple[list[Any], int]:
        values = []
        for member in members:
            value, pos = member(data, pos)
            values.append(value)
        return values, pos

    return decode


def _array_decoder(item: Decode) -> Decode:
    def decode(data: bytes, pos: int) -> tuple[list[Any], int]:
        values: list[Any] = []
        while True:
            count, pos, _ = _read_count(data, pos)
            if count == 0:
                return values, pos
            for _ in range(count):
                value, pos = item(data, pos)
                values.append(value)

    return decode


def encode(made_of: Type, value: Any) -> bytes:
    """The inverse of :func:`decoder`. An array becomes one block; a union takes null or its other branch."""
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


class Walk:
    """A schema compiled for some targets: a list of steps over the top-level record and the parents in it."""

    def __init__(self, schema: Type, targets: Sequence[Target], place: str) -> None:
        """Raises Malformed if a required target is missing or a target has a type that it cannot have."""
        self.place = place
        if schema.kind != "record":
            raise Malformed(f"its records are of the type {schema.kind}")
        self.types: dict[Target, Type] = {}
        self.decoders: dict[Target, Decode] = {}
        self._steps: list[tuple[Skip, Target | None]] = []
        self._add(schema, targets, None)
        for target in targets:
            if target.required and target not in self.types:
                raise Malformed(f"its schema has no field {target.id} {target.name}")

    def _add(self, record: Type, targets: Sequence[Target], parent: Target | None) -> None:
        here = {_find(record, t): t for t in targets if t.parent is parent}
        parents = {_find(record, t.parent): t.parent for t in targets if t.parent and t.parent.parent is parent}
        between: list[Field] = []
        for index, member in enumerate(record.fields):
            if index in parents:
                self._flush(between)
                self._enter(member.type, targets, parents[index])
                continue
            target = here.get(index)
            if target is None:
                between.append(member)
                continue
            self._flush(between)
            _check(target, member.type)
            self.types[target] = member.type
            if target.kind != "any":
                self.decoders[target] = decoder(member.type)
            self._steps.append((skipper(member.type), target))
        self._flush(between)

    def _flush(self, between: list[Field]) -> None:
        """One step for each run of fields that nobody asked for, arrays apart: fewer steps are faster."""
        for simple, run in groupby(between, lambda member: _pattern(member.type) is not None):
            fields = tuple(run)
            for part in [fields] if simple else [(f,) for f in fields]:
                self._steps.append((skipper(Type("record", fields=part) if simple else part[0].type), None))
        between.clear()

    def _enter(self, made_of: Type, targets: Sequence[Target], parent: Target) -> None:
        inner = without_null(made_of)
        if inner.kind != "record":
            raise Malformed(f"field {parent.id} {parent.name} has the type {inner.kind}")
        if made_of.kind == "union":
            expected = made_of.parts.index(inner)

            def enter_branch(data: bytes, pos: int) -> int:
                branch, pos = read_long(data, pos)
                if branch != expected:
                    raise Malformed(f"field {parent.id} {parent.name} is null")
                return pos

            self._steps.append((enter_branch, None))
        self._add(inner, targets, parent)

    def record(self, data: bytes, pos: int) -> Record:
        """The record at ``pos``. Raises Malformed if it does not fit the data."""
        record = Record(self, data)
        spans = record.spans
        try:
            for skip, target in self._steps:
                if target is None:
                    pos = skip(data, pos)
                else:
                    start = pos
                    pos = skip(data, pos)
                    spans[target] = (start, pos)
        except IndexError:
            pos = len(data) + 1
        if pos > len(data):
            raise Malformed("a record runs over the end of its block")
        record.end = pos
        return record


class Record:
    """The targets of one record: where they lie, and what is to stand there instead."""

    __slots__ = ("data", "edits", "end", "spans", "walk")

    def __init__(self, walk: Walk, data: bytes) -> None:
        self.walk = walk
        self.data = data
        self.spans: dict[Target, tuple[int, int]] = {}
        self.edits: dict[Target, bytes] = {}
        self.end = 0

    def get(self, target: Target) -> Any:
        """The value as it is in the file; None if it is null or the schema has no such field.

        Not for targets of kind "any". Raises Unreadable for text that is not UTF-8.
        """
        span = self.spans.get(target)
        if span is None:
            return None
        try:
            return self.walk.decoders[target](self.data, span[0])[0]
        except Malformed as fault:
            raise Unreadable(self.walk.place, f"field {target.id} {target.name}: {fault}") from fault

    def put(self, target: Target, value: Any) -> None:
        """Replace the value of a field that the schema has; None only where :meth:`nullable`."""
        start, end = self.spans[target]
        new = encode(self.walk.types[target], value)
        if new != self.data[start:end]:
            self.edits[target] = new

    def nullable(self, target: Target) -> bool:
        """True if the schema has the field and lets it be null."""
        made_of = self.walk.types.get(target)
        return made_of is not None and any(b.kind == "null" for b in made_of.parts)

    def edited(self, start: int) -> bytes:
        """The whole record, which begins at ``start``, with the new values in it."""
        pieces: list[bytes] = []
        for target, (value_start, value_end) in self.spans.items():  # in the order of the schema
            if target in self.edits:
                pieces += self.data[start:value_start], self.edits[target]
                start = value_end
        return b"".join([*pieces, self.data[start : self.end]])


# --- the container ---------------------------------------------------------------------------------


Source = bytes | BinaryIO
"""A whole file, or a stream that is read once, forward."""


@dataclass(frozen=True, slots=True)
class _Block:
    count: int
    records: bytes
    """Decompressed."""
    start: int
    end: int
    """The span of the whole block in the file, its sync marker included."""


class Container:
    """An Avro object container file whose header has been read."""

    def __init__(self, source: Source, place: str) -> None:
        """Raises Unreadable if the header is no Avro header, or its schema or codec cannot be used."""
        self._data = source if isinstance(source, bytes) else source.read()
        self._place = place
        self.metadata: dict[str, bytes] = {}
        """The header's key-value entries, unknown keys included."""
        try:
            self._read_header()
        except IndexError:
            raise Unreadable(place, "its Avro header ends too early") from None
        except (Malformed, RecursionError) as fault:
            raise Unreadable(place, str(fault)) from fault

    def _read_header(self) -> None:
        data = self._data
        if not data.startswith(MAGIC):
            raise Malformed("it is not an Avro file")
        pos = len(MAGIC)
        while True:
            count, pos, _ = _read_count(data, pos)
            if not count:
                break
            for _ in range(count):
                key, pos = _read_string(data, pos)
                self.metadata[key], pos = _read_bytes(data, pos)
        self._body = pos + _SYNC_SIZE
        self._sync = data[pos : self._body]
        if len(self._sync) < _SYNC_SIZE:
            raise Malformed("its Avro header ends too early")
        codec = self.metadata.get("avro.codec", b"null").decode("utf-8", "replace")
        if codec not in _CODECS:
            raise Malformed(f"its Avro codec {codec!r} is not known")
        self._decompress, self._compress = _CODECS[codec]
        try:
            schema = json.loads(self.metadata.get("avro.schema", b""))
        except ValueError as fault:
            raise Malformed("its Avro schema is not JSON") from fault
        self.schema = parse_schema(schema)

    def records(self, targets: Sequence[Target]) -> Iterator[Record]:
        """Every record, in order. Raises Unreadable at the first one that is damaged."""
        try:
            walk = Walk(self.schema, targets, self._place)
            for block in self._blocks():
                yield from self._records(walk, block)
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault

    def rewrite(self, targets: Sequence[Target], edit: Callable[[Record], None], sink: BinaryIO) -> None:
        """Write the file to ``sink`` after ``edit`` has seen every record and ``put`` new values into some.

        Blocks without a change are kept as they are. Raises Unreadable if any part of the file is damaged;
        what ``edit`` raises passes.
        """
        sink.write(self._data[: self._body])
        try:
            walk = Walk(self.schema, targets, self._place)
            for block in self._blocks():
                pieces = self._edited(walk, block, edit)
                if pieces is None:
                    sink.write(self._data[block.start : block.end])
                    continue
                packed = self._compress(b"".join(pieces))
                sink.write(write_long(block.count) + write_long(len(packed)) + packed + self._sync)
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault

    def _edited(self, walk: Walk, block: _Block, edit: Callable[[Record], None]) -> list[bytes] | None:
        """The block's records in pieces, edits in place; None if nothing was edited."""
        pieces: list[bytes] = []
        kept = 0
        for record in self._records(walk, block):
            edit(record)
            for target, (start, end) in record.spans.items() if record.edits else ():
                if target in record.edits:
                    pieces += block.records[kept:start], record.edits[target]
                    kept = end
        if not pieces:
            return None
        return [*pieces, block.records[kept:]]

    def _records(self, walk: Walk, block: _Block) -> Iterator[Record]:
        pos = 0
        for _ in range(block.count):
            record = walk.record(block.records, pos)
            pos = record.end
            yield record
        if pos != len(block.records):
            raise Malformed(f"a block has {len(block.records) - pos} bytes behind its last record")

    def _blocks(self) -> Iterator[_Block]:
        data, pos = self._data, self._body
        while pos < len(data):
            start = pos
            try:
                count, pos = read_long(data, pos)
                packed, pos = _read_bytes(data, pos)
            except IndexError:
                raise Malformed("it ends inside a block") from None
            end = pos + _SYNC_SIZE
            if data[pos:end] != self._sync:
                raise Malformed("a block does not end with the sync marker")
            try:
                records = self._decompress(packed)
            except _CODEC_FAULTS as fault:
                raise Malformed(f"a block cannot be decompressed: {fault}") from fault
            if not 0 <= count <= len(records):
                raise Malformed(f"a block of {len(records)} bytes announces {count} records")
            yield _Block(count, records, start, end)
            pos = end

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
        sink.write(self._data[: self._body])
        counts: list[int] = []
        rows: list[tuple[Any, bytes]] = []
        try:
            walk = Walk(self.schema, targets, self._place)
            for block in self._blocks():
                counts.append(block.count)
                start = 0
                for record in self._records(walk, block):
                    edit(record)
                    rows.append((key(record), record.edited(start)))
                    start = record.end
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault
        rows.sort(key=lambda row: row[0])
        start = 0
        for count in counts:
            packed = self._compress(b"".join(row for _, row in rows[start : start + count]))
            sink.write(write_long(count) + write_long(len(packed)) + packed + self._sync)
            start += count
