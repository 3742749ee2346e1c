from __future__ import annotations

import re

import pytest

from migrator.reporting.rendering import MAX_WRAPPED_ROWS, Grid, line, printable, render, size, unwrapped
from reporting.described import EVIL, MARKUP

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
HEAD = ("from", "to", "objects", "size")
ROW = ("s3://bronze/", "s3://data-lake/bronze/", "12", "1.5 KiB")
GRID = Grid(HEAD, [ROW], numbers=(2, 3))


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (3 * 1024**4, "3.0 TiB")]
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


def test_what_cannot_be_printed_is_escaped() -> None:
    assert printable("a\x1b[2J\n\u202e\udc80中") == "a\\x1b[2J\\n\\u202e\\udc80中"


def test_a_pipe_gets_plain_lines() -> None:
    report = [line("Title", style="bold"), GRID, line("  ", ("✖", "red"), " word" * 100)]
    assert render(report).split("\n") == [
        "Title",
        "  from          to                      objects     size",
        "  s3://bronze/  s3://data-lake/bronze/       12  1.5 KiB",
        "  ✖" + " word" * 100,
    ]


def test_a_pipe_never_gets_a_part_of_a_key() -> None:
    key = "s3://bronze/" + "a long key/" * 90
    text = render([line(f"- {key}"), Grid(HEAD, [(key, key, "1", "2 B")], numbers=(2, 3))])
    assert len(text.split("\n")) == 3 and text.count(key) == 3 and "…" not in text


def test_a_terminal_gets_colours_and_the_same_words() -> None:
    report = [line("Title", style="bold"), line("  ", ("✖ code", "red"), ": text"), GRID]
    shown = render(report, 80, colours=True)
    assert "\x1b[1mTitle\x1b[0m" in shown and "\x1b[31m✖ code\x1b[0m: text" in shown
    words = [row.split() for row in ESCAPES.sub("", shown).split("\n")]
    assert words == [row.split() for row in render(report).split("\n")]
    assert "\x1b" not in render(report, 80)


def test_lines_are_wrapped_between_words_and_commands_are_not() -> None:
    words = line("  ▲ ", ("code", "red"), ": " + "word " * 40)
    command = "  migrator plan " + "x " * 60
    wrapped = render([words, line(), unwrapped(command)], 80, colours=True).split("\n")
    assert all(len(ESCAPES.sub("", row)) <= 80 for row in wrapped[:-1])
    assert len(ESCAPES.sub("", wrapped[0])) > 75 and wrapped[1].startswith("      word")
    assert ESCAPES.sub("", " ".join(wrapped[:-2])).split() == words.plain.split()
    assert wrapped[-2:] == ["", command.rstrip()]
    assert render([line("  " + "k" * 300)], 80) == "  " + "k" * 300
    assert render([line("  at " + "k" * 300 + " end")], 80) == "  at\n      " + "k" * 300 + "\n      end"
    assert render([line("中" * 30 + " 中中中中中中中中中中中")], 80).split("\n")[1].startswith("    中")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_fits_the_terminal_and_loses_nothing(width: int) -> None:
    key = "s3://bronze/" + "".join(f"{n:03}/" for n in range(60))
    text = render([Grid(("table", "files", "state"), [(key, "1,234,567", "to rewrite, not registered")], (1,))], width)
    assert all(len(row) <= width for row in text.split("\n"))
    joined = "".join(row[2:].split("  ")[0].strip() for row in text.split("\n")[1:])
    assert joined == key
    assert "1,234,567" in text and "…" not in text and not set("│┃─━┏+|") & set(text)


def test_a_long_table_is_not_fitted_because_that_is_slow() -> None:
    rows = [("key/" * 50, str(n)) for n in range(MAX_WRAPPED_ROWS + 1)]
    assert len(render([Grid(("key", "n"), rows)], 80).split("\n")) == len(rows) + 1


@pytest.mark.parametrize("width", [None, 80, 200])
@pytest.mark.parametrize("colours", [False, True])
def test_names_are_neither_escapes_nor_markup(width: int | None, colours: bool) -> None:
    grid = Grid(("name", "n"), [(EVIL, "1"), (MARKUP, "2")], numbers=(1,))
    text = render([line(EVIL, (MARKUP, "red")), unwrapped(EVIL + MARKUP), grid], width, colours=colours)
    bare = ESCAPES.sub("", text)
    assert not {"\x1b", "\x07", "\u202e", "\u2028"} & set(bare)
    assert bare.count("\\x1b[2J\\x1b]0;owned\\x07\\nOK\\u202e") == 3
    assert bare.count("[red]x[/red] :smile:") == bare.count("[link=http://evil]y") == 3
    assert ("\x1b[31m" in text) is colours and "\x1b]8" not in text


def test_wide_characters_stay_aligned() -> None:
    text = render([Grid(("name", "n"), [("中文", "1"), ("abcd", "2")])])
    assert text.split("\n")[1:] == ["  中文  1", "  abcd  2"]
