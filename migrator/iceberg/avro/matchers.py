"""Finding where a value of an Avro record ends: by reading it, or with a regular expression.

A regular expression is several times as fast as reading, because it matches in C; ``tests/bench/by_hand.py`` measures
it against fastavro.
"""

from __future__ import annotations

import re
import sys

from migrator.iceberg.avro.numbers import read_branch, read_count, read_long, write_long
from migrator.iceberg.avro.schema import FIXED_SIZES, Type
from migrator.iceberg.malformed import Malformed


class Matcher:
    """Finds the end of values of one type.

    :meth:`skip` reads a value and records the numbers that decide its length: the branch of a union, the number of
    items in an array, the size of a string.

    :meth:`pattern` builds a regular expression for the branch numbers, counts and sizes recorded so far, each in its
    shortest encoding. Nearly all records of a manifest have similar numbers, so the first records are read with
    ``skip``, and most of the others match the expression. The alternatives of the expression are prefix-free, so at
    most one of them matches, and a match has the same spans as ``skip`` finds.
    """

    def skip(self, data: bytes, pos: int) -> int:
        """The position after the value at ``pos``.

        In damaged data the result may lie after the end of ``data``. Raises Malformed, or IndexError at the end.
        """
        raise NotImplementedError

    def skip_times(self, data: bytes, pos: int, times: int) -> int:
        """The position after ``times`` values in a row. Raises as :meth:`skip` does."""
        for _ in range(times):
            start = pos
            pos = self.skip(data, pos)
            if pos == start:  # values without bytes: otherwise a damaged count could loop for very long
                break
        return pos

    def pattern(self) -> bytes:
        """A regular expression for values like those that :meth:`skip` has read; it may match none."""
        raise NotImplementedError


MOST_NOTED = 64
"""The largest number of different numbers that a matcher records."""
MOST_SPELLED = 1 << 16
"""The largest size of a matcher's pattern in bytes; a longer one takes too long to compile."""
_VARINT = rb"[\x80-\xff]*+[\x00-\x7f]" if sys.version_info >= (3, 11) else rb"[\x80-\xff]*[\x00-\x7f]"


def _note(noted: set[int], number: int) -> None:
    """Record a number, unless it is large or there are many different ones: a pattern would be too slow."""
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


class _FixedMatcher(Matcher):
    """Values of ``width`` bytes."""

    def __init__(self, width: int) -> None:
        self._width = width

    def skip(self, data: bytes, pos: int) -> int:
        return pos + self._width

    def pattern(self) -> bytes:
        return b".{%d}" % self._width


class _VarintsMatcher(Matcher):
    """``count`` integers in a row."""

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


class _BytesMatcher(Matcher):
    """Values of type bytes or string."""

    def __init__(self) -> None:
        self._noted: set[int] = set()

    def skip(self, data: bytes, pos: int) -> int:
        size, pos = read_long(data, pos)
        if size < 0:
            raise Malformed(f"a value has the size {size}")
        _note(self._noted, size >> 2)  # stands for four neighbouring sizes, which are likely to occur, too
        return pos + size

    def pattern(self) -> bytes:
        sizes = [size for some in sorted(self._noted) for size in range(some << 2, (some + 1) << 2)]
        return _one_of([_spelled(size) + (b"." * size if size <= 16 else b".{%d}" % size) for size in sizes])


class _UnionMatcher(Matcher):
    def __init__(self, branches: list[Matcher]) -> None:
        self._branches = branches
        self._noted: set[int] = set()

    def skip(self, data: bytes, pos: int) -> int:
        branch, pos = read_branch(data, pos, len(self._branches))
        _note(self._noted, branch)
        return self._branches[branch].skip(data, pos)

    def pattern(self) -> bytes:
        return _one_of([_spelled(branch) + self._branches[branch].pattern() for branch in sorted(self._noted)])


class _ArrayMatcher(Matcher):
    """Arrays, and maps as arrays of pairs."""

    def __init__(self, item: Matcher) -> None:
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
            if end is None and pos > start:  # for items without bytes, read_count's check depends on what follows
                _note(self._noted, count)

    def pattern(self) -> bytes:
        counts = sorted(self._noted)
        item = self._item.pattern() if counts else b""
        return _one_of([_spelled(0)] + [_spelled(n) + _times(item, n) + _spelled(0) for n in counts])


class _RecordMatcher(Matcher):
    def __init__(self, members: list[Matcher]) -> None:
        self._members = members

    def skip(self, data: bytes, pos: int) -> int:
        for member in self._members:
            pos = member.skip(data, pos)
        return pos

    def pattern(self) -> bytes:
        return b"".join(member.pattern() for member in self._members)


class BranchMatcher(Matcher):
    """The number of a union's branch, which must be ``branch``; else Malformed with the text ``otherwise``."""

    def __init__(self, branch: int, otherwise: str) -> None:
        self._branch = branch
        self._otherwise = otherwise

    def skip(self, data: bytes, pos: int) -> int:
        """See :class:`Matcher`."""
        branch, pos = read_long(data, pos)
        if branch != self._branch:
            raise Malformed(self._otherwise)
        return pos

    def pattern(self) -> bytes:
        """See :class:`Matcher`."""
        return _spelled(self._branch)


def matcher_of(made_of: Type) -> Matcher:
    """A new matcher for values of this type."""
    match made_of.kind:
        case "int" | "long" | "enum":
            return _VarintsMatcher(1)
        case "bytes" | "string":
            return _BytesMatcher()
        case "union":
            return _UnionMatcher([matcher_of(branch) for branch in made_of.parts])
        case "array":
            return _ArrayMatcher(matcher_of(made_of.parts[0]))
        case "map":
            return _ArrayMatcher(_RecordMatcher([_BytesMatcher(), matcher_of(made_of.parts[0])]))
        case "record":
            members = [matcher_of(f.type) for f in made_of.fields]
            counts = [member.count for member in members if isinstance(member, _VarintsMatcher)]
            return _VarintsMatcher(sum(counts)) if len(counts) == len(members) else _RecordMatcher(members)
    return _FixedMatcher(made_of.size if made_of.kind == "fixed" else FIXED_SIZES[made_of.kind])
