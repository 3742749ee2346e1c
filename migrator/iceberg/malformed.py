"""The error of the readers of binary formats. It does not know the file's name; its caller adds that."""

from __future__ import annotations


class Malformed(Exception):
    """The bytes do not follow their format's specification or schema; the message says what is wrong."""
