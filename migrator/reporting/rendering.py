"""Reports as lists of lines and tables, and their text for a terminal or a pipe.

Keys and names are untrusted: control characters are shown as escapes, and nothing in a name is read as markup.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from migrator.progress.wording import size as size

INDENT = 2
"""The indentation of a table, and the space between its columns."""
HANGING = 4
"""How much further the rest of a wrapped line is indented than its beginning."""
MIN_WIDTH = 40
"""The least width of lines. They are no shorter in a narrower terminal: a line of one word is hard to read."""
MIN_COLUMN = 12
"""If a table is too wide for the terminal, a column of words up to this width keeps its width."""
MAX_WRAPPED_ROWS = 500
"""A longer table is not fitted to the terminal. rich takes about 1 ms a row, which is 10 s for 10,000 tables; aligning
them takes 0.2 s."""


@dataclass(frozen=True)
class Grid:
    """Rows in aligned columns. ``numbers`` holds the indexes of the columns that are aligned to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Collection[int] = ()


Report = list[Text | Grid]
"""Lines and tables, from top to bottom."""


def printable(text: str) -> str:
    """``text`` with every control character, and every other unprintable one, as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def to_finish_rollback(plan: str) -> str:
    """The command that finishes a rollback of the plan file ``plan``, as a sentence."""
    return f"To finish it: migrator rollback {shlex.quote(printable(plan))}"


def line(*parts: str | tuple[str, str], style: str = "") -> Text:
    """One line of a report. Each part is text, or (text, style); all of it is made printable.

    A style is one of rich's, such as "red" or "bold"; ``style`` is that of the whole line.
    """
    text = Text(style=style)
    for part in parts:
        content, own_style = (part, "") if isinstance(part, str) else part
        text.append(printable(content), own_style)
    return text


def and_more(count: int, indent: str = "  ") -> Report:
    """The line after a list that leaves out ``count`` items; none if it leaves out nothing."""
    return [line(f"{indent}… and {count:,} more")] if count > 0 else []


def unwrapped(text: str) -> Text:
    """A line that is never wrapped: a command or a key that users copy."""
    return Text(printable(text), no_wrap=True)


def render(report: Iterable[Text | Grid], width: int | None = None, *, colours: bool = False) -> str:
    """The report as text. ``width``: that of the terminal, in columns; None for a file or a pipe, where no line is
    wrapped. With ``colours``, styles become terminal escapes."""
    file = StringIO()
    console = Console(
        file=file,
        width=width and max(width, MIN_WIDTH),
        force_terminal=colours,
        force_jupyter=False,
        no_color=False,
        color_system="standard" if colours else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for part in report:
        if isinstance(part, Text):
            for piece in _wrapped(part, console.width) if width else [part]:
                if colours and (piece.style or piece.spans):
                    console.print(piece, soft_wrap=True)
                else:
                    file.write(f"{piece.plain}\n")  # saves 0.1 ms a line
        elif width is None or len(part.rows) > MAX_WRAPPED_ROWS:
            file.writelines(f"{row}\n" for row in _aligned(part))
        else:
            console.print(_fitted(part, console.width))
    return "\n".join(row.rstrip() for row in file.getvalue().removesuffix("\n").split("\n"))


def _wrapped(text: Text, width: int) -> Iterator[Text]:
    """The line in pieces of at most ``width`` columns. A longer word is not split: it may be a key that users copy."""
    indent = len(text.plain) - len(text.plain.lstrip(" "))
    breaks, start, room = [], 0, width
    for word in () if text.no_wrap else re.finditer(r"\S+", text.plain):
        if word.start() > max(start, indent) and cell_len(text.plain[start : word.end()]) > room:
            start, room = word.start(), width - indent - HANGING
            breaks.append(start)
    first, *others = text.divide(breaks)
    yield first
    for piece in others:
        yield Text(" " * (indent + HANGING)).append_text(piece)


def _cells(grid: Grid) -> list[list[str]]:
    """The head and the rows."""
    return [list(grid.head), *([printable(cell) for cell in row] for row in grid.rows)]


def _aligned(grid: Grid) -> Iterator[str]:
    """The rows of a table at their full width."""
    cells = _cells(grid)
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (
            " " * (width - cell_len(cell)) + cell if number in grid.numbers else set_cell_size(cell, width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield " " * INDENT + (" " * INDENT).join(padded)


def _fitted(grid: Grid, width: int) -> Padding:
    """The table with wrapped cells, if it is wider than the terminal: wrapped between words first, then in long
    keys."""
    columns = list(zip(*_cells(grid), strict=True))
    natural = [max(map(cell_len, column)) for column in columns]
    fits = sum(natural) + INDENT * len(columns) <= width
    table = Table(box=None, pad_edge=False, padding=(0, INDENT, 0, 0), header_style="dim")
    for number, (head, *cells) in enumerate(columns):
        right = number in grid.numbers
        most = None if fits else _narrowed(head, cells, right=right)
        table.add_column(Text(head), justify="right" if right else "left", overflow="fold", max_width=most)
    for row in zip(*(column[1:] for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return Padding(table, (0, 0, 0, INDENT), expand=False)


def _narrowed(head: str, cells: Sequence[str], *, right: bool) -> int:
    """How wide a column must be if its head and its cells wrap between words; a number and its unit stay together."""
    pieces = [cell if right else word for cell in cells for word in (cell.split() or [""])]
    longest = max(map(cell_len, [*pieces, *(head.split() or [""])]))
    return longest if right else max(longest, min(MIN_COLUMN, max(map(cell_len, [head, *cells]))))
