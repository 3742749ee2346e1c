"""Standard input, output and error as the command line needs them: present, and with errors that users understand."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from migrator.errors import MigratorError

if TYPE_CHECKING:
    from typing_extensions import Buffer


CHANGES_BY_PLAN = frozenset({"migrate", "copy", "cutover", "rollback", "retire"})
"""The commands that carry out a plan, and print their result when they have ended."""


class OutputUnwritable(MigratorError):
    """Standard output cannot be written, for example because the disk is full."""


class _StandardOutput(io.FileIO):
    """Standard output whose errors name standard output."""

    def write(self, data: Buffer, /) -> int:
        """See ``io.FileIO``. Raises OutputUnwritable; for a pipe that nobody reads, BrokenPipeError, which click
        handles."""
        if not memoryview(data).nbytes:
            return 0  # click writes nothing to test the stream, and ignores an error
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            self._drop_the_rest()
            reason = error.strerror or error
            message = f"standard output cannot be written: {reason}."
            raise OutputUnwritable(message, next_move=_next_move()) from error

    def _drop_the_rest(self) -> None:
        """Discard what is still in a buffer: Python would fail once more when it ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def _next_move() -> str:
    """What to do about the missing result of a command that has changed something."""
    context = click.get_current_context(silent=True)
    if context is None or context.info_name not in CHANGES_BY_PLAN or not context.params:  # no parameters yet: --help
        return ""
    return 'The command itself has ended: "migrator status PLAN" shows what is done.'


def prepare_streams() -> None:
    """Make the three streams usable. A closed one reads and writes nothing. A character that standard output cannot
    encode becomes a question mark; standard error escapes it already."""
    _open_missing()
    stdout = sys.stdout
    if not isinstance(stdout, io.TextIOWrapper):
        return
    if not codecs.lookup(stdout.encoding).name.startswith("utf"):
        stdout.reconfigure(errors="replace")
    raw = getattr(stdout.buffer, "raw", stdout.buffer)  # with PYTHONUNBUFFERED, there is no buffer
    if type(raw) is not io.FileIO or stdout is not sys.__stdout__:
        return
    stdout.flush()
    named = _StandardOutput(raw.fileno(), "w", closefd=False)
    binary = named if raw is stdout.buffer else io.BufferedWriter(named)
    sys.stdout = io.TextIOWrapper(
        cast(BinaryIO, binary),
        encoding=stdout.encoding,
        errors=stdout.errors,
        line_buffering=stdout.line_buffering,
        write_through=stdout.write_through,
    )


def _open_missing() -> None:
    """Python has None for a stream that was closed when it started. Opened in this order, each gets its own number: no
    other file gets that of standard output."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
