"""Walking: where does a value end? And, once a few records were stepped through, one expression for the rest."""

from __future__ import annotations

import re
import sys

from migrator.iceberg.avro.numbers import read_count, read_long, write_long
from migrator.iceberg.avro.schema import FIXED_SIZES, Type
from migrator.iceberg.malformed import Malformed


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


MOST_NOTED = 64
MOST_SPELLED = 1 << 16
_VARINT = rb"[\x80-\xff]*+[\x00-\x7f]" if sys.version_info >= (3, 11) else rb"[\x80-\xff]*[\x00-\x7f]"


def _note(noted: set[int], number: int) -> None:
    """Numbers that are large or of a wild variety are not worth a pattern."""
    if number < 4096 and len(noted) < MOST_NOTED:
        noted.add(number)


def _spelled(number: int) -> bytes:
    return re.escape(write_long(number))


def _one_of(alternatives: list[bytes]) -> bytes:
    pattern = b"(?:%b)" % b"|".join(alternatives)
    return pattern if alternatives and len(pattern) <= MOST_SPELLED else b"(?!)"  # matches nothing


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
        branch, pos = read_branch(data, pos, len(self._branches))
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
            count, pos, end = read_count(data, pos)
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


class Branch(Place):
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
    return _Fixed(made_of.size if made_of.kind == "fixed" else FIXED_SIZES[made_of.kind])


def read_branch(data: bytes, pos: int, branches: int) -> tuple[int, int]:
    branch, pos = read_long(data, pos)
    if not 0 <= branch < branches:
        raise Malformed(f"a union has no branch {branch}")
    return branch, pos
