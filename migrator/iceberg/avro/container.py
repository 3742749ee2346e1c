"""Reading and rewriting an Avro object container file: its header and its blocks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, BinaryIO

from migrator.errors import Unreadable
from migrator.iceberg import bounds
from migrator.iceberg.avro.codecs import CODEC_FAULTS, CODECS, MOST_BYTES
from migrator.iceberg.avro.numbers import read_long, read_text, write_long
from migrator.iceberg.avro.records import Record, RecordScanner, Spans, Target
from migrator.iceberg.avro.schema import Type, parse_schema
from migrator.iceberg.malformed import Malformed

MAGIC = b"Obj\x01"
_SYNC_SIZE = 16

Source = bytes | BinaryIO
"""A whole file, or a stream that is read once, forward."""

_CHUNK = 1 << 20


class _Input:
    """Reads a source forward, piece by piece."""

    def __init__(self, source: Source) -> None:
        self._stream = io.BytesIO(source) if isinstance(source, bytes) else source
        self.passed: list[bytes] = []
        """The bytes that were read since the caller last cleared this list, in pieces."""
        self.left: int | None = None
        """How many bytes may still be read; None for no limit."""

    def up_to(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer at the end. With a damaged ``size``, it uses no more memory than the file has
        bytes."""
        pieces = []
        while size and (piece := self._stream.read(min(size, _CHUNK))):
            pieces.append(piece)
            size -= len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.passed.append(data)
        if self.left is not None:
            self.left -= len(data)
            if self.left < 0:
                raise Malformed("its header has no end")
        return data

    def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes. Raises Malformed if there are fewer."""
        data = self.up_to(size)
        if len(data) < size:
            raise Malformed("it ends too early")
        return data

    def long(self, first: bytes = b"") -> int:
        """The next long. ``first`` is its first byte if that was read already."""
        number = first or self.exactly(1)
        while number[-1] > 0x7F and len(number) <= 10:
            number += self.exactly(1)
        return read_long(number, 0)[0]

    def sized(self) -> bytes:
        """The next value of type bytes or string, not decoded."""
        size = self.long()
        if not 0 <= size <= MOST_BYTES:
            raise Malformed(f"a part of it has the size {size}")
        return self.exactly(size)


@dataclass(frozen=True, slots=True)
class _Block:
    count: int
    records: bytes
    """Compressed in a packed block, else decompressed."""
    verbatim: list[bytes]
    """The whole block as it is in the file, including its sync marker, in pieces."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some blocks of a container file."""

    records: int
    """The number of records that the blocks announce."""
    header: int
    """The size of the header, in bytes."""
    data: bytes
    """A complete container file: the header of the whole file, and the blocks."""


@lru_cache(maxsize=64)
def _schema_of(text: bytes) -> Type:
    try:
        return parse_schema(json.loads(text))
    except ValueError as fault:
        raise Malformed("its Avro schema is not JSON") from fault


@lru_cache(maxsize=64)
def _scanner_of(schema: bytes, targets: tuple[Target, ...], folder: str) -> RecordScanner:
    """One scanner for all files of a folder, and so of a table: a pattern compiled for one file matches the others."""
    return RecordScanner(_schema_of(schema), targets)


