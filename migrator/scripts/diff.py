"""The change of a text as a unified diff for ``git apply`` and ``patch -p1``. Pure: no I/O."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from migrator.scripts.found import Found

CONTEXT = 3
"""How many unchanged lines are shown around a change."""
NO_NEWLINE = "\\ No newline at end of file\n"


@dataclass(frozen=True, slots=True)
class _Block:
    """The old lines from ``first`` to before ``last``, counted from 0, and the new lines in their place."""

    first: int
    last: int
    new: tuple[str, ...]


def unified_diff(path: str, text: str, edits: Sequence[Found]) -> str:
    """The diff of a text with these edits, which are in order and do not overlap; "" if there is none.

    Lines end with ``\\n``, as in patch; a ``\\r`` before it is part of the line."""
    if not edits:
        return ""
    lines = _lines(text)
    tab = "\t" if " " in path else ""  # so that patch finds the end of a path with blanks
    head = f"--- {quoted(f'a/{path}')}{tab}\n+++ {quoted(f'b/{path}')}{tab}\n"
    return head + "".join(_hunks(lines, list(_blocks(lines, edits))))


def quoted(path: str) -> str:
    """A path as git and patch read it: in double quotes with escapes, if it has characters that need them."""
    data = os.fsencode(path)
    if all(byte >= 0x20 and byte != 0x7F and byte not in b'"\\' for byte in data) and _is_text(path):
        return path
    named = {0x22: '\\"', 0x5C: "\\\\", 0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
    return '"' + "".join(named.get(b, chr(b) if 0x20 <= b < 0x7F else f"\\{b:03o}") for b in data) + '"'


def _is_text(path: str) -> bool:
    """False for a name whose bytes are not UTF-8."""
    return not any("\udc80" <= character <= "\udcff" for character in path)


def _lines(text: str) -> list[str]:
    pieces = text.split("\n")
    return [f"{piece}\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _blocks(lines: Sequence[str], edits: Sequence[Found]) -> Iterator[_Block]:
    """The changed lines, each with its edits. An edit may remove a whole line with its line end."""
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    group: list[Found] = []
    first = last = -1
    for edit in edits:
        begins = bisect_right(starts, edit.start) - 1
        ends = max(begins, bisect_right(starts, edit.end - 1) - 1)
        if group and begins > last + 1:
            yield _block(lines, starts, group, first, last)
            group = []
        if not group:
            first = begins
        group.append(edit)
        last = max(last, ends)
    yield _block(lines, starts, group, first, last)


def _block(lines: Sequence[str], starts: Sequence[int], edits: Sequence[Found], first: int, last: int) -> _Block:
    old = "".join(lines[first : last + 1])
    new, at = "", starts[first]
    for edit in edits:
        new += old[at - starts[first] : edit.start - starts[first]] + (edit.new or "")
        at = edit.end
    return _Block(first, last + 1, tuple(_lines(new + old[at - starts[first] :])))


def _hunks(lines: Sequence[str], blocks: list[_Block]) -> Iterator[str]:
    shift = 0
    while blocks:
        near = 1
        while near < len(blocks) and blocks[near].first - blocks[near - 1].last <= 2 * CONTEXT:
            near += 1
        yield _hunk(lines, blocks[:near], shift)
        shift += sum(len(block.new) - (block.last - block.first) for block in blocks[:near])
        blocks = blocks[near:]


def _hunk(lines: Sequence[str], blocks: Sequence[_Block], shift: int) -> str:
    first = max(0, blocks[0].first - CONTEXT)
    last = min(len(lines), blocks[-1].last + CONTEXT)
    body, at, count = [], first, 0
    for block in blocks:
        body += [_marked(" ", line) for line in lines[at : block.first]]
        body += [_marked("-", line) for line in lines[block.first : block.last]]
        body += [_marked("+", line) for line in block.new]
        count += block.first - at + len(block.new)
        at = block.last
    body += [_marked(" ", line) for line in lines[at:last]]
    count += last - at
    old = _range(first, last - first)
    return f"@@ -{old} +{_range(first + shift, count)} @@\n" + "".join(body)


def _range(first: int, count: int) -> str:
    return f"{first + 1 if count else first},{count}"


def _marked(mark: str, line: str) -> str:
    return f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n{NO_NEWLINE}"
