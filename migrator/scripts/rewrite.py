"""Rewrites one text: returns the new text and every place that was found. Pure:

no I/O. Certain paths are searched first, doubtful ones last; a place is judged only once. Only the places of
certain paths change: every other character of the text stays as it is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from migrator.scripts.commands import find_alias_paths, find_made_buckets, find_unknown_aliases
from migrator.scripts.doubtful import find_doubtful
from migrator.scripts.found import Change, Doubt, Found, Names, shown
from migrator.scripts.keys import find_bucket_settings, find_checkpoints, find_dagster_buckets, find_known_keys
from migrator.scripts.uris import find_arns, find_uris, find_urls

_FINDERS = (
    find_made_buckets,
    find_urls,
    find_uris,
    find_arns,
    find_alias_paths,
    find_bucket_settings,
    find_known_keys,
    find_dagster_buckets,
    find_checkpoints,
    find_unknown_aliases,
    find_doubtful,
)
"""In this order: the first one that finds a place decides about it."""


@dataclass(frozen=True)
class Rewritten:
    """A text with its certain paths replaced. ``edits`` are the places of the old text that changed, in order;
    ``lines_gone`` are the numbers of the lines that were removed."""

    text: str
    changes: tuple[Change, ...]
    doubts: tuple[Doubt, ...]
    edits: tuple[Found, ...]
    lines_gone: tuple[int, ...] = ()

    def doubts_after(self) -> tuple[Doubt, ...]:
        """The doubts with the numbers of their lines in the new text."""
        return tuple(
            replace(doubt, line=doubt.line - bisect_left(self.lines_gone, doubt.line)) for doubt in self.doubts
        )


def rewrite_text(text: str, names: Names) -> Rewritten:
    """Replace every certain path in a text, and report doubtful ones. A rewritten text is not changed again."""
    if not any(word in text for word in names.words):
        return Rewritten(text, (), (), ())
    found = _without_overlaps(one for finder in _FINDERS for one in finder(text, names))
    lines = _LineNumbers(text)
    edits = tuple(one for one in found if one.new is not None and text[one.start : one.end] != one.new)
    doubts = [Doubt(lines.of(one.start), shown(text[one.start : one.end]), one.reason) for one in found if one.reason]
    changes = [Change(lines.of(one.start), text[one.start : one.end].strip("\r\n"), one.new or "") for one in edits]
    gone = tuple(lines.of(edit.start) for edit in edits if "\n" in text[edit.start : edit.end])
    return Rewritten("".join(_pieces(text, edits)), tuple(changes), tuple(dict.fromkeys(doubts)), edits, gone)


def _pieces(text: str, edits: Iterable[Found]) -> Iterator[str]:
    at = 0
    for edit in edits:
        yield text[at : edit.start]
        yield edit.new or ""
        at = edit.end
    yield text[at:]


def _without_overlaps(found: Iterable[Found]) -> list[Found]:
    """Remove overlaps: the place that was found first stays. Sorted by position."""
    kept: list[Found] = []
    starts: list[int] = []
    for one in found:
        at = bisect_right(starts, one.start)
        if (at and kept[at - 1].end > one.start) or (at < len(kept) and kept[at].start < one.end):
            continue
        starts.insert(at, one.start)
        kept.insert(at, one)
    return kept


class _LineNumbers:
    """The number of the line of a place in a text, counted from 1. Lines end with ``\\n``."""

    def __init__(self, text: str) -> None:
        self._ends = [at for at, character in enumerate(text) if character == "\n"]

    def of(self, at: int) -> int:
        return bisect_right(self._ends, at - 1) + 1