class Container:
    """An Avro object container file whose header has been read."""

    def __init__(self, source: Source, place: str) -> None:
        """Raises Unreadable if the header is not an Avro header, or its schema or codec cannot be used."""
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
        self._input.left = bounds.HEADER_BYTES
        entries = 0
        while count := self._input.long():
            if count < 0:  # the size of the entries in bytes follows
                self._input.long()
            entries += abs(count)
            if entries > bounds.HEADER_ENTRIES:
                raise Malformed(f"its header has {entries:,} entries")
            for _ in range(abs(count)):
                key = read_text(self._input.sized())
                self.metadata[key] = self._input.sized()
        self._sync = self._input.exactly(_SYNC_SIZE)
        self._input.left = None
        self._header = b"".join(self._input.passed)
        codec = self.metadata.get("avro.codec", b"null").decode("utf-8", "replace")
        if codec not in CODECS:
            raise Malformed(f"its Avro codec {codec!r} is not known")
        self._decompress, self._compress = CODECS[codec]
        self._schema = self.metadata.get("avro.schema", b"")
        self.schema = _schema_of(self._schema)

    def records(self, targets: Sequence[Target]) -> Iterator[Record]:
        """Every record, in order. Call it once. Raises Unreadable at the first record that is damaged."""
        try:
            scanner = self._scanner(targets)
            for block in self._blocks():
                yield from self._records(scanner, block)
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault

    def values(self, targets: Sequence[Target]) -> Iterator[tuple[Any, ...]]:
        """For every record, in order, the values of two or more targets, in their order; None for null, and for a
        field that the schema does not have. Otherwise as :meth:`records`, which takes longer."""
        try:
            scanner = self._scanner(targets)
            fields = list(scanner.fields)
            pick = itemgetter(*(fields.index(t) if t in fields else len(fields) for t in targets))
            for block in self._blocks():
                decoders = [field.decode for field in scanner.fields.values()]
                for spans in self._spans(scanner, block):
                    try:
                        values = [decode(raw) for decode, raw in zip(decoders, spans.groups(), strict=True)]
                    except Malformed:
                        record = Record(scanner, spans, self._place)
                        values = [record.get(target) for target in fields]  # raises Unreadable, with the field's name
                    values.append(None)
                    yield pick(values)
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault

    def rewrite(self, targets: Sequence[Target], edit: Callable[[Record], None], sink: BinaryIO) -> None:
        """Call ``edit`` with every record, and write the file to ``sink`` with the values that ``edit`` ``put``.

        Copies blocks without a change byte for byte. Raises Unreadable if any part of the file is damaged, and
        everything that ``edit`` raises. Holds one block in memory. Call it once: the source is read to its end.
        """
        sink.write(self._header)
        try:
            scanner = self._scanner(targets)
            for block in self._blocks():
                pieces: list[bytes] = []
                kept = 0
                for record in self._records(scanner, block):
                    edit(record)
                    if record.edits:
                        kept = record.splice(pieces, kept)
                pieces.append(block.records[kept:])
                sink.writelines(self._packed(block.count, pieces) if len(pieces) > 1 else block.verbatim)
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault

    def _packed(self, count: int, pieces: list[bytes]) -> tuple[bytes, ...]:
        """A block of ``count`` encoded records."""
        packed = self._compress(b"".join(pieces))
        return write_long(count), write_long(len(packed)), packed, self._sync

    def _scanner(self, targets: Sequence[Target]) -> RecordScanner:
        return _scanner_of(self._schema, tuple(targets), self._place.rpartition("/")[0])

    def _records(self, scanner: RecordScanner, block: _Block) -> Iterator[Record]:
        return (Record(scanner, spans, self._place) for spans in self._spans(scanner, block))

    def _spans(self, scanner: RecordScanner, block: _Block) -> Iterator[Spans]:
        data, pos = block.records, 0
        for _ in range(block.count):
            spans = scanner.scan(data, pos)
            pos = spans.end()
            yield spans
        if pos != len(data):
            raise Malformed(f"a block has {len(data) - pos} bytes after its last record")

    def parts(self, size: int, records: int) -> Iterator[Part]:
        """Split the file into parts, in order. A part ends with the first block that makes it at least ``size`` bytes
        or ``records`` records. Call it once.

        A file without blocks is one part. The blocks are not decompressed. Raises Unreadable, after the parts before
        it, for a block that has no end.
        """
        pieces, count, length, none_yet = [self._header], 0, 0, True
        damage: Malformed | None = None
        try:
            for block in self._packed_blocks():
                pieces += block.verbatim
                count += block.count
                length += len(block.records)
                if length >= size or count >= records:
                    yield Part(count, len(self._header), b"".join(pieces))
                    pieces, count, length, none_yet = [self._header], 0, 0, False
        except Malformed as fault:
            damage = fault
        if len(pieces) > 1 or none_yet:
            yield Part(count, len(self._header), b"".join(pieces))
        if damage is not None:
            raise Unreadable(self._place, str(damage)) from damage

    def _packed_blocks(self) -> Iterator[_Block]:
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
            yield _Block(count, packed, source.passed)

    def _blocks(self) -> Iterator[_Block]:
        for block in self._packed_blocks():
            try:
                records = self._decompress(block.records)
            except CODEC_FAULTS as fault:
                raise Malformed(f"a block cannot be decompressed: {fault}") from fault
            if not 0 <= block.count <= len(records):
                raise Malformed(f"a block of {len(records)} bytes announces {block.count} records")
            yield _Block(block.count, records, block.verbatim)

    def rewrite_sorted(
        self,
        targets: Sequence[Target],
        edit: Callable[[Record], None],
        key: Callable[[Record], Any],
        sink: BinaryIO,
    ) -> None:
        """Like :meth:`rewrite`, but sort the records by ``key``. Each block keeps its number of records.

        Holds all records in memory.
        """
        sink.write(self._header)
        counts: list[int] = []
        rows: list[tuple[Any, bytes]] = []
        try:
            scanner = self._scanner(targets)
            for block in self._blocks():
                counts.append(block.count)
                for record in self._records(scanner, block):
                    edit(record)
                    rows.append((key(record), record.edited()))
        except Malformed as fault:
            raise Unreadable(self._place, str(fault)) from fault
        rows.sort(key=lambda row: row[0])
        start = 0
        for count in counts:
            sink.writelines(self._packed(count, [row for _, row in rows[start : start + count]]))
            start += count
