"""A clock and a terminal for tests of progress."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Callable
from io import StringIO
from typing import TextIO


class Clock:
    """A clock that advances only when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Pipe(StringIO):
    """A file that is no terminal."""

    encoding = "utf-8"  # type: ignore[assignment]


class Terminal:
    """A pseudo-terminal with this many columns. ``file``: a program writes to it. ``written``: everything that was
    written."""

    def __init__(self, columns: int) -> None:
        self._leader, follower = pty.openpty()
        self.columns = columns
        self.resize(columns)
        self.descriptor = follower
        self.file: TextIO = os.fdopen(follower, "w", encoding="utf-8", closefd=False)
        self.written = ""

    def resize(self, columns: int) -> None:
        """Make it as wide as that."""
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def type(self, text: str) -> None:
        """What a person types. The terminal shows it, and sends a signal to its program for Ctrl-C."""
        os.write(self._leader, text.encode())

    def hang_up(self) -> None:
        """Close the program's end, so that its output can be read to the end."""
        self.file.close()
        os.close(self.descriptor)

    def read(self, tell: Callable[[str], object] = lambda text: None) -> str:
        """Read until the program's end is closed, and call ``tell`` with each piece. Return everything that was
        written."""
        found = []
        try:
            while data := os.read(self._leader, 65536):
                found.append(data)
                tell(data.decode(errors="replace"))
        except OSError:  # EIO: the other end is closed
            pass
        os.close(self._leader)
        self.written = b"".join(found).decode()
        return self.written

    @property
    def pictures(self) -> list[str]:
        """All texts that a line has shown, one after the other, without colours."""
        return [text for text in re.split(r"[\r\n]+", without_colours(self.written)) if text.strip()]

    @property
    def screen(self) -> list[str]:
        """The lines that are visible at the end."""
        lines, column = [""], 0
        for letter in without_colours(self.written):
            if letter == "\r":
                column = 0
                continue
            if letter == "\n" or column == self.columns:
                lines.append("")
                column = 0
            if letter != "\n":
                lines[-1] = lines[-1][:column] + letter + lines[-1][column + 1 :]
                column += 1
        return [line.rstrip() for line in lines]


def without_colours(text: str) -> str:
    """The text without the escapes of colours and styles; it has no others."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\x1b" not in plain
    return plain
